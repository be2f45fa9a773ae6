/** What stands around the calls: naming devices, looking for what is needed, main(), putting things back. */
import type { Program } from "../../model/program.ts";
import { workLeft } from "../../targets/lower/put-off.ts";
import { ALONE, type Style } from "./style.ts";
import { indent } from "./syntax.ts";

const PATIENCE = 20;

/** Seconds after which a program that does not end is taken to hang: its own waits, and some. */
export function patienceWith({ calls }: Program): number {
  let waits = 0;
  for (const nanoseconds of workLeft(calls).values()) waits += nanoseconds;
  return PATIENCE + Math.ceil(waits / 1e9);
}

/** main() of a program that stands alone, and is waited for so many seconds. */
export const mainOf = (
  patience: number,
): string => `/* Waits for the program; gives what main() shall end with, or -1 when it hangs. */
static int ending_of(pid_t child)
{
	int status;

	for (int tenths = 0; tenths < ${10 * patience}; tenths++) {
		if (waitpid(child, &status, WNOHANG) == child) {
			if (WIFEXITED(status))
				return WEXITSTATUS(status);
			printf("\\nA call ended in signal %d.\\n", WTERMSIG(status));
			return 1;
		}
		usleep(100000);
	}
	kill(child, SIGKILL);
	return -1;
}

int main(int argc, char **argv)
{
	const char *missing;
	pid_t child;
	int ending;

	take_environment();
	for (int i = 1; i < argc; i++) {
		if (!take_name(argv[i])) {
			fprintf(stderr, "%s names no device of this program.\\n", argv[i]);
			return 3;
		}
	}
	missing = geteuid() ? "it must be run as root" : first_missing();
	if (missing) {
		fprintf(stderr, "This can't be run: %s.\\n", missing);
		return 3;
	}
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (!lay_out_memory()) {
			fprintf(stderr, "The memory that the program needs could not be laid out.\\n");
			_exit(3);
		}
		run();
		fflush(stdout);
		_exit(differences ? 1 : 0);
	}
	if (child < 0) {
		perror("fork");
		return 3;
	}
	ending = ending_of(child);
	if (ending < 0) {
		printf("\\nThe last call did not come back. The difference is there.\\n");
		return 1;
	}
	restore();
	switch (ending) {
	case 0:
		printf("\\nThe difference is not there: every call did what is right.\\n");
		break;
	case 1:
		printf("\\nThe difference is there.\\n");
		break;
	}
	return ending;
}
`;

/** Takes other devices than those of the topology. */
export function takeNames(style: Style): string {
  const byName = `/* Takes "nic0.0=0000:03:00.0"; false where no device has that name. */
static bool take_name(const char *given)
{
	for (struct device *const *d = devices; *d; d++) {
		size_t length = strlen((*d)->name);

		if (strncmp(given, (*d)->name, length) || given[length] != '=')
			continue;
		moved |= strcmp((*d)->address, given + length + 1) != 0;
		(*d)->address = given + length + 1;
		return true;
	}
	return false;
}

`;
  const environment = `/* NIC0_0 in the environment names nic0.0. */
static void take_environment(void)
{
	for (struct device *const *d = devices; *d; d++) {
		char variable[64];
		size_t i;

		for (i = 0; (*d)->name[i] && i < sizeof(variable) - 1; i++)
			variable[i] = isalnum((unsigned char)(*d)->name[i]) ? toupper((*d)->name[i]) : '_';
		variable[i] = 0;
		if (getenv(variable)) {
			moved |= strcmp((*d)->address, getenv(variable)) != 0;
			(*d)->address = getenv(variable);
		}
	}
}
`;
  return style === ALONE ? byName + environment : environment;
}

/** Looks for what the program needs. */
export function firstMissing(checks: readonly string[]): string {
  const lines = checks.flatMap((check) => [`missing = ${check};`, "if (missing)", "\treturn missing;"]);
  const declared = checks.length > 0 ? ["const char *missing;", "", ...lines] : [];
  return `/* What the program needs and neither finds nor can make, or NULL. */
static const char *first_missing(void)
{
${indent([...declared, "return NULL;"]).join("\n")}
}
`;
}

/** Undoes what the program did. */
export function restore(statements: readonly string[]): string {
  return `/* Puts back what the program changed. */
static void restore(void)
{
${indent(statements)
  .map((line) => `${line}\n`)
  .join("")}}
`;
}
