/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux booted to its init by two VMMs in turns: the time of it, and how much
 * of that is the VMM's own.
 *
 *     bench_boot ROUNDS OURS... -- QEMU...
 *
 * OURS and QEMU are command lines. The VMM's own share is the time from the
 * start of its process until its vCPU first enters KVM_RUN, and all time that
 * the vCPU spends outside of KVM_RUN from then until init speaks: whatever the
 * guest waits for, be it work, locks or other threads. Time in KVM_RUN is the
 * guest's and KVM's. The kernel's tracing of system calls tells, for both in
 * the same way. One vCPU; root; scripts/bench runs it in the lab.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define TRACING "/sys/kernel/tracing/"
#define ROUNDS_MAX 20u
#define NR_IOCTL 16	/* x86-64 */

struct result {
	double whole, own;		/* milliseconds */
	double exits;			/* to user space */
};

static void
put(const char *file, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bench_need(fd >= 0 && write(fd, text, strlen(text)) >= 0, path);
	close(fd);
}

/* Entries and returns of ioctls, in the processes that are named later. */
static void
trace_prepare(void)
{
	char filter[64];

	if (access(TRACING "trace", F_OK) < 0)
		bench_need(mount("tracefs", TRACING, "tracefs", 0, NULL) == 0,
			   "tracefs");
	put("tracing_on", "0");
	put("trace_clock", "mono");
	put("buffer_size_kb", "65536");
	put("options/event-fork", "1");
	snprintf(filter, sizeof(filter), "id == %d", NR_IOCTL);
	put("events/raw_syscalls/sys_enter/filter", filter);
	put("events/raw_syscalls/sys_exit/filter", filter);
	put("events/raw_syscalls/sys_enter/enable", "1");
	put("events/raw_syscalls/sys_exit/enable", "1");
}

/*
 * A line of the trace: "NAME-TID [CPU] FLAGS SECONDS: sys_enter: NR 16 (FD,
 * REQUEST, ...)" or "... sys_exit: NR 16 = RC". What there is before the colon
 * may have spaces in it.
 */
static bool
parse(const char *line, unsigned long *tid, double *ms, bool *enter,
      unsigned long *request)
{
	const char *event = strstr(line, ": sys_"), *cpu = strstr(line, " [");
	const char *at;

	if (!event || !cpu || cpu > event)
		return false;
	for (at = cpu; at > line && at[-1] != '-'; at--)
		;
	*tid = strtoul(at, NULL, 10);
	for (at = event; at > line && at[-1] != ' '; at--)
		;
	*ms = strtod(at, NULL) * 1e3;
	*enter = strncmp(event, ": sys_enter", 11) == 0;
	*request = 0;
	at = strchr(event, '(');
	if (*enter && (!at || sscanf(at, "(%*x, %lx", request) != 1))
		return false;
	return true;
}

/* What of the time between the two is the VMM's. */
static void
trace_read(double start_ms, double end_ms, struct result *r)
{
	unsigned long tid, request, vcpu = 0;
	double ms, out = start_ms;
	bool enter, in = false;
	char line[512];
	FILE *f = fopen(TRACING "trace", "re");

	bench_need(f != NULL, "trace");
	r->own = 0;
	r->exits = 0;
	while (fgets(line, sizeof(line), f)) {
		if (!parse(line, &tid, &ms, &enter, &request) || ms > end_ms ||
		    (vcpu && tid != vcpu))
			continue;
		if (enter && request == (KVM_RUN & 0xffffffffu) && !in) {
			vcpu = tid;
			in = true;
			r->own += ms - out;
		} else if (!enter && in) {
			in = false;
			out = ms;
			r->exits++;
		}
	}
	fclose(f);
	if (!in)
		r->own += end_ms - out;
	bench_need(vcpu != 0, "no KVM_RUN was seen");
}

/* Until the guest's init speaks. */
static bool
wait_for_init(int fd)
{
	static char seen[1 << 20];
	size_t have = 0;
	ssize_t n;

	while (have < sizeof(seen) - 1 &&
	       (n = read(fd, seen + have, sizeof(seen) - 1 - have)) > 0) {
		have += (size_t)n;
		seen[have] = '\0';
		if (strstr(seen, "VCORE-INIT"))
			return true;
	}
	fprintf(stderr, "bench_boot: the guest said: %s\n", seen);
	return false;
}

static void
become(char **argv, int out)
{
	int null = open("/dev/null", O_RDWR);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	put("set_event_pid", pid);
	put("tracing_on", "1");
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

static void
boot(char **argv, struct result *r)
{
	double start, end;
	int fds[2];
	pid_t pid;

	put("trace", "");
	bench_need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	start = bench_now_ns() / 1e6;
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0)
		become(argv, fds[1]);
	close(fds[1]);
	bench_need(wait_for_init(fds[0]), argv[0]);
	end = bench_now_ns() / 1e6;
	put("tracing_on", "0");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	r->whole = end - start;
	trace_read(start, end, r);
}

static void
report(struct result *ours, struct result *qemu, uint32_t n, const char *name,
       const char *unit, size_t at)
{
	static const double q[] = { 0, 0.5 };
	double a[ROUNDS_MAX], b[ROUNDS_MAX];
	uint32_t i;

	for (i = 0; i < n; i++) {
		a[i] = *(double *)((char *)&ours[i] + at);
		b[i] = *(double *)((char *)&qemu[i] + at);
	}
	for (i = 0; i < 2; i++)
		bench_print(bench_quantile(a, n, q[i]), unit,
			    bench_quantile(b, n, q[i]), "%s, %s", name,
			    i ? "median" : "min");
}

int
main(int argc, char **argv)
{
	static struct result ours[ROUNDS_MAX], qemu[ROUNDS_MAX];
	uint32_t i, rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
	char **other = argv + 2;

	bench_begin("boot", false);
	while (*other && strcmp(*other, "--") != 0)
		other++;
	if (rounds < 1 || rounds > ROUNDS_MAX || !*other || !other[1]) {
		fprintf(stderr,
			"usage: bench_boot ROUNDS OURS... -- QEMU...\n");
		return 2;
	}
	*other++ = NULL;
	trace_prepare();
	for (i = 0; i < rounds; i++) {
		boot(argv + 2, &ours[i]);
		boot(other, &qemu[i]);
	}
	report(ours, qemu, rounds, "process start to init", "ms",
	       offsetof(struct result, whole));
	report(ours, qemu, rounds, "the VMM's own share", "ms",
	       offsetof(struct result, own));
	report(ours, qemu, rounds, "exits to the VMM", "1",
	       offsetof(struct result, exits));
	return bench_end();
}
