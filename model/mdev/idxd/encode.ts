/** Descriptors as programs write them: the opposite of what the accelerator reads. */
import { DESCRIPTOR, type Descriptor } from "./descriptor.ts";

/** The 64 bytes of a descriptor; what is left out is zero. */
export function encode(descriptor: Partial<Descriptor>): number[] {
  const {
    pasid = 0,
    flags = 0,
    operation = 0,
    record = 0n,
    source = 0n,
    destination = 0n,
    size = 0,
    handle = 0,
  } = descriptor;
  const view = new DataView(new ArrayBuffer(DESCRIPTOR));
  view.setUint32(0, pasid, true);
  view.setUint32(4, flags | (operation << 24), true);
  view.setBigUint64(8, record, true);
  view.setBigUint64(16, source, true);
  view.setBigUint64(24, destination, true);
  view.setUint32(32, size, true);
  view.setUint16(36, handle, true);
  return [...new Uint8Array(view.buffer)];
}
