/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link on a stream socket: frames with a 32-bit big-endian length.
 *
 * Both directions are buffered, because a stream cuts anywhere: what arrived
 * until a frame is whole, and what is left of a frame the socket took partly.
 * A frame is refused while an older one is not all sent.
 */
#include <vcore/link.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/iov.h"
#include "backends/soft.h"
#include "base/base.h"

#define LENGTH 4u
#define FRAME_MAX (65536u + 4096u)	/* what QEMU takes at most */
#define RX_BYTES (2u * (LENGTH + FRAME_MAX))
#define IOV_LIMIT 1024u
/* How often a call asks the socket: a frame comes in two pieces or three. */
#define FILLS_MAX 8u

struct socket_link {
	int fd;
	bool attached;
	bool down;			/* the peer has gone */
	bool told;			/* ... and the user knows */
	bool poked;			/* soft_ready() will run */
	vcore_link_ready_fn ready;
	void *opaque;
	struct vcore_source *source;
	struct vcore__soft soft;
	uint32_t want;
	uint32_t tx_first, tx_count;	/* left of a frame */
	uint32_t rx_first, rx_count;
	uint32_t reserved1;
	uint8_t tx[LENGTH + FRAME_MAX];
	uint8_t rx[RX_BYTES];
};

/* Tell soon what epoll does not: frames in our buffer, being down. */
static void
poke(struct socket_link *s)
{
	if (!s->poked && s->attached)
		vcore__soft_poke(&s->soft, 0);
	s->poked = s->attached;
}

static void
go_down(struct socket_link *s)
{
	if (s->down)
		return;
	s->down = true;
	s->tx_count = 0;
	s->rx_count = 0;
	poke(s);
}

/* Bytes, 0 if it would block; the link goes down with the peer. */
static uint32_t
transferred(struct socket_link *s, ssize_t n)
{
	if (n > 0)
		return (uint32_t)n;
	if (n == 0 || (errno != EWOULDBLOCK && errno != EINTR))
		go_down(s);
	return 0;
}

/* true: a whole frame is buffered, *len long. Goes down on a bad length. */
static bool
has_frame(struct socket_link *s, uint32_t *len)
{
	uint32_t be;

	if (s->rx_count < LENGTH)
		return false;
	memcpy(&be, s->rx + s->rx_first, LENGTH);
	*len = ntohl(be);
	if (*len > FRAME_MAX) {
		go_down(s);
		return false;
	}
	return s->rx_count - LENGTH >= *len;
}

static void
skip_rx(struct socket_link *s, uint32_t n)
{
	s->rx_first += n;
	s->rx_count -= n;
	if (s->rx_count == 0)
		s->rx_first = 0;
}

/* One recv() into the buffer: did anything come? */
static bool
fill(struct socket_link *s)
{
	uint32_t n, end = s->rx_first + s->rx_count;

	if (s->down)
		return false;
	if (RX_BYTES - end < LENGTH + FRAME_MAX) {
		memmove(s->rx, s->rx + s->rx_first, s->rx_count);
		s->rx_first = 0;
		end = s->rx_count;
	}
	n = transferred(s, recv(s->fd, s->rx + end, RX_BYTES - end,
				MSG_DONTWAIT));
	s->rx_count += n;
	return n > 0;
}

/* Hand the buffered frame out with a header of ours. */
static int64_t
give_frame(struct socket_link *s, uint32_t len, const struct iovec *iov,
	   uint32_t count)
{
	struct vcore__iov at = { .iov = iov, .count = count };
	struct virtio_net_hdr_v1 hdr = { .num_buffers = 1 };
	int64_t rc = -EMSGSIZE;

	_Static_assert(sizeof(hdr) == VCORE_LINK_HEADER, "header of a frame");
	if (vcore__iov_len(iov, count) >= sizeof(hdr) + len) {
		vcore__iov_copy_to(&at, &hdr, sizeof(hdr));
		vcore__iov_copy_to(&at, s->rx + s->rx_first + LENGTH, len);
		rc = (int64_t)(sizeof(hdr) + len);
	}
	skip_rx(s, LENGTH + len);
	if ((s->want & VCORE_LINK_READABLE) && has_frame(s, &len))
		poke(s);
	return rc;
}

static int64_t
socket_receive(void *opaque, void *queue, const struct iovec *iov,
	       uint32_t count)
{
	struct socket_link *s = opaque;
	uint32_t len = 0, fills = 0;

	(void)queue;
	/*
	 * Empty frames are skipped. A peer that sends nothing else is not
	 * listened to for ever: the socket stays readable, others have a turn.
	 */
	while (!has_frame(s, &len) || len == 0) {
		if (s->rx_count >= LENGTH && len == 0)
			skip_rx(s, LENGTH);
		else if (fills++ == FILLS_MAX || !fill(s))
			return -EAGAIN;
	}
	return give_frame(s, len, iov, count);
}

/* Send what is left of a frame. true: nothing is left. */
static bool
flush(struct socket_link *s)
{
	uint32_t n;

	while (s->tx_count > 0) {
		n = transferred(s, send(s->fd, s->tx + s->tx_first,
					s->tx_count,
					MSG_DONTWAIT | MSG_NOSIGNAL));
		if (n == 0)
			break;
		s->tx_first += n;
		s->tx_count -= n;
	}
	return s->tx_count == 0;
}

static int
watch(struct socket_link *s)
{
	uint32_t events = 0;

	if (s->down)
		return vcore_source_set_events(s->source, 0);
	if (s->want & VCORE_LINK_READABLE)
		events |= VCORE_LOOP_READ;
	if ((s->want & VCORE_LINK_WRITABLE) || s->tx_count > 0)
		events |= VCORE_LOOP_WRITE;
	return vcore_source_set_events(s->source, events);
}

/* Send length and frame, keep what the socket does not take. */
static int
send_frame(struct socket_link *s, struct vcore__iov at, uint32_t len)
{
	struct iovec iov[IOV_LIMIT + 1];
	struct msghdr msg = { .msg_iov = iov };
	uint32_t be = htonl(len), n;

	iov[0].iov_base = &be;
	iov[0].iov_len = LENGTH;
	msg.msg_iovlen = 1 + vcore__iov_window(&at, iov + 1, IOV_LIMIT - 1,
					       len);
	n = transferred(s, sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (s->down)
		return -EPIPE;
	if (n == 0)
		return -EAGAIN;
	if (n == LENGTH + len)
		return 0;
	s->tx_first = 0;
	s->tx_count = LENGTH + len - n;
	if (n < LENGTH) {
		memcpy(s->tx, (const char *)&be + n, LENGTH - n);
		vcore__iov_copy_from(&at, s->tx + LENGTH - n, len);
	} else {
		vcore__iov_advance(&at, n - LENGTH);
		vcore__iov_copy_from(&at, s->tx, s->tx_count);
	}
	(void)watch(s);
	return 0;
}

static int
socket_send(void *opaque, void *queue, const struct iovec *iov, uint32_t count)
{
	struct vcore__iov at = { .iov = iov, .count = count };
	struct socket_link *s = opaque;
	uint64_t len = vcore__iov_len(iov, count);

	(void)queue;
	if (s->down)
		return -EPIPE;
	if (len <= VCORE_LINK_HEADER || len > VCORE_LINK_HEADER + FRAME_MAX ||
	    count > IOV_LIMIT)
		return -EMSGSIZE;
	if (!flush(s))
		return s->down ? -EPIPE : -EAGAIN;
	vcore__iov_advance(&at, VCORE_LINK_HEADER);
	return send_frame(s, at, (uint32_t)(len - VCORE_LINK_HEADER));
}

/* Bits to tell now; frames in our buffer are invisible to epoll. */
static uint32_t
buffered(struct socket_link *s)
{
	uint32_t len, ready = 0;

	if ((s->want & VCORE_LINK_READABLE) && has_frame(s, &len))
		ready |= VCORE_LINK_READABLE;
	if (s->down && !s->told)
		ready |= VCORE_LINK_DOWN;
	/* Sending is refused at once when it is down. */
	if (s->down)
		ready |= s->want & VCORE_LINK_WRITABLE;
	return ready;
}

static void
tell(struct socket_link *s, uint32_t ready)
{
	if (s->down)
		(void)watch(s);
	if (ready & VCORE_LINK_DOWN)
		s->told = true;
	if (buffered(s) != 0)
		poke(s);
	if (ready != 0)
		s->ready(s->opaque, ready);
}

static void
soft_ready(void *opaque, uint32_t unused)
{
	struct socket_link *s = opaque;

	(void)unused;
	s->poked = false;
	tell(s, buffered(s));
}

static void
socket_ready(void *opaque, uint32_t loop_ready)
{
	struct socket_link *s = opaque;
	uint32_t ready = 0;

	if (s->tx_count > 0 && flush(s))
		(void)watch(s);
	if (loop_ready & VCORE_LOOP_READ)
		ready |= VCORE_LINK_READABLE;
	else if (loop_ready & VCORE_LOOP_HUP)
		go_down(s);
	if (s->tx_count == 0)
		ready |= VCORE_LINK_WRITABLE;
	tell(s, (ready & s->want) | buffered(s));
}

static void
socket_detach(void *opaque, void *queue)
{
	struct socket_link *s = opaque;

	(void)queue;
	vcore_source_remove(s->source);
	s->source = NULL;
	vcore__soft_stop(&s->soft);
	s->want = 0;
	s->attached = false;
}

static int
socket_attach(void *opaque, uint32_t index, struct vcore_loop *loop,
	      vcore_link_ready_fn ready, void *ready_opaque, void **queue)
{
	struct socket_link *s = opaque;
	struct vcore_source_opts opts;
	int rc;

	(void)index;
	if (s->attached)
		return vcore__err(NULL, -EBUSY,
				  "vcore_link_attach: the socket has a user");
	s->ready = ready;
	s->opaque = ready_opaque;
	VCORE_INIT(&opts);
	opts.fd = s->fd;
	opts.fn = socket_ready;
	opts.opaque = s;
	rc = vcore__soft_start(&s->soft, loop, soft_ready, s);
	if (rc < 0)
		return rc;
	rc = vcore_loop_add(loop, &opts, &s->source);
	if (rc < 0) {
		vcore__soft_stop(&s->soft);
		return rc;
	}
	s->attached = true;
	s->told = false;
	s->poked = false;
	if (s->down)
		poke(s);
	*queue = s;
	return 0;
}

static int
socket_want(void *opaque, void *queue, uint32_t events)
{
	struct socket_link *s = opaque;

	(void)queue;
	s->want = events;
	if (buffered(s) != 0)
		poke(s);
	return watch(s);
}

static const struct vcore_link_ops socket_ops = {
	.size = sizeof(socket_ops),
	.send = socket_send,
	.receive = socket_receive,
	.attach = socket_attach,
	.detach = socket_detach,
	.want = socket_want,
};

static void
socket_release(void *opaque)
{
	struct socket_link *s = opaque;

	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static int
connect_to(struct socket_link *s, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sun.sun_path))
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new_socket: '%s' is longer than %zu bytes",
				  path, sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, strlen(path));
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0 ||
	    connect(s->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_link_new_socket: '%s': %m", path);
	return 0;
}

static int
take_fd(struct socket_link *s, int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_link_new_socket: fd %d: %m", fd);
	if (type != SOCK_STREAM)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new_socket: fd %d is no stream socket",
				  fd);
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_link_new_socket: fd %d: %m", fd);
	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (s->fd < 0)
		return vcore__err(NULL, -errno,
				  "vcore_link_new_socket: fd %d: %m", fd);
	return 0;
}

int
vcore_link_new_socket(const char *path, int fd, struct vcore_link **link)
{
	struct socket_link *s;
	int rc;

	if (link == NULL || (path == NULL) == (fd == -1))
		return vcore__err(NULL, -EINVAL, "vcore_link_new_socket: %s",
				  link == NULL ? "link is NULL" :
						 "either path or fd");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_link_new_socket: no memory");
	s->fd = -1;
	rc = path != NULL ? connect_to(s, path) : take_fd(s, fd);
	if (rc == 0)
		rc = vcore_link_new(&socket_ops, s, socket_release, link);
	if (rc != 0)
		socket_release(s);
	return vcore__err_name(rc, "vcore_link_new_socket");
}
