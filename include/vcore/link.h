/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Links: where a network device's frames go to and come from.
 *
 * Every frame, sent or received, has a 12-byte header in front, a struct
 * virtio_net_hdr_v1 as the virtio specification has it. A link without
 * offloads gets headers of zeroes (`num_buffers` means nothing when sending)
 * and gives headers of zeroes but for `num_buffers`, which is 1; VIRTIO_NET_HDR_F_DATA_VALID
 * may be set. The user, a network device, has checked what the guest wrote
 * into a header before a link sees it.
 */
#ifndef VCORE_LINK_H
#define VCORE_LINK_H

#include <sys/uio.h>

#include <vcore/base.h>
#include <vcore/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A link: one end of an Ethernet cable. */
struct vcore_link;

/** Bytes of the header before each frame. */
#define VCORE_LINK_HEADER 12u

/** vcore_link_receive() is worth calling. */
#define VCORE_LINK_READABLE (1u << 0)
/** vcore_link_send() is worth calling. */
#define VCORE_LINK_WRITABLE (1u << 1)
/** The other end has gone. Told once, without asking. */
#define VCORE_LINK_DOWN     (1u << 2)

/**
 * Told by a link, level triggered while wanted.
 *
 * @param opaque  What the user gave to vcore_link_attach().
 * @param ready   VCORE_LINK_* bits, at least one.
 *
 * @thread Runs on the loop given to vcore_link_attach(). It may call every
 *         function on the link, also vcore_link_detach().
 */
typedef void (*vcore_link_ready_fn)(void *opaque, uint32_t ready);

/** Checksums: frames whose checksum is still to be filled in. */
#define VCORE_LINK_OFFLOAD_CSUM (1u << 0)
/** Segments of TCP over IPv4 longer than the MTU. Needs CSUM. */
#define VCORE_LINK_OFFLOAD_TSO4 (1u << 1)
/** Segments of TCP over IPv6 longer than the MTU. Needs CSUM. */
#define VCORE_LINK_OFFLOAD_TSO6 (1u << 2)
/** Such segments with congestion notification. Needs TSO4 or TSO6. */
#define VCORE_LINK_OFFLOAD_ECN  (1u << 3)
/** Datagrams of UDP longer than the MTU. Needs CSUM. */
#define VCORE_LINK_OFFLOAD_UFO  (1u << 4)

/**
 * Implemented by whoever makes a link. No method blocks. A queue is one
 * direction each way that one loop serves; its methods run on that loop.
 */
struct vcore_link_ops {
	uint32_t size;	/**< Set by VCORE_INIT() or sizeof. */
	uint32_t flags;	/**< None yet; others: -E2BIG. */
	/**
	 * Send a header and frame, whole or not at all. Returns 0; -EAGAIN if
	 * it can't be now; another -errno: the frame is dropped.
	 */
	int (*send)(void *opaque, void *queue, const struct iovec *iov,
		    uint32_t count);
	/**
	 * Receive a header and frame. Returns the bytes of both; -EAGAIN if
	 * none waits; -EMSGSIZE if it was longer than the iovecs: it is
	 * dropped; another -errno: something failed, go on.
	 */
	int64_t (*receive)(void *opaque, void *queue, const struct iovec *iov,
			   uint32_t count);
	/**
	 * Begin to use queue number @p index, below queues(), each at most
	 * once at a time. Nothing is wanted at first. Returns 0 and @p queue,
	 * or -errno.
	 */
	int (*attach)(void *opaque, uint32_t index, struct vcore_loop *loop,
		      vcore_link_ready_fn ready, void *ready_opaque,
		      void **queue);
	/**
	 * End it: ready is not called after this returns. On the loop, or
	 * while nobody dispatches it.
	 */
	void (*detach)(void *opaque, void *queue);
	/**
	 * Replace what is wanted: VCORE_LINK_READABLE and _WRITABLE bits.
	 * Returns 0 or -errno.
	 */
	int (*want)(void *opaque, void *queue, uint32_t events);
	/**
	 * Optional: VCORE_LINK_OFFLOAD_* that frames in both directions may
	 * need. Absent: none. They stay the same. Any thread.
	 */
	uint32_t (*offloads)(void *opaque);
	/**
	 * Optional: what received frames may need from now on, a subset of
	 * offloads(); none at first. Any thread. Returns 0 or -errno.
	 */
	int (*set_offloads)(void *opaque, uint32_t rx_offloads);
	/** Optional: how many queues there are. Absent: 1. Any thread. */
	uint32_t (*queues)(void *opaque);
};

/**
 * Make a link of one's own.
 *
 * @param[in]  ops      Its methods; copied.
 * @param      opaque   First argument of each.
 * @param      release  Called with @p opaque when the last reference is gone;
 *                      may be NULL. Not called if this function fails.
 * @param[out] link     The new link; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not set, or a required method
 *                  is missing.
 * @retval -E2BIG   @p ops has a flag or method this library does not know.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference; vcore_link_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_link_new(const struct vcore_link_ops *ops, void *opaque,
	       void (*release)(void *opaque), struct vcore_link **link);

/**
 * Take another reference.
 *
 * @param link  A link, or NULL.
 * @return @p link.
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_link *
vcore_link_ref(struct vcore_link *link);

/**
 * Drop a reference. The last one closes what the link has open.
 *
 * @param link  A link without attached queues if this is the last reference,
 *              or NULL.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_link_unref(struct vcore_link *link);

/**
 * Send one frame.
 *
 * @param link   A link.
 * @param queue  What vcore_link_attach() gave.
 * @param iov    Header and frame.
 * @param count  Entries of @p iov, 1 up to 1024.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p link or @p iov is NULL.
 * @retval -EAGAIN  Not now; want VCORE_LINK_WRITABLE. Others: the frame is
 *                  dropped.
 *
 * @thread On the queue's loop.
 * @since  0.1
 */
VCORE_API int
vcore_link_send(struct vcore_link *link, void *queue, const struct iovec *iov,
		uint32_t count);

/**
 * Receive one frame.
 *
 * @param link   A link.
 * @param queue  What vcore_link_attach() gave.
 * @param iov    Where header and frame are put.
 * @param count  Entries of @p iov, 1 up to 1023.
 *
 * @return Bytes of header and frame, or a negative errno value:
 * @retval -EINVAL    @p link or @p iov is NULL.
 * @retval -EAGAIN    None waits.
 * @retval -EMSGSIZE  It was longer than @p iov and is dropped. Others:
 *                    nothing was received.
 *
 * @thread On the queue's loop.
 * @since  0.1
 */
VCORE_API int64_t
vcore_link_receive(struct vcore_link *link, void *queue,
		   const struct iovec *iov, uint32_t count);

/**
 * Begin to use one queue of a link.
 *
 * @param      link    A link.
 * @param      index   Which queue, below vcore_link_queues().
 * @param      loop    Where it is used and @p ready runs.
 * @param      ready   Called for what vcore_link_want() asks for.
 * @param      opaque  Its first argument.
 * @param[out] queue   What the other calls take; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or there is no such queue.
 * @retval -EBUSY   The queue has a user.
 * @retval -ENOMEM  Out of host memory. Others: the implementation's.
 *
 * @owns   The user keeps its own reference on @p link until detached.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_link_attach(struct vcore_link *link, uint32_t index,
		  struct vcore_loop *loop, vcore_link_ready_fn ready,
		  void *opaque, void **queue);

/**
 * End the use of a queue.
 *
 * @param link   A link.
 * @param queue  What vcore_link_attach() gave.
 *
 * @thread On the loop, or while nobody dispatches it: then the user's
 *         function is not called after this returns.
 * @since  0.1
 */
VCORE_API void
vcore_link_detach(struct vcore_link *link, void *queue);

/**
 * Say what to be told, replacing what was said before.
 *
 * @param link    A link.
 * @param queue   What vcore_link_attach() gave.
 * @param events  VCORE_LINK_READABLE and VCORE_LINK_WRITABLE bits.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p link is NULL or @p events has another bit.
 *
 * @thread On the queue's loop.
 * @since  0.1
 */
VCORE_API int
vcore_link_want(struct vcore_link *link, void *queue, uint32_t events);

/**
 * What frames in both directions may need.
 *
 * @param link  A link.
 * @return VCORE_LINK_OFFLOAD_* bits.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_link_offloads(struct vcore_link *link);

/**
 * Say what received frames may need from now on; nothing at first.
 *
 * @param link         A link.
 * @param rx_offloads  VCORE_LINK_OFFLOAD_* bits that the link has.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p link is NULL or does not have such an offload. Others:
 *                  the implementation's.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_link_set_offloads(struct vcore_link *link, uint32_t rx_offloads);

/**
 * How many queues a link has.
 *
 * @param link  A link.
 * @return At least 1.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_link_queues(struct vcore_link *link);

/** An interface that is not there is made, and goes with the link. */
#define VCORE_LINK_TAP_CREATE (1u << 0)

/** How a link on a tap device is made. */
struct vcore_link_tap_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_LINK_TAP_CREATE; others: -E2BIG. */
	const char *name;	/**< The interface, or NULL: the kernel names
				     a new one. Not used with `fds`. */
	const int32_t *fds;	/**< NULL, or opened queues of one tap device
				     with IFF_TAP, IFF_NO_PI, IFF_VNET_HDR;
				     duplicated, O_NONBLOCK is set on them. */
	uint32_t queues;	/**< How many queues or `fds`; 0: 1; up to 256.
				     More than one asks for IFF_MULTI_QUEUE. */
	uint32_t reserved0;	/**< Zero. */
};

/**
 * A link on a tap device of the kernel, with its offloads.
 *
 * @param[in]  opts  Which device.
 * @param[out] link  The new link; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, the name is empty or too long, there
 *                      are too many queues, a descriptor is no tap device with
 *                      these flags, or the interface exists and is of another
 *                      sort.
 * @retval -E2BIG       An unknown field or flag is set.
 * @retval -ENOENT      The kernel has no /dev/net/tun.
 * @retval -ENODEV      There is no interface of that name, and
 *                      VCORE_LINK_TAP_CREATE is not set.
 * @retval -EPERM       No permission for that interface.
 * @retval -EBUSY       Another process uses it.
 * @retval -ENOMEM      Out of host memory. Others: open()'s and the kernel's.
 *
 * @owns   The caller owns a reference on @p link.
 * @thread Any thread.
 * @spec   Linux Documentation/networking/tuntap.rst.
 * @since  0.1
 */
VCORE_API int
vcore_link_new_tap(const struct vcore_link_tap_opts *opts,
		   struct vcore_link **link);

/**
 * A link on a UNIX stream socket: each frame has its length in front, 32 bits,
 * big endian. passt and QEMU's `-netdev stream` speak this.
 *
 * It has one queue and no offloads. A peer that goes away or announces an
 * impossible length ends the link: frames sent are dropped.
 *
 * @param      path  The listening socket to connect to; NULL: @p fd.
 * @param      fd    With @p path NULL: a connected socket; duplicated.
 * @param[out] link  The new link; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL        @p link is NULL, or neither or both of @p path and
 *                        @p fd (not -1) are given, or the path is too long
 *                        for a socket, or @p fd is no stream socket.
 * @retval -ENOENT        No such path.
 * @retval -ECONNREFUSED  Nobody listens there.
 * @retval -ENOTCONN      @p fd is not connected.
 * @retval -ENOTSOCK      @p fd is no socket.
 * @retval -EBADF         @p fd is no descriptor.
 * @retval -ENOMEM        Out of host memory. Others: connect()'s.
 *
 * @owns   The caller owns a reference on @p link.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_link_new_socket(const char *path, int fd, struct vcore_link **link);

#ifdef __cplusplus
}
#endif
#endif
