/** Helpers by which a program has processes that it made call the kernel. */
import { C, type Helper } from "./helpers.ts";

/** They use those that touch memory and those that look. */
export const FORKING: readonly Helper[] = [
  {
    defines: ["struct process", "fork_process", "processes"],
    text: C`/* A process with this one's descriptors and a copy of its memory, and what it is to do. */
struct process {
	volatile enum { NOTHING_TO_DO, GIVEN, MADE } state;
	enum { CALL, LOAD, STORE } what;
	pid_t pid; /* 0 once it has ended */
	long number, arguments[6], ret;
	unsigned long value;
};

#define PROCESSES 4
static struct process *processes;

static void serve(struct process *of)
{
	long *a = of->arguments;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		while (of->state != GIVEN)
			usleep(1000);
		if (of->what == CALL)
			of->ret = result(syscall(of->number, a[0], a[1], a[2], a[3], a[4], a[5]));
		else
			of->ret = touch(a[0], a[1], of->what == LOAD ? &of->value : NULL, a[2]);
		of->state = MADE;
	}
}

static long fork_process(void)
{
	static int made;
	pid_t pid;

	if (!processes)
		processes = mmap(NULL, PROCESSES * sizeof(*processes), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(stdout);
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		serve(&processes[made]);
	processes[made].pid = pid;
	return made++;
}
`,
  },
  {
    defines: ["make_by"],
    text: C`/* Has a process do something, and waits for it. */
static long make_by(struct process *by)
{
	by->state = GIVEN;
	while (by->state == GIVEN)
		if (waitpid(by->pid, NULL, WNOHANG) == by->pid)
			raise(SIGKILL); /* as the kernel did with it */
		else
			usleep(1000);
	return by->ret;
}
`,
  },
  {
    defines: ["do_ioctl_by"],
    text: C`static long do_ioctl_by(long process, unsigned long fd, unsigned long request, unsigned long argument)
{
	struct process *by = &processes[process];

	if (process < 0 || !by->pid)
		return result(syscall(SYS_ioctl, fd, request, argument));
	by->what = CALL;
	by->number = SYS_ioctl;
	by->arguments[0] = fd;
	by->arguments[1] = request;
	by->arguments[2] = argument;
	return make_by(by);
}
`,
  },
  {
    defines: ["load_by"],
    text: C`static long load_by(long process, unsigned long at, unsigned int width)
{
	struct process *by = &processes[process];
	long ret;

	if (process < 0 || !by->pid)
		return load(at, width);
	by->what = LOAD;
	by->arguments[0] = at;
	by->arguments[1] = width;
	ret = make_by(by);
	loaded = by->value;
	return ret;
}
`,
  },
  {
    defines: ["store_by"],
    text: C`static long store_by(long process, unsigned long at, unsigned int width, unsigned long value)
{
	struct process *by = &processes[process];

	if (process < 0 || !by->pid)
		return touch(at, width, NULL, value);
	by->what = STORE;
	by->arguments[0] = at;
	by->arguments[1] = width;
	by->arguments[2] = value;
	return make_by(by);
}
`,
  },
  {
    defines: ["exit_process"],
    text: C`static long exit_process(long process)
{
	if (process < 0 || !processes[process].pid)
		return 0;
	kill(processes[process].pid, SIGKILL);
	waitpid(processes[process].pid, NULL, 0);
	processes[process].pid = 0;
	return 0;
}
`,
  },
  {
    defines: ["status_kib_by"],
    text: C`static long status_kib_by(long process, const char *name)
{
	pid_t pid = process < 0 ? 0 : processes[process].pid;

	return status_kib_of(pid ? path_of("/proc/%d/status", pid) : "/proc/self/status", name);
}
`,
  },
];
