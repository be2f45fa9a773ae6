/**
 * Several processes that work on the same containers and VMs: whose memory is mapped, for whom it
 * counts, and what is left once one has ended.
 */
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Value } from "../model/program.ts";
import { DmaMap, MAP, UNMAP } from "../model/vfio/type1-layouts.ts";
import { command, MASTER_ON } from "./bar-calls.ts";
import {
  addFile,
  close,
  containerOf,
  createKvmVfio,
  createVm,
  getDeviceFd,
  ioctl,
  locked,
  openCdev,
  openGroup,
  openKvm,
  setContainer,
  throughContainer,
} from "./calls.ts";
import { deviceReads, deviceWrites, look, mapDma, put, USER } from "./dma-calls.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { by, counts, exit, fork, KIB, lockOnePage, withoutLock } from "./process-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const newAddress = (vaddr: bigint, iova: number, size: number, fd: Value = "@container"): Call =>
  ioctl(fd, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags: MAP.VADDR, vaddr, iova, size });
const takeAddress = (iova: number, size: number): Call =>
  ioctl("@container", "VFIO_IOMMU_UNMAP_DMA", { argsz: 24, flags: UNMAP.VADDR, iova, size });

const [A, B] = [16 * PAGE, 32 * PAGE];

export const PROCESSES: readonly Scenario[] = [
  scenario({
    id: "type1-other-process",
    title: "memory of another process is mapped for a container, counts for it, and goes without it",
    needs: LEGACY,
    steps: [
      ...throughContainer("edu0"),
      command(MASTER_ON),
      put(0, 0x11),
      fork,
      by(put(0, 0x22)),
      by(mapDma(A, PAGE, USER)),
      by(mapDma(B, PAGE, USER + BigInt(PAGE))),
      ...counts(locked, 0, 2 * KIB),
      deviceReads(A),
      deviceWrites(B),
      gives(0, look(PAGE)),
      gives(0, by(look(PAGE))),
      exit,
      deviceWrites(B + 8),
      close("@device"),
    ],
  }),
  scenario({
    id: "type1-new-owner",
    title: "a process that gives a new address to another's mapping has its pages counted for itself",
    needs: LEGACY,
    steps: [
      ...containerOf("edu0"),
      mapDma(A, 2 * PAGE, USER),
      fork,
      takeAddress(A, 2 * PAGE),
      by(newAddress(USER, A, 2 * PAGE)),
      ...counts(locked, 0, 2 * KIB),
      exit,
      gives(0, locked),
    ],
  }),
  scenario({
    id: "type1-new-owner-limit",
    title: "a process that may not lock so much gives another's mapping no new address",
    needs: LEGACY,
    steps: [
      withoutLock,
      ...containerOf("edu0"),
      mapDma(A, 2 * PAGE, USER),
      lockOnePage,
      fork,
      takeAddress(A, 2 * PAGE),
      refused("ENOMEM", by(newAddress(USER, A, 2 * PAGE))),
      ...counts(locked, 2 * KIB, 0),
      newAddress(USER, A, 2 * PAGE),
      ...counts(locked, 2 * KIB, 0),
    ],
  }),
  scenario({
    id: "type1-replay-caller",
    breaks: "type1-replay-caller",
    title: "a group that joins a container reaches the memory of the process that mapped it, whoever lets it join",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      mapDma(A, PAGE, USER),
      mapDma(B, PAGE, USER + BigInt(PAGE)),
      put(0, 0x11),
      fork,
      by(put(0, 0x22)),
      openGroup("edu0", "@group1"),
      by(setContainer("@group1", "@container")),
      ...counts(locked, 2 * KIB, 0),
      getDeviceFd("@group1", "edu0"),
      command(MASTER_ON),
      deviceReads(A),
      deviceWrites(B),
      gives(0, look(PAGE)),
      gives(0, by(look(PAGE))),
    ],
  }),
  scenario({
    id: "type1-replay-of-gone",
    breaks: "type1-replay-caller",
    title: "a group can't join a container with memory of a process that has ended",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      fork,
      by(mapDma(A, PAGE, USER)),
      exit,
      openGroup("edu0", "@group1"),
      refused("EFAULT", setContainer("@group1", "@container")),
    ],
  }),
  scenario({
    id: "vm-of-other-process",
    title: "a VM and its VFIO device answer only the process that made the VM",
    needs: { ...CDEV, kconfig: [...CDEV.kconfig, "KVM"] },
    steps: [
      openKvm(),
      createVm(),
      createKvmVfio(),
      openCdev("mtty0"),
      fork,
      refused("EIO", by(createKvmVfio())),
      refused("EIO", by(addFile("@kvm-vfio", "@device"))),
      addFile("@kvm-vfio", "@device"),
    ],
  }),
];
