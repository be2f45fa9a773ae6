/**
 * Ioctls as definitions: number, argument, who answers, and the operation, all in one place.
 *
 * Generators make calls from the argument's layout, the machine dispatches by the number, printers and exporters name
 * fields by it. A new ioctl is one definition; nothing else has to know of it.
 */
import type { Layout } from "../uapi/layout.ts";
import type { Version } from "../uapi/version.ts";
import type { File, FileKind } from "./file.ts";
import type { Kernel } from "./kernel.ts";
import type { Operation } from "./operation.ts";
import type { UserBlock } from "./user-memory.ts";

/** The argument of a call in flight. */
export interface Argument {
  /** The struct or text that the argument points to. */
  readonly block: UserBlock;
  /** The argument itself, where it is passed by value. */
  readonly value: number;
  /** What a pointer inside the struct points to; a block that can't be read where it is a bad one. */
  readonly at: (address: bigint) => UserBlock;
}

export type ArgumentShape =
  | { readonly kind: "struct"; readonly layout: Layout }
  /** By value; the values are those worth trying, the plain one first. */
  | { readonly kind: "value"; readonly values: readonly number[] }
  /** The name of a device, as text. */
  | { readonly kind: "name" }
  | { readonly kind: "none" };

export interface Ioctl<F extends File = File> {
  readonly name: string;
  readonly request: number;
  readonly argument: ArgumentShape;
  /** The kinds of file that answer it; on others it is one of the unknown commands. */
  readonly on: readonly FileKind[];
  /** Kind of file whose descriptor is returned. */
  readonly returns?: FileKind;
  readonly since?: Version;
  /** How often a generator takes it, against 1 for an ordinary one. */
  readonly weight?: number;
  /** Whether this is a sensible moment for the call; a generator mostly heeds it. */
  useful?(k: Kernel, file: F): boolean;
  run(k: Kernel, file: F, arg: Argument): Operation<number>;
}

const byName = new Map<string, Ioctl>();

/** Registers an ioctl; its name must be new. */
export function ioctl<F extends File>(definition: Ioctl<F>): Ioctl<F> {
  if (byName.has(definition.name)) throw new Error(`ioctl ${definition.name} is defined twice`);
  byName.set(definition.name, definition);
  return definition;
}

/** Every ioctl of the model. */
export function allIoctls(): Iterable<Ioctl> {
  return byName.values();
}

/** The ioctl of that name, or undefined. */
export function findIoctl(name: string): Ioctl | undefined {
  return byName.get(name);
}

/**
 * The operation of the command that a kind of file knows by its number; undefined for one that it does not know. No
 * operation itself: what need not wait costs no generator.
 */
export function dispatch<F extends File>(
  known: readonly Ioctl<F>[],
  k: Kernel,
  file: F,
  command: Ioctl,
  arg: Argument,
): Operation<number> | undefined {
  for (const definition of known) {
    if (definition.request === command.request) return definition.run(k, file, arg);
  }
  return undefined;
}

const VFIO_TYPE = ";".charCodeAt(0);
const KVM_TYPE = 0xae;

/** _IO(';', nr), the numbers of vfio.h (nr counts from VFIO_BASE = 100) and iommufd.h (from 0x80). */
export const vfioRequest = (nr: number): number => (VFIO_TYPE << 8) | nr;

/** _IOC(dir, 0xAE, nr, size), the numbers of kvm.h: dir 0 none, 1 write, 3 both. */
export const kvmRequest = (nr: number, direction: 0 | 1 | 3 = 0, size = 0): number =>
  ((direction << 30) | (size << 16) | (KVM_TYPE << 8) | nr) >>> 0;
