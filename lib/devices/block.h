/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the block device: what its files share. */
#ifndef VCORE_LIB_DEVICES_BLOCK_H
#define VCORE_LIB_DEVICES_BLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/block.h>

#include "base/call.h"

#define VCORE__BLOCK_SECTOR 512u
/* Data of one request at most: more than any driver's, little enough to wait. */
#define VCORE__BLOCK_DATA_MAX ((uint64_t)256 << 20)

struct vcore__block;
struct vcore__block_queue;

/* One request of the guest: a chain, and what the disk is to do for it. */
struct vcore__block_request {
	struct vcore_disk_request disk;
	struct vcore__block_queue *queue;
	struct vcore__block_request *next;	/* free, or done */
	struct vcore_chain *chain;
	struct iovec *trimmed;		/* entry of the chain cut for the disk */
	struct iovec saved;		/* what it was */
	uint64_t filled;		/* bytes written from the buffer's start */
	uint8_t status;			/* VIRTIO_BLK_S_* */
	bool flushing;			/* done, being made durable */
	uint8_t reserved[6];
};

struct vcore__block_counters {
	_Atomic uint64_t reads, writes, flushes, discards, zeroes, errors;
	_Atomic uint64_t bytes_read, bytes_written;
};

/* Lives as long as the device; serves while vq is set. */
struct vcore__block_queue {
	struct vcore__block *block;
	/* On the loop. */
	struct vcore_virtqueue *vq;
	void *disk_queue;
	struct vcore__block_request *requests, *free;
	uint32_t in_flight;
	uint32_t how;			/* VCORE_VIRTIO_STOP_*; 0: it serves */
	struct vcore_done *stopped;
	struct vcore__call call;	/* takes what is done */
	pthread_mutex_t lock;		/* below: filled by any thread */
	struct vcore__block_request *done, **done_end;
	bool posted;			/* call is, or the loop is at it */
	uint8_t reserved[7];
	struct vcore__block_counters n;	/* written by the loop */
};

struct vcore__block {
	struct vcore_virtio *virtio;	/* ours is its; valid while it lives */
	struct vcore_disk *disk;
	struct vcore_disk_limits limits;
	uint32_t flags;			/* VCORE_BLOCK_* */
	uint32_t queue_size, queues;
	char serial[20];
	_Atomic uint64_t features;	/* negotiated */
	_Atomic uint32_t wce;		/* as the driver set it */
	uint32_t reserved0;
	struct vcore__block_queue queue[];
};

static inline void
vcore__block_count(_Atomic uint64_t *n, uint64_t by)
{
	/* One writer. */
	atomic_store_explicit(n,
			      atomic_load_explicit(n, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

/* Must writes be flushed before they are done? */
bool
vcore__block_is_writethrough(struct vcore__block *b);

/* Refuse writes of any kind? */
bool
vcore__block_is_readonly(const struct vcore__block *b);

/*
 * block_request.c: read the chain's header. true: req->disk is for the disk;
 * false: it is done with req->status.
 */
bool
vcore__block_parse(struct vcore__block *b, struct vcore__block_request *req);

/* What the disk made of it, as a status; counts it. */
void
vcore__block_result(struct vcore__block_queue *q,
		    struct vcore__block_request *req);

/* Undo the cut. Before the chain is written to or given back. */
void
vcore__block_restore(struct vcore__block_request *req);

/* block_queue.c: methods of the device. */
int
vcore__block_queue_start(void *opaque, struct vcore_virtqueue *vq);
void
vcore__block_queue_kick(void *opaque, struct vcore_virtqueue *vq);
void
vcore__block_queue_stop(void *opaque, struct vcore_virtqueue *vq, uint32_t how,
			struct vcore_done *done);

#endif
