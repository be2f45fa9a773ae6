/** Regions of the sample drivers: where they end, and what lies where. */
import { MdpyDisplay } from "../../model/mdev/mdpy.ts";
import { MttyCard, placeOf } from "../../model/mdev/mtty.ts";
import { type Access, CONFIG_SIZE, units } from "../../model/mdev/sample-device.ts";
import { PCI_REGION } from "../../model/vfio/device-info.ts";
import { type Deviation, Ruined } from "./deviation.ts";

const since = "6.1";
const upstream = "searched, none found";

export const mttyNoBounds: Deviation = {
  id: "mtty-no-bounds",
  title:
    "the BARs of mtty have no end: what lies behind eight registers can be read and written without effect, and a card of one port has the other as well",
  clause: "SAMPLE-RW-1",
  since,
  source: "samples/vfio-mdev/mtty.c:mdev_access",
  upstream,
  evidence: "mtty-no-bounds",
  apply(k, fired) {
    const right = k.mtty.place;
    k.mtty = {
      ...k.mtty,
      place(card, access) {
        try {
          return right(card, access);
        } catch (refusal) {
          const { region, offset } = placeOf(access.position);
          if (region > 1) throw refusal;
          fired();
          // The registers' functions take an offset of 16 bits.
          return { region, offset: offset % 0x10000 };
        }
      },
    };
  },
};

/** Whether an access would take the driver to memory that is none of the device's. */
function overruns(device: MttyCard | MdpyDisplay, { position, width }: Access, writes: boolean): boolean {
  const isCard = device instanceof MttyCard;
  const { region, offset } = isCard ? placeOf(position) : { region: PCI_REGION.CONFIG, offset: position };
  if (isCard && region >= 2 && region <= 5) return true;
  if (region !== PCI_REGION.CONFIG) return false;
  const isBar = offset === 0x10 || (isCard && offset === 0x14);
  if (writes && isBar && width < 4) return true;
  return isCard ? !writes && offset + width > CONFIG_SIZE : offset < CONFIG_SIZE && offset + width > CONFIG_SIZE;
}

export const sampleOverruns: Deviation = {
  id: "sample-overruns",
  title:
    "accesses to the configuration space of mtty and mdpy, and to BARs 2 to 5 of mtty, go on behind the driver's own memory",
  clause: "SAMPLE-RW-1",
  since,
  source: "samples/vfio-mdev/mtty.c:mdev_access",
  upstream,
  evidence: "sample-overruns",
  destructive: true,
  apply(k) {
    const { foresee } = k.samples;
    k.samples = {
      ...k.samples,
      foresee(device, position, count, written) {
        foresee(device, position, count, written);
        if (!(device instanceof MttyCard || device instanceof MdpyDisplay)) return;
        for (const access of units(position, count)) {
          if (overruns(device, access, written !== null)) {
            throw new Ruined("what this kernel does to its memory next", "sample-overruns");
          }
        }
      },
    };
  },
};

export const mttyFullFifo: Deviation = {
  id: "mtty-full-fifo",
  title: "a FIFO with 16 bytes in it counts as empty: nothing can be read, and nothing more sent, until it is cleared",
  clause: "MTTY-UART-1",
  since,
  source: "samples/vfio-mdev/mtty.c:handle_bar_read",
  upstream,
  evidence: "mtty-full-fifo",
  apply(k, fired) {
    const right = k.mtty.isEmpty;
    k.mtty = {
      ...k.mtty,
      isEmpty(port) {
        if (port.headMeetsTail !== right(port)) fired();
        return port.headMeetsTail;
      },
    };
  },
};

export const mttyDivisorOrs: Deviation = {
  id: "mtty-divisor-ors",
  title: "writing a half of the divisor latch adds bits to what is there",
  clause: "MTTY-UART-3",
  since,
  source: "samples/vfio-mdev/mtty.c:handle_bar_write",
  upstream,
  evidence: "mtty-divisor-ors",
  apply(k, fired) {
    k.mtty = {
      ...k.mtty,
      setDivisor(port, bit, value) {
        if (((port.divisor >> bit) & 0xff & ~value) !== 0) fired();
        port.divisor |= value << bit;
      },
    };
  },
};

export const mdpyFrameOffset: Deviation = {
  id: "mdpy-frame-offset",
  title: "reading and writing the frame buffer of mdpy goes to its first bytes, whatever the offset",
  clause: "SAMPLE-RW-3",
  since,
  source: "samples/vfio-mdev/mdpy.c:mdev_access",
  upstream,
  evidence: "mdpy-frame-offset",
  apply(k, fired) {
    const right = k.mdpy.memoryOffset;
    k.mdpy = {
      ...k.mdpy,
      memoryOffset(position) {
        if (right(position) !== 0) fired();
        return 0;
      },
    };
  },
};
