/** Helpers that make calls. Memory is laid out as everywhere in the suite, so that addresses in structs are the same numbers. */
import { MEMLOCK_AT_START } from "../../model/kernel/credentials.ts";
import { MEMORY } from "../../model/kernel/memory-map.ts";
import { SIGNAL_BASE } from "../../model/uapi/errno.ts";
import { POLL_ALL } from "../../model/uapi/poll.ts";
import { C, type Helper } from "./helpers.ts";
import { cNumber } from "./syntax.ts";

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
/** Memory and system calls. Later ones use earlier ones. */
export const CALLING: readonly Helper[] = [
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
    defines: ["touch"],
    text: C`static sigjmp_buf touch_failed;

static void on_touch(int signo)
{
	siglongjmp(touch_failed, signo);
}

/* An access of memory that may end in a signal; gives 0, or a number below -1000 that tells which. */
static long touch(unsigned long at, unsigned int width, unsigned long *loaded, unsigned long stored)
{
	struct sigaction catching = { .sa_handler = on_touch, .sa_flags = SA_NODEFER };
	int signo = sigsetjmp(touch_failed, 1);

	if (!signo) {
		sigaction(SIGBUS, &catching, NULL);
		sigaction(SIGSEGV, &catching, NULL);
		switch (width) {
		case 1:
			if (loaded)
				*loaded = *(volatile uint8_t *)at;
			else
				*(volatile uint8_t *)at = stored;
			break;
		case 2:
			if (loaded)
				*loaded = *(volatile uint16_t *)at;
			else
				*(volatile uint16_t *)at = stored;
			break;
		case 4:
			if (loaded)
				*loaded = *(volatile uint32_t *)at;
			else
				*(volatile uint32_t *)at = stored;
			break;
		default:
			if (loaded)
				*loaded = *(volatile uint64_t *)at;
			else
				*(volatile uint64_t *)at = stored;
		}
	}
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	return signo ? -${SIGNAL_BASE} - signo : 0;
}
`,
  },
  {
    defines: ["store"],
    text: C`static long store(unsigned long at, unsigned int width, unsigned long value)
{
	return touch(at, width, NULL, value);
}
`,
  },
  {
    defines: ["load", "loaded"],
    text: C`static unsigned long loaded;

static long load(unsigned long at, unsigned int width)
{
	return touch(at, width, &loaded, 0);
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
    defines: ["new_sealed_memfd"],
    text: C`/* A file of so many bytes of memory that nobody can write to from now on. */
static long new_sealed_memfd(long size)
{
	int fd = memfd_create("memfd", MFD_ALLOW_SEALING);

	return fd < 0 || ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : fd;
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
];
