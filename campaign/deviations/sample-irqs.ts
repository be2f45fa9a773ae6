/** Interrupts of the sample drivers. */
import { refuse } from "../../model/kernel/clause.ts";
import { MttyCard, placeOf } from "../../model/mdev/mtty.ts";
import { type SampleDevice, units } from "../../model/mdev/sample-device.ts";
import { PCI_IRQ_COUNT } from "../../model/vfio/device-info.ts";
import { IRQ_INFO, rule as irqRule, readIrqSet } from "../../model/vfio/irqs.ts";
import { type Deviation, Ruined } from "./deviation.ts";

const upstream = "searched, none found";

export const sampleIrqsNeedInfo: Deviation = {
  id: "sample-irqs-need-info",
  title:
    "GET_IRQ_INFO and SET_IRQS of mtty, and GET_IRQ_INFO of mdpy, are refused until somebody has called GET_INFO once",
  clause: "VFIO-DEV-IRQ-3",
  since: "6.1",
  source: "samples/vfio-mdev/mtty.c:mtty_ioctl",
  upstream,
  evidence: "sample-irqs-need-info",
  apply(k, fired) {
    const asked = new WeakSet<SampleDevice>();
    const right = k.samples.getInfo;
    k.samples = {
      ...k.samples,
      getInfo(kernel, device, arg) {
        // What is remembered is so before the answer goes out, which may fail.
        if (arg.block.readable >= 16 && arg.block.u32(0) >= 16) asked.add(device);
        right(kernel, device, arg);
      },
      irqIndexes(device) {
        if (device.introduced || asked.has(device)) return PCI_IRQ_COUNT;
        fired();
        return 0;
      },
    };
  },
};

export const mttyIrqRefused: Deviation = {
  id: "mtty-irq-refused",
  title:
    "GET_IRQ_INFO of an interrupt type that mtty has not is refused; vfio.h says that such types return a count of zero. Before 6.7 it claims a request interrupt",
  clause: "VFIO-DEV-IRQ-6",
  since: "6.1",
  source: "samples/vfio-mdev/mtty.c:mtty_get_irq_info",
  upstream,
  evidence: "mtty-irq-refused",
  apply(k, fired) {
    const right = k.mtty.irqInfo;
    k.mtty = {
      ...k.mtty,
      irqInfo(index) {
        const info = right(index);
        if (info.count > 0) return info;
        fired();
        if (index === 4 && !k.since("6.7")) return { flags: IRQ_INFO.EVENTFD | IRQ_INFO.NORESIZE, count: 1 };
        return refuse(irqRule["VFIO-DEV-IRQ-3"]);
      },
    };
  },
};

export const mdpyIrqFlags: Deviation = {
  id: "mdpy-irq-flags",
  title: "GET_IRQ_INFO of mdpy gives back as flags what the caller had there",
  clause: "VFIO-DEV-IRQ-6",
  since: "6.1",
  source: "samples/vfio-mdev/mdpy.c:mdpy_get_irq_info",
  upstream,
  evidence: "mdpy-irq-flags",
  apply(k, fired) {
    k.mdpy = {
      ...k.mdpy,
      irqInfo() {
        fired();
        return { count: 0 };
      },
    };
  },
};

export const mttyIrqLost: Deviation = {
  id: "mtty-irq-lost",
  title: "SET_IRQS with a descriptor that is no eventfd is refused, and the eventfd that was set before is gone",
  clause: "MTTY-IRQS-5",
  since: "6.7",
  source: "samples/vfio-mdev/mtty.c:mtty_set_irqs",
  upstream,
  evidence: "mtty-irq-lost",
  apply(k, fired) {
    const right = k.mtty.setEventfd;
    k.mtty = {
      ...k.mtty,
      setEventfd(kernel, interrupts, index, fd) {
        const before = interrupts.active;
        interrupts.disable();
        try {
          right(kernel, interrupts, index, fd);
        } catch (refusal) {
          if (before) fired();
          throw refusal;
        }
      },
    };
  },
};

const IER = 1;

export const mttyIrqsBefore67: Deviation = {
  id: "mtty-irqs-before-6.7",
  title:
    "interrupts of mtty: an eventfd is put every time that it is disabled, one that was never set is signalled, and data that is not there is read",
  clause: "MTTY-IRQS-4",
  since: "6.1",
  until: "6.6",
  source: "samples/vfio-mdev/mtty.c:mtty_set_irqs",
  upstream: "vfio/mtty: Overhaul mtty interrupt handling (6.7)",
  evidence: "mtty-irqs-before-6.7",
  destructive: true,
  apply(k) {
    const { foresee } = k.samples;
    k.samples = {
      ...k.samples,
      foresee(device, position, count, written) {
        foresee(device, position, count, written);
        if (!(device instanceof MttyCard) || !written) return;
        for (const { position: at } of units(position, count)) {
          const { region, offset } = placeOf(at);
          if (region > 1 || offset % 0x10000 !== IER) continue;
          throw new Ruined("an interrupt without an eventfd", "mtty-irqs-before-6.7");
        }
      },
    };
    k.mtty = {
      ...k.mtty,
      *setIrqs(kernel, card, block) {
        readIrqSet(kernel, block, () => kernel.samples.irqIndexes(card), PCI_IRQ_COUNT);
        throw new Ruined("an eventfd that is put too often", "mtty-irqs-before-6.7");
      },
    };
  },
};
