/**
 * Patterns as modprobe compares them with names: fnmatch(3) without flags in the C locale, where `*` is any text, `?` any
 * character, `[...]` one of several, and a backslash takes the next character as it is. Text is one byte a character.
 */

/** What stands for one character of the name, or for any number of them. */
type Part = { readonly any: true } | { readonly any: false; readonly takes: (character: string) => boolean };

const ANY: Part = { any: true };
const one = (takes: (character: string) => boolean): Part => ({ any: false, takes });

/** Whether the whole name is as the pattern says. */
export function fnmatch(pattern: string, name: string): boolean {
  const parts = parsePattern(pattern);
  return parts !== null && matches(parts, name);
}

/** How many `*` a pattern has that stand for any text. */
export function wildcards(pattern: string): number {
  return parsePattern(pattern)?.filter(({ any }) => any).length ?? 0;
}

/** The parts of a pattern, or null where it ends in a lone backslash, which matches nothing. */
function parsePattern(pattern: string): readonly Part[] | null {
  const parts: Part[] = [];
  for (let at = 0; at < pattern.length; ) {
    const character = pattern.charAt(at);
    const bracket = character === "[" ? parseBracket(pattern, at) : null;
    if (bracket) {
      parts.push(one(bracket.takes));
      at = bracket.end;
      continue;
    }
    at++;
    if (character === "*") parts.push(ANY);
    else if (character === "?") parts.push(one(() => true));
    else if (character !== "\\") parts.push(one((other) => other === character));
    else if (at === pattern.length) return null;
    else {
      const literal = pattern.charAt(at++);
      parts.push(one((other) => other === literal));
    }
  }
  return parts;
}

/** From the last `*` on only what stands behind it has to be tried again: what is in front has matched already. */
function matches(parts: readonly Part[], name: string): boolean {
  let [part, at] = [0, 0];
  let again: { readonly part: number; at: number } | null = null;
  while (at < name.length || part < parts.length) {
    const next = parts[part];
    if (next?.any) {
      again = { part: ++part, at };
    } else if (next && at < name.length && next.takes(name.charAt(at))) {
      part++;
      at++;
    } else if (again && again.at < name.length) {
      at = ++again.at;
      part = again.part;
    } else {
      return false;
    }
  }
  return true;
}

/** Classes of characters in the C locale, as `[[:digit:]]` names them. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /^[A-Za-z0-9]$/,
  alpha: /^[A-Za-z]$/,
  blank: /^[ \t]$/,
  digit: /^[0-9]$/,
  graph: /^[!-~]$/,
  lower: /^[a-z]$/,
  print: /^[ -~]$/,
  punct: /^[!-/:-@[-`{-~]$/,
  space: /^[ \t\n\v\f\r]$/,
  upper: /^[A-Z]$/,
  xdigit: /^[0-9A-Fa-f]$/,
};

/** A bracket expression that begins there; null where none ends, so that the bracket stands for itself. */
function parseBracket(
  pattern: string,
  begin: number,
): { readonly takes: (character: string) => boolean; readonly end: number } | null {
  let at = begin + 1;
  const negated = pattern.charAt(at) === "!" || pattern.charAt(at) === "^";
  if (negated) at++;
  const tests: ((character: string) => boolean)[] = [];
  for (let first = true; ; first = false) {
    if (at >= pattern.length) return null;
    if (pattern.charAt(at) === "]" && !first) break;
    const named = /^\[:([a-z]+):\]/.exec(pattern.slice(at));
    const described = named?.[1] === undefined ? undefined : CLASSES[named[1]];
    if (named && described) {
      tests.push((character) => described.test(character));
      at += named[0].length;
      continue;
    }
    const from = bracketCharacter(pattern, at);
    if (!from) return null;
    at = from.end;
    let to = from;
    if (pattern.charAt(at) === "-" && at + 1 < pattern.length && pattern.charAt(at + 1) !== "]") {
      const upper = bracketCharacter(pattern, at + 1);
      if (!upper) return null;
      to = upper;
      at = upper.end;
    }
    tests.push((character) => from.character <= character && character <= to.character);
  }
  return { takes: (character) => tests.some((test) => test(character)) !== negated, end: at + 1 };
}

/** A character of a bracket expression, with the backslash that may stand in front of it. */
function bracketCharacter(pattern: string, at: number): { readonly character: string; readonly end: number } | null {
  const escaped = pattern.charAt(at) === "\\";
  const character = pattern.charAt(escaped ? at + 1 : at);
  return character === "" ? null : { character, end: at + (escaped ? 2 : 1) };
}
