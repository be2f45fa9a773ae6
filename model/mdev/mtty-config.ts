/** The configuration space of mtty. Beside samples/vfio-mdev/mtty.c:mtty_create_config_space and handle_pci_cfg_write. */

const BARS = [0x10, 0x14] as const;
const INTERRUPT_LINE = 0x3c;
/** Size mask of a BAR of eight I/O ports. */
const BAR_MASK = 0xffff_fff8;
const ALL_ONES = 0xffff_ffff;

/** The space of a new card with so many ports. */
export function newConfig(ports: number): Uint8Array {
  const config = new Uint8Array(0xff);
  const view = new DataView(config.buffer);
  view.setUint32(0x00, 0x32534348, true);
  // I/O decoding is on.
  view.setUint16(0x04, 0x0001, true);
  view.setUint16(0x06, 0x0200, true);
  // Revision, and a 16550-compatible serial controller.
  config.set([0x10, 0x02, 0x00, 0x07], 0x08);
  for (const at of BARS.slice(0, ports)) view.setUint32(at, 1, true);
  view.setUint32(0x2c, 0x32534348, true);
  config[0x3d] = 1;
  config[0x40] = 0x23;
  config[0x43] = 0x80;
  for (const at of [0x44, 0x48, 0x4c]) config[at] = 0x23;
  config.set(new TextEncoder().encode("PCI Serial/UART"), 0x60);
  return config;
}

/** Writes the interrupt line or a BAR; everything else stays as it is. */
export function configWrite(config: Uint8Array, ports: number, offset: number, value: number): void {
  const view = new DataView(config.buffer, config.byteOffset);
  switch (offset) {
    case INTERRUPT_LINE:
      config[offset] = value & 0xff;
      break;
    case 0x10:
    case 0x14: {
      if (offset === BARS[1] && ports === 1) {
        view.setUint32(offset, 0, true);
        break;
      }
      const address = value === ALL_ONES ? BAR_MASK : value;
      view.setUint32(offset, (address | ((config[offset] ?? 0) & 3)) >>> 0, true);
      break;
    }
    case 0x18:
    case 0x1c:
    case 0x20:
      view.setUint32(offset, 0, true);
      break;
  }
}
