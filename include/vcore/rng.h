/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The virtio entropy device: random bytes for the guest.
 *
 * The driver offers buffers and the device fills them. A chain gets 64 KiB at
 * most, one call of the loop 256 KiB: what is asked beyond that waits for the
 * next one, so that a greedy guest doesn't hold up the others on the loop.
 */
#ifndef VCORE_RNG_H
#define VCORE_RNG_H

#include <vcore/base.h>
#include <vcore/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How to make an entropy device. */
struct vcore_rng_opts {
	uint32_t size;	/**< Set by VCORE_INIT(). */
	uint32_t flags;	/**< None yet: 0. */
	/**
	 * Where the bytes come from; NULL: getrandom(2). Runs on the device's
	 * loop and must not block. Returns how many bytes it has put into
	 * @c buf, 1 to @c len, or -errno: then, and if it returns 0, the
	 * request waits and is tried again in a tenth of a second.
	 */
	int64_t (*read)(void *opaque, void *buf, uint64_t len);
	void *opaque;	/**< First argument of `read` and `release`. */
	/** Called when `read` will not be called any more; may be NULL. */
	void (*release)(void *opaque);
	char name[32];	/**< For logs and events; "": "rng". */
};

/**
 * Make an entropy device. It begins to work when it is attached to a machine,
 * or to a transport by the functions of virtio.h.
 *
 * @param[in]  opts    How, or NULL for the defaults. Copied.
 * @param[out] virtio  The device. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p virtio is NULL, or `size` is not initialised.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference; vcore_virtio_unref() drops it. `opaque`
 *         is the device's until `release`; after a failure it still is the
 *         caller's.
 * @thread Any thread.
 * @spec   Virtio 1.2, 5.4 Entropy Device.
 * @since  0.1
 */
VCORE_API int
vcore_rng_new(const struct vcore_rng_opts *opts, struct vcore_virtio **virtio);

#ifdef __cplusplus
}
#endif
#endif
