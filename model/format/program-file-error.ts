/** A file that is no program, or one that this suite can't read; the message is one sentence that says what is wrong. */
export class ProgramFileError extends Error {
  override readonly name = "ProgramFileError";
}
