/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Address ranges with handlers, and doorbells.
 *
 * A bus maps addresses to handlers: one for ports, one for memory-mapped
 * registers. Lookups take no lock; ranges come and go while vCPUs run. A
 * doorbell turns a guest's write into a readable eventfd. It works on the bus
 * alone; a VM that uses the bus moves it into the kernel, which makes it
 * quicker and changes nothing else.
 */
#ifndef VCORE_BUS_H
#define VCORE_BUS_H

#include <vcore/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A bus: ranges and doorbells of one address space. */
struct vcore_bus;
/** Something that is registered on a bus: a range or a doorbell. */
struct vcore_range;
/** An access whose answer comes later. */
struct vcore_access;

/** Which address space a bus is. */
enum vcore_bus_kind {
	VCORE_BUS_MMIO = 1,	/**< memory-mapped: 2^64 addresses */
	VCORE_BUS_PIO = 2	/**< x86 ports: 65536 addresses */
};

/** How a bus is made. */
struct vcore_bus_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	uint32_t kind;		/**< enum vcore_bus_kind; 0: VCORE_BUS_MMIO */
	uint32_t reserved0;	/**< zero */
};

/**
 * Make a bus.
 *
 * @param[in]  opts  How; NULL: an MMIO bus. Copied.
 * @param[out] bus   The new bus. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p bus is NULL, `kind` is unknown or `size` is not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference; vcore_bus_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_bus_new(const struct vcore_bus_opts *opts, struct vcore_bus **bus);

/**
 * Take another reference.
 *
 * @param[in] bus  A bus; NULL is allowed.
 *
 * @return @p bus.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_bus *
vcore_bus_ref(struct vcore_bus *bus);

/**
 * Drop a reference. Ranges that are still on the bus keep it alive.
 *
 * @param[in] bus  A bus; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_bus_unref(struct vcore_bus *bus);

/**
 * What answers the accesses to a range. Both functions are required.
 *
 * They run on the vCPU that accesses, several at a time, with no lock of the
 * library held. They may add and remove ranges, also their own. The whole
 * access lies in the range; no alignment is promised.
 *
 * Each returns 0; or -EINPROGRESS, after which vcore_access_done() is called
 * exactly once for @p later, by any thread and perhaps before the function
 * returned; the vCPU waits for it outside the guest and can be kicked. Any
 * other value counts as if nobody had answered: a read is all ones.
 */
struct vcore_bus_ops {
	uint32_t size;		/**< set by VCORE_INIT() or sizeof */
	uint32_t flags;		/**< none yet: 0 */
	/**
	 * The guest reads; runs on vCPU.
	 *
	 * @param[in]  opaque  The range's `opaque`.
	 * @param[in]  off     Address relative to the range's base.
	 * @param[in]  len     1, 2, 4 or 8 bytes.
	 * @param[out] val     The answer; only its low @p len bytes count.
	 * @param[in]  later   For vcore_access_done() after -EINPROGRESS.
	 *
	 * @return 0 or -EINPROGRESS.
	 */
	int (*read)(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
		    struct vcore_access *later);
	/**
	 * The guest writes; runs on vCPU.
	 *
	 * @param[in] opaque  The range's `opaque`.
	 * @param[in] off     Address relative to the range's base.
	 * @param[in] len     1, 2, 4 or 8 bytes.
	 * @param[in] val     What is written; bits above @p len bytes are 0.
	 * @param[in] later   For vcore_access_done() after -EINPROGRESS.
	 *
	 * @return 0 or -EINPROGRESS.
	 */
	int (*write)(void *opaque, uint64_t off, uint32_t len, uint64_t val,
		     struct vcore_access *later);
};

/** A range of addresses and its handler. */
struct vcore_range_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	uint64_t base;		/**< first address */
	uint64_t len;		/**< bytes, not 0 */
	const struct vcore_bus_ops *ops;	/**< copied */
	void *opaque;		/**< for @p ops and @p release */
	/** Called once, when no call of @p ops can happen any more; or NULL. */
	void (*release)(void *opaque);
};

/**
 * Put a range with a handler on a bus.
 *
 * An access belongs to a range only if all of its bytes do; one that crosses
 * a border is nobody's.
 *
 * @param[in]  bus    The bus; vCPUs may be using it.
 * @param[in]  opts   Where and who. Copied.
 * @param[out] range  The registration. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer or a method is NULL, `len` is 0, the range
 *                  passes the end of the address space, or a `size` is not
 *                  set.
 * @retval -EEXIST  The range overlaps another one.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p range and gives it back with
 *         vcore_range_remove(). It keeps the bus alive. On failure
 *         `release` is not called.
 * @thread Any thread, also inside a handler.
 * @since  0.1
 */
VCORE_API int
vcore_bus_add(struct vcore_bus *bus, const struct vcore_range_opts *opts,
	      struct vcore_range **range);

/** Only writes of `value` ring; others reach the handler below, if any. */
#define VCORE_DOORBELL_MATCH (1u << 0)

/** Where a doorbell is. */
struct vcore_doorbell_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< VCORE_DOORBELL_* */
	uint64_t addr;		/**< the address that is written */
	uint32_t len;		/**< 1, 2, 4, 8; 0: any, not with MATCH */
	uint32_t reserved0;	/**< zero */
	uint64_t value;		/**< with VCORE_DOORBELL_MATCH */
};

/**
 * Put a doorbell on a bus: a guest's write makes an eventfd readable.
 *
 * A write matches if it starts at `addr`, is as long as `len` says and, with
 * VCORE_DOORBELL_MATCH, writes `value`. A doorbell may stand alone or over a
 * range, whichever was added first: a write that matches rings and does not
 * reach the handler; all other accesses do. Several doorbells may share an
 * address if no write can match two of them.
 *
 * @param[in]  bus    The bus; vCPUs may be using it.
 * @param[in]  opts   Where. Copied.
 * @param[in]  efd    An eventfd. Each match adds 1 to it.
 * @param[out] range  The registration. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `len` is not one of those above, the
 *                  doorbell passes the end of the address space, `value`
 *                  needs more than `len` bytes, or `size` is not set.
 * @retval -EEXIST  A write could match another doorbell too.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -EBADF   @p efd is no descriptor.
 * @retval -EMFILE  The process has no free descriptor.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   @p efd is duplicated. The caller owns @p range and gives it back
 *         with vcore_range_remove(). It keeps the bus alive.
 * @thread Any thread, also inside a handler.
 * @since  0.1
 */
VCORE_API int
vcore_bus_add_doorbell(struct vcore_bus *bus,
		       const struct vcore_doorbell_opts *opts, int efd,
		       struct vcore_range **range);

/**
 * Take a range or doorbell from its bus.
 *
 * Never waits. No new call of its handler starts after this has returned;
 * one that runs elsewhere, or that called this function, may still be under
 * way. `release` runs once, when the last has returned: before this function
 * returns, or later on a vCPU's thread. An answer that is still owed
 * (-EINPROGRESS) is owed nevertheless.
 *
 * @param[in] range  What to remove; NULL does nothing.
 *
 * @owns   Takes the caller's @p range.
 * @thread Any thread, also inside the range's own handler.
 * @since  0.1
 */
VCORE_API void
vcore_range_remove(struct vcore_range *range);

/**
 * Read as a vCPU would. For tests and for embedders with exits of their own.
 *
 * Waits if the handler answers later.
 *
 * @param[in]  bus   The bus.
 * @param[in]  addr  Where.
 * @param[in]  len   1, 2, 4 or 8 bytes.
 * @param[out] val   The answer; all ones if nobody answered.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p len is not one of those above.
 * @retval -ENOENT  Nobody answered.
 * @retval -EDEADLK Called in a callback of a loop or a handler of a vCPU.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_bus_read(struct vcore_bus *bus, uint64_t addr, uint32_t len,
	       uint64_t *val);

/**
 * Write as a vCPU would. For tests and for embedders with exits of their own.
 *
 * Waits if the handler answers later.
 *
 * @param[in] bus   The bus.
 * @param[in] addr  Where.
 * @param[in] len   1, 2, 4 or 8 bytes.
 * @param[in] val   What; bits above @p len bytes are ignored.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p bus is NULL or @p len is not one of those above.
 * @retval -ENOENT  Nobody answered.
 * @retval -EDEADLK Called in a callback of a loop or a handler of a vCPU.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_bus_write(struct vcore_bus *bus, uint64_t addr, uint32_t len,
		uint64_t val);

/**
 * Answer an access whose handler returned, or will return, -EINPROGRESS.
 *
 * Exactly once for each; @p later is not valid afterwards.
 *
 * @param[in] later  What the handler was given.
 * @param[in] val    What a read returns; ignored for a write.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_access_done(struct vcore_access *later, uint64_t val);

/** Counters of a bus. */
struct vcore_bus_info {
	uint32_t size;		/**< set by VCORE_INIT(); then: filled */
	uint32_t ranges;	/**< ranges and doorbells on the bus */
	uint64_t unclaimed;	/**< accesses that nobody answered */
	uint64_t doorbells;	/**< rings that did not go through the kernel */
};

/**
 * Read a bus's counters.
 *
 * @param[in]     bus   The bus.
 * @param[in,out] info  Where they go; prepared with VCORE_INIT().
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or `size` is not set.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_bus_get_info(struct vcore_bus *bus, struct vcore_bus_info *info);

#ifdef __cplusplus
}
#endif
#endif
