/** Helpers by which a program has other tasks write to attributes. */
import { START_WAIT_NS } from "../../targets/lower/put-off.ts";
import { C, type Helper } from "./helpers.ts";

/** They use those that look. */
export const STARTING: readonly Helper[] = [
  {
    defines: ["make_tasks", "tasks", "start_write"],
    text: C`/* Another task, and the one write that it makes. */
struct task {
	volatile enum { IDLE, AT_WORK, DONE } state;
	long ret;
	char path[512], what[4096];
};

static struct task *tasks;

/* They are forked before anything is opened, so that they keep nothing open that the program closes. */
static void make_tasks(int count)
{
	tasks = mmap(NULL, count * sizeof(*tasks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < count; i++) {
		fflush(stdout);
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (tasks[i].state == IDLE)
			usleep(1000);
		tasks[i].ret = write_file(tasks[i].path, tasks[i].what);
		tasks[i].state = DONE;
		_exit(0);
	}
}

/* 1 where the task has to wait for something, 0 where it is done. */
static long start_write(struct task *task, const char *path, const char *what)
{
	strcpy(task->path, path);
	strcpy(task->what, what);
	task->state = AT_WORK;
	usleep(${START_WAIT_NS / 1000});
	return task->state != DONE;
}
`,
  },
  {
    defines: ["join"],
    text: C`static long join(const struct task *task)
{
	while (task->state != DONE)
		usleep(1000);
	return task->ret;
}
`,
  },
];
