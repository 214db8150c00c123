/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Virtqueues: what a device takes requests from and returns them to.
 *
 * A driver offers *chains* of buffers: first those the device reads, then
 * those it may write. A device pops a chain, works on its iovecs, pushes it
 * back, and after a batch makes the results visible with one flush:
 *
 *	while (vcore_virtqueue_pop(q, &chain) == 1) {
 *		n = vcore_chain_read(chain, 0, request, sizeof(request));
 *		...
 *		vcore_chain_write(chain, 0, answer, len);
 *		vcore_virtqueue_push(q, chain, len);
 *	}
 *	vcore_virtqueue_flush(q);
 *
 * What the driver put into the ring is checked when it is popped, and read
 * once: a chain doesn't change under the device, only the bytes of its buffers
 * may. A ring that is malformed is not an error of any of these functions: the
 * queue breaks, the device shows DEVICE_NEEDS_RESET, and pop finds nothing
 * until the driver has reset it. A chain has at most as many descriptors as the
 * queue, at most 2^32 - 1 bytes, and lies in guest memory to the last byte.
 *
 * A queue belongs to one loop. All functions here but those that say otherwise
 * are for that loop's thread, between the device's queue_start() and the answer
 * to its queue_stop().
 *
 * Work is bounded: inside queue_kick() pop gives out about four times the
 * queue's size in descriptors and then finds nothing, so that other queues of
 * the loop get their turn; queue_kick() is called again for the rest.
 */
#ifndef VCORE_VIRTQUEUE_H
#define VCORE_VIRTQUEUE_H

#include <sys/uio.h>

#include <vcore/base.h>
#include <vcore/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A queue of a virtio device; belongs to one loop. */
struct vcore_virtqueue;

/**
 * One descriptor chain, from pop to push (or drop, or unpop).
 *
 * The iovecs point into guest memory, which stays mapped as long; the readable
 * ones come first: iov[0 .. readable), iov[readable .. readable + writable).
 * Buffers of length 0 have none. The device may change the iovecs of a chain it
 * has popped (to take what a request needs of them); push doesn't look at them.
 */
struct vcore_chain {
	struct iovec *iov;	/**< valid until the chain is given back */
	uint32_t readable;	/**< iovecs the device may read */
	uint32_t writable;	/**< iovecs the device may write, behind them */
	uint64_t readable_len;	/**< bytes in the readable ones */
	uint64_t writable_len;	/**< bytes in the writable ones */
	uint16_t head;		/**< descriptor it begins with; unique while
				     it is popped */
	uint16_t reserved0;	/**< zero */
	uint32_t reserved1;	/**< zero */
	void *opaque;		/**< the device's own; NULL when popped */
};

/**
 * Take the next chain the driver offers.
 *
 * @param[in]  q      The queue.
 * @param[out] chain  The chain. Unchanged if there is none.
 *
 * @return 1; 0: none waits, the budget of this dispatch is used up, too many
 *         large chains are popped (the device is called again when one is
 *         pushed), or the queue is broken or being stopped.
 *
 * @owns   The caller owns @p chain until it gives it to
 *         vcore_virtqueue_push(), _drop() or _unpop().
 * @thread Owner: the queue's loop.
 * @spec   Virtio 1.2, 2.7.5 descriptor table, 2.7.6 available ring.
 * @since  0.1
 */
VCORE_API int
vcore_virtqueue_pop(struct vcore_virtqueue *q, struct vcore_chain **chain);

/**
 * Put the newest popped chain back where it came from: nothing of it was used.
 *
 * The next pop reads it anew from guest memory. Several are put back newest
 * first; a chain that isn't the newest stays popped.
 *
 * @param[in] q      The queue.
 * @param[in] chain  The chain; NULL does nothing.
 *
 * @owns   Takes @p chain, unless it wasn't the newest.
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_unpop(struct vcore_virtqueue *q, struct vcore_chain *chain);

/**
 * Return a chain to the driver, in any order. It sees it after the next flush.
 *
 * While the queue is stopped with VCORE_VIRTIO_STOP_DROP, or broken, nothing
 * is written: then this is vcore_virtqueue_drop().
 *
 * @param[in] q        The queue.
 * @param[in] chain    The chain; NULL does nothing.
 * @param[in] written  Bytes written into the writable part from its beginning,
 *                     every one of them. More than there is room for counts as
 *                     that.
 *
 * @owns   Takes @p chain.
 * @thread Owner: the queue's loop.
 * @spec   Virtio 1.2, 2.7.8 used ring.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_push(struct vcore_virtqueue *q, struct vcore_chain *chain,
		     uint32_t written);

/**
 * Show the driver all that was pushed, and interrupt it if it asked for that.
 *
 * @param[in] q  The queue.
 *
 * @thread Owner: the queue's loop.
 * @spec   Virtio 1.2, 2.7.7 used buffer notification suppression.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_flush(struct vcore_virtqueue *q);

/**
 * Forget a popped chain: its memory is let go, nothing is told to the driver.
 *
 * For a queue that is stopped with VCORE_VIRTIO_STOP_DROP. On a running queue
 * the driver would wait for this chain for ever.
 *
 * @param[in] q      The queue.
 * @param[in] chain  The chain; NULL does nothing.
 *
 * @owns   Takes @p chain.
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_drop(struct vcore_virtqueue *q, struct vcore_chain *chain);

/**
 * Ask the driver for kicks again, after vcore_virtqueue_disable_kick().
 *
 * A device that never disables kicks need not call this: pop asks for a kick
 * whenever it finds the ring empty.
 *
 * @param[in] q  The queue.
 *
 * @return 1: chains came meanwhile, for which there may be no kick: pop again;
 *         0: there will be one.
 *
 * @thread Owner: the queue's loop.
 * @spec   Virtio 1.2, 2.7.10 available buffer notification suppression.
 * @since  0.1
 */
VCORE_API int
vcore_virtqueue_enable_kick(struct vcore_virtqueue *q);

/**
 * Tell the driver that kicks are not needed for now: a hint, they may come.
 *
 * @param[in] q  The queue.
 *
 * @thread Owner: the queue's loop.
 * @spec   Virtio 1.2, 2.7.10 available buffer notification suppression.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_disable_kick(struct vcore_virtqueue *q);

/**
 * Copy bytes out of a chain's readable part.
 *
 * The guest may change them at any time: copy a header once, then check and
 * use the copy.
 *
 * @param[in]  chain  A popped chain.
 * @param[in]  off    Where in the readable part to begin.
 * @param[out] buf    Where the bytes go.
 * @param[in]  len    How many at most.
 *
 * @return Bytes copied: fewer than @p len where the readable part ends; 0 if a
 *         pointer is NULL.
 *
 * @thread Whoever owns the chain.
 * @since  0.1
 */
VCORE_API uint64_t
vcore_chain_read(const struct vcore_chain *chain, uint64_t off, void *buf,
		 uint64_t len);

/**
 * Copy bytes into a chain's writable part.
 *
 * @param[in] chain  A popped chain.
 * @param[in] off    Where in the writable part to begin.
 * @param[in] buf    The bytes.
 * @param[in] len    How many at most.
 *
 * @return Bytes copied: fewer than @p len where the writable part ends; 0 if a
 *         pointer is NULL.
 *
 * @thread Whoever owns the chain.
 * @since  0.1
 */
VCORE_API uint64_t
vcore_chain_write(const struct vcore_chain *chain, uint64_t off,
		  const void *buf, uint64_t len);

/**
 * The device can't make sense of what the driver sent: it needs a reset.
 *
 * The queue stops: DEVICE_NEEDS_RESET, a configuration interrupt, an event
 * (VCORE_EVENT_DEVICE_BROKEN) and one line in the log. Chains that are popped
 * still have to be pushed or dropped. For errors that leave the device no way
 * to answer the request itself.
 *
 * @param[in] q    The queue; NULL does nothing.
 * @param[in] why  One line; NULL: "malformed request". Not kept.
 *
 * @thread Owner: the queue's loop.
 * @spec   Virtio 1.2, 2.1.2 device status field.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_break(struct vcore_virtqueue *q, const char *why);

/**
 * Which queue of its device this is.
 *
 * @param[in] q  The queue.
 *
 * @return Its index, from 0.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_virtqueue_index(const struct vcore_virtqueue *q);

/**
 * Descriptors in the ring, as the driver chose.
 *
 * @param[in] q  The queue.
 *
 * @return A power of two.
 *
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_virtqueue_size(const struct vcore_virtqueue *q);

/**
 * The loop that serves the queue.
 *
 * @param[in] q  The queue.
 *
 * @return The loop.
 *
 * @owns   The queue, as long as it is started. Who needs the loop for longer
 *         takes a reference.
 * @thread Any thread, queue started.
 * @since  0.1
 */
VCORE_API struct vcore_loop *
vcore_virtqueue_loop(const struct vcore_virtqueue *q);

/**
 * Chains that are popped and not yet given back.
 *
 * @param[in] q  The queue.
 *
 * @return How many.
 *
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_virtqueue_in_flight(const struct vcore_virtqueue *q);

/**
 * Remember the device's own pointer for this queue.
 *
 * @param[in] q       The queue; NULL does nothing.
 * @param[in] opaque  Any pointer. It is kept over stops and resets.
 *
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API void
vcore_virtqueue_set_opaque(struct vcore_virtqueue *q, void *opaque);

/**
 * The device's own pointer for this queue.
 *
 * @param[in] q  The queue.
 *
 * @return What vcore_virtqueue_set_opaque() set; NULL before.
 *
 * @owns   The device.
 * @thread Owner: the queue's loop.
 * @since  0.1
 */
VCORE_API void *
vcore_virtqueue_opaque(const struct vcore_virtqueue *q);

#ifdef __cplusplus
}
#endif
#endif
