/** What takes buffers of functions' memory back, and when they are lent again. */
import { PAGE } from "../model/kernel/memory-map.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { command, MEMORY_OFF, MEMORY_ON } from "./bar-calls.ts";
import { BUFFERS, barBuffer, mapBuffer, notLent, openLender, WHOLE_PAGE } from "./buffer-calls.ts";
import { attach, bind, detach, hotReset, ioctl, openCdev, openEventfd, read, resetDevice, unmap } from "./calls.ts";
import { E1000E, NVME, writeConfig } from "./config-calls.ts";
import { asleep, mayFallAsleep, mayFallAsleepUntil, mustBeAwake } from "./power-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const [D0, D3_HOT] = [0, 3];
const FLR = 0x80;

export const DMA_BUFFERS_TAKEN: readonly Scenario[] = [
  scenario({
    id: "bar-buffer-disabled",
    title:
      "a buffer is taken back while the command register has memory not answer, and what was mapped of it can be unmapped",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      attach("@device", "@ioas"),
      barBuffer(),
      mapBuffer(0),
      command(MEMORY_OFF),
      notLent(),
      barBuffer([WHOLE_PAGE], {}, "@dma-buf1"),
      notLent("@dma-buf1"),
      barBuffer([WHOLE_PAGE, WHOLE_PAGE], {}, "@dma-buf2"),
      notLent("@dma-buf2"),
      command(MEMORY_ON),
      mapBuffer(1),
      mapBuffer(2, "@dma-buf1"),
      unmap("@iommufd", "@ioas", 0, PAGE),
      command(MEMORY_OFF),
      detach("@device"),
      attach("@device", "@ioas"),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "bar-buffer-powered-down",
    title: "a function in D3hot lends nothing, and lends again in D0, or after a reset",
    needs: BUFFERS,
    steps: [
      ...openLender("rooted0"),
      barBuffer(),
      mapBuffer(0),
      writeConfig(NVME.POWER, [D3_HOT]),
      notLent(),
      writeConfig(NVME.POWER, [D3_HOT]),
      notLent(),
      writeConfig(NVME.POWER, [D0]),
      mapBuffer(1),
      writeConfig(NVME.POWER, [D3_HOT]),
      resetDevice("@device"),
      mapBuffer(2),
      command(MEMORY_OFF),
      resetDevice("@device"),
      notLent(),
    ],
  }),
  scenario({
    id: "bar-buffer-reset",
    title: "a reset takes buffers back and lends them again, whoever asks for it in which way",
    needs: BUFFERS,
    steps: [
      ...openLender("nic0.0"),
      attach("@device", "@ioas"),
      barBuffer(),
      mapBuffer(0),
      resetDevice("@device"),
      mapBuffer(1),
      writeConfig(E1000E.EXPRESS + 9, [FLR]),
      mapBuffer(2),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "bar-buffer-hot-reset",
    title:
      "a hot reset takes the buffers of all functions back that it hits, and lends those again whose memory answers",
    needs: BUFFERS,
    steps: [
      ...openLender("bridged0"),
      barBuffer(),
      openCdev("bridged1", "@device1"),
      bind("@device1", "@iommufd", "@devid1"),
      mapBuffer(0),
      hotReset("@device1"),
      mapBuffer(1),
      command(MEMORY_OFF),
      hotReset("@device1"),
      notLent(),
    ],
  }),
  scenario({
    id: "bar-buffer-asleep",
    title: "a function that may sleep lends nothing until that is forbidden",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      barBuffer(),
      mapBuffer(0),
      mayFallAsleep(),
      notLent(),
      mustBeAwake(),
      mapBuffer(1),
      mustBeAwake(),
      mapBuffer(2),
      command(MEMORY_OFF),
      mayFallAsleep(),
      mustBeAwake(),
      notLent(),
    ],
  }),
  scenario({
    id: "buffer-lent-asleep",
    breaks: "buffer-lent-asleep",
    title: "a function that may sleep lends nothing, whatever is done with it or asked of it meanwhile",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      barBuffer(),
      mayFallAsleep(),
      command(MEMORY_ON),
      notLent(),
      barBuffer([WHOLE_PAGE], {}, "@dma-buf1"),
      notLent("@dma-buf1"),
      refused("EINVAL", mayFallAsleep()),
      notLent("@dma-buf1"),
      mustBeAwake(),
      mapBuffer(0, "@dma-buf1"),
    ],
  }),
  scenario({
    id: "buffer-kept-after-wakeup",
    breaks: "buffer-kept-after-wakeup",
    title: "a function that woke up, which ends low power, lends what it lent before",
    needs: { ...BUFFERS, kconfig: [...BUFFERS.kconfig, "PM"] },
    steps: [
      ...openLender("edu0"),
      openEventfd(),
      barBuffer(),
      mayFallAsleepUntil("@eventfd"),
      asleep("edu0"),
      ioctl("@device", "VFIO_DEVICE_GET_INFO", { argsz: 16 }),
      gives(8, read("@eventfd", { count: 8 })),
      mapBuffer(0),
      mustBeAwake(),
      mapBuffer(1),
    ],
  }),
];
