/** Helpers that see to the devices that a program needs, before it and after. */
import { vfioRequest } from "../../model/kernel/ioctl.ts";
import { FAILURE_SETTINGS } from "../../targets/setup.ts";
import { C, type Helper } from "./helpers.ts";

/** Requests that the programs' own preparations make. */
const [SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, GET_INFO, BIND] = [102, 104, 106, 107, 118].map(
  (nr) => `0x${vfioRequest(nr).toString(16)}`,
);
/** Later ones use earlier ones, and those that look. */
export const PREPARING: readonly Helper[] = [
  {
    defines: ["missing_function"],
    text: C`/* What keeps a function from being used, or NULL. */
static const char *missing_function(const struct device *device)
{
	if (access(path_of("/sys/bus/pci/devices/%s", device->address), F_OK))
		return path_of("there is no PCI function %s; name another one with %s=<address>", device->address,
			       device->name);
	if (text_of_link(path_of("/sys/bus/pci/devices/%s/driver", device->address)) < 0 || strcmp(seen, "vfio-pci"))
		return path_of("%s is not bound to vfio-pci; write vfio-pci to its driver_override, unbind it from its"
			       " driver, and write its address to /sys/bus/pci/drivers_probe", device->address);
	return NULL;
}
`,
  },
  {
    defines: ["missing_path"],
    text: C`static const char *missing_path(const char *path, const char *what)
{
	return access(path, F_OK) ? path_of("%s is not there: it needs %s", path, what) : NULL;
}
`,
  },
  {
    defines: ["missing_fail_nth"],
    text: C`/* Has any allocation fail that is asked to, and quietly; says why that can't be, or NULL. */
static const char *missing_fail_nth(void)
{
	static const char *const settings[][2] = {
${FAILURE_SETTINGS.map(([file, text]) => `\t\t{ "${file}", "${text}" },`).join("\n")}
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (write_file(settings[i][0], settings[i][1]) < 0 && i == 0)
			return path_of("%s can't be written: it needs CONFIG_FAILSLAB, CONFIG_FAULT_INJECTION_DEBUG_FS and"
				       " debugfs", settings[i][0]);
	return missing_path("/proc/self/fail-nth", "CONFIG_FAULT_INJECTION");
}
`,
  },
  {
    defines: ["occupied_mdev"],
    text: C`static const char *occupied_mdev(const struct device *device)
{
	if (access(path_of("/sys/bus/mdev/devices/%s", device->address), F_OK))
		return NULL;
	return path_of("mediated device %s is there already; remove it, or name another UUID with %s=<uuid>",
		       device->address, device->name);
}
`,
  },
  {
    defines: ["introduce"],
    text: C`/* Asks a device for its information by whichever way there is: mtty and mdpy remember for good that they were asked. */
static void introduce(const struct device *device)
{
	int container = open("/dev/vfio/vfio", O_RDWR), iommufd = open("/dev/iommu", O_RDWR);
	int group = open(group_node(device), O_RDWR), node = -1;
	unsigned int info[4] = { 16 }, bind[4] = { 16, 0, iommufd };

	if ((!ioctl(group, ${SET_CONTAINER}, &container) && !ioctl(container, ${SET_IOMMU}, 1)) ||
	    !ioctl(group, ${SET_CONTAINER}, &iommufd))
		node = ioctl(group, ${GET_DEVICE_FD}, device->address);
	if (node < 0) {
		close(group);
		group = -1;
		node = open(cdev_node(device), O_RDWR);
		ioctl(node, ${BIND}, bind);
	}
	ioctl(node, ${GET_INFO}, info);
	close(node);
	close(group);
	close(iommufd);
	close(container);
}
`,
  },
  {
    defines: ["standing_mdev"],
    text: C`/* Makes a mediated device that the program takes to be there, unless it is; says why it can't be made, or NULL. */
static const char *standing_mdev(const struct device *device, const char *create)
{
	if (access(path_of("/sys/bus/mdev/devices/%s", device->address), F_OK) &&
	    write_file(create, device->address) <= 0)
		return path_of("mediated device %s can't be made through %s", device->address, create);
	introduce(device);
	return NULL;
}
`,
  },
  {
    defines: ["remove_mdev"],
    text: C`static void remove_mdev(const struct device *device)
{
	write_file(path_of("/sys/bus/mdev/devices/%s/remove", device->address), "1");
}
`,
  },
  {
    defines: ["put_back"],
    text: C`/* Stores to a register of a function that nothing else puts back. */
static void put_back(const struct device *device, unsigned long at, unsigned int width, unsigned long value)
{
	int fd = open(path_of("/sys/bus/pci/devices/%s/resource0", device->address), O_RDWR);
	void *bar = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (bar != MAP_FAILED) {
		store((unsigned long)bar + at, width, value);
		munmap(bar, 4096);
	}
	close(fd);
}
`,
  },
  {
    defines: ["bind_again"],
    text: C`/* Puts a function back as it was: bound to vfio-pci. */
static void bind_again(const struct device *device)
{
	write_file(path_of("/sys/bus/pci/devices/%s/driver_override", device->address), "vfio-pci");
	write_file(path_of("/sys/bus/pci/devices/%s/driver/unbind", device->address), device->address);
	write_file("/sys/bus/pci/drivers/vfio-pci/bind", device->address);
}
`,
  },
];
