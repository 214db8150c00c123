/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks by io_uring: a ring for each user, on the user's loop.
 *
 * Everything here happens on that loop. Submitting puts requests into a list;
 * committing moves them into the ring, as many as its completions have room
 * for, and takes what the kernel completed at once. The rest is reported by an
 * eventfd.
 */
#include "ring.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES 256u
#define ENTRIES_MAX 4096u
#define RETRY_NS 1000000u
#define FLAGS (VCORE_DISK_FILE_READONLY | VCORE_DISK_FILE_DIRECT | \
	       VCORE_DISK_FILE_FD)

int
vcore__uring_error(int rc, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	return vcore_error_set(rc, text);
}

static void
disk_put(struct vcore__uring_disk *d)
{
	if (atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	close(d->fd);
	free(d);
}

static void
finish(struct vcore_disk_request *req, int rc)
{
	vcore__uring_forget(req);
	vcore_disk_done(req, rc);
}

static void
append(struct vcore__uring_queue *q, struct vcore_disk_request *req)
{
	req->driver[0] = NULL;
	if (q->first == NULL)
		q->first = req;
	else
		q->last->driver[0] = req;
	q->last = req;
}

static void
retry_later(struct vcore__uring_queue *q)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	(void)vcore_source_set_timer(q->retry,
				     (uint64_t)now.tv_sec * 1000000000u +
					     (uint64_t)now.tv_nsec + RETRY_NS);
}

/* Hand the ring's entries to the kernel. */
static void
enter(struct vcore__uring_queue *q)
{
	int rc = 1;

	while (rc > 0 && io_uring_sq_ready(&q->ring) > 0)
		rc = io_uring_submit(&q->ring);
	/* Out of memory, or interrupted: they stay in the ring. */
	if (io_uring_sq_ready(&q->ring) > 0)
		retry_later(q);
}

/* One waiting request into the ring; false: it has no room. */
static bool
put_one(struct vcore__uring_queue *q)
{
	struct vcore_disk_request *req = q->first;
	struct io_uring_sqe *sqe;
	int rc;

	if (q->in_kernel == q->max)
		return false;
	sqe = io_uring_get_sqe(&q->ring);
	if (sqe == NULL)
		return false;
	q->first = req->driver[0];
	rc = vcore__uring_prepare(q, req, sqe);
	q->in_kernel++;
	if (rc == 0)
		return true;
	/* The entry is taken: it does nothing, and nobody waits for it. */
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	finish(req, rc);
	return true;
}

/* As many waiting requests as there is room for; true: any. */
static bool
push(struct vcore__uring_queue *q)
{
	bool put = false;

	while (!q->dead && q->first != NULL && put_one(q))
		put = true;
	if (!q->dead)
		enter(q);
	return put;
}

static void
free_queue(struct vcore__uring_queue *q)
{
	io_uring_queue_exit(&q->ring);
	if (q->eventfd >= 0)
		close(q->eventfd);
	disk_put(q->disk);
	free(q);
}

/* Take one completion; false: there is none. */
static bool
reap_one(struct vcore__uring_queue *q)
{
	struct vcore_disk_request *req;
	struct io_uring_cqe *cqe;
	int rc;

	if (io_uring_peek_cqe(&q->ring, &cqe) != 0)
		return false;
	req = io_uring_cqe_get_data(cqe);
	rc = cqe->res;
	io_uring_cqe_seen(&q->ring, cqe);
	q->in_kernel--;
	if (req == NULL)
		return true;
	rc = vcore__uring_step(q, req, rc);
	if (rc > 0)
		append(q, req);
	else
		finish(req, rc);
	return true;
}

/*
 * Submit what waits, take what is done, and again, as one leads to the other.
 * A done that calls us leaves the work to the call it was called from.
 */
static void
run(struct vcore__uring_queue *q)
{
	bool more;

	if (q->busy)
		return;
	q->busy = true;
	do {
		more = push(q);
		while (!q->dead && reap_one(q))
			more = true;
	} while (!q->dead && more && q->first != NULL);
	q->busy = false;
	if (q->dead)
		free_queue(q);
}

static void
on_event(void *opaque, uint32_t ready)
{
	(void)ready;
	run(opaque);
}

static void
uring_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	int rc = vcore__uring_check(opaque, req);

	req->driver[1] = NULL;
	req->driver[2] = NULL;
	if (rc < 0 || (req->len == 0 && req->op != VCORE_DISK_FLUSH))
		vcore_disk_done(req, rc);
	else
		append(queue, req);
}

static void
uring_commit(void *opaque, void *queue)
{
	(void)opaque;
	run(queue);
}

static void
uring_cancel(void *opaque, void *queue)
{
	struct vcore__uring_queue *q = queue;
	struct vcore_disk_request *req, *next;
	struct io_uring_sqe *sqe;

	(void)opaque;
	req = q->first;
	q->first = NULL;
	/* Those the kernel has queued and not begun; it may not know how. */
	if (q->in_kernel > 0 && q->in_kernel < q->max &&
	    (sqe = io_uring_get_sqe(&q->ring)) != NULL) {
		io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY |
						       IORING_ASYNC_CANCEL_ALL);
		io_uring_sqe_set_data(sqe, NULL);
		q->in_kernel++;
		enter(q);
	}
	for (; req != NULL; req = next) {
		next = req->driver[0];
		finish(req, -ECANCELED);
	}
}

static int
add_sources(struct vcore__uring_queue *q, struct vcore_loop *loop)
{
	struct vcore_source_opts o;
	int rc;

	VCORE_INIT(&o);
	o.fd = q->eventfd;
	o.flags = VCORE_SOURCE_EVENTFD;
	o.events = VCORE_LOOP_READ;
	o.fn = on_event;
	o.opaque = q;
	rc = vcore_loop_add(loop, &o, &q->source);
	if (rc < 0)
		return rc;
	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = on_event;
	o.opaque = q;
	rc = vcore_loop_add(loop, &o, &q->retry);
	if (rc < 0)
		vcore_source_remove(q->source);
	return rc;
}

static int
open_ring(struct vcore__uring_queue *q)
{
	int rc = io_uring_queue_init(q->disk->entries, &q->ring, 0);

	if (rc < 0)
		return rc;
	q->max = *q->ring.cq.kring_entries;
	q->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = q->eventfd < 0 ? -errno :
			      io_uring_register_eventfd(&q->ring, q->eventfd);
	if (rc < 0) {
		io_uring_queue_exit(&q->ring);
		if (q->eventfd >= 0)
			close(q->eventfd);
		return rc;
	}
	/* Saves the kernel looking the descriptor up each time. */
	q->fixed = io_uring_register_files(&q->ring, &q->disk->fd, 1) == 0;
	return 0;
}

static int
uring_attach(void *opaque, struct vcore_loop *loop, void **queue)
{
	struct vcore__uring_disk *d = opaque;
	struct vcore__uring_queue *q;
	int rc;

	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return vcore__uring_error(-ENOMEM,
					  "vcore_disk_attach: no memory");
	q->disk = d;
	rc = open_ring(q);
	if (rc < 0) {
		free(q);
		return vcore__uring_error(rc,
					  "vcore_disk_attach: io_uring of %u entries: %s",
					  d->entries, strerrordesc_np(-rc));
	}
	atomic_fetch_add(&d->refs, 1);
	rc = add_sources(q, loop);
	if (rc < 0) {
		free_queue(q);
		return rc;
	}
	*queue = q;
	return 0;
}

static void
uring_detach(void *opaque, void *queue)
{
	struct vcore__uring_queue *q = queue;

	(void)opaque;
	vcore_source_remove(q->source);
	vcore_source_remove(q->retry);
	if (q->busy)
		q->dead = true;
	else
		free_queue(q);
}

static int
uring_limits(void *opaque, struct vcore_disk_limits *limits)
{
	*limits = ((struct vcore__uring_disk *)opaque)->limits;
	return 0;
}

static void
uring_clear_error(void *opaque)
{
	atomic_store(&((struct vcore__uring_disk *)opaque)->flush_error, 0);
}

static void
uring_release(void *opaque)
{
	disk_put(opaque);
}

static const struct vcore_disk_ops uring_ops = {
	.size = sizeof(uring_ops),
	.submit = uring_submit,
	.limits = uring_limits,
	.commit = uring_commit,
	.attach = uring_attach,
	.detach = uring_detach,
	.cancel = uring_cancel,
	.clear_error = uring_clear_error,
};

/* Does this kernel, for us, do all that we use? */
static int
probe(void)
{
	static const int ops[] = { IORING_OP_READ, IORING_OP_READV,
				   IORING_OP_WRITE, IORING_OP_WRITEV,
				   IORING_OP_FSYNC, IORING_OP_FALLOCATE };
	struct io_uring_probe *p;
	struct io_uring ring;
	int rc, missing = -1;

	rc = io_uring_queue_init(2, &ring, 0);
	if (rc < 0)
		return vcore__uring_error(rc == -ENOSYS ? -EOPNOTSUPP : rc,
					  "vcore_uring_new: io_uring_setup: %s",
					  strerrordesc_np(-rc));
	p = io_uring_get_probe_ring(&ring);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (p == NULL || !io_uring_opcode_supported(p, ops[i]))
			missing = ops[i];
	io_uring_free_probe(p);
	io_uring_queue_exit(&ring);
	if (missing >= 0)
		return vcore__uring_error(-EOPNOTSUPP,
					  "vcore_uring_new: the kernel's io_uring lacks operation %d",
					  missing);
	return 0;
}

/* A caller's struct into ours: as the library does it with its own. */
static int
copy_opts(struct vcore_uring_opts *o, const struct vcore_uring_opts *opts)
{
	const char *bytes = (const char *)opts;

	VCORE_INIT(o);
	if (opts == NULL || opts->size < sizeof(*o) || opts->size > 4096)
		return vcore__uring_error(-EINVAL, "vcore_uring_new: opts: %s",
					  opts == NULL ? "NULL" : "bad size");
	for (uint32_t i = sizeof(*o); i < opts->size; i++)
		if (bytes[i] != 0)
			return vcore__uring_error(-E2BIG,
						  "vcore_uring_new: opts: unknown field at %u",
						  i);
	memcpy(o, opts, sizeof(*o));
	if (o->flags & ~FLAGS)
		return vcore__uring_error(-E2BIG,
					  "vcore_uring_new: flags %#x",
					  o->flags);
	if (o->entries > ENTRIES_MAX)
		return vcore__uring_error(-EINVAL,
					  "vcore_uring_new: entries %u, at most %u",
					  o->entries, ENTRIES_MAX);
	return 0;
}

static int
open_file(struct vcore__uring_disk *d, const struct vcore_uring_opts *o)
{
	struct vcore_disk_file_opts file;

	VCORE_INIT(&file);
	VCORE_INIT(&d->limits);
	file.flags = o->flags;
	file.path = o->path;
	file.fd = o->fd;
	d->fd = vcore_disk_open_file(&file, &d->limits);
	if (d->fd < 0)
		return vcore__uring_error(d->fd, "vcore_uring_new: %s",
					  vcore_error_text());
	d->direct = (fcntl(d->fd, F_GETFL) & O_DIRECT) != 0;
	return 0;
}

int
vcore_uring_new(const struct vcore_uring_opts *opts, struct vcore_disk **disk)
{
	struct vcore__uring_disk *d;
	struct vcore_uring_opts o;
	int rc;

	if (disk == NULL)
		return vcore__uring_error(-EINVAL,
					  "vcore_uring_new: disk is NULL");
	rc = copy_opts(&o, opts);
	if (rc == 0)
		rc = probe();
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return vcore__uring_error(-ENOMEM,
					  "vcore_uring_new: no memory");
	atomic_init(&d->refs, 1);
	d->entries = o.entries != 0 ? o.entries : ENTRIES;
	rc = open_file(d, &o);
	if (rc < 0) {
		free(d);
		return rc;
	}
	rc = vcore_disk_new(&uring_ops, d, uring_release, disk);
	if (rc < 0) {
		disk_put(d);
		return vcore__uring_error(rc, "vcore_uring_new: %s",
					  vcore_error_text());
	}
	return 0;
}
