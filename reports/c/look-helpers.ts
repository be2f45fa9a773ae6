/** Helpers that find nodes, and look at sysfs, debugfs and /proc. */
import { KVM_DEBUGFS } from "../../targets/lower/paths.ts";
import { C, type Helper } from "./helpers.ts";

/** Later ones use earlier ones, and those that make calls. */
export const LOOKING: readonly Helper[] = [
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
    defines: ["status_kib_of"],
    text: C`/* What is less than nothing the kernel shows as a very large number. */
static long status_kib_of(const char *path, const char *name)
{
	long ret = read_file(path);
	unsigned long kib = -1UL;
	const char *line = ret < 0 ? NULL : strstr(seen, name);

	if (line)
		sscanf(line + strlen(name), ": %lu", &kib);
	return ret < 0 ? ret : (long)kib;
}
`,
  },
  {
    defines: ["status_kib"],
    text: C`static long status_kib(const char *name)
{
	return status_kib_of("/proc/self/status", name);
}
`,
  },
  {
    defines: ["asleep"],
    text: C`/* A function falls asleep some time after the last call on it. */
static long asleep(const char *path)
{
	long ret;

	usleep(100000);
	ret = read_file(path);
	return ret < 0 ? ret : !strncmp(seen, "suspended", 9);
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
];
