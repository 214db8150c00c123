/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk in memory whose requests a test can hold back and let fail. */
#include "support/fake_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake_disk: %s\n", what);
	abort();
}

/* Copy between the disk and the request's memory. */
static void
copy(struct fake_disk *f, const struct vcore_disk_request *req)
{
	uint8_t *at = f->bytes + req->offset;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < req->iov_count; i++) {
		if (req->op == VCORE_DISK_READ)
			memcpy(req->iov[i].iov_base, at + sum,
			       req->iov[i].iov_len);
		else
			memcpy(at + sum, req->iov[i].iov_base,
			       req->iov[i].iov_len);
		sum += req->iov[i].iov_len;
	}
	need(sum == req->len, "len is not the sum of the iovecs");
}

static void
complete(struct fake_disk *f, struct vcore_disk_request *req)
{
	int rc = req->op == f->fail_op ? f->fail_rc : 0;

	if (rc == 0 && (req->op == VCORE_DISK_READ ||
			req->op == VCORE_DISK_WRITE))
		copy(f, req);
	else if (rc == 0 && req->op != VCORE_DISK_FLUSH)
		memset(f->bytes + req->offset, 0, req->len);
	vcore_disk_done(req, rc);
}

static void
fake_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	struct fake_disk *f = opaque;
	bool hold;

	need(queue == f, "a queue that was not attached");
	need(req->op == VCORE_DISK_FLUSH ||
		     (req->len > 0 && req->len <= f->limits.capacity &&
		      req->offset <= f->limits.capacity - req->len),
	     "a range outside of the disk");
	pthread_mutex_lock(&f->lock);
	if (f->op_count < FAKE_DISK_KEPT)
		f->ops[f->op_count] = (struct fake_disk_op){
			req->op, req->flags, req->offset, req->len
		};
	f->op_count++;
	hold = f->hold;
	if (hold) {
		need(f->held_count < FAKE_DISK_KEPT, "too many held");
		f->held[f->held_count++] = req;
	}
	pthread_mutex_unlock(&f->lock);
	if (!hold)
		complete(f, req);
}

static int
fake_limits(void *opaque, struct vcore_disk_limits *limits)
{
	struct fake_disk *f = opaque;

	f->limits.size = limits->size;
	*limits = f->limits;
	return 0;
}

static void
fake_commit(void *opaque, void *queue)
{
	struct fake_disk *f = opaque;

	(void)queue;
	f->commits++;
}

static int
fake_attach(void *opaque, struct vcore_loop *loop, void **queue)
{
	struct fake_disk *f = opaque;

	(void)loop;
	if (f->attach_rc < 0)
		return f->attach_rc;
	f->attaches++;
	*queue = f;
	return 0;
}

static void
fake_detach(void *opaque, void *queue)
{
	struct fake_disk *f = opaque;

	(void)queue;
	f->detaches++;
}

static void
fake_cancel(void *opaque, void *queue)
{
	struct fake_disk *f = opaque;
	struct vcore_disk_request *cancelled[FAKE_DISK_KEPT];
	uint32_t keep, n;

	(void)queue;
	pthread_mutex_lock(&f->lock);
	f->cancels++;
	keep = f->begun < f->held_count ? f->begun : f->held_count;
	n = f->held_count - keep;
	memcpy(cancelled, f->held + keep, n * sizeof(cancelled[0]));
	f->held_count = keep;
	pthread_mutex_unlock(&f->lock);
	for (uint32_t i = 0; i < n; i++)
		vcore_disk_done(cancelled[i], -ECANCELED);
}

static void
fake_released(void *opaque)
{
	((struct fake_disk *)opaque)->released++;
}

static const struct vcore_disk_ops fake_ops = {
	.size = sizeof(fake_ops),
	.submit = fake_submit,
	.limits = fake_limits,
	.commit = fake_commit,
	.attach = fake_attach,
	.detach = fake_detach,
	.cancel = fake_cancel,
};

void
fake_disk_init(struct fake_disk *f, uint64_t capacity)
{
	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	f->bytes = calloc(1, capacity);
	need(f->bytes != NULL, "no memory");
	f->limits.capacity = capacity;
	f->limits.flags = VCORE_DISK_CAN_FLUSH | VCORE_DISK_CAN_DISCARD |
			  VCORE_DISK_CAN_ZERO;
	need(vcore_disk_new(&fake_ops, f, fake_released, &f->disk) == 0,
	     "vcore_disk_new");
}

void
fake_disk_fini(struct fake_disk *f)
{
	vcore_disk_unref(f->disk);
	need(f->released == 1, "somebody still has a reference");
	need(f->held_count == 0, "requests are still held");
	need(f->attaches == f->detaches, "somebody is still attached");
	pthread_mutex_destroy(&f->lock);
	free(f->bytes);
}

uint32_t
fake_disk_held(struct fake_disk *f)
{
	uint32_t n;

	pthread_mutex_lock(&f->lock);
	n = f->held_count;
	pthread_mutex_unlock(&f->lock);
	return n;
}

uint32_t
fake_disk_release(struct fake_disk *f, uint32_t n)
{
	struct vcore_disk_request *out[FAKE_DISK_KEPT];

	pthread_mutex_lock(&f->lock);
	if (n > f->held_count)
		n = f->held_count;
	memcpy(out, f->held, n * sizeof(out[0]));
	f->held_count -= n;
	memmove(f->held, f->held + n, f->held_count * sizeof(f->held[0]));
	pthread_mutex_unlock(&f->lock);
	for (uint32_t i = 0; i < n; i++)
		complete(f, out[i]);
	return n;
}
