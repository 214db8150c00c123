/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Virtio devices: features, configuration, queues, life; two transports.
 *
 * A device is a *model* (a table of functions that serve its queues) behind the
 * registers of a transport. This part does everything that is the same for all
 * devices: the registers, the handshake with the driver, the rings, interrupts,
 * reset with requests in flight, pause and removal.
 *
 * Life of a queue, as its model sees it. All four calls come on the queue's
 * loop, never two at a time for one queue:
 *
 *	queue_start()    the driver has set up the queue: serve it
 *	queue_kick()     there may be chains: pop, serve, push, flush
 *	queue_stop()     stop serving; answer with vcore_done_call()
 *	queue_start()    again, perhaps, after a pause or a reset
 *
 * Between the answer to queue_stop() and the next queue_start() the model
 * touches no guest memory, raises no interrupt and starts no I/O for the queue:
 * stopped means stopped. The answer may come later and from any thread; a
 * guest's reset, a pause, a removal wait for it.
 *
 * A driver that misbehaves can't make any of these functions fail. What it does
 * wrong is ignored, or costs it the queue (see virtqueue.h); it is counted in
 * vcore_virtio_get_info() and logged at a limited rate.
 */
#ifndef VCORE_VIRTIO_H
#define VCORE_VIRTIO_H

#include <vcore/base.h>
#include <vcore/bus.h>
#include <vcore/event.h>
#include <vcore/irq.h>
#include <vcore/log.h>
#include <vcore/loop.h>
#include <vcore/memory.h>
#include <vcore/pci.h>
#include <vcore/virtqueue.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A virtio device, counted. */
struct vcore_virtio;
/** The answer that queue_stop() owes. */
struct vcore_done;

/**
 * Finish what is in flight. Only chains that wait for something from outside (a
 * packet, a key) may stay popped: they are still there at the next
 * queue_start(), or are put back with vcore_virtqueue_unpop().
 */
#define VCORE_VIRTIO_STOP_DRAIN 1u
/** As soon as possible: what isn't finished stays popped, or is put back. */
#define VCORE_VIRTIO_STOP_PARK  2u
/**
 * Forget everything: the driver resets. Nothing pushed is written any more; all
 * popped chains are dropped (or pushed) before the answer, and the model does
 * not look at any of them afterwards.
 */
#define VCORE_VIRTIO_STOP_DROP  3u

/**
 * What serves a device.
 *
 * Required: queue_start, queue_kick, queue_stop, and config if config_size is
 * not 0. Those that run on a vCPU are called with the device's lock held, one
 * at a time; they must not wait, and must not call functions of the device
 * other than vcore_virtio_config_changed() and the getters.
 */
struct vcore_virtio_ops {
	uint32_t size;		/**< set by VCORE_INIT() or sizeof */
	uint32_t flags;		/**< none yet: 0 */
	uint32_t type;		/**< virtio device id, 1 to 63 */
	uint32_t queues;	/**< how many the device has, at most 1024 */
	/**
	 * The feature bits of this type of device; those of rings are added.
	 * NULL: none. Runs in vcore_virtio_attach_mmio() and _pci().
	 *
	 * @param[in] opaque  The model's.
	 *
	 * @return Bits, as the driver is to see them.
	 */
	uint64_t (*features)(void *opaque);
	/**
	 * Read or write the configuration; runs on vCPU. A read is of all of it
	 * and happens when it may have changed; drivers are answered from that
	 * copy. Writes are what the driver writes.
	 *
	 * @param[in]     opaque  The model's.
	 * @param[in]     off     Where; `off + len` lies in `config_size`.
	 * @param[in,out] buf     The bytes, little endian as in the
	 *                        specification.
	 * @param[in]     len     How many.
	 * @param[in]     write   1: the driver writes; 0: fill @p buf.
	 *
	 * @return 0; or a negative errno value: a read is 0, a write is counted
	 *         as bad.
	 */
	int (*config)(void *opaque, uint32_t off, void *buf, uint32_t len,
		      int write);
	/**
	 * The driver has accepted these features; runs on vCPU. NULL: fine.
	 *
	 * @param[in] opaque    The model's.
	 * @param[in] features  A subset of those offered, with VERSION_1.
	 *
	 * @return 0; or a negative errno value: FEATURES_OK stays clear.
	 */
	int (*set_features)(void *opaque, uint64_t features);
	/**
	 * The queue may be served from now on; runs on loop.
	 *
	 * After a pause chains may be in flight still that the model kept. If
	 * vcore_virtqueue_in_flight() is 0 none are, whatever the model
	 * remembers: the queue was reset.
	 *
	 * @param[in] opaque  The model's.
	 * @param[in] q       The queue.
	 *
	 * @return 0; or a negative errno value: the device needs a reset.
	 */
	int (*queue_start)(void *opaque, struct vcore_virtqueue *q);
	/**
	 * There may be chains; runs on loop. Called after queue_start(), when
	 * the driver has kicked, and when vcore_virtqueue_pop() stopped early.
	 * A model that can't go on now (its disk is busy) returns, and pops
	 * again when it can; it is not called again until the driver kicks.
	 *
	 * @param[in] opaque  The model's.
	 * @param[in] q       The queue.
	 */
	void (*queue_kick)(void *opaque, struct vcore_virtqueue *q);
	/**
	 * Stop serving; runs on loop. From now on pop finds nothing.
	 *
	 * @param[in] opaque  The model's.
	 * @param[in] q       The queue.
	 * @param[in] how     VCORE_VIRTIO_STOP_*.
	 * @param[in] done    For vcore_done_call(), now or later.
	 */
	void (*queue_stop)(void *opaque, struct vcore_virtqueue *q,
			   uint32_t how, struct vcore_done *done);
	uint32_t config_size;	/**< bytes of configuration, at most 256 */
	/**
	 * Neighbouring queues that share a loop: queue i is served on
	 * loops[(i / queue_group) % loop_count]. 0: 1.
	 */
	uint32_t queue_group;
	/**
	 * The device was reset: all queues are stopped, everything the driver
	 * had set is undone. NULL: nothing to do. Runs on any thread.
	 *
	 * @param[in] opaque  The model's.
	 */
	void (*reset)(void *opaque);
};

/**
 * Answer queue_stop(): the queue is stopped.
 *
 * @param[in] done  What queue_stop() was given; NULL does nothing. A second
 *                  answer is ignored until the next queue_stop().
 * @param[in] rc    0, or a negative errno value, which is logged.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_done_call(struct vcore_done *done, int rc);

/** How a device is made. */
struct vcore_virtio_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	const struct vcore_virtio_ops *ops;	/**< the model; copied */
	void *opaque;		/**< for @p ops and @p release */
	/** Called once, when no method can be called any more; or NULL. */
	void (*release)(void *opaque);
	/**
	 * Feature bits to withhold: the device's, or INDIRECT_DESC (28),
	 * EVENT_IDX (29), RING_RESET (40). VERSION_1 is always offered.
	 */
	uint64_t features_off;
	/** Largest size of a queue: a power of two up to 32768; 0: 256. */
	uint32_t queue_size;
	uint32_t reserved0;	/**< zero */
	char name[32];		/**< for log and events; "": "virtio" */
};

/**
 * Make a device. It stands nowhere yet: see vcore_virtio_set_env() and
 * vcore_virtio_attach_mmio() or _pci().
 *
 * @param[in]  opts    How. Copied, with `ops`.
 * @param[out] virtio  The new device. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer or a required method is NULL, a number is out of
 *                  range, or a `size` is not set.
 * @retval -E2BIG   @p opts or its `ops` set a field, flag or method this
 *                  library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference; vcore_virtio_unref() drops it. On
 *         failure `release` is not called.
 * @thread Any thread.
 * @spec   Virtio 1.2, 2 basic facilities of a virtio device.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_new(const struct vcore_virtio_opts *opts,
		 struct vcore_virtio **virtio);

/**
 * Take another reference.
 *
 * @param[in] virtio  A device; NULL is allowed.
 *
 * @return @p virtio.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_virtio *
vcore_virtio_ref(struct vcore_virtio *virtio);

/**
 * Drop a reference.
 *
 * The last one detaches the device, stopping its queues with
 * VCORE_VIRTIO_STOP_DROP, and does not wait for that: the model is released
 * when it is done. If nobody runs a queue's loop any more, dropping the loop's
 * last reference does it.
 *
 * @param[in] virtio  A device; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_virtio_unref(struct vcore_virtio *virtio);

/** What a device stands on. */
struct vcore_virtio_env {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	struct vcore_memory *memory;	/**< the memory it sees; referenced */
	/** Loops to serve the queues on, see `queue_group`; referenced. */
	struct vcore_loop *const *loops;
	uint32_t loop_count;	/**< at least 1 */
	uint32_t reserved0;	/**< zero */
	struct vcore_events *events;	/**< or NULL; referenced */
	struct vcore_log *log;		/**< or NULL; referenced */
};

/**
 * Say what a device stands on: once, before it is attached.
 *
 * All memory a queue will ever need is allocated here: for each queue its
 * descriptors' number times some 400 bytes, and up to 4 MiB (with more than
 * 1024 descriptors: up to 16 bytes * 8 * descriptors) for long chains, which
 * take real memory only as far as a driver makes use of them.
 *
 * @param[in] virtio  The device.
 * @param[in] env     What. Copied.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer, `memory` or a loop is NULL, there is no loop, or
 *                  `size` is not set.
 * @retval -E2BIG   @p env sets a field or flag this library does not know.
 * @retval -EBUSY   The device has one already.
 * @retval -EMFILE  The process has no free descriptor: one a queue is needed.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_set_env(struct vcore_virtio *virtio,
		     const struct vcore_virtio_env *env);

/**
 * Attach a device as a virtio-mmio one: 0x200 bytes of registers.
 *
 * @param[in] virtio  The device; it has an environment and no transport.
 * @param[in] bus     Where the registers appear.
 * @param[in] base    At which address, a multiple of 4.
 * @param[in] irq     Its interrupt, an edge line.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, @p base is unaligned or too high.
 * @retval -EBUSY   No environment yet, attached already, or still leaving.
 * @retval -EEXIST  Something else is on the bus there.
 * @retval -EMFILE  The process has no free descriptor.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   References @p bus and @p irq until it is detached.
 * @thread Control; vCPUs may be running.
 * @spec   Virtio 1.2, 4.2 virtio over MMIO (version 2).
 * @since  0.1
 */
VCORE_API int
vcore_virtio_attach_mmio(struct vcore_virtio *virtio, struct vcore_bus *bus,
			 uint64_t base, struct vcore_irq *irq);

/**
 * Attach a device as a virtio PCI function (modern; MSI-X, no INTx).
 *
 * @param[in] virtio  The device; it has an environment and no transport.
 * @param[in] bus     The PCI bus.
 * @param[in] slot    Device number, 1 to 31; 0: the first that is free.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p slot is out of range.
 * @retval -EBUSY   No environment yet, attached already, or still leaving.
 * @retval -EEXIST  The slot is taken.
 * @retval -ENOSPC  No slot, or no room in the bus's windows.
 * @retval -EMFILE  The process has no free descriptor: one a queue and vector.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   References @p bus until it is detached.
 * @thread Control. A guest that is running finds the function when it scans the
 *         bus again.
 * @spec   Virtio 1.2, 4.1 virtio over PCI bus.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_attach_pci(struct vcore_virtio *virtio, struct vcore_pci_bus *bus,
			uint32_t slot);

/**
 * Take a device off its bus: it stops (VCORE_VIRTIO_STOP_DROP), then its
 * registers go. Afterwards it may be attached again.
 *
 * Somebody has to run the queues' loops meanwhile. A program with one thread
 * calls this with a deadline that has passed, runs its loop, and calls it again
 * until it returns 0 or -ENOENT.
 *
 * @param[in] virtio       The device.
 * @param[in] deadline_ns  Until when to wait, CLOCK_MONOTONIC; 0: for ever.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL     @p virtio is NULL.
 * @retval -ENOENT     It is not attached.
 * @retval -ETIMEDOUT  Its queues have not stopped yet: it answers the guest no
 *                     more and goes by itself when they have.
 * @retval -EDEADLK    Called in a callback of a loop, or a handler.
 * @retval -ENOMEM     Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_detach(struct vcore_virtio *virtio, uint64_t deadline_ns);

/**
 * Tell the driver that the configuration has changed.
 *
 * The model has changed it before it calls this. While the device is stopped
 * the interrupt is kept back.
 *
 * @param[in] virtio  The device.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p virtio is NULL.
 *
 * @thread Any thread, also in all methods of the model.
 * @spec   Virtio 1.2, 2.5 device configuration space.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_config_changed(struct vcore_virtio *virtio);

/**
 * A queue that is being served.
 *
 * @param[in] virtio  The device.
 * @param[in] index   Which one.
 *
 * @return The queue; NULL if it is not started, or there is none.
 *
 * @owns   The device.
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API struct vcore_virtqueue *
vcore_virtio_queue(struct vcore_virtio *virtio, uint32_t index);

/**
 * The features that the driver accepted.
 *
 * @param[in] virtio  The device.
 *
 * @return Bits; 0 before FEATURES_OK.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint64_t
vcore_virtio_features(struct vcore_virtio *virtio);

/**
 * Where the device's events go: for a model's own.
 *
 * @param[in] virtio  The device.
 *
 * @return The queue of vcore_virtio_set_env(), or NULL.
 *
 * @owns   The device.
 * @thread Any thread, once the environment is set.
 * @since  0.1
 */
VCORE_API struct vcore_events *
vcore_virtio_events(struct vcore_virtio *virtio);

/**
 * The device's name.
 *
 * @param[in] virtio  The device.
 *
 * @return Text; valid as long as the device lives. NULL has none: "".
 *
 * @owns   The device.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API const char *
vcore_virtio_name(struct vcore_virtio *virtio);

/**
 * Stop a device: a pause, of which the driver notices nothing but time.
 *
 * Afterwards no thread touches guest memory, raises an interrupt or starts I/O
 * for it. Its registers go on working. With VCORE_VIRTIO_STOP_DROP it is also
 * reset, as if the driver had done that.
 *
 * @param[in] virtio       The device.
 * @param[in] how          VCORE_VIRTIO_STOP_*.
 * @param[in] deadline_ns  Until when to wait, CLOCK_MONOTONIC; 0: for ever.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL     @p virtio is NULL or @p how is unknown.
 * @retval -ETIMEDOUT  A queue has not stopped in time: the device runs on, that
 *                     queue as soon as it has stopped.
 * @retval -ECANCELED  Somebody else started it meanwhile.
 * @retval -EDEADLK    Called in a callback of a loop, or a handler.
 * @retval -ENOMEM     Out of memory.
 *
 * @thread Control; somebody else runs the queues' loops.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_stop(struct vcore_virtio *virtio, uint32_t how,
		  uint64_t deadline_ns);

/**
 * Let a stopped device run on. What was kicked meanwhile is served now.
 *
 * @param[in] virtio  The device.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p virtio is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_start(struct vcore_virtio *virtio);

/** Counters and state of a device. */
struct vcore_virtio_info {
	uint32_t size;		/**< set by VCORE_INIT(); then bytes filled */
	uint32_t type;		/**< virtio device id */
	uint64_t features;	/**< accepted by the driver */
	uint32_t status;	/**< device status register */
	uint32_t queues;	/**< that the device has */
	uint64_t kicks;		/**< notifications taken from doorbells */
	uint64_t interrupts;	/**< asked for: queues' and configuration */
	uint64_t chains;	/**< popped */
	uint64_t bad;		/**< things the driver did wrong */
};

/**
 * Read a device's counters.
 *
 * @param[in]     virtio  The device.
 * @param[in,out] info    Where they go; prepared with VCORE_INIT().
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or `size` is not set.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_virtio_get_info(struct vcore_virtio *virtio,
		      struct vcore_virtio_info *info);

#ifdef __cplusplus
}
#endif
#endif
