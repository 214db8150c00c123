/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Disks by io_uring: an optional part, libvirtcore-uring.
 *
 * A disk on a file as vcore_disk_new_file() makes it, with one io_uring for
 * each user instead of a pool of threads: a batch of requests is one system
 * call, and completions arrive on the user's loop.
 */
#ifndef VCORE_URING_H
#define VCORE_URING_H

#include <vcore/base.h>
#include <vcore/disk.h>
#include <vcore/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a disk by io_uring is made. */
struct vcore_uring_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_DISK_FILE_*; others: -E2BIG. */
	const char *path;	/**< Without VCORE_DISK_FILE_FD: what to open. */
	int32_t fd;		/**< With VCORE_DISK_FILE_FD: a descriptor with
				     the right mode; duplicated. */
	uint32_t entries;	/**< Requests one system call can start, up to
				     4096; 0: 256. Twice as many can be in
				     flight for each user, others wait. */
};

/**
 * A disk on a raw file or block device, by io_uring.
 *
 * The format is never probed. Capacity, read-only files, a file that shrinks
 * and failed flushes are treated as by vcore_disk_new_file(). Cancelling takes
 * back what the kernel has not begun.
 *
 * @param[in]  opts  Which file and how.
 * @param[out] disk  The new disk; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, or `entries` is out of range.
 * @retval -E2BIG       An unknown field or flag is set.
 * @retval -EOPNOTSUPP  This kernel has no io_uring, or lacks an operation
 *                      (reading, writing, fsync and fallocate: Linux 5.6);
 *                      or the file system has no O_DIRECT.
 * @retval -EPERM       The administrator has switched io_uring off, or a
 *                      system call filter has.
 * @retval -ENOMEM      Out of host memory, or of RLIMIT_MEMLOCK. Others:
 *                      vcore_disk_open_file()'s.
 *
 * @owns   The caller owns a reference on @p disk.
 * @thread Any thread.
 * @spec   Linux io_uring(7).
 * @since  0.1
 */
VCORE_API int
vcore_uring_new(const struct vcore_uring_opts *opts, struct vcore_disk **disk);

/**
 * Makes such a disk for recipes: a vcore_disk_maker, to be registered with
 * vcore_machine_add_disk_kind().
 *
 * The keys are `path=FILE` or `fd=N`, and the flags `ro` and `direct`.
 *
 * @param      opaque  Not used.
 * @param[in]  recipe  The recipe.
 * @param[out] disk    The new disk; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p recipe or @p disk is NULL; neither or both of path= and
 *                  fd= are given; a flag has a value. Others:
 *                  vcore_uring_new()'s.
 *
 * @owns   The caller owns a reference on @p disk.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_uring_make(void *opaque, struct vcore_recipe *recipe,
		 struct vcore_disk **disk);

#ifdef __cplusplus
}
#endif
#endif
