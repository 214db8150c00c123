/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Disks: what a block device reads from and writes to.
 *
 * A disk takes requests and completes them in any order, on any thread. A user
 * (a queue of a device, or the embedder) attaches, submits, commits, and
 * detaches once all its requests are done:
 *
 * @code
 * vcore_disk_attach(disk, loop, &queue);
 * req.op = VCORE_DISK_READ;
 * req.offset = 0;
 * req.len = 4096;
 * req.iov = &iov;
 * req.iov_count = 1;
 * req.done = my_done;
 * vcore_disk_submit(disk, queue, &req);
 * vcore_disk_commit(disk, queue);
 * @endcode
 */
#ifndef VCORE_DISK_H
#define VCORE_DISK_H

#include <sys/uio.h>

#include <vcore/base.h>
#include <vcore/loop.h>
#include <vcore/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A disk. */
struct vcore_disk;

/** What a request asks for. */
enum vcore_disk_op {
	VCORE_DISK_READ = 1,		/**< Bytes into `iov`. */
	VCORE_DISK_WRITE = 2,		/**< Bytes from `iov`. */
	VCORE_DISK_FLUSH = 3,		/**< All writes that were done before
					     this was submitted are durable
					     when it is done. No range. */
	VCORE_DISK_DISCARD = 4,		/**< The range is not needed: it reads
					     as old bytes or zeroes after. */
	VCORE_DISK_WRITE_ZEROES = 5	/**< The range reads as zeroes. */
};

/** WRITE_ZEROES: the range's storage may be given back. */
#define VCORE_DISK_MAY_UNMAP (1u << 0)

/**
 * One request. The submitter's; it leaves it alone from submit until done.
 */
struct vcore_disk_request {
	uint32_t op;		/**< enum vcore_disk_op. */
	uint32_t flags;		/**< VCORE_DISK_MAY_UNMAP or 0. */
	uint64_t offset;	/**< Bytes from the disk's start. */
	uint64_t len;		/**< Bytes; READ, WRITE: the sum of `iov`. */
	const struct iovec *iov; /**< READ, WRITE: memory to fill or take. It
				     and what it points to stay until done. A
				     disk does not change the array. */
	uint32_t iov_count;	/**< Entries of `iov`, at least 1. */
	int32_t rc;		/**< In `done`: 0 or a negative errno value. */
	/** Called once the request is done; any thread, also inside submit. */
	void (*done)(struct vcore_disk_request *req);
	void *driver[4];	/**< The disk's own while it has the request. */
};

/** The disk refuses writes. */
#define VCORE_DISK_READONLY     (1u << 0)
/** FLUSH means something; without it every write is durable when done. */
#define VCORE_DISK_CAN_FLUSH    (1u << 1)
/** DISCARD is taken. */
#define VCORE_DISK_CAN_DISCARD  (1u << 2)
/** WRITE_ZEROES is taken. */
#define VCORE_DISK_CAN_ZERO     (1u << 3)

/** What a disk is like. */
struct vcore_disk_limits {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_DISK_READONLY, VCORE_DISK_CAN_*. */
	uint64_t capacity;	/**< Bytes; users see whole logical blocks. */
	uint32_t logical_block;	/**< Unit of offsets and lengths, bytes: a power
				     of two, at least 512; 0: 512. */
	uint32_t physical_block; /**< What is best written at once, bytes: a
				     power of two, at least `logical_block`;
				     0: the same. */
	uint64_t max_discard;	/**< Bytes a DISCARD may cover; 0: no limit. */
	uint64_t max_write_zeroes; /**< Likewise for WRITE_ZEROES. */
};

/**
 * Implemented by whoever makes a disk: submit and limits, and what else is
 * useful.
 */
struct vcore_disk_ops {
	uint32_t size;		/**< Set by VCORE_INIT() or sizeof. */
	uint32_t flags;		/**< None yet; others: -E2BIG. */
	/**
	 * Take a request. vcore_disk_done() follows exactly once, on any
	 * thread, also before this returns. Does not block. A short transfer
	 * is the disk's to finish; what can't be read is an error or zeroes,
	 * never bytes that were in `iov` before. @p queue is what attach gave.
	 * Runs on the queue's loop.
	 */
	void (*submit)(void *opaque, void *queue,
		       struct vcore_disk_request *req);
	/** Fill in @p limits (zeroed). They stay the same. Any thread. */
	int (*limits)(void *opaque, struct vcore_disk_limits *limits);
	/** Optional: a batch of submits has ended. Runs on the queue's loop. */
	void (*commit)(void *opaque, void *queue);
	/**
	 * Optional: a user begins to submit from @p loop. Returns 0 and
	 * @p queue, handed to the other methods, or -errno.
	 */
	int (*attach)(void *opaque, struct vcore_loop *loop, void **queue);
	/** Optional: the user of @p queue ends; all its requests are done. */
	void (*detach)(void *opaque, void *queue);
	/**
	 * Optional: requests that no system call has begun for are done with
	 * -ECANCELED soon; the others go on. Runs on the queue's loop.
	 */
	void (*cancel)(void *opaque, void *queue);
	/** Optional: forget a failed flush. Any thread. */
	void (*clear_error)(void *opaque);
};

/**
 * Make a disk of one's own.
 *
 * @param[in]  ops      Its methods; copied.
 * @param      opaque   First argument of each.
 * @param      release  Called with @p opaque when the last reference is gone;
 *                      may be NULL. Not called if this function fails.
 * @param[out] disk     The new disk; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not set, or a required method
 *                  is missing.
 * @retval -E2BIG   @p ops has a flag or method this library does not know.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference; vcore_disk_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_disk_new(const struct vcore_disk_ops *ops, void *opaque,
	       void (*release)(void *opaque), struct vcore_disk **disk);

/**
 * Take another reference.
 *
 * @param disk  A disk, or NULL.
 * @return @p disk.
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_disk *
vcore_disk_ref(struct vcore_disk *disk);

/**
 * Drop a reference. The last one closes what the disk has open.
 *
 * @param disk  A disk, or NULL.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_disk_unref(struct vcore_disk *disk);

/**
 * Complete a request. Called by the implementation, once per submit.
 *
 * The last reference on a loop may be dropped here, which runs what is still
 * posted to it and releases: hold no lock that those take.
 *
 * @param req  A request that was submitted; NULL does nothing.
 * @param rc   0, or a negative errno value.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_disk_done(struct vcore_disk_request *req, int rc);

/**
 * What a disk is like.
 *
 * @param         disk    A disk.
 * @param[in,out] limits  Set up with VCORE_INIT(); filled, with defaults put in
 *                        for zeroes and `capacity` rounded down to whole
 *                        logical blocks. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not set, or the implementation
 *                  says something impossible. Others: the implementation's.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_disk_get_limits(struct vcore_disk *disk,
		      struct vcore_disk_limits *limits);

/**
 * Begin to use a disk.
 *
 * @param      disk   A disk; it may have several users.
 * @param      loop   Where requests will be submitted.
 * @param[out] queue  What the other calls take; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -ENOMEM  Out of host memory. Others: the implementation's.
 *
 * @owns   The user keeps its own reference on @p disk until detached.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_disk_attach(struct vcore_disk *disk, struct vcore_loop *loop,
		  void **queue);

/**
 * End the use. Every request of this user is done.
 *
 * @param disk   A disk.
 * @param queue  What vcore_disk_attach() gave.
 *
 * @thread On the loop, or while nobody dispatches it.
 * @since  0.1
 */
VCORE_API void
vcore_disk_detach(struct vcore_disk *disk, void *queue);

/**
 * Hand a request to a disk. It may begin only with vcore_disk_commit().
 *
 * @param disk   A disk.
 * @param queue  What vcore_disk_attach() gave.
 * @param req    The request: done is called for it exactly once. An unknown
 *               op is done with -EOPNOTSUPP, any without disk with -EINVAL.
 *               NULL does nothing.
 *
 * @thread On the loop given to vcore_disk_attach(). Never blocks.
 * @since  0.1
 */
VCORE_API void
vcore_disk_submit(struct vcore_disk *disk, void *queue,
		  struct vcore_disk_request *req);

/**
 * Begin with what was submitted.
 *
 * @param disk   A disk; NULL does nothing.
 * @param queue  What vcore_disk_attach() gave.
 *
 * @thread On the loop given to vcore_disk_attach(). Never blocks.
 * @since  0.1
 */
VCORE_API void
vcore_disk_commit(struct vcore_disk *disk, void *queue);

/**
 * Give up on requests that have not begun; they are done with -ECANCELED.
 * What the kernel has already goes on and is done by itself.
 *
 * @param disk   A disk; NULL does nothing.
 * @param queue  What vcore_disk_attach() gave.
 *
 * @thread On the loop given to vcore_disk_attach(). Never blocks; done may
 *         be called inside.
 * @since  0.1
 */
VCORE_API void
vcore_disk_cancel(struct vcore_disk *disk, void *queue);

/**
 * Forget that a flush failed.
 *
 * Linux reports a failed write-back once and then drops the bytes, so a disk
 * remembers it: every later flush fails too, until the embedder has seen to
 * the storage and calls this.
 *
 * @param disk  A disk.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p disk is NULL.
 * @retval -EOPNOTSUPP  The implementation remembers no error.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_disk_clear_error(struct vcore_disk *disk);

/** Open or use it read-only. */
#define VCORE_DISK_FILE_READONLY (1u << 0)
/** Past the host's page cache (O_DIRECT). */
#define VCORE_DISK_FILE_DIRECT   (1u << 1)
/** `fd` is used instead of `path`. */
#define VCORE_DISK_FILE_FD       (1u << 2)

/** How a disk on a file is made. */
struct vcore_disk_file_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_DISK_FILE_*; others: -E2BIG. */
	const char *path;	/**< Without VCORE_DISK_FILE_FD: what to open. */
	int32_t fd;		/**< With VCORE_DISK_FILE_FD: a descriptor with
				     the right mode; duplicated. With
				     VCORE_DISK_FILE_DIRECT it must have
				     O_DIRECT. */
	uint32_t reserved0;	/**< Zero. */
	struct vcore_pool *pool; /**< Where system calls are made; the disk
				     takes a reference. NULL: a pool of 4
				     threads of its own. */
};

/**
 * A disk on a raw file or block device, by plain system calls on a pool.
 * Small reads and writes of a file in memory (tmpfs) are made in
 * vcore_disk_commit(), which may wait for a page as any access to memory may.
 *
 * The format is never probed: byte n of the file is byte n of the disk. The
 * capacity is the size at this moment, rounded down to whole blocks; reading
 * what a file that shrank no longer has gives zeroes.
 *
 * @param[in]  opts  Which file and how.
 * @param[out] disk  The new disk; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   A pointer is NULL; `path` and VCORE_DISK_FILE_FD don't fit
 *                   together; `fd` has no O_DIRECT although it was asked for.
 * @retval -E2BIG    An unknown field or flag is set.
 * @retval -ENOTBLK  It is neither a regular file nor a block device.
 * @retval -ENODATA  It holds less than one block.
 * @retval -EOPNOTSUPP  The file system has no O_DIRECT.
 * @retval -EISDIR   It is a directory.
 * @retval -EACCES   `fd` is not open for writing (or reading) and
 *                   VCORE_DISK_FILE_READONLY is not set. For a path: open()'s.
 * @retval -EBADF    `fd` is no descriptor.
 * @retval -ENOENT   No such file.
 * @retval -ENOMEM   Out of host memory. Others: open()'s, vcore_pool_new()'s.
 *
 * @owns   The caller owns a reference on @p disk.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_disk_new_file(const struct vcore_disk_file_opts *opts,
		    struct vcore_disk **disk);

/**
 * Open a file as vcore_disk_new_file() does, for a disk of one's own on it.
 *
 * @param[in]  opts    Which file and how; `pool` is not used.
 * @param[out] limits  Set up with VCORE_INIT(); filled. Unchanged on failure.
 *
 * @return A descriptor, or a negative errno value:
 * @retval -EINVAL   As vcore_disk_new_file(), or `size` of @p limits is not
 *                   set.
 * @retval -E2BIG    An unknown field or flag is set.
 * @retval -ENOTBLK  As vcore_disk_new_file().
 * @retval -ENODATA  As vcore_disk_new_file().
 * @retval -EOPNOTSUPP  As vcore_disk_new_file().
 * @retval -EISDIR   It is a directory.
 * @retval -EACCES   As vcore_disk_new_file().
 * @retval -EBADF    `fd` is no descriptor.
 * @retval -ENOENT   No such file. Others: open()'s.
 *
 * @owns   The caller closes the descriptor.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_disk_open_file(const struct vcore_disk_file_opts *opts,
		     struct vcore_disk_limits *limits);

#ifdef __cplusplus
}
#endif
#endif
