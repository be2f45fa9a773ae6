/** Calls about virtual functions and their tokens, as scenarios write them. */
import type { Call, Place, Value } from "../model/program.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { ioctl } from "./calls.ts";

/** A token in its two forms. */
export interface Token {
  readonly text: string;
  readonly fields: { readonly low: bigint; readonly high: bigint };
}

export const TOKEN: Token = {
  text: "00112233-4455-6677-8899-aabbccddeeff",
  fields: { low: 0x7766_5544_3322_1100n, high: 0xffee_ddcc_bbaa_9988n },
};
export const OTHER_TOKEN: Token = {
  text: "10112233-4455-6677-8899-AABBCCDDEEFF",
  fields: { low: 0x7766_5544_3322_1110n, high: 0xffee_ddcc_bbaa_9988n },
};

export const numVfs = { kind: "sriov", device: "pf0", file: "sriov_numvfs" } as const;
export const makeVirtual = (text: string): Call => ({ op: "sysfs-write", attribute: numVfs, text: { text } });
export const countVirtual: Call = { op: "sysfs-read", attribute: numVfs };
export const mostVirtual: Call = {
  op: "sysfs-read",
  attribute: { kind: "sriov", device: "pf0", file: "sriov_totalvfs" },
};

export const setToken = (device: Value, { fields }: Token, place?: Place): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN",
    { argsz: 24, flags: FEATURE.SET | FEATURE_INDEX.PCI_VF_TOKEN, ...fields },
    place === undefined ? {} : { place },
  );

/** VFIO_GROUP_GET_DEVICE_FD with a token behind the name. */
export const getDeviceWith = (group: Value, device: string, { text }: Token, as = "@device"): Call => ({
  op: "ioctl",
  fd: group,
  request: "VFIO_GROUP_GET_DEVICE_FD",
  arg: { kind: "name", device, text: ` vf_token=${text}` },
  as,
});

/** VFIO_DEVICE_BIND_IOMMUFD with a token. */
export const bindWith = (device: Value, iommufd: Value, { fields }: Token, devid = "@devid"): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_BIND_IOMMUFD",
    { argsz: 24, flags: 1, iommufd, token_uuid_ptr: { fields } },
    { binds: { out_devid: devid } },
  );
