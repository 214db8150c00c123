/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a virtio device: what its files, and its transports, share. */
#ifndef VCORE_LIB_VIRTIO_VIRTIO_H
#define VCORE_LIB_VIRTIO_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/virtio.h>

#include "base/base.h"
#include "base/call.h"
#include "base/part.h"
#include "virtio/virtqueue.h"

/* Queues of a device at most: what the PCI transport has room for. */
#define VCORE__VIRTIO_QUEUES 1024u
/* Bytes of device configuration at most: what the MMIO transport has. */
#define VCORE__VIRTIO_CONFIG 256u
/* vCPUs that may wait for one reset; more are answered at once. */
#define VCORE__VIRTIO_LATER 16u

/* Offered by every device unless withdrawn; VERSION_1 always. */
#define VCORE__VIRTIO_RING_FEATURES                                           \
	(UINT64_C(1) << 28 | UINT64_C(1) << 29 | UINT64_C(1) << 40)
#define VCORE__VIRTIO_VERSION_1  (UINT64_C(1) << 32)
#define VCORE__VIRTIO_INDIRECT   (UINT64_C(1) << 28)
#define VCORE__VIRTIO_EVENT_IDX  (UINT64_C(1) << 29)
#define VCORE__VIRTIO_RING_RESET (UINT64_C(1) << 40)

struct vcore__transport;

/* What a device does through its transport. */
struct vcore__transport_ops {
	/* any thread, device attached: used buffers in a queue */
	void (*queue_irq)(struct vcore__transport *t, uint32_t index);
	/* any thread, irq_lock held: the configuration changed */
	void (*config_irq)(struct vcore__transport *t);
	/* device lock: the device was reset */
	void (*reset)(struct vcore__transport *t);
	/*
	 * Off the bus. No locks held, any thread. When its last handler has
	 * returned the transport frees itself and calls vcore__virtio_put().
	 */
	void (*remove)(struct vcore__transport *t);
};

struct vcore__transport {
	const struct vcore__transport_ops *ops;
	struct vcore_virtio *virtio;	/* held */
};

/* Where a queue is between two posted calls. */
enum vcore__queue_run {
	VCORE__QUEUE_STOPPED = 0,
	VCORE__QUEUE_STARTED = 1,	/* or a start is posted */
	VCORE__QUEUE_STOPPING = 2	/* or a stop is posted */
};

struct vcore_done {
	struct vcore__queue *queue;
	_Atomic uint32_t armed;		/* queue_stop() owes a call */
};

struct vcore__queue {
	struct vcore_virtqueue vq;
	struct vcore_virtio *virtio;
	int kick_fd;			/* fixed: doorbells write it */
	struct vcore__call start, stop;
	struct vcore_done done;
	/* Under the device's lock. */
	enum vcore__queue_run run;
	uint32_t how;			/* STOPPING: VCORE_VIRTIO_STOP_* */
	struct vcore__ring regs;	/* as the driver wrote them */
	bool enabled;
	bool resetting;			/* RING_RESET under way */
	bool fresh;			/* not set up since enabled */
	/* On the loop. */
	bool serving;			/* queue_start() succeeded */
	struct vcore_source *source;
	_Atomic uint64_t kicks;
};

struct vcore_virtio {
	/*
	 * refs: users. holds: everything that still touches the struct: 1 for
	 * all users, 1 for a transport, 1 while a queue isn't stopped, 1 for
	 * each source. The last one frees it.
	 */
	_Atomic uint32_t refs, holds;

	/* Fixed at creation. */
	struct vcore_virtio_ops ops;
	void *opaque;
	void (*release)(void *opaque);
	uint64_t features_off;
	uint32_t queue_count, queue_max;
	char name[32];

	/* Fixed by vcore_virtio_set_env(). */
	struct vcore_memory *memory;	/* NULL: no environment yet */
	struct vcore_events *events;
	struct vcore_log *log;
	struct vcore__queue *queues;

	pthread_mutex_t lock;		/* what follows; on vCPUs, loops */
	struct vcore__memory_user user;	/* to check ring addresses */
	struct vcore__transport *transport;
	uint64_t offered, driver_features;
	_Atomic uint64_t negotiated;	/* 0 before FEATURES_OK */
	_Atomic uint32_t status;
	uint32_t active;		/* queues that are not STOPPED */
	bool paused;			/* by vcore_virtio_stop() */
	bool resetting;
	bool leaving;			/* detach or the last unref */
	bool dead;			/* no users: loops are given up */
	struct vcore__call *waiters;	/* for active == 0 */
	uint32_t later_count;
	struct vcore_access *later[VCORE__VIRTIO_LATER];
	/* The configuration as the driver sees it, and its generation. */
	uint8_t *config;
	uint32_t generation;
	_Atomic uint32_t config_stale;

	pthread_mutex_t irq_lock;	/* inside lock: config interrupts */
	bool irq_held;			/* paused: they gather */
	bool irq_gathered;
	bool irq_live;			/* DRIVER_OK and a transport */

	_Atomic uint64_t bad;
	_Atomic uint64_t config_interrupts;
	struct vcore__ratelimit limit;
};

/* virtio.c */
void
vcore__virtio_hold(struct vcore_virtio *v);
/* May free it. No locks held. */
void
vcore__virtio_put(struct vcore_virtio *v);
/* The model's opaque if this is its queue_kick(), else NULL. */
void *
vcore__virtio_model(struct vcore_virtio *v, const struct vcore_virtio_ops *ops);
/* Text of a misbehaving driver: counted, logged at a limited rate. */
void
vcore__virtio_bad(struct vcore_virtio *v, const char *what, uint64_t value);

/* lifecycle.c */
/*
 * A transport is complete: it takes the device, or -EBUSY. The device's hold
 * for it is taken.
 */
int
vcore__virtio_join(struct vcore_virtio *v, struct vcore__transport *t,
		   const char *who);
/* The transport could not finish: as if it had never joined. Keeps its hold. */
void
vcore__virtio_leave(struct vcore_virtio *v, struct vcore__transport *t);

/* As a part: stop is asynchronous. part->p borrows v. */
void
vcore__virtio_part(struct vcore_virtio *v, struct vcore__part *part);
/* any: c runs when all queues are stopped; rc 0, or -ECANCELED if started. */
void
vcore__virtio_stop(struct vcore_virtio *v, uint32_t how, struct vcore__call *c);
void
vcore__virtio_start(struct vcore_virtio *v);
/* any, no users any more: leaves the bus and stops without waiting. */
void
vcore__virtio_abandon(struct vcore_virtio *v);

/* queue.c: the device's lock is held */
void
vcore__queues_start(struct vcore_virtio *v);
void
vcore__queues_stop(struct vcore_virtio *v, uint32_t how);
void
vcore__queue_stop(struct vcore__queue *q, uint32_t how);
/* Registers as after a reset; the queue is stopped. */
void
vcore__queue_wipe(struct vcore__queue *q);
/* control; all zero before */
int
vcore__queue_init(struct vcore__queue *q, struct vcore_virtio *v,
		  uint32_t index, struct vcore_loop *loop);
/* Not initialised: no-op. The reference on the loop is the caller's to drop. */
void
vcore__queue_fini(struct vcore__queue *q);
/* any: as a doorbell does */
void
vcore__queue_kick(struct vcore__queue *q);
/* lifecycle.c, from queue.c: no locks; a stop is done, q may be freed */
void
vcore__virtio_queue_stopped(struct vcore__queue *q);
/* lifecycle.c, on the loop: DEVICE_NEEDS_RESET */
void
vcore__virtio_broken(struct vcore_virtio *v, uint32_t index, const char *why);

/*
 * registers.c: what both transports' registers do. On a vCPU, with the device
 * locked by vcore__virtio_lock().
 */
/* false: t is no longer the device's; nothing is locked. */
bool
vcore__virtio_lock(struct vcore__transport *t);
void
vcore__virtio_unlock(struct vcore__transport *t);

uint32_t
vcore__virtio_device_features(struct vcore_virtio *v, uint32_t select);
void
vcore__virtio_set_driver_features(struct vcore_virtio *v, uint32_t select,
				  uint32_t bits);
uint32_t
vcore__virtio_get_driver_features(struct vcore_virtio *v, uint32_t select);
/* 0; -EINPROGRESS: later (may be NULL) will be answered with 0 */
int
vcore__virtio_write_status(struct vcore_virtio *v, uint32_t value,
			   struct vcore_access *later);
/* NULL: no such queue */
struct vcore__queue *
vcore__virtio_select(struct vcore_virtio *v, uint32_t index);
/* May this queue's registers be written now? */
bool
vcore__queue_is_open(const struct vcore__queue *q);
void
vcore__queue_set_size(struct vcore__queue *q, uint32_t size);
enum vcore__queue_address {
	VCORE__QUEUE_DESC = 0,
	VCORE__QUEUE_DRIVER = 1,
	VCORE__QUEUE_DEVICE = 2
};
/* high: the upper half */
void
vcore__queue_set_address(struct vcore__queue *q,
			 enum vcore__queue_address which, bool high,
			 uint32_t value);
uint32_t
vcore__queue_get_address(const struct vcore__queue *q,
			 enum vcore__queue_address which, bool high);
void
vcore__queue_enable(struct vcore__queue *q);
/* MMIO only: reads as enabled until the queue has stopped */
void
vcore__queue_disable(struct vcore__queue *q);
/* RING_RESET */
void
vcore__queue_reset(struct vcore__queue *q);
uint64_t
vcore__virtio_config_read(struct vcore_virtio *v, uint64_t off, uint32_t len);
void
vcore__virtio_config_write(struct vcore_virtio *v, uint64_t off, uint32_t len,
			   uint64_t val);
uint32_t
vcore__virtio_generation(struct vcore_virtio *v);

#endif
