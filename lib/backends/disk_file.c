/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disk on a file: requests wait in a list per user until a worker of the pool
 * takes them, so that those not begun can still be cancelled.
 *
 * Of a file in memory there is nothing to wait for but the copying, and to wake
 * a worker costs several times as much as to copy a block: what is small is
 * done in commit, on the loop. That can wait for memory, or for a page that was
 * swapped out, as each access to guest memory can.
 */
#include "backends/disk_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "loop/call.h"

#define RUNNERS 8u		/* workers one user can keep busy */
#define TURN 16u		/* requests before others of the pool come */
#define HERE (256u << 10)	/* bytes that one commit copies itself */

struct file_disk {
	_Atomic uint32_t refs;		/* the disk, each queue */
	bool in_memory;			/* constant once made */
	bool reserved[3];
	struct vcore__file file;
	struct vcore_pool *pool;
};

struct runner {
	struct vcore__call call;
	struct file_queue *queue;
	bool active;
};

struct file_queue {
	struct file_disk *disk;
	pthread_mutex_t lock;		/* all below */
	struct vcore_disk_request *first;	/* linked by driver[0] */
	struct vcore_disk_request *last;
	uint32_t waiting;
	uint32_t active;		/* runners, and run_here() */
	bool detached;
	bool here;			/* the loop's: in run_here() */
	struct runner runner[RUNNERS];
};

static void
disk_put(struct file_disk *d)
{
	if (atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	if (d->file.fd >= 0)
		close(d->file.fd);
	vcore_pool_unref(d->pool);
	free(d);
}

static void
free_queue(struct file_queue *q)
{
	struct file_disk *d = q->disk;

	pthread_mutex_destroy(&q->lock);
	free(q);
	disk_put(d);
}

/* Lock held. */
static struct vcore_disk_request *
take(struct file_queue *q)
{
	struct vcore_disk_request *req = q->first;

	if (req != NULL) {
		q->first = req->driver[0];
		q->waiting--;
	}
	return req;
}

static void
run(struct vcore__call *c)
{
	struct runner *r = VCORE__CONTAINER(c, struct runner, call);
	struct file_queue *q = r->queue;
	struct vcore_pool *pool = q->disk->pool;
	struct vcore_disk_request *req = NULL;
	bool more, last = false;

	pthread_mutex_lock(&q->lock);
	for (uint32_t i = 0; i < TURN && (req = take(q)) != NULL; i++) {
		pthread_mutex_unlock(&q->lock);
		vcore_disk_done(req, vcore__file_run(&q->disk->file, req));
		pthread_mutex_lock(&q->lock);
	}
	more = q->first != NULL;
	if (!more) {
		r->active = false;
		last = --q->active == 0 && q->detached;
	}
	pthread_mutex_unlock(&q->lock);
	/* Only while active does anything here outlive a detach. */
	if (more)
		vcore__pool_post(pool, c);
	else if (last)
		free_queue(q);
}

static void
file_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	struct file_queue *q = queue;

	(void)opaque;
	req->driver[0] = NULL;
	pthread_mutex_lock(&q->lock);
	if (q->first == NULL)
		q->first = req;
	else
		q->last->driver[0] = req;
	q->last = req;
	q->waiting++;
	pthread_mutex_unlock(&q->lock);
}

/* Lock held: the first request, if it is one to copy here. */
static struct vcore_disk_request *
take_here(struct file_queue *q, uint64_t room)
{
	const struct vcore_disk_request *req = q->first;

	if (req == NULL || req->len > room ||
	    (req->op != VCORE_DISK_READ && req->op != VCORE_DISK_WRITE))
		return NULL;
	return take(q);
}

/*
 * On the loop. A done that commits leaves that to the call it is in; one that
 * detaches, too. false: the queue is gone, or its user.
 */
static bool
run_here(struct file_queue *q)
{
	struct vcore_disk_request *req;
	uint64_t room = HERE;
	bool last, detached;

	if (q->here)
		return false;
	q->here = true;
	pthread_mutex_lock(&q->lock);
	q->active++;
	while ((req = take_here(q, room)) != NULL) {
		pthread_mutex_unlock(&q->lock);
		room -= req->len;
		vcore_disk_done(req, vcore__file_run(&q->disk->file, req));
		pthread_mutex_lock(&q->lock);
	}
	q->here = false;
	detached = q->detached;
	last = --q->active == 0;
	pthread_mutex_unlock(&q->lock);
	if (!detached)
		return true;
	if (last)
		free_queue(q);
	return false;
}

/* A runner to post, or NULL. Lock held. */
static struct runner *
wake_one(struct file_queue *q)
{
	for (uint32_t i = 0; i < RUNNERS; i++) {
		if (q->runner[i].active)
			continue;
		q->runner[i].active = true;
		q->active++;
		return &q->runner[i];
	}
	return NULL;
}

static void
file_commit(void *opaque, void *queue)
{
	struct file_disk *d = opaque;
	struct file_queue *q = queue;
	struct runner *wake[RUNNERS];
	uint32_t n = 0;

	if (d->in_memory && !run_here(q))
		return;
	pthread_mutex_lock(&q->lock);
	while (n < q->waiting && n < RUNNERS &&
	       (wake[n] = wake_one(q)) != NULL)
		n++;
	pthread_mutex_unlock(&q->lock);
	while (n > 0)
		vcore__pool_post(d->pool, &wake[--n]->call);
}

static void
file_cancel(void *opaque, void *queue)
{
	struct file_queue *q = queue;
	struct vcore_disk_request *req, *next;

	(void)opaque;
	pthread_mutex_lock(&q->lock);
	req = q->first;
	q->first = NULL;
	q->waiting = 0;
	pthread_mutex_unlock(&q->lock);
	for (; req != NULL; req = next) {
		next = req->driver[0];
		vcore_disk_done(req, -ECANCELED);
	}
}

static int
file_attach(void *opaque, struct vcore_loop *loop, void **queue)
{
	struct file_disk *d = opaque;
	struct file_queue *q;

	(void)loop;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_disk_attach: no memory");
	pthread_mutex_init(&q->lock, NULL);
	for (uint32_t i = 0; i < RUNNERS; i++) {
		q->runner[i].call.fn = run;
		q->runner[i].queue = q;
	}
	q->disk = d;
	atomic_fetch_add(&d->refs, 1);
	*queue = q;
	return 0;
}

static void
file_detach(void *opaque, void *queue)
{
	struct file_queue *q = queue;
	bool last;

	(void)opaque;
	pthread_mutex_lock(&q->lock);
	q->detached = true;
	last = q->active == 0;
	pthread_mutex_unlock(&q->lock);
	if (last)
		free_queue(q);
}

static int
file_limits(void *opaque, struct vcore_disk_limits *limits)
{
	struct file_disk *d = opaque;

	vcore__file_limits(&d->file, limits);
	return 0;
}

static void
file_clear_error(void *opaque)
{
	atomic_store(&((struct file_disk *)opaque)->file.flush_error, 0);
}

static void
file_release(void *opaque)
{
	disk_put(opaque);
}

static const struct vcore_disk_ops file_ops = {
	.size = sizeof(file_ops),
	.submit = file_submit,
	.limits = file_limits,
	.commit = file_commit,
	.attach = file_attach,
	.detach = file_detach,
	.cancel = file_cancel,
	.clear_error = file_clear_error,
};

int
vcore__disk_new_file(const struct vcore_disk_file_opts *opts,
		     const struct vcore__file_sys *sys,
		     struct vcore_disk **disk)
{
	struct vcore_disk_file_opts o;
	struct file_disk *d;
	int rc;

	if (disk == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_new_file: disk is NULL");
	rc = VCORE__SIZED("vcore_disk_new_file: opts", &o, pool, opts);
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_disk_new_file: no memory");
	atomic_init(&d->refs, 1);
	d->file.sys = sys;
	rc = vcore__file_open(&d->file, &o, "vcore_disk_new_file");
	if (rc == 0 && sys->in_memory != NULL)
		d->in_memory = sys->in_memory(d->file.fd);
	if (rc == 0 && o.pool != NULL)
		d->pool = vcore_pool_ref(o.pool);
	else if (rc == 0)
		rc = vcore_pool_new(NULL, &d->pool);
	if (rc == 0)
		rc = vcore_disk_new(&file_ops, d, file_release, disk);
	if (rc < 0)
		disk_put(d);
	return vcore__err_name(rc, "vcore_disk_new_file");
}

int
vcore_disk_new_file(const struct vcore_disk_file_opts *opts,
		    struct vcore_disk **disk)
{
	return vcore__disk_new_file(opts, &vcore__file_sys, disk);
}
