/* SPDX-License-Identifier: BSD-3-Clause */
/* A link on a tap device of the kernel. */
#include <vcore/link.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base.h"

#define QUEUES_MAX 256u			/* of the kernel's tun driver */
#define TUN "/dev/net/tun"
#define FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define WINDOW 64u			/* iovecs copied on the stack */
#define IOV_LIMIT 1024u
#define OFFLOADS (VCORE_LINK_OFFLOAD_CSUM | VCORE_LINK_OFFLOAD_TSO4 | \
		  VCORE_LINK_OFFLOAD_TSO6 | VCORE_LINK_OFFLOAD_ECN)

struct tap_queue {
	int fd;
	_Atomic uint32_t attached;
	struct tap_link *tap;
	struct vcore_source *source;
	vcore_link_ready_fn ready;
	void *opaque;
};

struct tap_link {
	uint32_t offloads;
	uint32_t count;
	struct tap_queue queue[];
};

static int
tap_send(void *opaque, void *queue, const struct iovec *iov, uint32_t count)
{
	struct tap_queue *q = queue;
	ssize_t n;

	(void)opaque;
	do {
		n = writev(q->fd, iov, (int)count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * The kernel cuts a frame that is too long and returns how much it gave, so
 * one byte more than the caller has room for tells such frames.
 */
static int64_t
tap_receive(void *opaque, void *queue, const struct iovec *iov, uint32_t count)
{
	struct iovec few[WINDOW + 1], many[IOV_LIMIT], *all = few;
	struct tap_queue *q = queue;
	uint64_t room = 0;
	char more;
	ssize_t n;

	(void)opaque;
	if (count >= IOV_LIMIT)
		return -EINVAL;
	if (count > WINDOW)
		all = many;
	for (uint32_t i = 0; i < count; i++) {
		all[i] = iov[i];
		room += iov[i].iov_len;
	}
	all[count].iov_base = &more;
	all[count].iov_len = 1;
	do {
		n = readv(q->fd, all, (int)count + 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (uint64_t)n > room ? -EMSGSIZE : n;
}

static void
tap_ready(void *opaque, uint32_t ready)
{
	struct tap_queue *q = opaque;
	uint32_t tell = 0;

	if (ready & VCORE_LOOP_READ)
		tell |= VCORE_LINK_READABLE;
	if (ready & VCORE_LOOP_WRITE)
		tell |= VCORE_LINK_WRITABLE;
	if (ready & VCORE_LOOP_HUP) {
		/* The interface was deleted: there is nothing to wait for. */
		(void)vcore_source_set_events(q->source, 0);
		tell |= VCORE_LINK_DOWN;
	}
	q->ready(q->opaque, tell);
}

/* The kernel spreads frames over all queues that are switched on. */
static int
switch_queue(struct tap_queue *q, short flag)
{
	struct ifreq ifr = { .ifr_flags = flag };

	if (q->tap->count == 1 || ioctl(q->fd, TUNSETQUEUE, &ifr) == 0)
		return 0;
	/* EINVAL: it is so already. */
	return errno == EINVAL ? 0 : -errno;
}

static void
tap_detach(void *opaque, void *queue)
{
	struct tap_queue *q = queue;

	(void)opaque;
	vcore_source_remove(q->source);
	q->source = NULL;
	/* The first stays on: without any queue the interface loses carrier. */
	if (q != &q->tap->queue[0])
		(void)switch_queue(q, IFF_DETACH_QUEUE);
	atomic_store(&q->attached, 0);
}

static int
tap_attach(void *opaque, uint32_t index, struct vcore_loop *loop,
	   vcore_link_ready_fn ready, void *ready_opaque, void **queue)
{
	struct tap_link *t = opaque;
	struct tap_queue *q = &t->queue[index];
	struct vcore_source_opts opts;
	int rc;

	if (atomic_exchange(&q->attached, 1) != 0)
		return vcore__err(NULL, -EBUSY,
				  "vcore_link_attach: queue %u has a user",
				  index);
	q->ready = ready;
	q->opaque = ready_opaque;
	VCORE_INIT(&opts);
	opts.fd = q->fd;
	opts.fn = tap_ready;
	opts.opaque = q;
	rc = vcore_loop_add(loop, &opts, &q->source);
	if (rc < 0) {
		atomic_store(&q->attached, 0);
		return rc;
	}
	rc = switch_queue(q, IFF_ATTACH_QUEUE);
	if (rc < 0) {
		tap_detach(t, q);
		return vcore__err(NULL, rc, "vcore_link_attach: queue %u: %s",
				  index, strerrordesc_np(-rc));
	}
	*queue = q;
	return 0;
}

static int
tap_want(void *opaque, void *queue, uint32_t events)
{
	struct tap_queue *q = queue;
	uint32_t e = 0;

	(void)opaque;
	if (events & VCORE_LINK_READABLE)
		e |= VCORE_LOOP_READ;
	if (events & VCORE_LINK_WRITABLE)
		e |= VCORE_LOOP_WRITE;
	return vcore_source_set_events(q->source, e);
}

static uint32_t
tap_offloads(void *opaque)
{
	return ((struct tap_link *)opaque)->offloads;
}

static int
set_offload(struct tap_link *t, uint32_t offloads)
{
	static const uint32_t tun[] = { TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6,
					TUN_F_TSO_ECN, TUN_F_UFO };
	unsigned long arg = 0;

	for (uint32_t i = 0; i < VCORE__ARRAY_SIZE(tun); i++)
		if (offloads & (1u << i))
			arg |= tun[i];
	return ioctl(t->queue[0].fd, TUNSETOFFLOAD, arg) < 0 ? -errno : 0;
}

static int
tap_set_offloads(void *opaque, uint32_t rx_offloads)
{
	int rc = set_offload(opaque, rx_offloads);

	if (rc < 0)
		vcore__err(NULL, rc,
			   "vcore_link_set_offloads: offloads %#x: %s",
			   rx_offloads, strerrordesc_np(-rc));
	return rc;
}

static uint32_t
tap_queues(void *opaque)
{
	return ((struct tap_link *)opaque)->count;
}

static const struct vcore_link_ops tap_ops = {
	.size = sizeof(tap_ops),
	.send = tap_send,
	.receive = tap_receive,
	.attach = tap_attach,
	.detach = tap_detach,
	.want = tap_want,
	.offloads = tap_offloads,
	.set_offloads = tap_set_offloads,
	.queues = tap_queues,
};

static void
tap_release(void *opaque)
{
	struct tap_link *t = opaque;

	for (uint32_t i = 0; i < t->count; i++)
		if (t->queue[i].fd >= 0)
			close(t->queue[i].fd);
	free(t);
}

/* Open one queue of the interface in ifr; the kernel fills in its name. */
static int
open_queue(struct tap_queue *q, struct ifreq *ifr)
{
	q->fd = open(TUN, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (q->fd < 0)
		return vcore__err(NULL, -errno, "vcore_link_new_tap: " TUN ": %m");
	if (ioctl(q->fd, TUNSETIFF, ifr) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_link_new_tap: interface '%s'%s: %m",
				  ifr->ifr_name,
				  ifr->ifr_flags & IFF_MULTI_QUEUE ?
					  " with several queues" :
					  "");
	return 0;
}

static int
take_queue(struct tap_queue *q, int fd)
{
	struct ifreq ifr = { 0 };
	int flags;

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return vcore__err(NULL, errno == EBADF ? -EBADF : -EINVAL,
				  "vcore_link_new_tap: fd %d is no tap device: %m",
				  fd);
	if ((ifr.ifr_flags & FLAGS) != FLAGS)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new_tap: fd %d has flags %#x, not IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
				  fd, (unsigned)(uint16_t)ifr.ifr_flags);
	q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	flags = q->fd < 0 ? -1 : fcntl(q->fd, F_GETFL);
	if (flags < 0 || fcntl(q->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return vcore__err(NULL, -errno, "vcore_link_new_tap: fd %d: %m",
				  fd);
	return 0;
}

static int
open_queues(struct tap_link *t, const struct vcore_link_tap_opts *o)
{
	struct ifreq ifr = { .ifr_flags = (short)FLAGS };
	int len = (int)VCORE_LINK_HEADER, rc = 0;

	if (t->count > 1)
		ifr.ifr_flags = (short)(FLAGS | IFF_MULTI_QUEUE);
	if (o->name != NULL)
		memcpy(ifr.ifr_name, o->name, strlen(o->name));
	for (uint32_t i = 0; i < t->count && rc == 0; i++) {
		rc = o->fds != NULL ? take_queue(&t->queue[i], o->fds[i])
				    : open_queue(&t->queue[i], &ifr);
		if (rc == 0 &&
		    ioctl(t->queue[i].fd, TUNSETVNETHDRSZ, &len) < 0)
			rc = vcore__err(NULL, -errno,
					"vcore_link_new_tap: header size: %m");
		if (rc == 0 && i > 0)
			rc = switch_queue(&t->queue[i], IFF_DETACH_QUEUE);
	}
	return rc;
}

/* Offloads the kernel takes; UFO comes and goes with its version. */
static void
probe_offloads(struct tap_link *t)
{
	uint32_t with_ufo = OFFLOADS | VCORE_LINK_OFFLOAD_UFO;

	if (set_offload(t, with_ufo) == 0)
		t->offloads = with_ufo;
	else if (set_offload(t, OFFLOADS) == 0)
		t->offloads = OFFLOADS;
	(void)set_offload(t, 0);
}

static int
check_opts(const struct vcore_link_tap_opts *o, struct vcore_link **link)
{
	if (link == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new_tap: link is NULL");
	if ((o->flags & ~VCORE_LINK_TAP_CREATE) || o->reserved0 != 0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_link_new_tap: flags %#x, reserved0 %#x",
				  o->flags, o->reserved0);
	if (o->queues > QUEUES_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new_tap: %u queues, at most %u",
				  o->queues, QUEUES_MAX);
	if (o->name != NULL && o->fds == NULL &&
	    (o->name[0] == '\0' || strlen(o->name) >= IFNAMSIZ))
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new_tap: name '%s' has not 1 to %d bytes",
				  o->name, IFNAMSIZ - 1);
	/* The kernel would make one, which nobody has connected. */
	if (o->name != NULL && o->fds == NULL &&
	    !(o->flags & VCORE_LINK_TAP_CREATE) &&
	    if_nametoindex(o->name) == 0)
		return vcore__err(NULL, -ENODEV,
				  "vcore_link_new_tap: there is no interface '%s'",
				  o->name);
	return 0;
}

int
vcore_link_new_tap(const struct vcore_link_tap_opts *opts,
		   struct vcore_link **link)
{
	struct vcore_link_tap_opts o;
	struct tap_link *t;
	int rc;

	rc = VCORE__SIZED("vcore_link_new_tap: opts", &o, reserved0, opts);
	if (rc == 0)
		rc = check_opts(&o, link);
	if (rc < 0)
		return rc;
	if (o.queues == 0)
		o.queues = 1;
	if (o.fds != NULL)
		o.name = NULL;
	t = calloc(1, sizeof(*t) + o.queues * sizeof(t->queue[0]));
	if (t == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_link_new_tap: no memory");
	t->count = o.queues;
	for (uint32_t i = 0; i < t->count; i++) {
		t->queue[i].fd = -1;
		t->queue[i].tap = t;
	}
	rc = open_queues(t, &o);
	if (rc == 0) {
		probe_offloads(t);
		rc = vcore_link_new(&tap_ops, t, tap_release, link);
	}
	if (rc < 0)
		tap_release(t);
	return vcore__err_name(rc, "vcore_link_new_tap");
}
