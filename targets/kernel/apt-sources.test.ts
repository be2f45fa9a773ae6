import { describe, expect, test } from "vitest";
import { findDebianArchive, parseDeb822Sources, parseOneLineSources } from "./apt-sources.ts";

const BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n';

describe("the one-line format", () => {
  test("with options, comments and sources", () => {
    const text = `# the archive
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example.org/debian bookworm main contrib # here
deb-src http://mirror.example.org/debian bookworm main
deb http://security.example.org/debian-security bookworm-security main`;
    expect(parseOneLineSources(text)).toEqual([
      {
        uri: "http://mirror.example.org/debian",
        suite: "bookworm",
        components: ["main", "contrib"],
        signedBy: "/usr/share/keyrings/a.gpg",
      },
      {
        uri: "http://security.example.org/debian-security",
        suite: "bookworm-security",
        components: ["main"],
        signedBy: undefined,
      },
    ]);
  });
});

describe("the deb822 format", () => {
  test("one source for every archive and suite", () => {
    const text = `Types: deb deb-src
# an older mirror stood here
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example.org/debian
Suites: bookworm
Components: main
`;
    const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    const uri = "http://mirror.example.org/debian";
    expect(parseDeb822Sources(text)).toEqual([
      { uri, suite: "bookworm", components: ["main"], signedBy: keyring },
      { uri, suite: "bookworm-updates", components: ["main"], signedBy: keyring },
    ]);
  });

  test("a key within the file", () => {
    const text = `Types: deb
URIs: http://mirror.example.org/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFit2ioBEADhWpZ8
 -----END PGP PUBLIC KEY BLOCK-----
`;
    expect(parseDeb822Sources(text).map(({ signedBy }) => signedBy)).toEqual([
      "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBFit2ioBEADhWpZ8\n-----END PGP PUBLIC KEY BLOCK-----",
    ]);
  });
});

describe("Debian's archive among others", () => {
  const other = parseOneLineSources("deb http://vendor.example.org/apt bookworm main");
  const archive = parseOneLineSources(
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example.org/debian bookworm main",
  );
  const security = parseOneLineSources("deb http://mirror.example.org/debian-security bookworm-security main");

  test("is the one that its keyring signs", () => {
    expect(findDebianArchive([...security, ...other, ...archive], BOOKWORM)?.uri).toBe(
      "http://mirror.example.org/debian",
    );
  });

  test("is the first with the machine's suite where no keyring is named", () => {
    const plain = parseOneLineSources("deb http://mirror.example.org/debian bookworm main");
    expect(findDebianArchive([...security, ...plain], BOOKWORM)?.uri).toBe("http://mirror.example.org/debian");
  });

  test("is not there on other systems", () => {
    expect(findDebianArchive(archive, "ID=ubuntu\nVERSION_CODENAME=bookworm\n")).toBeUndefined();
    expect(findDebianArchive(security, BOOKWORM)).toBeUndefined();
    expect(findDebianArchive(archive, "")).toBeUndefined();
  });
});
