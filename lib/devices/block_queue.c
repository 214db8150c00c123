/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of the block device: chains to the disk, and back when it is done.
 *
 * The disk completes on any thread. A done request goes into a list, and a
 * call that takes the list is posted to the loop unless one is on its way, so
 * that what is done at about the same time is returned together.
 *
 * Everything a completing thread touches of the queue it touches under the
 * lock: once the loop has taken the last request from the list, that thread is
 * out, and the queue can stop. But for the call, which is posted after that, so
 * that the loop does not wake up to wait for the lock: while it is on its way
 * the queue does not stop, and the loop is held by a reference.
 */
#include "devices/block.h"

#include <linux/virtio_blk.h>
#include <stdlib.h>

#include "base/base.h"
#include "loop/call.h"

static struct vcore__block_request *
of_disk(struct vcore_disk_request *disk)
{
	return VCORE__CONTAINER(disk, struct vcore__block_request, disk);
}

static void
disk_done(struct vcore_disk_request *disk)
{
	struct vcore__block_request *req = of_disk(disk);
	struct vcore__block_queue *q = req->queue;
	struct vcore_loop *loop = NULL;

	req->next = NULL;
	pthread_mutex_lock(&q->lock);
	*q->done_end = req;
	q->done_end = &req->next;
	if (!q->posted) {
		q->posted = true;
		loop = vcore_loop_ref(vcore_virtqueue_loop(q->vq));
	}
	pthread_mutex_unlock(&q->lock);
	if (loop != NULL) {
		vcore__loop_post(loop, &q->call);
		vcore_loop_unref(loop);
	}
}

/* The loop looks after the list itself for a while: true if so. */
static bool
begin_looking(struct vcore__block_queue *q)
{
	bool mine;

	pthread_mutex_lock(&q->lock);
	mine = !q->posted;
	q->posted = true;
	pthread_mutex_unlock(&q->lock);
	return mine;
}

/* All that is done; if there is nothing and mine, the looking has ended. */
static struct vcore__block_request *
take_done(struct vcore__block_queue *q, bool mine)
{
	struct vcore__block_request *list;

	pthread_mutex_lock(&q->lock);
	list = q->done;
	q->done = NULL;
	q->done_end = &q->done;
	if (list == NULL && mine)
		q->posted = false;
	pthread_mutex_unlock(&q->lock);
	return list;
}

static struct vcore__block_request *
get(struct vcore__block_queue *q, struct vcore_chain *chain)
{
	struct vcore__block_request *req = q->free;

	q->free = req->next;
	req->chain = chain;
	q->in_flight++;
	return req;
}

/* Answer the guest: the last byte of the writable part is the status. */
static void
put(struct vcore__block_queue *q, struct vcore__block_request *req)
{
	struct vcore_chain *c = req->chain;
	uint64_t written = req->filled;

	vcore__block_restore(req);
	if (q->how == VCORE_VIRTIO_STOP_DROP) {
		vcore_virtqueue_drop(q->vq, c);
	} else {
		vcore_chain_write(c, c->writable_len - 1, &req->status, 1);
		/* Between data and status may be bytes we did not write. */
		if (written == c->writable_len - 1)
			written++;
		if (req->status != VIRTIO_BLK_S_OK)
			vcore__block_count(&q->n.errors, 1);
		vcore_virtqueue_push(q->vq, c, (uint32_t)written);
	}
	req->next = q->free;
	q->free = req;
	q->in_flight--;
}

/* A write is done, but not with the cache off: a flush follows. */
static bool
needs_flush(struct vcore__block_queue *q, struct vcore__block_request *req)
{
	return req->status == VIRTIO_BLK_S_OK && !req->flushing &&
	       (req->disk.op == VCORE_DISK_WRITE ||
		req->disk.op == VCORE_DISK_WRITE_ZEROES) &&
	       q->how != VCORE_VIRTIO_STOP_DROP &&
	       vcore__block_is_writethrough(q->block);
}

/* true: it went to the disk once more. */
static bool
take_back(struct vcore__block_queue *q, struct vcore__block_request *req)
{
	vcore__block_result(q, req);
	if (needs_flush(q, req)) {
		req->flushing = true;
		req->disk.op = VCORE_DISK_FLUSH;
		vcore_disk_submit(q->block->disk, q->disk_queue, &req->disk);
		return true;
	}
	put(q, req);
	return false;
}

/* Return all that is done. mine: see begin_looking(). */
static void
complete(struct vcore__block_queue *q, bool mine)
{
	struct vcore__block_request *req, *next;
	bool again;

	while ((req = take_done(q, mine)) != NULL) {
		again = false;
		for (; req != NULL; req = next) {
			next = req->next;
			again |= take_back(q, req);
		}
		if (again)
			vcore_disk_commit(q->block->disk, q->disk_queue);
		vcore_virtqueue_flush(q->vq);
	}
}

/* After a stop: nothing is in flight and no call on its way. */
static void
maybe_stopped(struct vcore__block_queue *q)
{
	struct vcore_done *done = q->stopped;
	bool posted;

	if (done == NULL || q->in_flight > 0)
		return;
	pthread_mutex_lock(&q->lock);
	posted = q->posted;
	pthread_mutex_unlock(&q->lock);
	if (posted)
		return;
	vcore_disk_detach(q->block->disk, q->disk_queue);
	free(q->requests);
	q->requests = NULL;
	q->free = NULL;
	q->vq = NULL;
	q->stopped = NULL;
	vcore_done_call(done, 0);
}

static void
run_done(struct vcore__call *c)
{
	struct vcore__block_queue *q =
		VCORE__CONTAINER(c, struct vcore__block_queue, call);

	complete(q, true);
	maybe_stopped(q);
}

static void
accept(struct vcore__block_queue *q, struct vcore_chain *chain)
{
	struct vcore__block_request *req;

	/* Nowhere to say anything: the driver gets its buffers back. */
	if (chain->writable_len == 0) {
		vcore__block_count(&q->n.errors, 1);
		vcore_virtqueue_push(q->vq, chain, 0);
		return;
	}
	req = get(q, chain);
	if (vcore__block_parse(q->block, req))
		vcore_disk_submit(q->block->disk, q->disk_queue, &req->disk);
	else
		put(q, req);
}

void
vcore__block_queue_kick(void *opaque, struct vcore_virtqueue *vq)
{
	struct vcore__block *b = opaque;
	struct vcore__block_queue *q = &b->queue[vcore_virtqueue_index(vq)];
	struct vcore_chain *chain;
	bool mine = begin_looking(q), popped;

	vcore_virtqueue_disable_kick(vq);
	/* A queue that gives nothing although more waits will kick again. */
	do {
		popped = false;
		while (vcore_virtqueue_pop(vq, &chain) > 0) {
			accept(q, chain);
			popped = true;
		}
	} while (vcore_virtqueue_enable_kick(vq) > 0 && popped);
	vcore_disk_commit(b->disk, q->disk_queue);
	vcore_virtqueue_flush(vq);
	complete(q, mine);
}

void
vcore__block_queue_stop(void *opaque, struct vcore_virtqueue *vq, uint32_t how,
			struct vcore_done *done)
{
	struct vcore__block *b = opaque;
	struct vcore__block_queue *q = &b->queue[vcore_virtqueue_index(vq)];

	q->how = how;
	q->stopped = done;
	if (how == VCORE_VIRTIO_STOP_DROP)
		vcore_disk_cancel(b->disk, q->disk_queue);
	maybe_stopped(q);
}

int
vcore__block_queue_start(void *opaque, struct vcore_virtqueue *vq)
{
	struct vcore__block *b = opaque;
	struct vcore__block_queue *q = &b->queue[vcore_virtqueue_index(vq)];
	uint32_t n = vcore_virtqueue_size(vq);
	int rc;

	q->requests = calloc(n, sizeof(*q->requests));
	if (q->requests == NULL)
		return -ENOMEM;
	rc = vcore_disk_attach(b->disk, vcore_virtqueue_loop(vq),
			       &q->disk_queue);
	if (rc < 0) {
		free(q->requests);
		q->requests = NULL;
		return rc;
	}
	q->free = NULL;
	for (uint32_t i = 0; i < n; i++) {
		q->requests[i].queue = q;
		q->requests[i].disk.done = disk_done;
		q->requests[i].next = q->free;
		q->free = &q->requests[i];
	}
	q->call.fn = run_done;
	q->vq = vq;
	q->how = 0;
	q->stopped = NULL;
	return 0;
}
