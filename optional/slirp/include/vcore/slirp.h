/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A link to a network in user space, by libslirp: no privileges, no interface.
 *
 * The guest finds itself on 10.0.2.0/24: its own address by DHCP is 10.0.2.15,
 * 10.0.2.2 is the router and the host, 10.0.2.3 answers DNS by asking the
 * host's servers. Its TCP and UDP connections become sockets of this process.
 * It can't be reached from outside but by forwarded ports. There is no IPv6.
 *
 * The guest's frames are parsed in this process by libslirp. Who wants that
 * apart uses a link to another process, see vcore_link_new_socket().
 *
 * This is an optional part: link with vcore-slirp.
 */
#ifndef VCORE_SLIRP_H
#define VCORE_SLIRP_H

#include <vcore/base.h>
#include <vcore/link.h>
#include <vcore/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The guest reaches nothing but forwarded ports, and DHCP. */
#define VCORE_SLIRP_RESTRICT    (1u << 0)
/** 10.0.2.2 is not this host's 127.0.0.1. */
#define VCORE_SLIRP_NO_LOOPBACK (1u << 1)

/** A forwarded port is one of TCP. */
#define VCORE_SLIRP_TCP 1u
/** A forwarded port is one of UDP. */
#define VCORE_SLIRP_UDP 2u

/** A port of the host that is one of the guest. */
struct vcore_slirp_forward {
	/** IPv4 address of the host to listen on; NULL: 127.0.0.1. */
	const char *address;
	uint32_t protocol;	/**< VCORE_SLIRP_TCP or VCORE_SLIRP_UDP. */
	uint16_t host_port;	/**< Port of the host; not 0. */
	uint16_t guest_port;	/**< Port of the guest, 10.0.2.15; not 0. */
};

/** How to make such a link. */
struct vcore_slirp_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_SLIRP_RESTRICT, _NO_LOOPBACK. */
	/** Ports to forward; NULL if `forward_count` is 0. */
	const struct vcore_slirp_forward *forwards;
	uint32_t forward_count;	/**< How many, up to 64. */
	/**
	 * How many sockets the guest's connections may have at once, up to
	 * 65536; 0: 256.
	 * Each takes two descriptors of this process. While there are so many,
	 * what might begin another connection is dropped: TCP's SYN, UDP and
	 * ICMP. (Those of UDP and ICMP go some minutes after their last use.)
	 */
	uint32_t max_flows;
};

/**
 * Make a link. It has one queue and no offloads. Its sockets are served on the
 * loop of the device that uses it; while that is stopped they rest.
 *
 * @param[in]  opts  How, or NULL for the defaults. Copied.
 * @param[out] link  The new link. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p link is NULL, `size` is not initialised, there are
 *                      too many forwards or flows, or one is malformed.
 * @retval -E2BIG       @p opts sets a flag this library does not know.
 * @retval -EADDRINUSE  A host port can't be listened on.
 * @retval -ENOMEM      Out of host memory.
 *
 * @owns   The caller owns a reference; vcore_link_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_slirp_new(const struct vcore_slirp_opts *opts, struct vcore_link **link);

/**
 * Make a link from a recipe: a vcore_link_maker for
 * vcore_machine_add_link_kind().
 *
 * Keys: `hostfwd=PROTO:HOSTPORT:GUESTPORT` or `PROTO:ADDRESS:HOSTPORT:GUESTPORT`
 * with PROTO `tcp` or `udp`, several joined by `+`; `flows=N`; the flags
 * `restrict` and `noloopback`.
 *
 * @param      opaque  Not used.
 * @param[in]  recipe  Asked for the keys.
 * @param[out] link    The new link. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A key's value is malformed. Others: vcore_slirp_new()'s.
 *
 * @owns   The caller owns a reference; vcore_link_unref() drops it.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_slirp_make(void *opaque, struct vcore_recipe *recipe,
		 struct vcore_link **link);

#ifdef __cplusplus
}
#endif
#endif
