/* SPDX-License-Identifier: BSD-3-Clause */
/* What benchmarks share: quiet, clock, alternating blocks, JSON lines. */
#include "common.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/ptrace.h>
#include <vcore/base.h>

/* CPUs that others may use: with ours, a load of 1.2. */
#define QUIET 0.2
#define LOOK_NS 500000000
#define ARGS_MAX 16

static const char *bench;
static cpu_set_t all_cpus;
static struct usage {
	double at;		/* bench_now_ns() */
	double busy, steal;	/* the machine's, seconds of CPU */
	double own;		/* ours and our children's */
} begun;

double
bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

void
bench_need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_%s: %s: %s\n", bench, what, vcore_error_text());
	exit(EXIT_FAILURE);
}

bool
bench_smoke(void)
{
	return getenv("VCORE_BENCH_SMOKE") != NULL;
}

uint64_t
bench_count(uint64_t full, uint64_t smoke)
{
	return bench_smoke() ? smoke : full;
}

static double
seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec * 1e-6;
}

static struct usage
usage(void)
{
	struct usage u = { .at = bench_now_ns() };
	unsigned long long v[8] = { 0 };
	double hz = (double)sysconf(_SC_CLK_TCK);
	struct rusage self, children;
	FILE *f = fopen("/proc/stat", "re");

	/* user nice system idle iowait irq softirq steal */
	if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
			 &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6],
			 &v[7]) != 8)
		memset(v, 0, sizeof(v));
	if (f)
		fclose(f);
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	u.busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / hz;
	u.steal = (double)v[7] / hz;
	u.own = seconds(&self.ru_utime) + seconds(&self.ru_stime) +
		seconds(&children.ru_utime) + seconds(&children.ru_stime);
	return u;
}

/* CPUs that others kept busy between two looks. */
static double
others(const struct usage *a, const struct usage *b)
{
	double cpus = (b->busy - a->busy - (b->own - a->own)) /
		      ((b->at - a->at) * 1e-9);

	return cpus > 0 ? cpus : 0;
}

/* The load average would count the benchmark that ran just before. */
static void
wait_for_quiet(void)
{
	struct timespec look = { .tv_nsec = LOOK_NS };
	struct usage a = usage(), b;
	double cpus;

	nanosleep(&look, NULL);
	b = usage();
	cpus = others(&a, &b);
	if (cpus <= QUIET)
		return;
	fprintf(stderr,
		"bench_%s: others keep %.1f CPUs busy: the times are %s\n",
		bench, cpus, getenv("VCORE_BENCH_ANYWAY") ? "NOT SOUND" :
		"worth nothing (VCORE_BENCH_ANYWAY=1 takes them anyway)");
	if (!getenv("VCORE_BENCH_ANYWAY"))
		exit(3);
}

void
bench_begin(const char *name, bool pin)
{
	bench = name;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sched_getaffinity(0, sizeof(all_cpus), &all_cpus);
	if (!bench_smoke())
		wait_for_quiet();
	if (pin)
		bench_pin(0);
	begun = usage();
}

int
bench_end(void)
{
	struct usage end = usage();
	double cpus = others(&begun, &end), steal = end.steal - begun.steal;

	if (!bench_smoke() && (cpus > QUIET || steal > 0.05))
		fprintf(stderr,
			"bench_%s: meanwhile others kept %.2f CPUs busy, and %.2f s were stolen\n",
			bench, cpus, steal);
	return EXIT_SUCCESS;
}

void
bench_unpin(void)
{
	sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
}

/* From the last CPU down: the first has most of the interrupts. */
void
bench_pin(uint32_t nth)
{
	size_t cpu = CPU_SETSIZE;
	cpu_set_t one;

	nth %= (uint32_t)CPU_COUNT(&all_cpus);
	while (cpu-- > 0)
		if (CPU_ISSET(cpu, &all_cpus) && nth-- == 0)
			break;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
bench_quantile(double *values, uint32_t n, double q)
{
	qsort(values, n, sizeof(values[0]), compare);
	return values[(uint32_t)(q * (n - 1) + 0.5)];
}

void
bench_print(double value, const char *unit, double vs, const char *fmt, ...)
{
	va_list ap;

	printf("{\"bench\":\"%s\",\"case\":\"", bench);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\",\"value\":%.2f,\"unit\":\"%s\",", value, unit);
	if (isnan(vs))
		printf("\"vs\":null,\"ratio\":null}\n");
	else
		printf("\"vs\":%.2f,\"ratio\":%.4f}\n", vs, value / vs);
}

void
bench_alternate(const struct bench_side *ours, const struct bench_side *peer,
		uint32_t blocks, const char *unit, const char *name)
{
	static double a[BENCH_BLOCKS_MAX], b[BENCH_BLOCKS_MAX];
	uint32_t i;

	bench_need(blocks > 0 && blocks <= BENCH_BLOCKS_MAX, "blocks");
	(void)ours->block(ours->opaque);
	(void)peer->block(peer->opaque);
	for (i = 0; i < blocks; i++) {
		a[i] = ours->block(ours->opaque);
		b[i] = peer->block(peer->opaque);
	}
	bench_print(bench_quantile(a, blocks, 0), unit,
		    bench_quantile(b, blocks, 0), "%s, min", name);
	bench_print(bench_quantile(a, blocks, 0.5), unit,
		    bench_quantile(b, blocks, 0.5), "%s, median", name);
}

/* A system call that nothing here makes for itself. */
void
bench_mark(void)
{
	(void)syscall(SYS_getpriority, INT32_MAX, 0);
}

/* The child has stopped before or after a system call. */
static void
count_call(pid_t pid, unsigned long request, struct bench_calls *parts,
	   uint32_t max, uint32_t *part)
{
	struct ptrace_syscall_info i;

	bench_need(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(i), &i) > 0,
		   "ptrace");
	if (i.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (i.entry.nr == SYS_getpriority && i.entry.args[0] == INT32_MAX) {
		bench_need(++*part < max, "too many marks");
		parts[*part] = (struct bench_calls){ 0 };
	} else if (i.entry.nr == SYS_ioctl && i.entry.args[1] == request) {
		parts[*part].wanted++;
	} else {
		parts[*part].others++;
	}
}

uint32_t
bench_trace(void (*fn)(void *opaque), void *opaque, unsigned long request,
	    struct bench_calls *parts, uint32_t max)
{
	uint32_t part = 0;
	int status, sig;
	pid_t pid;

	parts[0] = (struct bench_calls){ 0 };
	fflush(NULL);
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		bench_need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0,
			   "ptrace");
		raise(SIGSTOP);
		fn(opaque);
		_exit(0);
	}
	bench_need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
		   ptrace(PTRACE_SETOPTIONS, pid, NULL,
			  PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0,
		   "ptrace");
	for (sig = 0;;) {
		bench_need(ptrace(PTRACE_SYSCALL, pid, NULL, sig) == 0,
			   "ptrace");
		bench_need(waitpid(pid, &status, 0) == pid, "waitpid");
		if (!WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (sig != (SIGTRAP | 0x80))
			continue;
		sig = 0;
		count_call(pid, request, parts, max, &part);
	}
	bench_need(WIFEXITED(status) && WEXITSTATUS(status) == 0, "trace");
	return part + 1;
}

/* The child: this program again, under callgrind. Does not return. */
static void
callgrind(const char *const *args)
{
	const char *argv[ARGS_MAX + 8] = {
		"valgrind", "--tool=callgrind",
		"--callgrind-out-file=/dev/null",
	};
	static char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int n = 3, i;

	bench_need(len > 0, "/proc/self/exe");
	argv[n++] = self;
	for (i = 0; args[i] && i < ARGS_MAX; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "bench_%s: valgrind: %s\n", bench, strerror(errno));
	_exit(127);
}

uint64_t
bench_instructions(const char *const *args)
{
	unsigned long long count = 0;
	char line[4096];
	int fds[2], status = 0;
	bool found = false;
	pid_t pid;
	FILE *f;

	bench_need(pipe(fds) == 0, "pipe");
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		callgrind(args);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	bench_need(f != NULL, "pipe");
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "Collected : ");

		if (at && sscanf(at, "Collected : %llu", &count) == 1)
			found = true;
	}
	fclose(f);
	bench_need(waitpid(pid, &status, 0) == pid && status == 0 && found,
		   "callgrind");
	return count;
}
