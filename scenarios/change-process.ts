/** What is pinned is taken over by another process, with what it counts: IOMMU_IOAS_CHANGE_PROCESS. */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call } from "../model/program.ts";
import { allocIoas, attach, ioctl, locked, openIommufd, pinned, throughNode } from "./calls.ts";
import { mock } from "./mocks.ts";
import { CDEV } from "./needs.ts";
import { by, counts, exit, fork, KIB, lockOnePage, withoutLock } from "./process-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";
import { unmap } from "./selftest-calls.ts";

const CHANGE_PROCESS = { since: "6.14", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;

const mapFile = ioctl("@iommufd", "IOMMU_IOAS_MAP_FILE", {
  size: 40,
  flags: 7,
  ioas_id: "@ioas",
  fd: "@memfd",
  length: 2 * PAGE,
  iova: START,
});
const changeProcess = ioctl("@iommufd", "IOMMU_IOAS_CHANGE_PROCESS", { size: 8 });
const rlimitMode = ioctl("@iommufd", "IOMMU_OPTION", { size: 24, option_id: 0, op: 0, val64: 1 });
/** A file that is mapped for a mock, before there is another process. */
const fileMapped = (before: readonly Call[], then: readonly Call[] = []): readonly Call[] => [
  openIommufd(),
  ...before,
  allocIoas("@iommufd"),
  mock("@ioas"),
  { op: "memfd", size: 2 * PAGE, as: "@memfd" },
  mapFile,
  ...then,
  fork,
];
export const CHANGE_PROCESS_SCENARIOS: readonly Scenario[] = [
  scenario({
    id: "change-process-user",
    title: "what is mapped of files is taken over by another process of the same user, with what it has pinned",
    needs: CHANGE_PROCESS,
    steps: [
      ...fileMapped([withoutLock]),
      ...counts(pinned, 2 * KIB, 0),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
      ...counts(locked, 0, 0),
      by(unmap(START, 2 * PAGE)),
      ...counts(pinned, 0, 0),
    ],
  }),
  scenario({
    id: "change-process-mode",
    title: "what counts for the process that mapped it is taken over by another process, and given back by it",
    needs: CHANGE_PROCESS,
    steps: [
      ...fileMapped([withoutLock, rlimitMode]),
      ...counts(locked, 2 * KIB, 0),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
      ...counts(locked, 0, 2 * KIB),
      changeProcess,
      ...counts(locked, 2 * KIB, 0),
      by(changeProcess),
      unmap(START, 2 * PAGE),
      ...counts(locked, 0, 0),
      ...counts(pinned, 0, 0),
    ],
  }),
  scenario({
    id: "change-process-uncounted",
    breaks: "change-process-uncounted",
    title: "what nobody's limit is for is taken over as well: what is pinned is the other process's from then on",
    needs: CHANGE_PROCESS,
    steps: [
      ...fileMapped([]),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
      by(unmap(START, 2 * PAGE)),
      ...counts(pinned, 0, 0),
    ],
  }),
  ...[[], [rlimitMode]].map((mode) =>
    scenario({
      id: `change-process-limit${mode.length > 0 ? "-mode" : ""}`,
      title: `what a process may not lock it does not take over, and nothing changes${mode.length > 0 ? ", where it counts for the process" : ""}`,
      needs: CHANGE_PROCESS,
      steps: [
        ...fileMapped([withoutLock, ...mode], [lockOnePage]),
        refused("ENOMEM", by(changeProcess)),
        ...counts(pinned, 2 * KIB, 0),
        unmap(START, 2 * PAGE),
        ...counts(pinned, 0, 0),
        ...counts(locked, 0, 0),
      ],
    }),
  ),
  scenario({
    id: "change-process-of-function",
    title: "what a function reaches of files is taken over by a process that may lock so much, and by no other",
    needs: { ...CDEV, since: "6.14" },
    steps: [
      withoutLock,
      ...throughNode("edu0"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      { op: "memfd", size: 2 * PAGE, as: "@memfd" },
      mapFile,
      fork,
      lockOnePage,
      { op: "fork", as: "@process1" },
      refused("ENOMEM", { ...changeProcess, by: "@process1" }),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
    ],
  }),
  scenario({
    id: "change-process-of-gone",
    breaks: "change-process-of-gone",
    title: "what a process has mapped of files is taken over once that has ended, with what it has pinned",
    needs: CHANGE_PROCESS,
    steps: [
      withoutLock,
      openIommufd(),
      rlimitMode,
      allocIoas("@iommufd"),
      mock("@ioas"),
      { op: "memfd", size: 2 * PAGE, as: "@memfd" },
      fork,
      by(mapFile),
      exit,
      changeProcess,
      gives(2 * KIB, locked),
      unmap(START, 2 * PAGE),
      gives(0, locked),
    ],
  }),
];
