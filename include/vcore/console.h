/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The virtio console device, with several ports.
 *
 * A port connects a stream with a console (hvcN) or a port device of the
 * guest (/dev/vportNpM, with a name also under /dev/virtio-ports). Input is
 * taken from the stream as far as the guest has buffers for it; output that
 * the stream can't take now stays in the guest's queue. Neither ever blocks.
 *
 * All queues of a console are served on one loop.
 */
#ifndef VCORE_CONSOLE_H
#define VCORE_CONSOLE_H

#include <vcore/base.h>
#include <vcore/stream.h>
#include <vcore/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The port is a console, hvcN, of the guest. */
#define VCORE_CONSOLE_PORT_CONSOLE (1u << 0)

/** A port. */
struct vcore_console_port {
	/** Its other side; NULL: closed, what the guest writes is dropped. */
	struct vcore_stream *stream;
	/** Such as "org.example.agent.0", 63 bytes at most; NULL: none. */
	const char *name;
	uint32_t flags;		/**< VCORE_CONSOLE_PORT_*. */
	uint32_t reserved0;	/**< Zero. */
};

/** How to make a console device. */
struct vcore_console_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< None yet: 0. */
	/** The ports. A driver without MULTIPORT sees the first one only. */
	const struct vcore_console_port *ports;
	/** Their number, 1 to 31. Of one console port, MULTIPORT isn't offered. */
	uint32_t port_count;
	/** Descriptors per queue, a power of two up to 32768; 0: 64. */
	uint32_t queue_size;
	uint16_t cols;		/**< Characters in a line; 0: not offered. */
	uint16_t rows;		/**< Lines, of all consoles; 0: not offered. */
	uint32_t reserved0;	/**< Zero. */
	char name[32];		/**< For logs and events; "": "console". */
};

/**
 * Make a console device. It begins to work when it is attached to a machine,
 * or to a transport by the functions of virtio.h. It attaches to its streams
 * while the driver runs.
 *
 * @param[in]  opts    How. Copied, with the ports and their names.
 * @param[out] virtio  The device. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not initialised, `port_count`
 *                  is not 1 to 31, `queue_size` is no power of two up to
 *                  32768, or a port's name is empty or too long.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference on @p virtio; vcore_virtio_unref() drops
 *         it. The device takes its own on each stream.
 * @thread Any thread.
 * @spec   Virtio 1.2, 5.3 Console Device.
 * @since  0.1
 */
VCORE_API int
vcore_console_new(const struct vcore_console_opts *opts,
		  struct vcore_virtio **virtio);

/**
 * Change the size of a console, and tell the guest.
 *
 * @param virtio  A device of vcore_console_new().
 * @param port    Number of a console port, from 0.
 * @param cols    Characters in a line, at least 1.
 * @param rows    Lines, at least 1.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p virtio is NULL or another kind of device, @p port is
 *                      no console port of it, or a size is 0.
 * @retval -EOPNOTSUPP  The device was made without a size, so it has not
 *                      offered VIRTIO_CONSOLE_F_SIZE.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread; never waits.
 * @since  0.1
 */
VCORE_API int
vcore_console_resize(struct vcore_virtio *virtio, uint32_t port, uint16_t cols,
		     uint16_t rows);

#ifdef __cplusplus
}
#endif
#endif
