/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks under random requests of 4 KiB: both engines, 1 and 32 in flight, on a
 * file of tmpfs and on one of a disk with O_DIRECT (in $VCORE_BENCH_DISK or
 * /var/tmp); against fio with the same engine on the same file, in turns.
 *
 * usage: bench_disk [CASES]: those whose names begin so.
 *
 * - A disk is driven as a block device drives it: requests are submitted on a
 *   loop and committed together; what is done, on whatever thread, goes into a
 *   list; the loop takes the list and submits those requests again.
 * - fio's peer of the pool makes plain system calls (psync): one thread for one
 *   request in flight, and as many as the pool has, 4, for 32. Its io_uring has
 *   as many in flight as ours, with a registered file, as ours.
 * - All of it is on one processor, so the same resources are compared; where
 *   threads wake each other, it is not across processors.
 * - "cpu" is processor time a request, user and system, with all threads: of
 *   fio the whole process, so its start is in it, about 1 % of such a block.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vcore/disk.h>
#ifdef HAVE_URING
#include <vcore/uring.h>
#endif

#define BLOCK   4096u
#define DEPTH_MAX 32u
#define ROUNDS_MAX 9u
#define TURN    64u		/* rounds before the loop looks around */

enum engine { POOL, URING };

struct setup {
	const char *where, *path;	/* "memory" or "disk" */
	bool direct;
	enum engine engine;
	bool write;
	uint32_t depth;
	const char *only;		/* what names of cases begin with */
};

struct result {
	double iops, cpu_ns;
};

struct request {
	struct vcore_disk_request disk;	/* first */
	struct iovec iov;
	struct request *next;
	struct run *run;
};

struct run {
	const struct setup *setup;
	struct vcore_loop *loop;
	struct vcore_disk *disk;
	void *queue;
	struct request request[DEPTH_MAX];
	uint64_t blocks, random, count;
	double until;
	uint32_t in_flight;
	pthread_mutex_t lock;		/* of what follows */
	struct request *done;
	bool posted;			/* serve() runs or will */
};

static void serve(void *opaque);

static uint64_t
file_bytes(void)
{
	return bench_count(256, 16) << 20;
}

/* Any thread. */
static void
request_done(struct vcore_disk_request *disk)
{
	struct request *req = (struct request *)disk;
	struct run *r = req->run;
	struct vcore_loop *loop = NULL;

	pthread_mutex_lock(&r->lock);
	req->next = r->done;
	r->done = req;
	if (!r->posted)
		loop = vcore_loop_ref(r->loop);
	r->posted = true;
	pthread_mutex_unlock(&r->lock);
	/* r is there until the pool is gone, which waits for us. */
	if (loop) {
		bench_need(vcore_loop_call(loop, serve, r) == 0, "call");
		vcore_loop_unref(loop);
	}
}

/* What is done; if nothing is, the next to be done calls serve() again. */
static struct request *
take_done(struct run *r)
{
	struct request *list;

	pthread_mutex_lock(&r->lock);
	list = r->done;
	r->done = NULL;
	r->posted = list != NULL;
	pthread_mutex_unlock(&r->lock);
	return list;
}

static void
submit(struct run *r, struct request *req)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	req->disk.offset = r->random % r->blocks * BLOCK;
	r->in_flight++;
	vcore_disk_submit(r->disk, r->queue, &req->disk);
}

static void
serve(void *opaque)
{
	struct run *r = opaque;
	struct request *req, *next;
	bool go_on;

	for (uint32_t i = 0; i < TURN && (req = take_done(r)); i++) {
		go_on = bench_now_ns() < r->until;
		for (; req; req = next) {
			next = req->next;
			bench_need(req->disk.rc == 0, "a request failed");
			r->in_flight--;
			r->count++;
			if (go_on)
				submit(r, req);
		}
		vcore_disk_commit(r->disk, r->queue);
	}
	pthread_mutex_lock(&r->lock);
	if (r->posted)
		bench_need(vcore_loop_call(r->loop, serve, r) == 0, "call");
	pthread_mutex_unlock(&r->lock);
}

static void
begin(void *opaque)
{
	struct run *r = opaque;

	for (uint32_t i = 0; i < r->setup->depth; i++)
		submit(r, &r->request[i]);
	vcore_disk_commit(r->disk, r->queue);
}

static int
open_disk(const struct setup *s, struct vcore_disk **disk)
{
	uint32_t flags = s->direct ? VCORE_DISK_FILE_DIRECT : 0;
	struct vcore_disk_file_opts file;

#ifdef HAVE_URING
	struct vcore_uring_opts uring;

	if (s->engine == URING) {
		VCORE_INIT(&uring);
		uring.path = s->path;
		uring.flags = flags;
		return vcore_uring_new(&uring, disk);
	}
#endif
	VCORE_INIT(&file);
	file.path = s->path;
	file.flags = flags;
	return vcore_disk_new_file(&file, disk);
}

/* Neither O_DIRECT nor io_uring is everywhere. */
static bool
can_open(const struct setup *s, const char *name)
{
	struct vcore_disk *disk;

#ifndef HAVE_URING
	if (s->engine == URING) {
		fprintf(stderr, "bench_disk: %s: not built\n", name);
		return false;
	}
#endif
	if (open_disk(s, &disk) == 0) {
		vcore_disk_unref(disk);
		return true;
	}
	fprintf(stderr, "bench_disk: %s: %s\n", name, vcore_error_text());
	return false;
}

static void
make_requests(struct run *r)
{
	for (uint32_t i = 0; i < r->setup->depth; i++) {
		struct request *req = &r->request[i];

		req->iov.iov_len = BLOCK;
		bench_need(posix_memalign(&req->iov.iov_base, BLOCK,
					  BLOCK) == 0, "memory");
		memset(req->iov.iov_base, (int)i + 1, BLOCK);
		req->run = r;
		req->disk.op = r->setup->write ? VCORE_DISK_WRITE :
						 VCORE_DISK_READ;
		req->disk.len = BLOCK;
		req->disk.iov = &req->iov;
		req->disk.iov_count = 1;
		req->disk.done = request_done;
	}
}

static double
cpu_ns(const struct rusage *u)
{
	return ((double)u->ru_utime.tv_sec + (double)u->ru_stime.tv_sec) * 1e9 +
	       ((double)u->ru_utime.tv_usec + (double)u->ru_stime.tv_usec) * 1e3;
}

static struct result
run_ours(const struct setup *s, double seconds)
{
	struct run r = {
		.setup = s, .random = 88172645463325252ull,
		.blocks = file_bytes() / BLOCK,
	};
	struct rusage before, after;
	double start, end;

	pthread_mutex_init(&r.lock, NULL);
	bench_need(vcore_loop_new(NULL, &r.loop) == 0, "loop");
	bench_need(open_disk(s, &r.disk) == 0, s->path);
	bench_need(vcore_disk_attach(r.disk, r.loop, &r.queue) == 0, "attach");
	make_requests(&r);
	getrusage(RUSAGE_SELF, &before);
	start = bench_now_ns();
	r.until = start + seconds * 1e9;
	bench_need(vcore_loop_call(r.loop, begin, &r) == 0, "call");
	do
		bench_need(vcore_loop_dispatch(r.loop, -1) >= 0, "dispatch");
	while (r.in_flight > 0);
	end = bench_now_ns();
	getrusage(RUSAGE_SELF, &after);
	vcore_disk_detach(r.disk, r.queue);
	vcore_disk_unref(r.disk);
	vcore_loop_unref(r.loop);
	pthread_mutex_destroy(&r.lock);
	for (uint32_t i = 0; i < s->depth; i++)
		free(r.request[i].iov.iov_base);
	return (struct result){
		.iops = (double)r.count / ((end - start) * 1e-9),
		.cpu_ns = (cpu_ns(&after) - cpu_ns(&before)) / (double)r.count,
	};
}

/* fio itself; its one line of results (terse, version 3) goes to out. */
static void
exec_fio(const struct setup *s, double seconds, int out)
{
	static char name[4096], rw[32], engine[32], jobs[32], depth[32], time[32];
	bool pool = s->engine == POOL;
	const char *argv[] = {
		"fio", "--name=x", "--minimal", "--terse-version=3",
		"--thread", "--group_reporting", "--time_based",
		"--norandommap", "--randrepeat=0", "--bs=4k",
		"--allow_file_create=0", s->direct ? "--direct=1" : "--direct=0",
		"--invalidate=0", name, rw, engine, jobs, depth, time,
		pool ? NULL : "--registerfiles", NULL,
	};

	snprintf(name, sizeof(name), "--filename=%s", s->path);
	snprintf(rw, sizeof(rw), "--rw=rand%s", s->write ? "write" : "read");
	snprintf(engine, sizeof(engine), "--ioengine=%s",
		 pool ? "psync" : "io_uring");
	snprintf(jobs, sizeof(jobs), "--numjobs=%u",
		 pool && s->depth > 1 ? 4u : 1u);
	snprintf(depth, sizeof(depth), "--iodepth=%u", pool ? 1u : s->depth);
	snprintf(time, sizeof(time), "--runtime=%.0f", seconds);
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "bench_disk: fio: %s\n", strerror(errno));
	_exit(127);
}

/* Field n of a terse line, from 1. */
static double
field(const char *line, uint32_t n)
{
	while (--n > 0 && line)
		if ((line = strchr(line, ';')))
			line++;
	return line ? strtod(line, NULL) : 0;
}

static struct result
run_fio(const struct setup *s, double seconds)
{
	/* KiB transferred, then bandwidth, then IOPS: of reads, of writes */
	uint32_t at = s->write ? 47 : 6;
	char line[16384] = "";
	struct rusage usage;
	struct result r;
	int fds[2], status;
	pid_t pid;
	FILE *f;

	bench_need(pipe(fds) == 0, "pipe");
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		close(fds[0]);
		exec_fio(s, seconds, fds[1]);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	bench_need(f && fgets(line, sizeof(line), f), "fio says nothing");
	fclose(f);
	bench_need(wait4(pid, &status, 0, &usage) == pid && status == 0, "fio");
	r.iops = field(line, at + 2);
	bench_need(r.iops > 0, "fio did nothing");
	r.cpu_ns = cpu_ns(&usage) / (field(line, at) / 4);
	return r;
}

static void
print(const char *name, struct result *ours, struct result *fio, uint32_t n)
{
	double v[4][ROUNDS_MAX];

	for (uint32_t i = 0; i < n; i++) {
		v[0][i] = ours[i].iops;
		v[1][i] = fio[i].iops;
		v[2][i] = ours[i].cpu_ns;
		v[3][i] = fio[i].cpu_ns;
	}
	/* Best: others can only make it slower. */
	bench_print(bench_quantile(v[0], n, 1), "IOPS",
		    bench_quantile(v[1], n, 1), "%s, best", name);
	bench_print(bench_quantile(v[0], n, 0.5), "IOPS",
		    bench_quantile(v[1], n, 0.5), "%s, median", name);
	bench_print(bench_quantile(v[2], n, 0), "ns/request",
		    bench_quantile(v[3], n, 0), "%s, cpu, min", name);
}

static void
measure(const struct setup *s)
{
	struct result ours[ROUNDS_MAX], fio[ROUNDS_MAX];
	char name[128];
	uint32_t n = (uint32_t)bench_count(5, 1);
	double seconds = bench_smoke() ? 0.02 : 1;

	snprintf(name, sizeof(name), "%s, %s, %s, depth %u",
		 s->engine == POOL ? "pool" : "io_uring", s->where,
		 s->write ? "write" : "read", s->depth);
	if (s->only && strncmp(name, s->only, strlen(s->only)) != 0)
		return;
	if (!can_open(s, name))
		return;
	if (bench_smoke()) {
		ours[0] = run_ours(s, seconds);
		fio[0] = (struct result){ .iops = NAN, .cpu_ns = NAN };
	} else {
		for (uint32_t i = 0; i < n; i++) {
			ours[i] = run_ours(s, seconds);
			fio[i] = run_fio(s, seconds);
		}
	}
	print(name, ours, fio, n);
}

/* Write every block of it: a hole would be read without the disk. */
static void
fill(int fd)
{
	static char block[1 << 20];

	memset(block, 0x5a, sizeof(block));
	for (uint64_t done = 0; done < file_bytes(); done += sizeof(block))
		bench_need(write(fd, block, sizeof(block)) ==
			   (ssize_t)sizeof(block), "write");
	bench_need(fsync(fd) == 0, "fsync");
}

/* All cases on one file, which has no name; fio opens it here, too. */
static void
measure_file(struct setup *s, const char *where, int fd, bool direct)
{
	char path[64];

	bench_need(fd >= 0, where);
	fill(fd);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	s->where = where;
	s->path = path;
	s->direct = direct;
	for (uint32_t i = 0; i < 8; i++) {
		s->engine = i / 4 ? URING : POOL;
		s->write = i & 2;
		s->depth = i & 1 ? DEPTH_MAX : 1;
		measure(s);
	}
	close(fd);
}

static int
unnamed_file(const char *dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/vcore-bench-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

int
main(int argc, char **argv)
{
	struct setup s = { .only = argc > 1 ? argv[1] : NULL };
	const char *dir = getenv("VCORE_BENCH_DISK");

	bench_begin("disk", true);
	measure_file(&s, "memory", memfd_create("bench", MFD_CLOEXEC), false);
	measure_file(&s, "disk", unnamed_file(dir ? dir : "/var/tmp"), true);
	return bench_end();
}
