/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Guest memory: regions of host memory, the map that puts them at guest
 * physical addresses, checked copies, pins.
 *
 * A region is a stretch of host memory; a map says which region stands at which
 * guest physical address (GPA). Nothing here needs KVM: a VM, vhost and device
 * servers follow a map and are told of its changes.
 *
 * Guest memory may change under the reader at any moment, since the guest runs
 * meanwhile. What is read is therefore copied, then checked, then used.
 */
#ifndef VCORE_MEMORY_H
#define VCORE_MEMORY_H

#include <sys/uio.h>

#include <vcore/base.h>
#include <vcore/event.h>
#include <vcore/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A stretch of host memory, counted. */
struct vcore_region;
/** A map from guest physical addresses to regions, counted. */
struct vcore_memory;
/** A change of a map that is being put together. */
struct vcore_memory_change;

/** Where a region's bytes come from. */
enum vcore_backing {
	/**
	 * VCORE_BACKING_MEMFD with VCORE_REGION_SHARED, otherwise
	 * VCORE_BACKING_ANONYMOUS.
	 */
	VCORE_BACKING_AUTO = 0,
	/** Private anonymous memory, transparent huge pages advised. */
	VCORE_BACKING_ANONYMOUS = 1,
	/**
	 * A memfd, shared, sealed against growing, shrinking and unsealing: other
	 * processes can map it, and none can take pages away.
	 */
	VCORE_BACKING_MEMFD = 2,
	/** A sealed memfd of huge pages, reserved for good at creation. */
	VCORE_BACKING_HUGETLB = 3,
	/** A part of a file: shared, or private, which is copy on write. */
	VCORE_BACKING_FILE = 4,
	/** A mapping of the caller's, which stays the caller's. */
	VCORE_BACKING_CALLER = 5
};

/** The region's pages are shared with everybody who maps the descriptor. */
#define VCORE_REGION_SHARED      (1u << 0)
/** All pages are there when the call returns, or it fails. */
#define VCORE_REGION_POPULATE    (1u << 1)
/**
 * FILE: the caller knows that somebody may truncate the file, and that touching
 * what is gone is SIGBUS; see vcore_memory_recover().
 */
#define VCORE_REGION_UNSEALED_OK (1u << 2)
/** FILE, CALLER: the mapping itself is read-only. */
#define VCORE_REGION_READONLY    (1u << 3)

/** How to make a region; zeroes are defaults, see VCORE_INIT(). */
struct vcore_region_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_REGION_*; unknown bits: -E2BIG. */
	uint64_t len;		/**< Bytes; a multiple of the page size. */
	uint32_t backing;	/**< enum vcore_backing. */
	int32_t fd;		/**< FILE: the file; duplicated. */
	uint64_t fd_offset;	/**< FILE: a multiple of the page size. */
	void *hva;		/**< CALLER: page-aligned, all of it mapped. */
	uint64_t page_size;	/**< HUGETLB: bytes; 0: 2 MiB. */
	void *opaque;		/**< CALLER: for release. */
	/**
	 * CALLER, or NULL: runs once, when the library no longer uses the
	 * mapping; on the thread that drops the last reference, which may be
	 * inside any library call. Must not wait.
	 */
	void (*release)(void *opaque);
};

/** What a region is. */
struct vcore_region_info {
	uint32_t size;		/**< Set by VCORE_INIT(); then bytes filled. */
	uint32_t backing;	/**< enum vcore_backing; never AUTO. */
	uint64_t len;		/**< Bytes. */
	uint64_t page_size;	/**< Bytes. */
	/**
	 * Address in this process, valid while the region lives. Access through
	 * it is unchecked, and racing with the guest.
	 */
	uint64_t hva;
	int32_t fd;		/**< The region's own, valid as long; or -1. */
	uint32_t flags;		/**< VCORE_REGION_*, SHARED if it is shared. */
	uint64_t fd_offset;	/**< Where in fd the region begins, bytes. */
	uint32_t failed;	/**< 1: vcore_memory_recover() lost a page. */
	uint32_t reserved0;	/**< Zero. */
};

/**
 * Make a region of host memory.
 *
 * The library's own mappings have an inaccessible page before and behind them.
 * Pages come when they are touched, and none but huge ones of HUGETLB are
 * reserved before that: a region may be larger than the host's free memory
 * (except with vm.overcommit_memory=2). VCORE_REGION_POPULATE touches all.
 *
 * @param[in]  opts    What to make, set up with VCORE_INIT(). Copied.
 * @param[out] region  The new region. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, `size` is not initialised, `len`,
 *                      `fd_offset`, `hva` or `page_size` is 0, unaligned, too
 *                      large or not mapped; the file is shorter than the region
 *                      or not sealed against shrinking while
 *                      VCORE_REGION_UNSEALED_OK is not set; a flag or field
 *                      does not go with the backing.
 * @retval -E2BIG       A flag or field that this library does not know is set.
 * @retval -EBADF       `fd` is no descriptor.
 * @retval -EACCES      `fd` is not open for what the mapping needs.
 * @retval -ENOMEM      Out of memory, addresses or huge pages.
 * @retval -EOPNOTSUPP  VCORE_REGION_POPULATE, and this kernel has no
 *                      MADV_POPULATE_WRITE.
 *
 * Other errors of memfd_create(2), ftruncate(2) and mmap(2) are passed through.
 *
 * @owns   The caller owns a reference, see vcore_region_unref(). `opts->fd`
 *         stays the caller's. On failure `release` is not called.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_region_new(const struct vcore_region_opts *opts,
		 struct vcore_region **region);

/**
 * Take one more reference on a region.
 *
 * @param region  A region, or NULL.
 *
 * @return @p region.
 *
 * @owns   The caller owns the reference, see vcore_region_unref().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_region *
vcore_region_ref(struct vcore_region *region);

/**
 * Give a reference back. The mapping goes with the last one: a map that holds
 * the region, or a change that mentions it, has one of its own.
 *
 * @param region  A region, or NULL, which is a no-op.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_region_unref(struct vcore_region *region);

/**
 * Describe a region.
 *
 * @param[in]     region  The region.
 * @param[in,out] info    Set up with VCORE_INIT(); filled.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or `info->size` is not initialised.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_region_get_info(struct vcore_region *region,
		      struct vcore_region_info *info);

/** How to make a map; zeroes are defaults, see VCORE_INIT(). */
struct vcore_memory_opts {
	uint32_t size;			/**< Set by VCORE_INIT(). */
	uint32_t flags;			/**< None yet: 0. */
	struct vcore_log *log;		/**< May be NULL; referenced. */
	struct vcore_events *events;	/**< May be NULL; referenced. */
	uint64_t limit;	/**< First GPA that is out of range; 0: 2^52. */
	/** How long a removal waits for pins and readers; 0: 5 seconds. */
	uint64_t remove_timeout_ns;
};

/**
 * Make an empty map.
 *
 * @param[in]  opts    Set up with VCORE_INIT(), copied; or NULL for defaults.
 * @param[out] memory  The new map. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p memory is NULL, or `opts->size` is not initialised.
 * @retval -E2BIG   A flag or field that this library does not know is set.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference, see vcore_memory_unref().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_new(const struct vcore_memory_opts *opts,
		 struct vcore_memory **memory);

/**
 * Take one more reference on a map.
 *
 * @param memory  A map, or NULL.
 *
 * @return @p memory.
 *
 * @owns   The caller owns the reference, see vcore_memory_unref().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_memory *
vcore_memory_ref(struct vcore_memory *memory);

/**
 * Give a reference back. With the last one the map lets go of its regions; who
 * follows the map, or holds a pin, must have a reference.
 *
 * @param memory  A map, or NULL, which is a no-op.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_memory_unref(struct vcore_memory *memory);

/** Guest and devices may not write there (ROM). */
#define VCORE_MEMORY_READONLY (1u << 0)

/**
 * Put a whole region at a guest physical address.
 *
 * vCPUs may run. Devices are told first, then the guest; a failure of either
 * undoes all. A region may stand at several places. A region that was made with
 * VCORE_REGION_READONLY is read-only in the map as well.
 *
 * @param memory  The map.
 * @param gpa     Where it begins; a multiple of the page size.
 * @param region  The region; the map takes a reference of its own.
 * @param flags   VCORE_MEMORY_*.
 *
 * @return 0, or a negative errno value, nothing being changed:
 * @retval -EINVAL   A pointer is NULL, @p gpa is unaligned, or the range passes
 *                   the map's limit.
 * @retval -E2BIG    A flag is unknown.
 * @retval -EEXIST   The range overlaps another.
 * @retval -EDEADLK  Called from inside a change of the same map, or in a
 *                   callback of a loop or vCPU.
 * @retval -ENOMEM   Out of memory.
 *
 * An error of one who follows the map is passed through (-ENOSPC: no free KVM
 * slot).
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_memory_add(struct vcore_memory *memory, uint64_t gpa,
		 struct vcore_region *region, uint32_t flags);

/**
 * Take the region that begins at a guest physical address out of the map.
 *
 * vCPUs may run. The guest loses it first, then devices; then the call waits
 * until every pin that was taken before is gone.
 *
 * @param memory  The map.
 * @param gpa     Where the region begins.
 *
 * @return 0, or a negative errno value, nothing being changed:
 * @retval -EINVAL     @p memory is NULL.
 * @retval -ENOENT     No region begins at @p gpa.
 * @retval -ETIMEDOUT  Pins were not released in time; the region is back in the
 *                     map, and those who follow it have been told so.
 * @retval -EDEADLK    Called from inside a change of the same map, or in a
 *                     callback of a loop or vCPU.
 * @retval -ENOMEM     Out of memory.
 *
 * @thread Control; not while the caller itself holds a pin.
 * @since  0.1
 */
VCORE_API int
vcore_memory_remove(struct vcore_memory *memory, uint64_t gpa);

/**
 * Begin a change of several regions, which readers see as one step.
 *
 * Removals take place before additions, whatever order they are given in.
 *
 * @param[in]  memory  The map; referenced.
 * @param[out] change  The new, empty change. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p change, see vcore_memory_change_free().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_change_new(struct vcore_memory *memory,
			struct vcore_memory_change **change);

/**
 * Add a region in a change, as vcore_memory_add() does.
 *
 * @param change  The change.
 * @param gpa     Where the region begins; checked by the commit.
 * @param region  The region; the change takes a reference of its own.
 * @param flags   VCORE_MEMORY_*.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -E2BIG   A flag is unknown.
 * @retval -EBUSY   The change was committed already.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Any thread, one at a time.
 * @since  0.1
 */
VCORE_API int
vcore_memory_change_add(struct vcore_memory_change *change, uint64_t gpa,
			struct vcore_region *region, uint32_t flags);

/**
 * Remove a region in a change, as vcore_memory_remove() does.
 *
 * @param change  The change.
 * @param gpa     Where the region begins; checked by the commit.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p change is NULL.
 * @retval -EBUSY   The change was committed already.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Any thread, one at a time.
 * @since  0.1
 */
VCORE_API int
vcore_memory_change_remove(struct vcore_memory_change *change, uint64_t gpa);

/**
 * Do what a change says, all of it or nothing.
 *
 * @param change  The change; free it afterwards in either case.
 *
 * @return 0, or a negative errno value, nothing being changed:
 * @retval -EINVAL     @p change is NULL, or as for vcore_memory_add().
 * @retval -EBUSY      The change was committed already.
 * @retval -ENOENT     A removal names an address where no region begins.
 * @retval -EEXIST     An addition overlaps what stays, or another addition.
 * @retval -ETIMEDOUT  Pins were not released in time.
 * @retval -EDEADLK    Called from inside a change of the same map, or in a
 *                     callback of a loop or vCPU.
 * @retval -ENOMEM     Out of memory.
 *
 * An error of one who follows the map is passed through.
 *
 * @thread Control; not while the caller itself holds a pin.
 * @since  0.1
 */
VCORE_API int
vcore_memory_change_commit(struct vcore_memory_change *change);

/**
 * Free a change, committed or not.
 *
 * @param change  The change, or NULL, which is a no-op.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_memory_change_free(struct vcore_memory_change *change);

/**
 * Copy out of guest memory. The range may cross regions that touch.
 *
 * @param[in]  memory  The map.
 * @param[in]  gpa     Where to begin.
 * @param[out] buf     For @p len bytes.
 * @param[in]  len     Bytes; 0 is fine everywhere.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EFAULT  Not all of the range is mapped; a prefix of it may have been
 *                  copied.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_read(struct vcore_memory *memory, uint64_t gpa, void *buf,
		  uint64_t len);

/**
 * Copy into guest memory. The range may cross regions that touch.
 *
 * @param memory  The map.
 * @param gpa     Where to begin.
 * @param buf     @p len bytes.
 * @param len     Bytes; 0 is fine everywhere.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EFAULT  Not all of the range is mapped and writable; a prefix of it
 *                  may have been written.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_write(struct vcore_memory *memory, uint64_t gpa, const void *buf,
		   uint64_t len);

/**
 * Set guest memory to one byte. The range may cross regions that touch.
 *
 * @param memory  The map.
 * @param gpa     Where to begin.
 * @param byte    The byte.
 * @param len     Bytes; 0 is fine everywhere.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p memory is NULL.
 * @retval -EFAULT  Not all of the range is mapped and writable; a prefix of it
 *                  may have been written.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_fill(struct vcore_memory *memory, uint64_t gpa, uint8_t byte,
		  uint64_t len);

/** A pin. No field of it is for the caller. */
struct vcore_pin {
	uint64_t opaque[4];	/**< The library's. */
};

/** Pin: the range will be written. */
#define VCORE_PIN_WRITE (1u << 0)

/**
 * Keep a range mapped and get pointers to it, until vcore_memory_unpin().
 *
 * A removal waits for pins. A pin is for a request in flight, not for keeps.
 *
 * @param[in]  memory  The map; the caller's reference must outlive the pin.
 * @param[in]  gpa     Where the range begins.
 * @param[in]  len     Bytes. 0 uses no entry.
 * @param[in]  flags   VCORE_PIN_WRITE, or 0: the range will only be read.
 * @param[out] iov     Where the bytes are, in order; one entry for each stretch
 *                     that is in one piece in this process. Valid until unpin;
 *                     on failure the contents are undefined.
 * @param[in]  max     Entries that fit into @p iov.
 * @param[out] pin     For vcore_memory_unpin(). Unchanged on failure.
 *
 * @return The number of entries used, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -E2BIG   A flag is unknown.
 * @retval -EFAULT  Not all of the range is mapped, or is writable with
 *                  VCORE_PIN_WRITE.
 * @retval -ENOSPC  More than @p max entries are needed.
 *
 * @owns   The caller owns the pin and gives it back with vcore_memory_unpin().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_pin(struct vcore_memory *memory, uint64_t gpa, uint64_t len,
		 uint32_t flags, struct iovec *iov, uint32_t max,
		 struct vcore_pin *pin);

/**
 * Give a pin back. The pointers that came with it are invalid from now on.
 *
 * @param memory  The map that the pin is of.
 * @param pin     The pin. One that was given back already, or is of another
 *                map, is a no-op.
 *
 * @thread Any thread, also another one than pinned it.
 * @since  0.1
 */
VCORE_API void
vcore_memory_unpin(struct vcore_memory *memory, struct vcore_pin *pin);

/** What a map holds. */
struct vcore_memory_info {
	uint32_t size;		/**< Set by VCORE_INIT(); then bytes filled. */
	uint32_t regions;	/**< How many ranges are mapped. */
	uint64_t bytes;		/**< Sum of their lengths. */
	uint64_t top;		/**< End of the highest; 0 if there is none. */
};

/**
 * Describe a map.
 *
 * @param[in]     memory  The map.
 * @param[in,out] info    Set up with VCORE_INIT(); filled.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or `info->size` is not initialised.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_get_info(struct vcore_memory *memory,
		      struct vcore_memory_info *info);

/**
 * Describe one range of a map.
 *
 * @param[in]  memory  The map.
 * @param[in]  index   Its number, from 0, by address. Numbers move when the map
 *                     changes.
 * @param[out] gpa     Where it begins. All three are unchanged on failure.
 * @param[out] len     Its length in bytes.
 * @param[out] flags   VCORE_MEMORY_*.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -ENOENT  There are not so many ranges.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_memory_get_range(struct vcore_memory *memory, uint32_t index,
		       uint64_t *gpa, uint64_t *len, uint32_t *flags);

/**
 * Replace a page of guest memory that can't be read back by zeroes.
 *
 * A page behind which there is nothing any more (a file was truncated, swap
 * could not be read, memory failed) is SIGBUS for the thread that touches it.
 * The library installs no signal handler; this is for the embedder's:
 *
 * @code
 * static void
 * on_sigbus(int number, siginfo_t *info, void *context)
 * {
 *	if (!vcore_memory_recover(memory, info, context))
 *		default_action(number);
 * }
 * @endcode
 *
 * If the address belongs to the map, the page becomes private zeroes, the
 * region's `failed` becomes 1, and a VCORE_EVENT_MEMORY_FAULT is posted with
 * the page's GPA and length as values. The guest's data there is lost: whether
 * the guest goes on is for the embedder to decide.
 *
 * @param memory    The map; referenced while the handler may run.
 * @param siginfo   The handler's `siginfo_t *`.
 * @param ucontext  The handler's third argument; may be NULL.
 *
 * @return 1: replaced, return from the handler; 0: not an address of this map,
 *         not such a signal, or it can't be replaced.
 *
 * @thread Any thread; async-signal-safe.
 * @since  0.1
 */
VCORE_API int
vcore_memory_recover(struct vcore_memory *memory, void *siginfo,
		     void *ucontext);

#ifdef __cplusplus
}
#endif
#endif
