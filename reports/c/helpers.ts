/**
 * What C programs are made with: small C functions, of which a program gets those that it calls. Memory is laid out as
 * everywhere in the suite, so that addresses in structs are the same numbers.
 */

import { MEMLOCK_AT_START } from "../../model/kernel/credentials.ts";
import { vfioRequest } from "../../model/kernel/ioctl.ts";
import { MEMORY } from "../../model/kernel/memory-map.ts";
import { ERRNO } from "../../model/uapi/errno.ts";
import { POLL_ALL } from "../../model/uapi/poll.ts";
import { KVM_DEBUGFS } from "../../targets/lower/paths.ts";
import { FAILURE_SETTINGS } from "../../targets/setup.ts";
import { cNumber } from "./syntax.ts";

export interface Helper {
  /** Names that it defines; a program that has one of them as a word needs it. */
  readonly defines: readonly string[];
  readonly text: string;
}

const C = String.raw;
const address = (value: bigint): string => `${cNumber(value, 8, true)}UL`;

const memory: Helper = {
  defines: ["SCRATCH", "SCRATCH_READONLY", "MEMORY", "MEMORY_READONLY", "HOLE", "BLOCK", "lay_out_memory"],
  text: C`/* Where the program's memory lies: the same everywhere, so that addresses can be compared. */
#define SCRATCH		${address(MEMORY.scratch)}	/* structs of calls; nothing behind it */
#define SCRATCH_SIZE	${cNumber(MEMORY.scratchSize, 4, false)}UL
#define SCRATCH_READONLY	${address(MEMORY.scratchReadonly)}	/* the same pages, read-only */
#define MEMORY		${address(MEMORY.user)}	/* to be mapped for a device; nothing behind it */
#define MEMORY_SIZE	${cNumber(MEMORY.userSize, 4, false)}UL
#define MEMORY_READONLY	${address(MEMORY.userReadonly)}
#define MEMORY_READONLY_SIZE	${cNumber(MEMORY.userReadonlySize, 4, false)}UL
#define HOLE		${address(MEMORY.hole)}	/* nothing is here */

/* Each struct and each buffer of a call has a block of its own. */
#define BLOCK(n)	(SCRATCH + 256UL * (n))

static bool map_at(unsigned long at, unsigned long size, int prot, int flags)
{
	return mmap((void *)at, size, prot, flags | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0) ==
	       (void *)at;
}

/* Returns whether the addresses were free. The limit on locked memory is the same everywhere, too. */
static bool lay_out_memory(void)
{
	struct rlimit memlock = { ${cNumber(MEMLOCK_AT_START, 4, false)}, ${cNumber(MEMLOCK_AT_START, 4, false)} };

	return map_at(SCRATCH, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED) &&
	       mremap((void *)SCRATCH, 0, SCRATCH_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)SCRATCH_READONLY) ==
		       (void *)SCRATCH_READONLY &&
	       !mprotect((void *)SCRATCH_READONLY, SCRATCH_SIZE, PROT_READ) &&
	       map_at(MEMORY, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE) &&
	       map_at(MEMORY_READONLY, MEMORY_READONLY_SIZE, PROT_READ, MAP_PRIVATE) &&
	       !madvise((void *)MEMORY, MEMORY_SIZE, MADV_NOHUGEPAGE) &&
	       !madvise((void *)MEMORY_READONLY, MEMORY_READONLY_SIZE, MADV_NOHUGEPAGE) &&
	       !setrlimit(RLIMIT_MEMLOCK, &memlock);
}
`,
};

/** Requests that the programs' own preparations make. */
const [SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, GET_INFO, BIND] = [102, 104, 106, 107, 118].map(
  (nr) => `0x${vfioRequest(nr).toString(16)}`,
);

const errnoNames: Helper = {
  defines: ["result_name"],
  text: C`/* "-1 EINVAL" for -EINVAL, as strace has it. */
static const char *result_name(long ret)
{
	static char text[4][32];
	static int turn;
	char *name = text[turn++ % 4];

	switch (-ret) {
${Object.keys(ERRNO)
  .map((name) => `\tcase ${name}: return "-1 ${name}";`)
  .join("\n")}
	}
	snprintf(name, sizeof(text[0]), ret < 0 ? "-1 errno %ld" : "%ld", ret < 0 ? -ret : ret);
	return name;
}
`,
};

/** For programs that stand alone: they say what they see. */
export const TELLING: readonly Helper[] = [
  errnoNames,
  {
    defines: ["differences"],
    text: C`static int differences;
`,
  },
  {
    defines: ["differs"],
    text: C`static void differs(bool wrong)
{
	differences += wrong;
	printf("%s\n", wrong ? "   <-- DIFFERS" : "");
}
`,
  },
  {
    defines: ["call"],
    text: C`/* Says which call comes now, so that one that never comes back is seen too. */
static void call(int number, const char *what)
{
	printf("%3d  %s\n", number, what);
	fflush(stdout);
}
`,
  },
  {
    defines: ["expect_result"],
    text: C`static void expect_result(long ret, long expected)
{
	printf("     expected %s, observed %s", result_name(expected), result_name(ret));
	differs(ret != expected);
}
`,
  },
  {
    defines: ["expect_success"],
    text: C`/* The kernel may choose the number. */
static void expect_success(long ret)
{
	printf("     expected success, observed %s", result_name(ret));
	differs(ret < 0);
}
`,
  },
  {
    defines: ["expect_injected"],
    text: C`/* What is right from here on counts on it. */
static void expect_injected(void)
{
	if (injected)
		return;
	fprintf(stderr, "\nNo allocation failed: this kernel makes fewer of them here.\n");
	_exit(3);
}
`,
  },
  {
    defines: ["expect_anything"],
    text: C`static void expect_anything(long ret)
{
	printf("     observed %s\n", result_name(ret));
}
`,
  },
  {
    defines: ["expect_data"],
    text: C`/* Compares what was read. */
static void expect_data(unsigned long at, const void *expected, size_t length)
{
	const unsigned char *o = (const void *)at, *e = expected;

	printf("     data is [");
	for (size_t i = 0; i < length; i++)
		if (o[i] == e[i])
			printf("%s%02x", i ? " " : "", o[i]);
		else
			printf("%s%02x (not %02x)", i ? " " : "", o[i], e[i]);
	printf("]");
	differs(memcmp(o, e, length) != 0);
}
`,
  },
  {
    defines: ["expect_text"],
    text: C`static void expect_text(const char *expected)
{
	printf("     expected \"%s\", observed \"%s\"", expected, seen);
	differs(strcmp(seen, expected) != 0);
}
`,
  },
  {
    defines: ["struct field", "expect_struct"],
    text: C`struct field {
	const char *name;
	size_t offset, width;
};

static unsigned long long number_at(const void *from, const struct field *f)
{
	unsigned long long value = 0;

	memcpy(&value, (const char *)from + f->offset, f->width);
	return value;
}

/* Compares the first bytes of a struct and says which fields differ. */
static void expect_struct(const struct field *fields, const void *observed, const void *expected, size_t length)
{
	const unsigned char *o = observed, *e = expected;
	size_t done = 0;

	printf("     struct is {");
	for (const struct field *f = fields; f->name && f->offset + f->width <= length; f++) {
		printf("%s%s=0x%llx", f == fields ? "" : ", ", f->name, number_at(observed, f));
		if (number_at(observed, f) != number_at(expected, f))
			printf(" (not 0x%llx)", number_at(expected, f));
		done = f->offset + f->width;
	}
	for (; done < length; done++)
		if (o[done] != e[done])
			printf(", byte %zu=0x%02x (not 0x%02x)", done, o[done], e[done]);
	printf("}");
	differs(memcmp(observed, expected, length) != 0);
}
`,
  },
];

/** Devices, nodes, sysfs, and memory: the same for every kind of program. Later ones use earlier ones. */
export const DOING: readonly Helper[] = [
  memory,
  {
    defines: ["put"],
    text: C`/* Puts a struct where the kernel is to find it; gives its address. */
static unsigned long put(unsigned long at, const void *from, size_t length)
{
	memcpy((void *)at, from, length);
	return at;
}
`,
  },
  {
    defines: ["put_readonly"],
    text: C`/* The same, at an address where the kernel can't write. */
static unsigned long put_readonly(unsigned long at, const void *from, size_t length)
{
	return put(at, from, length) - SCRATCH + SCRATCH_READONLY;
}
`,
  },
  {
    defines: ["put_short"],
    text: C`/* The same, but only the first bytes of it are mapped. */
static unsigned long put_short(size_t mapped, const void *from, size_t length)
{
	return put(SCRATCH + SCRATCH_SIZE - mapped, from, length < mapped ? length : mapped);
}
`,
  },
  {
    defines: ["get"],
    text: C`/* Looks at a struct again after the call. */
static void get(void *into, unsigned long at, size_t length)
{
	memcpy(into, (const void *)at, length);
}
`,
  },
  {
    defines: ["result"],
    text: C`static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}
`,
  },
  {
    defines: ["injected"],
    text: C`/* Whether the allocation that was to fail last was made, and did. */
static bool injected;
`,
  },
  {
    defines: ["failing"],
    text: C`/* A system call with an allocation of it failing: the nth. */
static long failing(unsigned int nth, long number, long a, long b, long c, long d, long e, long f)
{
	static int fail_nth = -1;
	char text[16], left[16] = "";
	int length = snprintf(text, sizeof(text), "%u", nth);
	long ret;

	if (fail_nth < 0) {
		int low = open("/proc/self/fail-nth", O_RDWR);

		fail_nth = fcntl(low, F_DUPFD, 1000); /* out of the way of the others */
		close(low);
	}
	syscall(SYS_pwrite64, fail_nth, "0", 1L, 0L);
	syscall(SYS_pwrite64, fail_nth, text, (long)length, 0L);
	ret = result(syscall(number, a, b, c, d, e, f));
	injected = syscall(SYS_pread64, fail_nth, left, sizeof(left) - 1, 0L) > 0 && left[0] == '0';
	syscall(SYS_pwrite64, fail_nth, "0", 1L, 0L);
	return ret;
}
`,
  },
  {
    defines: ["set_limit"],
    text: C`static long set_limit(int resource, unsigned long long soft, unsigned long long hard)
{
	unsigned long long limits[2] = { soft, hard };

	return result(syscall(SYS_prlimit64, 0, resource, limits, NULL));
}
`,
  },
  {
    defines: ["set_capabilities"],
    text: C`/* Makes all permitted capabilities effective but some of the first 32. */
static long set_capabilities(unsigned int without)
{
	struct {
		unsigned int version;
		int pid;
	} header = { 0x20080522, 0 };
	struct {
		unsigned int effective, permitted, inheritable;
	} sets[2];

	if (syscall(SYS_capget, &header, sets))
		return -errno;
	sets[0].effective = sets[0].permitted & ~without;
	sets[1].effective = sets[1].permitted;
	return result(syscall(SYS_capset, &header, sets));
}
`,
  },
  {
    defines: ["poll_now"],
    text: C`/* What can be done with a file now. */
static long poll_now(int fd)
{
	struct pollfd asked = { .fd = fd, .events = ${POLL_ALL} };

	return poll(&asked, 1, 0) < 0 ? -errno : asked.revents;
}
`,
  },
  {
    defines: ["new_memfd"],
    text: C`/* A file of so many bytes of memory. */
static long new_memfd(long size)
{
	int fd = memfd_create("memfd", 0);

	return fd < 0 || ftruncate(fd, size) ? -errno : fd;
}
`,
  },
  {
    defines: ["do_ioctl"],
    text: C`static long do_ioctl(long fd, unsigned long request, unsigned long argument)
{
	return result(syscall(SYS_ioctl, fd, request, argument));
}
`,
  },
  {
    defines: ["do_open"],
    text: C`static long do_open(const char *path, int flags)
{
	return result(open(path, flags));
}
`,
  },
  {
    defines: ["path_of"],
    text: C`/* A path; good until the fourth next one is made. */
__attribute__((format(printf, 1, 2))) static const char *path_of(const char *format, ...)
{
	static char paths[4][512];
	static int turn;
	char *path = paths[turn++ % 4];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(paths[0]), format, arguments);
	va_end(arguments);
	return path;
}
`,
  },
  {
    defines: ["seen"],
    text: C`/* What was read last. */
static char seen[4096];
`,
  },
  {
    defines: ["text_of_link"],
    text: C`/* The last part of where a link leads. */
static long text_of_link(const char *path)
{
	char link[sizeof(seen)];
	long ret = result(readlink(path, link, sizeof(link) - 1));

	if (ret < 0)
		return ret;
	link[ret] = 0;
	strcpy(seen, strrchr(link, '/') ? strrchr(link, '/') + 1 : link);
	return 0;
}
`,
  },
  {
    defines: ["group_node"],
    text: C`static const char *group_node(const struct device *device)
{
	if (text_of_link(path_of("/sys/bus/%s/devices/%s/iommu_group", device->bus, device->address)) < 0)
		return "/dev/vfio/none";
	/* A group that no IOMMU stands behind has a name of its own. */
	if (!access(path_of("/dev/vfio/noiommu-%s", seen), F_OK))
		return path_of("/dev/vfio/noiommu-%s", seen);
	return path_of("/dev/vfio/%s", seen);
}
`,
  },
  {
    defines: ["cdev_node"],
    text: C`static const char *cdev_node(const struct device *device)
{
	const char *path = "/dev/vfio/devices/none";
	glob_t found;

	if (!glob(path_of("/sys/bus/%s/devices/%s/vfio-dev/vfio*", device->bus, device->address), 0, NULL, &found)) {
		path = path_of("/dev/vfio/devices/%s", strrchr(found.gl_pathv[0], '/') + 1);
		globfree(&found);
	}
	return path;
}
`,
  },
  {
    defines: ["write_file"],
    text: C`static long write_file(const char *path, const char *what)
{
	long ret, fd = do_open(path, O_WRONLY);

	if (fd < 0)
		return fd;
	ret = result(write(fd, what, strlen(what)));
	close(fd);
	return ret;
}
`,
  },
  {
    defines: ["read_file"],
    text: C`static long read_file(const char *path)
{
	long ret, fd = do_open(path, O_RDONLY);

	if (fd < 0)
		return fd;
	ret = result(read(fd, seen, sizeof(seen) - 1));
	seen[ret < 0 ? 0 : ret] = 0;
	close(fd);
	return ret;
}
`,
  },
  {
    defines: ["write_file_failing"],
    text: C`static long write_file_failing(unsigned int nth, const char *path, const char *what)
{
	long ret, fd = do_open(path, O_WRONLY);

	if (fd < 0)
		return fd;
	ret = failing(nth, SYS_write, fd, (long)what, strlen(what), 0, 0, 0);
	close(fd);
	return ret;
}
`,
  },
  {
    defines: ["read_file_failing"],
    text: C`static long read_file_failing(unsigned int nth, const char *path)
{
	long ret, fd = do_open(path, O_RDONLY);

	if (fd < 0)
		return fd;
	ret = failing(nth, SYS_read, fd, (long)seen, sizeof(seen) - 1, 0, 0, 0);
	seen[ret < 0 ? 0 : ret] = 0;
	close(fd);
	return ret;
}
`,
  },
  {
    defines: ["list"],
    text: C`static int no_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* How many names a directory has; the names, a line each. */
static long list(const char *path)
{
	struct dirent **names;
	long count = result(scandir(path, &names, no_dots, alphasort));
	size_t length = 0;

	seen[0] = 0;
	for (long i = 0; i < count; i++) {
		if (length < sizeof(seen))
			length += snprintf(seen + length, sizeof(seen) - length, "%s%s", i ? "\n" : "", names[i]->d_name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return count;
}
`,
  },
  {
    defines: ["count_vms"],
    text: C`/* A VM has a directory <pid>-<fd> in debugfs. */
static long count_vms(void)
{
	long vms = 0, count = list("${KVM_DEBUGFS}");
	char rest;
	int pid, fd;

	if (count < 0)
		return count;
	for (char *name = strtok(seen, "\n"); name; name = strtok(NULL, "\n"))
		vms += sscanf(name, "%d-%d%c", &pid, &fd, &rest) == 2;
	return vms;
}
`,
  },
  {
    defines: ["status_kib"],
    text: C`static long status_kib(const char *name)
{
	long kib = -1, ret = read_file("/proc/self/status");
	const char *line = ret < 0 ? NULL : strstr(seen, name);

	if (line)
		sscanf(line + strlen(name), ": %ld", &kib);
	return ret < 0 ? ret : kib;
}
`,
  },
  {
    defines: ["tainted_by_user"],
    text: C`static long tainted_by_user(void)
{
	long ret = read_file("/proc/sys/kernel/tainted");

	return ret < 0 ? ret : strtol(seen, NULL, 10) >> 6 & 1;
}
`,
  },
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

/** Of these helpers those that the text uses, and those that they use in turn, in their order. */
export function helpersFor(text: string, helpers: readonly Helper[]): string[] {
  const taken: string[] = [];
  let code = withoutWords(text);
  for (const helper of helpers.toReversed()) {
    if (!helper.defines.some((name) => new RegExp(`\\b${name}\\b`).test(code))) continue;
    taken.unshift(helper.text);
    code += withoutWords(helper.text);
  }
  return taken;
}

/** Code without its strings and comments, in which names mean nothing. */
function withoutWords(code: string): string {
  return code.replace(/"(?:\\.|[^"\\])*"|\/\*[\s\S]*?\*\//g, " ");
}
