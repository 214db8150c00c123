/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The virtio network device: a link of the host as the guest's interface.
 *
 * A queue pair, receive and transmit, is served on one loop, and pairs on
 * several loops run side by side without locks. Offloads (checksums and
 * segmentation) are offered as far as the link can take and give them, see
 * vcore_link_offloads(); headers of the guest are checked before a link sees
 * them. Frames for which the guest has no buffers wait in the link.
 */
#ifndef VCORE_NET_H
#define VCORE_NET_H

#include <vcore/base.h>
#include <vcore/link.h>
#include <vcore/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How to make a network device. */
struct vcore_net_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< None yet: 0. */
	/** Queue pairs, at most 128; 0: as many as the link serves. */
	uint32_t pairs;
	/** Descriptors per queue, a power of two up to 32768; 0: 256. */
	uint32_t queue_size;
	/** Address of the interface; all zero: a random local one is made. */
	uint8_t mac[6];
	/** Largest frame payload the guest shall use, from 68; 0: not said. */
	uint16_t mtu;
	/** VIRTIO_NET_F_* and VIRTIO_F_* bits (1 << number) not to offer. */
	uint64_t features_off;
	char name[32];		/**< For logs and events; "": "net". */
};

/**
 * Make a network device. It begins to work when it is attached to a machine,
 * or to a transport by the functions of virtio.h.
 *
 * @param[in]  link    Where frames go to and come from.
 * @param[in]  opts    How, or NULL for the defaults. Copied.
 * @param[out] virtio  The device. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p link or @p virtio is NULL, `size` is not initialised,
 *                  the link does not serve `pairs`, `queue_size` is no power
 *                  of two up to 32768, `mac` is a multicast address, or `mtu`
 *                  is below 68.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference on @p virtio; vcore_virtio_unref() drops
 *         it. The device takes its own on @p link.
 * @thread Any thread.
 * @spec   Virtio 1.2, 5.1 Network Device.
 * @since  0.1
 */
VCORE_API int
vcore_net_new(struct vcore_link *link, const struct vcore_net_opts *opts,
	      struct vcore_virtio **virtio);

/** What a network device has done since it was made. */
struct vcore_net_info {
	uint32_t size;		/**< Set by VCORE_INIT(); returned: filled. */
	uint32_t pairs;		/**< Queue pairs the driver has switched on. */
	uint64_t rx_frames;	/**< Given to the guest. */
	uint64_t rx_bytes;	/**< Their bytes, without virtio's header. */
	/**
	 * Not given: not addressed to the guest, longer than its buffers,
	 * with an offload it has not accepted, or lost by a reset.
	 */
	uint64_t rx_dropped;
	uint64_t tx_frames;	/**< Taken by the link. */
	uint64_t tx_bytes;	/**< Their bytes, without virtio's header. */
	/** Not sent: malformed, or refused by the link. */
	uint64_t tx_dropped;
	uint64_t rx_merged;	/**< Frames that took more than one buffer. */
	uint64_t tx_gso;	/**< Sent frames that are to be segmented. */
	uint64_t rx_gso;	/**< Given frames that are several in one. */
	/** Frames in both directions of each pair; of the first 16. */
	uint64_t queue_frames[16];
};

/**
 * Counters of a network device. They are not taken at one instant.
 *
 * @param[in]     virtio  A device of vcore_net_new().
 * @param[in,out] info    Filled in, as far as its `size` goes.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, @p virtio is another kind of device, or
 *                  `size` is not initialised.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_net_get_info(struct vcore_virtio *virtio, struct vcore_net_info *info);

#ifdef __cplusplus
}
#endif
#endif
