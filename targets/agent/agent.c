// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The agent carries programs out on the system under test. It knows no ioctl
 * and no struct: all knowledge stays in TypeScript, which sends bytecode.
 *
 *   /init            pid 1 of a QEMU guest, serving the virtio-serial port
 *                    "vfio-conformance"
 *   agent --stdio    an ordinary process, serving stdin and stdout
 *
 * Three kinds of process. The *server* speaks with the other end and watches the two
 * others against a timeout. A *program* is a child forked for one program; its
 * exit closes what it opened and drops its accounting with its mm. The
 * *janitor* lives as long as the server and runs setup and cleanup code. A
 * program may have *tasks*, each for one write that may wait for the program;
 * they are forked before it opens or maps anything, so that they hold nothing.
 * And it may fork *processes*, which have its descriptors and a copy of its
 * memory, and make system calls that it hands them; they end before it does.
 *
 * What is shared, and why it is shared: anything private that the server
 * writes costs a copy-on-write fault after every fork, so the buffers are
 * MAP_SHARED, which fork neither copies nor write-protects.
 *
 * Memory of a program, at fixed addresses (layout.ts has the same numbers):
 *
 *   SCRATCH     1 MiB shared, read-write; SCRATCH_RO is the same pages read-only
 *   USER        16 MiB private anonymous read-write, faulted in as it is touched
 *   USER_RO     2 MiB private anonymous, read-only
 *   NOTHING     never mapped
 *
 * Nothing follows either of them directly, so a struct placed at an end runs
 * into a hole. All of it reads as zeros when a program starts. Huge pages are
 * off in USER (zeroing 2 MiB for one touched page is slow under emulation);
 * a program that wants them says so with madvise.
 *
 * File descriptors 0..2 are /dev/null, 3 is the first free one, in programs and
 * in the janitor. A program's memory and slots are gone afterwards, but its
 * slots are still set when its cleanup code starts.
 *
 * Bytecode, little-endian. A slot is a 64-bit register, -1 when unset. "Result"
 * is what the last SYSCALL, LIST or TOUCH_* gave.
 *
 *   01 POKE         addr:u64 len:u32 bytes
 *   02 POKE_SLOT    addr:u64 width:u8 slot:u16      the slot's value
 *   03 POKE_DECIMAL addr:u64 slot:u16               as decimal text and NUL, "none" if unset
 *   04 SYSCALL      nr:u16 nargs:u8 slots:u8 args:u64[nargs]
 *                   bit i of slots: argument i is the value of that slot;
 *                   outputs i64, the return value or -errno
 *   05 KEEP         slot:u16                        the result, -1 if it is negative
 *   06 LOAD         slot:u16 addr:u64 width:u8      from memory, left alone if the result is negative
 *   07 PEEK         addr:u64 len:u32                outputs the bytes
 *   08 GLOB         pattern:u64 slot:u16            number at the end of the first path that matches
 *   09 NUMBER       addr:u64 slot:u16               number at the end of a string
 *   0a LIST         path:u64                        outputs i32 count or -errno, u32 length, names joined by \n
 *   0b SKIP_IF_FAILED n:u32                         skips n bytes of code if the result is negative
 *   0c MARK         id:u32                          which call is being run, for hangs and signals
 *   0d TOUCH_READ   slot:u16 offset:u64 width:u8    outputs u32 signal (0: none), u64 value
 *   0e TOUCH_WRITE  slot:u16 offset:u64 width:u8 value:u64   outputs u32 signal (0: none)
 *                   the address is slot + offset, or offset when slot is ffff;
 *                   SIGSEGV and SIGBUS are results here: 0 or -signal.
 *                   Elsewhere they end the program.
 *   0f SKIP_IF_UNSET slot:u16 n:u32                 skips n bytes of code if the slot is -1
 *   10 FAIL_NTH     n:u32                           the next SYSCALL's nth allocation fails
 *   11 FIRED                                        outputs i64: 1 if one did since FAIL_NTH, 0 if not, -errno if the
 *                   kernel could not be asked
 *   12 TASKS        n:u8                            makes n tasks
 *   13 START        task:u8 path:u64 text:u64 length:u32   the task opens a file for writing and writes the text to it
 *   14 TASK         task:u8                         outputs i64: 1 while the task is at that, 0 once it is done
 *   15 JOIN         task:u8                         waits until it is; outputs i64: the open's -errno or what the write gave
 *   16 FORK         process:u8                      makes a process; outputs i64 0 or -errno
 *   17 BY           process:u8                      who makes what SYSCALL and TOUCH_* say from here on; ff: the program
 *   18 EXIT         process:u8                      ends a process and waits for that; outputs i64 0
 *
 * Frames, each after a u32 with its length, are at struct request, struct
 * result and struct hello. A program that is not well-formed ends where that
 * shows, as "malformed".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

#define PROTOCOL 3
#define MAGIC 0x31434656 /* "VFC1" */
#define PORT_NAME "vfio-conformance"

#define MIB (1UL << 20)
#define SCRATCH ((void *)0x100000000000UL)
#define SCRATCH_RO ((void *)0x110000000000UL)
#define SCRATCH_SIZE MIB
#define USER ((void *)0x120000000000UL)
#define USER_SIZE (16 * MIB)
#define USER_RO ((void *)0x130000000000UL)
#define USER_RO_SIZE (2 * MIB)

#define SLOTS 1024
#define NO_SLOT 0xffff
#define TASKS 8
#define PROCESSES 4
#define BY_PROGRAM 0xff
#define OUTPUT_SIZE (4 * MIB)
#define INPUT_SIZE (8 * MIB)
#define LOG_SIZE (256 * 1024)
#define STACK_SIZE 8192
#define RESULTS_SIZE (2 * OUTPUT_SIZE + LOG_SIZE + 2 * STACK_SIZE + MIB)
#define FLUSH_AT (32 * 1024)
#define FLUSH_AFTER_NS 2000000

#define FIRST_FD 3
/* The janitor's pipes sit high, so that 3 is the first free descriptor there too. */
#define JANITOR_IN 1022
#define JANITOR_OUT 1023
/* Where a program has /proc/self/fail-nth open. */
#define FAIL_NTH_FD 1021
#define MARK_NONE 0xffffffffu /* no call was begun */
#define MARK_EXIT 0xfffffffeu /* the program was done and was being torn down */
#define KILL_GRACE_MS 2000

/* The ports of an ib700, whose timeout is the longest for a zero: 30 s. */
#define WATCHDOG_DISABLE 0x441
#define WATCHDOG_ENABLE 0x443
#define FEED_AFTER_NS 5000000000UL

struct request {
	u32 length, id, flags, timeout_ms, code_length, cleanup_length;
	u8 bytes[]; /* code, cleanup code */
} __attribute__((packed));
#define REQUEST_IN_JANITOR 1

enum state { DONE, HUNG, SIGNALLED, MALFORMED, RUNNING };

/* How one piece of code ended. */
struct ending {
	u8 state, signal, killed, zero;
	u32 mark; /* the call it was in */
	u32 at;   /* where in the code, if malformed */
};

struct result {
	u32 length, id;
	struct ending program, cleanup;
	u32 output_length, cleanup_output_length, stack_length, log_length;
	/* output, cleanup output, stack of what hung, kernel log */
};

struct hello {
	u32 length, magic, protocol, first_fd, flags, slots, page_size, log_length;
	/* kernel log since boot (pid 1 only) */
};
#define HELLO_KERNEL_LOG 1
#define HELLO_PID_1 2

/* What a task is to do, and what came of it. */
struct job {
	u32 state; /* enum job_state; a futex */
	pid_t pid; /* 0 where there is no such task */
	i64 result;
	u32 length;
	char path[512], text[4096];
};

enum job_state { JOB_NONE, JOB_GIVEN, JOB_DONE };

/* A process that a program made, and what it is to do. */
struct process {
	u32 state; /* enum job_state; a futex */
	pid_t pid; /* 0 where there is none */
	enum { DO_SYSCALL, DO_TOUCH, DO_EXIT } what;
	i64 args[6], result; /* of a touch: the address and the value */
	u16 nr;
	u8 width, is_write;
};

/* Shared by all processes; begins with what every program touches. */
struct arena {
	u32 state, mark, at, output_length;
	u32 code_offset, code_length; /* the janitor's job, in the input buffer */
	i64 slots[SLOTS];
	u32 tasks; /* how many the program has made */
	struct job jobs[TASKS];
	struct process processes[PROCESSES];
	pid_t at_work; /* the process that the program waits for; 0 if none */
	u8 output[OUTPUT_SIZE] __attribute__((aligned(4096)));
};

static struct arena *arena;
static u8 *input;   /* requests as they arrived */
static u8 *results; /* results that wait to be written */
static size_t results_length, results_written;
static u64 held_since;
static int in_fd, out_fd, log_fd = -1, message_fd = -1, janitor_in = -1, janitor_out = -1;
static pid_t janitor;
static int is_init;
static int has_watchdog;

static void say(const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	int fd = is_init ? open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC) : message_fd;
	if (fd >= 0 && write(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) < 0) {
		/* nobody left to tell */
	}
	if (is_init && fd >= 0)
		close(fd);
}

/* Without a channel there is nothing left to do: pid 1 turns the machine off. */
static void __attribute__((noreturn)) leave(int code)
{
	if (is_init)
		reboot(RB_POWER_OFF);
	_exit(code);
}

static void __attribute__((noreturn)) fail(const char *what)
{
	say("agent: %s: %s\n", what, strerror(errno));
	leave(3);
}

static u64 now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* ---- carrying out bytecode (program and janitor) ---- */

static sigjmp_buf touch_failed;
static volatile sig_atomic_t touching;

static void on_fault(int signo)
{
	if (touching)
		siglongjmp(touch_failed, signo);
	signal(signo, SIG_DFL); /* happens again on return, and ends the process */
}

static i64 number_at_end(const char *text)
{
	size_t end = strlen(text), start = end;
	while (start > 0 && text[start - 1] >= '0' && text[start - 1] <= '9')
		start--;
	return start == end ? -1 : (i64)strtoull(text + start, NULL, 10);
}

static int not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void free_names(struct dirent **names, int n)
{
	while (n > 0)
		free(names[--n]);
	free(names);
}

struct dirent64_head {
	u64 ino;
	i64 offset;
	u16 reclen;
	u8 type;
	char name[];
};

/*
 * Replaces `after` by the first name, in the order of bytes, that comes behind it and matches. Reads the directory into a
 * buffer on the stack: what opendir() and scandir() allocate would cost every program page faults.
 */
static int next_name(int fd, const char *component, char after[256])
{
	char buffer[2048] __attribute__((aligned(8)));
	char best[256] = "";
	long n;

	if (*after)
		lseek(fd, 0, SEEK_SET);
	while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64_head *entry = (void *)(buffer + at);
			at += entry->reclen;
			if (entry->name[0] == '.' || strlen(entry->name) >= sizeof best)
				continue;
			if (strcmp(entry->name, after) <= 0 || (*best && strcmp(entry->name, best) >= 0))
				continue;
			if (!fnmatch(component, entry->name, 0))
				strcpy(best, entry->name);
		}
	}
	if (!*best)
		return 0;
	strcpy(after, best);
	return 1;
}

/* The first path under `path` that matches `pattern`, depth first, names sorted. */
static int first_match(char *path, size_t length, const char *pattern)
{
	while (*pattern == '/')
		pattern++;
	if (!*pattern)
		return access(path, F_OK) == 0;
	size_t part = strcspn(pattern, "/");
	char component[256];
	if (part >= sizeof component || length + part + 2 > 4096)
		return 0;
	memcpy(component, pattern, part);
	component[part] = 0;
	path[length++] = '/';
	if (!strpbrk(component, "*?[")) {
		memcpy(path + length, component, part + 1);
		return first_match(path, length + part, pattern + part);
	}
	path[length] = 0;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	char tried[256] = "";
	int found = 0;
	while (!found && next_name(fd, component, tried)) {
		size_t name = strlen(tried);
		if (length + name + 1 > 4096)
			break;
		memcpy(path + length, tried, name + 1);
		/* What the directory has just shown need not be looked up. */
		found = !pattern[part] || first_match(path, length + name, pattern + part);
	}
	close(fd);
	return found;
}

static int put(const void *bytes, size_t n)
{
	if (n > OUTPUT_SIZE - arena->output_length)
		return 0;
	memcpy(arena->output + arena->output_length, bytes, n);
	arena->output_length += (u32)n;
	return 1;
}

static i64 list(const char *path, int *fits)
{
	struct dirent **names;
	int n = scandir(path, &names, not_dots, by_bytes);
	i32 count = n < 0 ? -errno : n;
	u32 length = 0;
	u32 header = arena->output_length;
	*fits = put(&count, 4) && put(&length, 4);
	for (int i = 0; i < n && *fits; i++)
		*fits = (i == 0 || put("\n", 1)) && put(names[i]->d_name, strlen(names[i]->d_name));
	if (*fits) {
		length = arena->output_length - header - 8;
		memcpy(arena->output + header + 4, &length, 4);
	}
	if (n >= 0)
		free_names(names, n);
	return count;
}

static void store(u64 addr, u8 width, u64 value)
{
	switch (width) {
	case 1: *(volatile u8 *)addr = (u8)value; break;
	case 2: *(volatile u16 *)addr = (u16)value; break;
	case 4: *(volatile u32 *)addr = (u32)value; break;
	case 8: *(volatile u64 *)addr = value; break;
	}
}

static u64 fetch(u64 addr, u8 width)
{
	switch (width) {
	case 1: return *(volatile u8 *)addr;
	case 2: return *(volatile u16 *)addr;
	case 4: return *(volatile u32 *)addr;
	default: return *(volatile u64 *)addr;
	}
}

/* One access that may raise a signal; gives the signal, 0 if there was none. */
static int touch(u64 addr, u8 width, int is_write, u64 *value)
{
	int signo = sigsetjmp(touch_failed, 0);
	if (!signo) {
		touching = 1;
		if (is_write)
			store(addr, width, *value);
		else
			*value = fetch(addr, width);
	}
	touching = 0;
	return signo;
}

/*
 * /proc/self/fail-nth of this process. It sits high, as the janitor's pipes do, and is opened by the first call that asks
 * for it, so that programs without one have nothing of it.
 */
static int open_fail_nth(void)
{
	int low = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (low < 0)
		return -errno;
	int high = fcntl(low, F_DUPFD_CLOEXEC, FAIL_NTH_FD);
	int error = errno;
	close(low);
	return high < 0 ? -error : high;
}

/*
 * A system call with fail-nth armed. What an allocation could be made by stands outside: the number is text already, and
 * no page is touched for the first time in between. Returns what syscall() did; *fired as FIRED outputs it.
 */
static i64 syscall_failing(int fail_nth, u32 n, u16 nr, const i64 args[6], i64 *fired)
{
	char number[16], left[16] = "";
	size_t length = (size_t)snprintf(number, sizeof number, "%u", n);

	if (syscall(SYS_pwrite64, fail_nth, "0", 1, 0) != 1) {
		*fired = -errno;
		return syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	}
	syscall(SYS_pwrite64, fail_nth, number, length, 0);
	i64 result = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	int error = errno;
	/* Reading may be what fails, where the kernel makes copies to user space fail as well. */
	i64 got = syscall(SYS_pread64, fail_nth, left, sizeof left - 1, 0);
	syscall(SYS_pwrite64, fail_nth, "0", 1, 0);
	*fired = got > 0 && left[0] == '0';
	errno = error;
	return result;
}

/* Sleeps until the state of a job is another. */
static void await_change(struct job *job, u32 state)
{
	while (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) == state)
		syscall(SYS_futex, &job->state, FUTEX_WAIT, state, NULL, NULL, 0);
}

static void set_state(struct job *job, u32 state)
{
	__atomic_store_n(&job->state, state, __ATOMIC_RELEASE);
	syscall(SYS_futex, &job->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void __attribute__((noreturn)) serve_as_task(struct job *job)
{
	await_change(job, JOB_NONE);
	int fd = open(job->path, O_WRONLY | O_CLOEXEC);
	job->result = fd < 0 ? -errno : write(fd, job->text, job->length);
	if (fd >= 0 && job->result < 0)
		job->result = -errno;
	set_state(job, JOB_DONE);
	syscall(SYS_exit_group, 0);
	__builtin_unreachable();
}

/* Makes tasks: children of the server, which sees them off. */
static int make_tasks(u32 count)
{
	for (; arena->tasks < count; arena->tasks++) {
		struct job *job = &arena->jobs[arena->tasks];
		job->state = JOB_NONE;
		job->pid = 0;
		pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (pid < 0)
			return 0;
		if (pid == 0)
			serve_as_task(job);
		job->pid = pid;
	}
	return 1;
}

/* What a process does: its job, again and again, until that is to exit. */
static void __attribute__((noreturn)) serve_as_process(struct process *of)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		u32 state;
		while ((state = __atomic_load_n(&of->state, __ATOMIC_ACQUIRE)) != JOB_GIVEN)
			syscall(SYS_futex, &of->state, FUTEX_WAIT, state, NULL, NULL, 0);
		if (of->what == DO_EXIT)
			syscall(SYS_exit_group, 0);
		if (of->what == DO_TOUCH) {
			u64 value = (u64)of->args[1];
			of->result = -(i64)touch((u64)of->args[0], of->width, of->is_write, &value);
			of->args[1] = (i64)value;
		} else {
			i64 *args = of->args;
			of->result = syscall(of->nr, args[0], args[1], args[2], args[3], args[4], args[5]);
			if (of->result == -1)
				of->result = -errno;
		}
		__atomic_store_n(&of->state, JOB_DONE, __ATOMIC_RELEASE);
		syscall(SYS_futex, &of->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static i64 make_process(struct process *of)
{
	of->state = JOB_NONE;
	of->pid = 0;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		serve_as_process(of);
	of->pid = pid;
	return 0;
}

/*
 * Has a process do its job, and waits for it. One that the kernel kills takes the program with it: that is what became of the
 * call.
 */
static void hand_over(struct process *to)
{
	const struct timespec a_while = { 0, 20000000 };
	int status;
	arena->at_work = to->pid;
	__atomic_store_n(&to->state, JOB_GIVEN, __ATOMIC_RELEASE);
	syscall(SYS_futex, &to->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (__atomic_load_n(&to->state, __ATOMIC_ACQUIRE) == JOB_GIVEN) {
		syscall(SYS_futex, &to->state, FUTEX_WAIT, JOB_GIVEN, &a_while, NULL, 0);
		if (waitpid(to->pid, &status, WNOHANG) != to->pid)
			continue;
		to->pid = 0;
		if (to->what == DO_EXIT)
			break;
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL);
	}
	arena->at_work = 0;
}

static i64 syscall_by(struct process *by, u16 nr, const i64 args[6])
{
	by->what = DO_SYSCALL;
	by->nr = nr;
	memcpy(by->args, args, sizeof by->args);
	hand_over(by);
	return by->result;
}

static int touch_by(struct process *by, u64 addr, u8 width, int is_write, u64 *value)
{
	by->what = DO_TOUCH;
	by->width = width;
	by->is_write = (u8)is_write;
	by->args[0] = (i64)addr;
	by->args[1] = (i64)*value;
	hand_over(by);
	*value = (u64)by->args[1];
	return (int)-by->result;
}

static void end_process(struct process *of)
{
	if (!of->pid)
		return;
	of->what = DO_EXIT;
	hand_over(of);
}

static enum state carry_out(const u8 *code, u32 length)
{
	struct process *by = NULL; /* who makes system calls; the program itself if NULL */
	const u8 *p = code, *end = code + length, *op = code;
	i64 *slots = arena->slots;
	i64 result = 0, fired = 0;
	u32 fail = 0; /* the allocation of the next SYSCALL that fails; 0 for none */
	int fail_nth = -1;

/* The next field of type T; code that ends within it is malformed. */
#define TAKE(T, name)                        \
	T name;                              \
	if ((size_t)(end - p) < sizeof name) \
		goto malformed;              \
	memcpy(&name, p, sizeof name);       \
	p += sizeof name
#define TAKE_SLOT(name)    \
	TAKE(u16, name);   \
	if (name >= SLOTS) \
	goto malformed
#define TAKE_WIDTH(name)                                        \
	TAKE(u8, name);                                         \
	if (name != 1 && name != 2 && name != 4 && name != 8) \
	goto malformed
#define PUT(bytes, n)       \
	if (!put(bytes, n)) \
	goto malformed

	while (p < end) {
		op = p;
		switch (*p++) {
		case 0x01: {
			TAKE(u64, addr);
			TAKE(u32, n);
			if ((size_t)(end - p) < n)
				goto malformed;
			memcpy((void *)addr, p, n);
			p += n;
			break;
		}
		case 0x02: {
			TAKE(u64, addr);
			TAKE_WIDTH(width);
			TAKE_SLOT(slot);
			memcpy((void *)addr, &slots[slot], width);
			break;
		}
		case 0x03: {
			TAKE(u64, addr);
			TAKE_SLOT(slot);
			if (slots[slot] == -1)
				strcpy((char *)addr, "none");
			else
				sprintf((char *)addr, "%lld", (long long)slots[slot]);
			break;
		}
		case 0x04: {
			TAKE(u16, nr);
			TAKE(u8, nargs);
			TAKE(u8, from_slot);
			i64 args[6] = { 0 };
			if (nargs > 6)
				goto malformed;
			for (int i = 0; i < nargs; i++) {
				TAKE(u64, arg);
				if (from_slot >> i & 1) {
					if (arg >= SLOTS)
						goto malformed;
					args[i] = slots[arg];
				} else {
					args[i] = (i64)arg;
				}
			}
			if (by)
				result = syscall_by(by, nr, args);
			else if (fail)
				result = syscall_failing(fail_nth, fail, nr, args, &fired);
			else
				result = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
			fail = 0;
			if (result == -1 && !by)
				result = -errno;
			PUT(&result, 8);
			break;
		}
		case 0x05: {
			TAKE_SLOT(slot);
			slots[slot] = result >= 0 ? result : -1;
			break;
		}
		case 0x06: {
			TAKE_SLOT(slot);
			TAKE(u64, addr);
			TAKE_WIDTH(width);
			if (result >= 0) {
				slots[slot] = 0;
				memcpy(&slots[slot], (void *)addr, width);
			}
			break;
		}
		case 0x07: {
			TAKE(u64, addr);
			TAKE(u32, n);
			PUT((void *)addr, n);
			break;
		}
		case 0x08: {
			TAKE(u64, pattern);
			TAKE_SLOT(slot);
			char path[4096] = "";
			slots[slot] = first_match(path, 0, (char *)pattern) ? number_at_end(path) : -1;
			break;
		}
		case 0x09: {
			TAKE(u64, addr);
			TAKE_SLOT(slot);
			slots[slot] = number_at_end((char *)addr);
			break;
		}
		case 0x0a: {
			TAKE(u64, path);
			int fits;
			result = list((char *)path, &fits);
			if (!fits)
				goto malformed;
			break;
		}
		case 0x0b: {
			TAKE(u32, n);
			if ((size_t)(end - p) < n)
				goto malformed;
			if (result < 0)
				p += n;
			break;
		}
		case 0x0c: {
			TAKE(u32, mark);
			arena->mark = mark;
			break;
		}
		case 0x0d: {
			TAKE(u16, slot);
			TAKE(u64, offset);
			TAKE_WIDTH(width);
			if (slot != NO_SLOT && slot >= SLOTS)
				goto malformed;
			u64 value = 0;
			u64 addr = (slot == NO_SLOT ? 0 : (u64)slots[slot]) + offset;
			u32 signo = (u32)(by ? touch_by(by, addr, width, 0, &value) : touch(addr, width, 0, &value));
			result = -(i64)signo;
			PUT(&signo, 4);
			PUT(&value, 8);
			break;
		}
		case 0x0e: {
			TAKE(u16, slot);
			TAKE(u64, offset);
			TAKE_WIDTH(width);
			TAKE(u64, value);
			if (slot != NO_SLOT && slot >= SLOTS)
				goto malformed;
			u64 addr = (slot == NO_SLOT ? 0 : (u64)slots[slot]) + offset;
			u32 signo = (u32)(by ? touch_by(by, addr, width, 1, &value) : touch(addr, width, 1, &value));
			result = -(i64)signo;
			PUT(&signo, 4);
			break;
		}
		case 0x0f: {
			TAKE_SLOT(slot);
			TAKE(u32, n);
			if ((size_t)(end - p) < n)
				goto malformed;
			if (slots[slot] == -1)
				p += n;
			break;
		}
		case 0x10: {
			TAKE(u32, n);
			if (fail_nth < 0)
				fail_nth = open_fail_nth();
			fail = fail_nth < 0 ? 0 : n;
			fired = fail_nth < 0 ? fail_nth : 0;
			break;
		}
		case 0x11: {
			fail = 0;
			PUT(&fired, 8);
			break;
		}
		case 0x12: {
			TAKE(u8, count);
			if (count > TASKS || !make_tasks(count))
				goto malformed;
			break;
		}
		case 0x13: {
			TAKE(u8, task);
			TAKE(u64, path);
			TAKE(u64, text);
			TAKE(u32, n);
			if (task >= arena->tasks || arena->jobs[task].state != JOB_NONE)
				goto malformed;
			struct job *job = &arena->jobs[task];
			if (n > sizeof job->text || strlen((char *)path) >= sizeof job->path)
				goto malformed;
			strcpy(job->path, (char *)path);
			memcpy(job->text, (void *)text, n);
			job->length = n;
			set_state(job, JOB_GIVEN);
			break;
		}
		case 0x14: {
			TAKE(u8, task);
			if (task >= arena->tasks)
				goto malformed;
			result = __atomic_load_n(&arena->jobs[task].state, __ATOMIC_ACQUIRE) != JOB_DONE;
			PUT(&result, 8);
			break;
		}
		case 0x15: {
			TAKE(u8, task);
			if (task >= arena->tasks || arena->jobs[task].state == JOB_NONE)
				goto malformed;
			await_change(&arena->jobs[task], JOB_GIVEN);
			result = arena->jobs[task].result;
			PUT(&result, 8);
			break;
		}
		case 0x16: {
			TAKE(u8, process);
			if (process >= PROCESSES || arena->processes[process].pid)
				goto malformed;
			result = make_process(&arena->processes[process]);
			PUT(&result, 8);
			break;
		}
		case 0x17: {
			TAKE(u8, process);
			if (process != BY_PROGRAM && (process >= PROCESSES || !arena->processes[process].pid))
				goto malformed;
			by = process == BY_PROGRAM ? NULL : &arena->processes[process];
			break;
		}
		case 0x18: {
			TAKE(u8, process);
			if (process >= PROCESSES)
				goto malformed;
			end_process(&arena->processes[process]);
			result = 0;
			PUT(&result, 8);
			break;
		}
		default:
			goto malformed;
		}
	}
	return DONE;
malformed:
	arena->at = (u32)(op - code);
	return MALFORMED;
}

/* ---- watching over programs and the janitor (server) ---- */

static void fresh_arena(int keep_slots)
{
	arena->state = RUNNING;
	arena->mark = MARK_NONE;
	arena->at = 0;
	arena->output_length = 0;
	arena->tasks = 0;
	arena->at_work = 0;
	for (int i = 0; i < PROCESSES; i++)
		arena->processes[i].pid = 0;
	if (!keep_slots)
		memset(arena->slots, 0xff, sizeof arena->slots);
}

/* Drops the pages behind SCRATCH: the next program's begin as zeros. */
static void fresh_scratch(void)
{
	if (madvise(SCRATCH, SCRATCH_SIZE, MADV_REMOVE))
		fail("cannot empty the scratch memory");
}

static u32 read_text(const char *path, u8 *to, u32 room)
{
	u32 n = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (n < room && (got = read(fd, to + n, room - n)) > 0)
		n += (u32)got;
	close(fd);
	return n;
}

/* Where in the kernel a process is: its stack if that may be read, and what it waits for. */
static u32 where(pid_t pid, u8 *to, u32 room)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/wchan", pid);
	u32 n = read_text(path, to, room / 4);
	if (n < room)
		to[n++] = '\n';
	snprintf(path, sizeof path, "/proc/%d/stack", pid);
	return n + read_text(path, to + n, room - n);
}

/*
 * A kernel that loops with interrupts off lets nobody in the guest see it. The
 * machine has a watchdog for that, an ib700: it fires 30 s of guest time after
 * it was last fed, with an interrupt that can't be masked, and the kernel tells
 * where it was. Its clock also runs while all sleep, so it is fed at least
 * every FEED_AFTER_NS, and put to rest before there is nothing to do.
 */
static void feed_watchdog(void)
{
	if (has_watchdog)
		outb(0, WATCHDOG_ENABLE);
}

static void rest_watchdog(void)
{
	if (has_watchdog)
		outb(0, WATCHDOG_DISABLE);
}

/* Whether `pid` has worked for a tenth of timeout_ms: who waits may wait longer than who is busy. */
static int works_too_long(pid_t pid, u32 timeout_ms)
{
	clockid_t clock;
	struct timespec t;
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return ((u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000) * 10 >= timeout_ms;
}

/* Waits until `pid` is gone; 0 if that took longer than timeout_ms, or the work of a tenth of it. */
static int reap(pid_t pid, u32 timeout_ms, int *status)
{
	static sigset_t child_signal;
	u64 deadline = 0;
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got == pid || (got < 0 && errno == ECHILD))
			return 1;
		u64 now = now_ns();
		if (!deadline)
			deadline = now + (u64)timeout_ms * 1000000;
		if (now >= deadline)
			return 0;
		u64 left = deadline - now < FEED_AFTER_NS ? deadline - now : FEED_AFTER_NS;
		struct timespec t = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
		if (sigtimedwait(&child_signal, NULL, &t) < 0 && errno == EAGAIN && works_too_long(pid, timeout_ms))
			return 0;
		feed_watchdog();
	}
}

static struct ending ending_of(int status)
{
	struct ending e = { .state = (u8)arena->state, .mark = arena->mark, .at = arena->at };
	if (WIFSIGNALED(status)) {
		e.state = SIGNALLED;
		e.signal = (u8)WTERMSIG(status);
	} else if (e.state == RUNNING) { /* it called exit itself */
		e.state = DONE;
	}
	return e;
}

/* `pid` did not end in time: says where it is, and tries to kill it. */
static struct ending hung(pid_t pid, u8 *stack, u32 *stack_length)
{
	struct ending e = { .state = HUNG, .mark = arena->mark };
	int status;
	pid_t at_work = arena->at_work;
	*stack_length += where(at_work ? at_work : pid, stack + *stack_length, STACK_SIZE);
	kill(pid, SIGKILL);
	e.killed = (u8)reap(pid, KILL_GRACE_MS, &status);
	return e;
}

/*
 * The program is gone, and with it all that its tasks could wait for: those that have a job do it to its end. One that does
 * not hangs as a call of the program's would.
 */
static void see_off_tasks(struct ending *e, u32 timeout_ms, u8 *stack, u32 *stack_length)
{
	u32 left = arena->tasks;
	for (u32 i = 0; i < left; i++) {
		struct job *job = &arena->jobs[i];
		int status;
		if (job->state == JOB_NONE)
			kill(job->pid, SIGKILL);
		if (reap(job->pid, timeout_ms, &status))
			continue;
		if (e->state == HUNG)
			e->killed = 0;
		else
			*e = hung(job->pid, stack, stack_length);
	}
}

/*
 * The program is gone, and its processes with it, or soon: they hold its descriptors. They are the server's children now. One
 * that does not go hangs as a call of the program's would.
 */
static void see_off_processes(struct ending *e)
{
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = arena->processes[i].pid;
		int status;
		if (pid && !reap(pid, KILL_GRACE_MS, &status)) {
			e->state = HUNG;
			e->killed = 0;
		}
	}
}

static struct ending run_program(const u8 *code, u32 length, u32 timeout_ms, u8 *stack, u32 *stack_length)
{
	fresh_arena(0);
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		fail("cannot fork");
	if (pid == 0) {
		syscall(SYS_close_range, FIRST_FD, ~0U, 0);
		u32 state = carry_out(code, length);
		arena->mark = MARK_EXIT;
		for (int i = 0; i < PROCESSES; i++)
			end_process(&arena->processes[i]);
		arena->state = state;
		syscall(SYS_exit_group, 0);
	}
	int status = 0;
	struct ending e;
	if (reap(pid, timeout_ms, &status))
		e = ending_of(status);
	else
		e = hung(pid, stack, stack_length);
	see_off_processes(&e);
	if (arena->tasks > 0)
		see_off_tasks(&e, timeout_ms, stack, stack_length);
	fresh_scratch();
	return e;
}

static void __attribute__((noreturn)) serve_as_janitor(void)
{
	char byte;
	while (read(JANITOR_IN, &byte, 1) == 1) {
		arena->state = carry_out(input + arena->code_offset, arena->code_length);
		syscall(SYS_close_range, FIRST_FD, JANITOR_IN - 1, 0);
		syscall(SYS_close_range, JANITOR_OUT + 1, ~0U, 0);
		madvise(USER, USER_SIZE, MADV_DONTNEED);
		if (write(JANITOR_OUT, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void start_janitor(void)
{
	int orders[2], answers[2];
	if (janitor_in >= 0) {
		close(janitor_in);
		close(janitor_out);
	}
	if (pipe2(orders, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
		fail("cannot make the janitor's pipes");
	janitor = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (janitor < 0)
		fail("cannot fork the janitor");
	if (janitor == 0) {
		if (dup2(orders[0], JANITOR_IN) < 0 || dup2(answers[1], JANITOR_OUT) < 0)
			_exit(1);
		syscall(SYS_close_range, FIRST_FD, JANITOR_IN - 1, 0);
		serve_as_janitor();
	}
	close(orders[0]);
	close(answers[1]);
	janitor_in = orders[1];
	janitor_out = answers[0];
}

/* Waits for the janitor to have done what it was told, or to end; 0 if that took longer than timeout_ms. */
static int janitor_answers(u32 timeout_ms)
{
	struct pollfd answer = { .fd = janitor_out, .events = POLLIN };
	u64 now = now_ns(), deadline = now + (u64)timeout_ms * 1000000;
	for (; now < deadline; now = now_ns()) {
		u64 left = deadline - now < FEED_AFTER_NS ? deadline - now : FEED_AFTER_NS;
		if (poll(&answer, 1, (int)(left / 1000000) + 1) != 0)
			return 1;
		feed_watchdog();
	}
	return 0;
}

static struct ending run_in_janitor(const u8 *code, u32 length, u32 timeout_ms, int keep_slots, u8 *stack,
				    u32 *stack_length)
{
	fresh_arena(keep_slots);
	arena->code_offset = (u32)(code - input);
	arena->code_length = length;
	char byte = 0;
	struct ending e;
	if (write(janitor_in, &byte, 1) == 1 && !janitor_answers(timeout_ms)) {
		e = hung(janitor, stack, stack_length);
		if (e.killed)
			start_janitor();
	} else if (read(janitor_out, &byte, 1) == 1) {
		e = ending_of(0);
	} else {
		int status = 0;
		reap(janitor, KILL_GRACE_MS, &status);
		e = ending_of(status);
		start_janitor();
	}
	fresh_scratch();
	return e;
}

/* ---- the channel ---- */

static void flush_results(void)
{
	while (results_written < results_length) {
		ssize_t n = write(out_fd, results + results_written, results_length - results_written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			leave(3);
		results_written += (size_t)n;
	}
	results_length = results_written = 0;
}

/* New records of the kernel's log, one line each, as "<level>text". */
static u32 read_log(u8 *to, u32 room)
{
	char record[8192];
	u32 length = 0;
	while (log_fd >= 0) {
		ssize_t n = read(log_fd, record, sizeof record - 1);
		if (n < 0 && errno == EPIPE) {
			const char *lost = "<4>agent: the kernel's log overflowed, records were lost\n";
			if (length + strlen(lost) <= room) {
				memcpy(to + length, lost, strlen(lost));
				length += (u32)strlen(lost);
			}
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		record[n] = 0;
		char *text = strchr(record, ';');
		if (!text)
			continue;
		text++;
		size_t line = strcspn(text, "\n");
		if (length + line + 5 > room)
			continue;
		to[length++] = '<';
		to[length++] = (u8)('0' + (atoi(record) & 7));
		to[length++] = '>';
		memcpy(to + length, text, line);
		length += (u32)line;
		to[length++] = '\n';
	}
	return length;
}

/* Carries out one request and appends its result. */
static void answer(const struct request *request)
{
	static u8 *stack;
	u8 *to = results + results_length;
	struct result r = { .id = request->id };
	u8 *bytes = to + sizeof r;
	int whole = request->length >= sizeof *request - 4 &&
		    (u64)request->code_length + request->cleanup_length == request->length - (sizeof *request - 4);

	if (!stack)
		stack = malloc(2 * STACK_SIZE);
	feed_watchdog();
	if (!whole) {
		r.program.state = MALFORMED;
		r.program.mark = r.cleanup.mark = MARK_NONE;
	} else {
		const u8 *code = request->bytes;
		const u8 *cleanup = code + request->code_length;
		if (request->flags & REQUEST_IN_JANITOR)
			r.program = run_in_janitor(code, request->code_length, request->timeout_ms, 0, stack,
						   &r.stack_length);
		else
			r.program =
				run_program(code, request->code_length, request->timeout_ms, stack, &r.stack_length);
		r.output_length = arena->output_length;
		memcpy(bytes, arena->output, r.output_length);
		bytes += r.output_length;

		r.cleanup.mark = MARK_NONE;
		if (request->cleanup_length && !(r.program.state == HUNG && !r.program.killed)) {
			r.cleanup = run_in_janitor(cleanup, request->cleanup_length, request->timeout_ms, 1, stack,
						   &r.stack_length);
			r.cleanup_output_length = arena->output_length;
			memcpy(bytes, arena->output, r.cleanup_output_length);
			bytes += r.cleanup_output_length;
		}
		memcpy(bytes, stack, r.stack_length);
		bytes += r.stack_length;
	}
	r.log_length = read_log(bytes, LOG_SIZE);
	bytes += r.log_length;
	r.length = (u32)(bytes - to) - 4;
	memcpy(to, &r, sizeof r);
	results_length += (size_t)(bytes - to);

	/* What cannot be killed still holds what it holds: this system is of no more use. */
	if ((r.program.state == HUNG && !r.program.killed) || (r.cleanup.state == HUNG && !r.cleanup.killed)) {
		flush_results();
		say("agent: a call hangs and cannot be killed, so the agent ends here\n");
		leave(3);
	}
}

static void greet(void)
{
	struct hello hello = { .magic = MAGIC, .protocol = PROTOCOL, .first_fd = FIRST_FD, .slots = SLOTS };
	hello.page_size = (u32)sysconf(_SC_PAGESIZE);
	hello.flags = (log_fd >= 0 ? HELLO_KERNEL_LOG : 0) | (is_init ? HELLO_PID_1 : 0);
	hello.log_length = read_log(results + sizeof hello, LOG_SIZE);
	hello.length = (u32)sizeof hello - 4 + hello.log_length;
	memcpy(results, &hello, sizeof hello);
	results_length = sizeof hello + hello.log_length;
	flush_results();
}

/*
 * Results are held back while more requests wait, to write many at once; but
 * never for longer than FLUSH_AFTER_NS plus one program, and never the last.
 */
static void serve(void)
{
	size_t start = 0, length = 0; /* the part of the input not yet carried out */
	for (;;) {
		struct request *request = (struct request *)(input + start);
		size_t have = length - start;
		if (have < 4 || have < 4 + (size_t)request->length) {
			if (have >= 4 && 4 + (size_t)request->length > INPUT_SIZE) {
				say("agent: a request of %u bytes is too long\n", request->length);
				leave(3);
			}
			rest_watchdog();
			flush_results();
			memmove(input, input + start, have);
			start = 0;
			length = have;
			ssize_t n = read(in_fd, input + length, INPUT_SIZE - length);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				leave(0);
			length += (size_t)n;
			continue;
		}
		if (results_length == 0)
			held_since = now_ns();
		answer(request);
		start += 4 + (size_t)request->length;
		if (results_length >= FLUSH_AT || now_ns() - held_since >= FLUSH_AFTER_NS)
			flush_results();
	}
}

/* ---- starting up ---- */

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("cannot map memory");
	return p;
}

static void lay_out_memory(void)
{
	int fixed = MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
	if (mmap(SCRATCH, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, -1, 0) != SCRATCH ||
	    mremap(SCRATCH, 0, SCRATCH_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, SCRATCH_RO) != SCRATCH_RO ||
	    mprotect(SCRATCH_RO, SCRATCH_SIZE, PROT_READ) ||
	    mmap(USER, USER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | fixed, -1, 0) != USER ||
	    mmap(USER_RO, USER_RO_SIZE, PROT_READ, MAP_PRIVATE | fixed, -1, 0) != USER_RO)
		fail("cannot lay out the memory of programs");
	madvise(USER, USER_SIZE, MADV_NOHUGEPAGE);
	madvise(USER_RO, USER_RO_SIZE, MADV_NOHUGEPAGE);
	arena = shared(sizeof *arena);
	input = shared(INPUT_SIZE);
	results = shared(RESULTS_SIZE);
	madvise(results, RESULTS_SIZE, MADV_DONTFORK);
}

static void load_modules(void)
{
	struct dirent **names;
	int n = scandir("/modules", &names, not_dots, by_bytes);
	for (int i = 0; i < n; i++) {
		char path[512];
		size_t length = strlen(names[i]->d_name);
		if (length < 3 || strcmp(names[i]->d_name + length - 3, ".ko"))
			continue;
		snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			say("agent: cannot load %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (n >= 0)
		free_names(names, n);
}

static int open_port(void)
{
	for (int tries = 0; tries < 500; tries++) {
		struct dirent **names;
		int fd = -1, n = scandir("/sys/class/virtio-ports", &names, not_dots, by_bytes);
		for (int i = 0; i < n && fd < 0; i++) {
			char path[512];
			u8 name[64] = { 0 };
			snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", names[i]->d_name);
			read_text(path, name, sizeof name - 1);
			if (strcmp((char *)name, PORT_NAME "\n"))
				continue;
			snprintf(path, sizeof path, "/dev/%s", names[i]->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		if (n >= 0)
			free_names(names, n);
		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	errno = ENODEV;
	fail("no virtio-serial port named " PORT_NAME);
}

static void become_init(void)
{
	static const struct {
		const char *path, *type;
	} mounts[] = {
		{ "/proc", "proc" },
		{ "/sys", "sysfs" },
		{ "/dev", "devtmpfs" },
		{ "/sys/kernel/debug", "debugfs" },
		{ "/dev/shm", "tmpfs" },
		{ "/dev/hugepages", "hugetlbfs" },
	};
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
		mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, NULL) && i < 3)
			fail("cannot mount /proc, /sys or /dev");
	}
	load_modules();
	klogctl(8, NULL, 1); /* oops and panic raise it again by themselves */
}

static void null_from_0_to_2(void)
{
	int fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		fail("cannot open /dev/null");
	for (int i = 0; i < 3; i++)
		if (fd != i)
			dup2(fd, i);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	is_init = getpid() == 1;
	if (is_init) {
		become_init();
		null_from_0_to_2();
		has_watchdog = ioperm(WATCHDOG_DISABLE, WATCHDOG_ENABLE - WATCHDOG_DISABLE + 1, 1) == 0;
		in_fd = out_fd = open_port();
	} else if (argc == 2 && !strcmp(argv[1], "--stdio")) {
		in_fd = fcntl(0, F_DUPFD_CLOEXEC, FIRST_FD);
		out_fd = fcntl(1, F_DUPFD_CLOEXEC, FIRST_FD);
		message_fd = fcntl(2, F_DUPFD_CLOEXEC, FIRST_FD);
		null_from_0_to_2();
	} else {
		dprintf(2, "agent: run me as pid 1 of a guest, or with --stdio\n");
		return 3;
	}
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd >= 0 && !is_init)
		lseek(log_fd, 0, SEEK_END);
	if (log_fd >= 0) { /* opening may be allowed where reading is not */
		char byte;
		if (read(log_fd, &byte, 0) < 0 && errno != EAGAIN && errno != EINVAL && errno != EPIPE) {
			close(log_fd);
			log_fd = -1;
		}
	}

	struct rlimit no_core = { 0, 0 };
	setrlimit(RLIMIT_CORE, &no_core);
	/* The same on every system, since programs count on it (credentials.ts has the same number). */
	struct rlimit memlock = { 8 * MIB, 8 * MIB };
	setrlimit(RLIMIT_MEMLOCK, &memlock);
	signal(SIGPIPE, SIG_IGN);
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigset_t child_signal;
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_signal, NULL);

	/* Processes of a program that was killed are the server's to see off. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	lay_out_memory();
	start_janitor();
	greet();
	serve();
}
