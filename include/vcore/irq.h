/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Interrupts: a line or message with an eventfd that raises it when written.
 *
 * A device makes an irq on an irqchip and raises it; where it goes (KVM, a
 * user-space chip, a test's counter) is the irqchip's business. The eventfd
 * can be given to a server, to vhost or to VFIO, and stays the same for life.
 *
 * An irq that is masked, or a message that has no address yet, gathers its
 * raises in the eventfd: that is the pending bit. When it becomes deliverable
 * it is raised once if any came.
 */
#ifndef VCORE_IRQ_H
#define VCORE_IRQ_H

#include <vcore/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where interrupts go: a VM's chips, or a test's counter. */
struct vcore_irqchip;
/** One line or message. */
struct vcore_irq;

/** A line at `gsi`; without it a message that has no address yet. */
#define VCORE_IRQ_LINE  (1u << 0)
/** The line is level triggered; only with VCORE_IRQ_LINE. */
#define VCORE_IRQ_LEVEL (1u << 1)
/** A message that an I/O APIC's pin sends: the chip routes it at `gsi`. */
#define VCORE_IRQ_PIN   (1u << 2)

/** What an irq is. */
struct vcore_irq_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< VCORE_IRQ_* */
	uint32_t gsi;		/**< with LINE or PIN: its number */
	uint32_t devid;		/**< message: requester id (x86: unused) */
};

/**
 * Make an irq.
 *
 * A line is live at once. A message gathers raises until
 * vcore_irq_set_message() has given it an address.
 *
 * @param[in]  chip  Where it goes.
 * @param[in]  opts  What it is; NULL: a message. Copied.
 * @param[out] irq   The new irq. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, VCORE_IRQ_LEVEL stands without
 *                      VCORE_IRQ_LINE or VCORE_IRQ_PIN with it, or `size` is
 *                      not set.
 * @retval -EOPNOTSUPP  The chip has no level lines, or no messages.
 * @retval -E2BIG       @p opts sets a field or flag this library does not
 *                      know.
 * @retval -EMFILE      The process has no free descriptor.
 * @retval -ENOMEM      Out of memory.
 * @retval other        What the chip's `attach` said.
 *
 * @owns   The caller owns a reference; vcore_irq_unref() drops it. The irq
 *         keeps @p chip alive.
 * @thread Any thread that may call the chip's `attach`: control for a VM.
 * @since  0.1
 */
VCORE_API int
vcore_irq_new(struct vcore_irqchip *chip, const struct vcore_irq_opts *opts,
	      struct vcore_irq **irq);

/**
 * Take another reference.
 *
 * @param[in] irq  An irq; NULL is allowed.
 *
 * @return @p irq.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_irq *
vcore_irq_ref(struct vcore_irq *irq);

/**
 * Drop a reference. The last one detaches the irq from its chip and closes
 * the eventfd.
 *
 * @param[in] irq  An irq; NULL does nothing.
 *
 * @thread Any thread; not from an op of the chip.
 * @since  0.1
 */
VCORE_API void
vcore_irq_unref(struct vcore_irq *irq);

/**
 * Raise a message or an edge line once.
 *
 * @param[in] irq  The irq.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p irq is NULL or a level line.
 * @retval other    What the chip's `raise` said.
 *
 * @thread Any thread; never waits.
 * @since  0.1
 */
VCORE_API int
vcore_irq_raise(struct vcore_irq *irq);

/**
 * Drive a line. On an edge line a change from low to high raises it.
 *
 * @param[in] irq   A line.
 * @param[in] high  Not 0: high.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p irq is NULL or a message.
 * @retval other    What the chip's `level` or `raise` said.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_irq_set_level(struct vcore_irq *irq, int high);

/**
 * The eventfd whose being written raises the irq (not for level lines).
 *
 * With a chip that can't watch descriptors somebody has to call
 * vcore_irq_deliver() when it is readable.
 *
 * @param[in] irq  The irq.
 *
 * @return A descriptor; the same as long as the irq lives. -EINVAL: NULL.
 *
 * @owns   The irq. Whoever needs it longer duplicates it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_irq_fd(struct vcore_irq *irq);

/**
 * Deliver what others wrote to the eventfd, for chips that don't watch it.
 *
 * Does nothing if the chip does, or while the irq is masked.
 *
 * @param[in] irq  The irq.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p irq is NULL or a level line.
 * @retval other    What the chip's `raise` said.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_irq_deliver(struct vcore_irq *irq);

/**
 * Say where a message goes.
 *
 * @param[in] irq   A message.
 * @param[in] addr  Its address; 0: nowhere, raises gather.
 * @param[in] data  Its data.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p irq is NULL or a line.
 * @retval other    What the chip said: its `route`, then nothing changed; or
 *                  its `mask`, then the message has no address.
 *
 * @thread Control or vCPU.
 * @since  0.1
 */
VCORE_API int
vcore_irq_set_message(struct vcore_irq *irq, uint64_t addr, uint32_t data);

/**
 * Mask or unmask.
 *
 * A masked irq gathers raises; unmasking raises once if any came. A masked
 * level line is low for the chip; unmasking shows its real level.
 *
 * @param[in] irq     The irq; new ones are not masked.
 * @param[in] masked  Not 0: mask.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p irq is NULL.
 * @retval other    What the chip's `mask` or `level` said; nothing changed.
 *
 * @thread Control or vCPU.
 * @since  0.1
 */
VCORE_API int
vcore_irq_set_mask(struct vcore_irq *irq, int masked);

/**
 * Whether raises are gathered: the pending bit.
 *
 * @param[in] irq  The irq.
 *
 * @return 1 if it is masked, or has no address, and was raised since; 0
 *         otherwise. -EINVAL: NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_irq_pending(struct vcore_irq *irq);

/**
 * Forget raises that are gathered: for the reset of a device.
 *
 * @param[in] irq  The irq; NULL does nothing.
 *
 * @thread Control or vCPU.
 * @since  0.1
 */
VCORE_API void
vcore_irq_clear(struct vcore_irq *irq);

/**
 * How a chip takes interrupts; implemented by VMs, by tests and by
 * embedders with an interrupt controller of their own.
 *
 * All run with the irq's lock held, one at a time for an irq, several at a
 * time for a chip; they must not call functions of that irq, other than
 * vcore_irq_set_chip_data() and vcore_irq_chip_data().
 */
struct vcore_irqchip_ops {
	uint32_t size;		/**< set by VCORE_INIT() or sizeof */
	uint32_t flags;		/**< none yet: 0 */
	/**
	 * A message's destination changes. NULL: the chip has no messages.
	 *
	 * @param[in] opaque  The chip's.
	 * @param[in] irq     The message.
	 * @param[in] addr    Address; 0: none any more.
	 * @param[in] data    Data.
	 * @param[in] devid   The requester.
	 *
	 * @return 0 or a negative errno value, then nothing has changed.
	 */
	int (*route)(void *opaque, struct vcore_irq *irq, uint64_t addr,
		     uint32_t data, uint32_t devid);
	/**
	 * Stop (1) or start (0) consuming the eventfd. Messages get the first
	 * mask(0) after their first route(). The eventfd is empty when
	 * mask(0) is called, and a raise follows if there was one. May be NULL
	 * for a chip that never consumes eventfds.
	 *
	 * @param[in] opaque  The chip's.
	 * @param[in] irq     The irq; not a level line.
	 * @param[in] masked  1 or 0.
	 *
	 * @return Of mask(0): 1 if writing the eventfd raises the irq from
	 *         now on, 0 if raises are to come through `raise`. Of
	 *         mask(1): 0. Or a negative errno value.
	 */
	int (*mask)(void *opaque, struct vcore_irq *irq, int masked);
	/**
	 * A level line changes. NULL: the chip has no level lines.
	 *
	 * @param[in] opaque  The chip's.
	 * @param[in] irq     The line.
	 * @param[in] gsi     Its number.
	 * @param[in] high    1 or 0.
	 *
	 * @return 0 or a negative errno value.
	 */
	int (*level)(void *opaque, struct vcore_irq *irq, uint32_t gsi,
		     int high);
	/**
	 * A new irq. May be NULL.
	 *
	 * @param[in] opaque  The chip's.
	 * @param[in] irq     The irq.
	 * @param[in] fd      Its eventfd; valid until `detach` returns.
	 * @param[in] gsi     A line's or pin's number.
	 * @param[in] flags   VCORE_IRQ_*.
	 *
	 * @return 1: an edge line whose eventfd the chip consumes; 0; or a
	 *         negative errno value, then `detach` is not called.
	 */
	int (*attach)(void *opaque, struct vcore_irq *irq, int fd,
		      uint32_t gsi, uint32_t flags);
	/**
	 * The irq goes away. May be NULL.
	 *
	 * @param[in] opaque  The chip's.
	 * @param[in] irq     The irq.
	 */
	void (*detach)(void *opaque, struct vcore_irq *irq);
	/**
	 * Raise now: used where the chip doesn't consume the eventfd. NULL:
	 * the chip always does.
	 *
	 * @param[in] opaque  The chip's.
	 * @param[in] irq     The irq.
	 *
	 * @return 0 or a negative errno value.
	 */
	int (*raise)(void *opaque, struct vcore_irq *irq);
};

/**
 * Make an irqchip from functions.
 *
 * @param[in]  ops      What it does. Copied.
 * @param[in]  opaque   For @p ops and @p release.
 * @param[in]  release  Called once, when no call of @p ops can happen any
 *                      more; or NULL.
 * @param[out] chip     The new chip. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p ops or @p chip is NULL or `size` is not set.
 * @retval -E2BIG   @p ops sets a method or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference; vcore_irqchip_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_irqchip_new(const struct vcore_irqchip_ops *ops, void *opaque,
		  void (*release)(void *opaque), struct vcore_irqchip **chip);

/**
 * Take another reference.
 *
 * @param[in] chip  A chip; NULL is allowed.
 *
 * @return @p chip.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_irqchip *
vcore_irqchip_ref(struct vcore_irqchip *chip);

/**
 * Drop a reference. Irqs on the chip keep it alive.
 *
 * @param[in] chip  A chip; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_irqchip_unref(struct vcore_irqchip *chip);

/**
 * Remember the chip's word for an irq.
 *
 * @param[in] irq   The irq; NULL does nothing.
 * @param[in] data  Any pointer.
 *
 * @thread Inside the chip's ops.
 * @since  0.1
 */
VCORE_API void
vcore_irq_set_chip_data(struct vcore_irq *irq, void *data);

/**
 * The chip's word for an irq.
 *
 * @param[in] irq  The irq.
 *
 * @return What vcore_irq_set_chip_data() set; NULL before, and without irq.
 *
 * @owns   The chip.
 * @thread Inside the chip's ops.
 * @since  0.1
 */
VCORE_API void *
vcore_irq_chip_data(struct vcore_irq *irq);

#ifdef __cplusplus
}
#endif
#endif
