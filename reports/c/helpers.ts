/** Small C functions that C programs are made with, of which a program gets those that it calls. */

export interface Helper {
  /** Names that it defines; a program that has one of them as a word needs it. */
  readonly defines: readonly string[];
  readonly text: string;
}

/** C as it is written, with its backslashes. */
export const C = String.raw;

/** Of these helpers those that the text uses, and those that they use in turn, in their order. */
export function helpersFor(text: string, helpers: readonly Helper[]): string[] {
  const taken: string[] = [];
  let code = withoutWords(text);
  for (const helper of helpers.toReversed()) {
    if (!helper.defines.some((name) => new RegExp(`\\b${name}\\b`).test(code))) continue;
    taken.unshift(helper.text);
    code += withoutWords(helper.text);
  }
  return taken;
}

/** Code without its strings and comments, in which names mean nothing. */
function withoutWords(code: string): string {
  return code.replace(/"(?:\\.|[^"\\])*"|\/\*[\s\S]*?\*\//g, " ");
}
