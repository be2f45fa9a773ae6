/**
 * Configuration spaces of QEMU's devices as guests show them: e1000e, edu, e1000, nvme. Behind their headers and capabilities
 * they keep what is written anywhere, as memory does; see pci/register-text.ts for how they are written down.
 */
import type { FunctionSpec } from "./topology.ts";

type Registers = Pick<FunctionSpec, "config" | "configKeeps">;

const E1000E_KEEPS = "4:0701 c:ff 40:ff*96 ac:ff*28 cd:1e de:ffff f4:ff*12 10c:30f0ff03 114:c1f1 118:4001 14c:ff*3764";

/** MSI-X, power management, MSI, PCI Express; error reporting and a serial number as extended capabilities. */
export const E1000E: readonly [Registers, Registers] = [
  {
    config:
      "0:8680d310030110 b:02 e:80 13:fe 16:02fe01d0 1e:08fe 2c:8680 34:c8 3c:0a01 a0:1100040003 a8:0320 c8:01d0220003 d0:05e080 e0:10a001 e5:80 ec:1104 f2:11 100:01000214 10c:302046 115:e0 118:a0 140:03000100563412ffff005452",
    configKeeps: E1000E_KEEPS,
  },
  {
    config:
      "0:8680d310030110 b:02 12:04fe 16:06fe21d0 1d:4008fe 2c:8680 34:c8 3c:0a01 a0:1100040003 a8:0320 c8:01d0220003 d0:05e080 e0:10a001 e5:80 ec:1104 f2:11 100:01000214 10c:302046 115:e0 118:a0 140:03000100573412ffff005452",
    configKeeps: E1000E_KEEPS,
  },
];

/** MSI. */
export const EDU: Registers = {
  config: "0:3412e811030110001000ff 12:20fe 2c:f41a0011 34:40 3c:0b01 40:050080",
  configKeeps: "4:0701 c:ff 4e:ff*178",
};

/** No capabilities. */
export const E1000: readonly [Registers, Registers] = [
  { config: "0:86800e100301 8:03 b:02 12:e0fd01c0 2c:f41a0011 3c:0a01", configKeeps: "4:0701 c:ff 40:ff*192" },
  { config: "0:86800e100301 8:03 b:02 12:e2fd41c0 2c:f41a0011 3c:0a01", configKeeps: "4:0701 c:ff 40:ff*192" },
];

/** A VGA adapter; no capabilities. */
export const VGA: Registers = {
  config: "0:341211110301 8:02 b:03 10:08 13:40 1a:1041 2c:f41a0011",
  configKeeps: "4:0701 c:ff 40:ff*192",
};

/** MSI-X, power management, PCI Express. */
export const NVME: Registers = {
  config:
    "0:361b10000701100002020801 10:0400c0fd 2c:f41a0011 34:40 3c:0a01 40:118040 45:20 49:30 60:010003000b 80:106002 85:800010 8c:1104 92:11 a6:30",
  configKeeps: "4:0701 c:ff 4c:ff*20 68:ff*24 a9:80 bc:ff*68 104:ff*3836",
};

/** MSI-X, power management, PCI Express; SR-IOV as an extended capability: the physical function, and each virtual one. */
export const NVME_SRIOV: { readonly physical: Registers; readonly virtual: Registers } = {
  physical: {
    config:
      "0:361b10000701100002020801 10:040080fd 2c:f41a0011 34:40 3c:0a01 40:118001 45:20 49:30 60:010003000b 80:106002 85:800010 8c:1104 92:11 a6:30 100:0e0001120001 120:100001 128:10 12c:020002 134:010001 13a:10005305 140:01 144:044080fd",
    configKeeps: "4:0701 c:ff 4c:ff*20 68:ff*24 a9:80 bc:ff*68 108:ff*24 160:ff*3744",
  },
  virtual: {
    config:
      "0:ffffffff 6:100002020801 10:04 2c:f41a0011 34:40 3d:01 40:1180 45:20 49:30 60:010003000b 80:106002 85:800010 8c:1104 92:11 a6:30 100:0e0001 105:01",
    configKeeps: "4:0701 c:ff 4c:ff*20 68:ff*24 a9:80 bc:ff*68 108:ff*3832",
  },
};
