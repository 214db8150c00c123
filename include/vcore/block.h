/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The virtio block device.
 */
#ifndef VCORE_BLOCK_H
#define VCORE_BLOCK_H

#include <vcore/base.h>
#include <vcore/disk.h>
#include <vcore/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Offer the disk read-only, whether or not it is. */
#define VCORE_BLOCK_READONLY     (1u << 0)
/**
 * The write cache is off at first: each write is durable when it is done. A
 * guest may switch it (VIRTIO_BLK_F_CONFIG_WCE); after a reset it is off again.
 */
#define VCORE_BLOCK_WRITETHROUGH (1u << 1)

/** How a block device is made. */
struct vcore_block_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_BLOCK_*; others: -E2BIG. */
	uint32_t queues;	/**< Request queues, up to 256; 0: 1. */
	uint32_t queue_size;	/**< Descriptors of each at most, a power of two
				     up to 32768; 0: 256. */
	char serial[20];	/**< What the guest reads as serial number;
				     without NUL if it has 20 bytes. */
	uint32_t reserved0;	/**< Zero. */
	char name[32];		/**< For logs and events; "": "block". */
};

/**
 * Make a block device on a disk.
 *
 * It is driven by the functions of virtio.h. Requests the disk fails are
 * failed to the guest and posted as VCORE_EVENT_DISK_ERROR, with the negative
 * errno value and the offset in bytes.
 *
 * @param      disk    What it reads from and writes to.
 * @param[in]  opts    How; NULL: defaults. Copied.
 * @param[out] virtio  The new device; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, a field is out of range, or the disk is
 *                  smaller than 512 bytes. Others:
 *                  vcore_disk_get_limits()'s.
 * @retval -E2BIG   An unknown field or flag is set.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference on @p virtio; the device takes one of
 *         its own on @p disk.
 * @thread Any thread.
 * @spec   Virtual I/O Device (VIRTIO) 1.2, 5.2 Block Device.
 * @since  0.1
 */
VCORE_API int
vcore_block_new(struct vcore_disk *disk, const struct vcore_block_opts *opts,
		struct vcore_virtio **virtio);

/** What a block device has done since it was made. */
struct vcore_block_info {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t write_cache;	/**< 1: on, 0: each write is flushed. */
	uint64_t reads;		/**< Read requests done well. */
	uint64_t writes;	/**< Write requests done well. */
	uint64_t flushes;	/**< Flushes done well, also those after a
				     write with the cache off. */
	uint64_t discards;	/**< Discard requests done well. */
	uint64_t zeroes;	/**< Write-zeroes requests done well. */
	uint64_t errors;	/**< Requests that were refused or failed. */
	uint64_t bytes_read;	/**< By `reads`. */
	uint64_t bytes_written;	/**< By `writes`. */
};

/**
 * What a block device has done so far.
 *
 * @param         virtio  A block device.
 * @param[in,out] info    Set up with VCORE_INIT(); filled.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not set, or @p virtio is no
 *                  block device of this library.
 *
 * @thread Any thread. Queues count by themselves: the sum is no snapshot.
 * @since  0.1
 */
VCORE_API int
vcore_block_get_info(struct vcore_virtio *virtio,
		     struct vcore_block_info *info);

#ifdef __cplusplus
}
#endif
#endif
