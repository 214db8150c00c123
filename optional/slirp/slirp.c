/* SPDX-License-Identifier: BSD-3-Clause */
/* The user-mode link: frames between a network device and libslirp. */
#include "user.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes of headers, and flags at byte 13 of TCP's. */
#define ETH     14u
#define IP      20u
#define TCP     20u
#define TCP_SYN 0x02u
#define TCP_ACK 0x10u

int
user_fail(int rc, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return vcore_error_set(rc, text);
}

/* 10.0.2.n */
static struct in_addr
net_address(uint32_t n)
{
	struct in_addr a = { .s_addr = htonl(0x0a000200u + n) };

	return a;
}

/* From libslirp to the guest: libslirp owns buf. */
static ssize_t
on_frame(const void *buf, size_t len, void *opaque)
{
	struct user_link *l = opaque;
	struct user_frame *f;

	if (l->frames == USER_FRAMES || len > USER_FRAME)
		return (ssize_t)len;
	f = malloc(sizeof(*f) + len);
	if (!f)
		return (ssize_t)len;
	f->next = NULL;
	f->len = (uint32_t)len;
	memcpy(f->bytes, buf, len);
	*l->last = f;
	l->last = &f->next;
	l->frames++;
	if (l->want & VCORE_LINK_READABLE)
		user_poll_soon(l);
	return (ssize_t)len;
}

static void
drop_first(struct user_link *l)
{
	struct user_frame *f = l->first;

	l->first = f->next;
	if (!l->first)
		l->last = &l->first;
	l->frames--;
	free(f);
}

static void
on_guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static int64_t
on_clock(void *opaque)
{
	(void)opaque;
	return (int64_t)user_now_ns();
}

static void *
on_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	struct user_link *l = opaque;
	struct user_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->link = l;
	t->id = id;
	t->opaque = cb_opaque;
	t->next = l->timers;
	l->timers = t;
	return t;
}

static void
on_timer_free(void *timer, void *opaque)
{
	struct user_link *l = opaque;
	struct user_timer **at = &l->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = (*at)->next;
	free(timer);
}

static void
on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct user_timer *t = timer;

	if (!t)
		return;
	t->due_ns = expire_ms > 0 ? (uint64_t)expire_ms * 1000000u : 1;
	user_poll_soon(opaque);
}

static void
on_register(int fd, void *opaque)
{
	struct user_link *l = opaque;

	(void)fd;
	l->flows++;
	user_poll_soon(l);
}

static void
on_unregister(int fd, void *opaque)
{
	struct user_link *l = opaque;

	l->flows--;
	user_poll_forget(l, fd);
}

static void
on_notify(void *opaque)
{
	user_poll_soon(opaque);
}

static const SlirpCb callbacks = {
	.send_packet = on_frame,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.timer_new_opaque = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_register,
	.unregister_poll_fd = on_unregister,
	.notify = on_notify,
};

/*
 * May this frame begin a connection? Of one in fragments only the whole would
 * say, so it counts as if it did.
 */
static bool
is_opening(const uint8_t *frame, uint64_t len)
{
	const uint8_t *ip = frame + ETH;
	uint32_t header;

	if (len < ETH + IP || frame[12] != 0x08 || frame[13] != 0x00)
		return false;
	header = 4u * (ip[0] & 0xf);
	if (ip[9] != IPPROTO_TCP || (ip[6] & 0x3f) || ip[7] ||
	    len < ETH + header + TCP)
		return true;
	return (ip[header + 13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* The frame is copied once: the guest can change it at any time. */
static int
user_send(void *opaque, void *queue, const struct iovec *iov, uint32_t count)
{
	struct user_link *l = opaque;
	uint64_t skip = VCORE_LINK_HEADER, n, at = 0;

	(void)queue;
	for (uint32_t i = 0; i < count; i++) {
		n = iov[i].iov_len;
		if (n <= skip) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > sizeof(l->frame) - at)
			return -EMSGSIZE;
		memcpy(l->frame + at, (const uint8_t *)iov[i].iov_base + skip,
		       n);
		at += n;
		skip = 0;
	}
	/* The guest is not to use up this process's descriptors. */
	if (l->flows >= l->flows_max && is_opening(l->frame, at))
		return 0;
	slirp_input(l->slirp, l->frame, (int)at);
	user_poll_soon(l);
	return 0;
}

static int64_t
user_receive(void *opaque, void *queue, const struct iovec *iov,
	     uint32_t count)
{
	/* A header of zeroes, but one buffer. */
	static const uint8_t header[VCORE_LINK_HEADER] = { [10] = 1 };
	struct user_link *l = opaque;
	struct user_frame *f = l->first;
	uint64_t total, at = 0, n, part;
	uint8_t *to;

	(void)queue;
	if (!f)
		return -EAGAIN;
	total = sizeof(header) + f->len;
	for (uint32_t i = 0; i < count && at < total; i++) {
		to = iov[i].iov_base;
		n = iov[i].iov_len < total - at ? iov[i].iov_len : total - at;
		for (uint64_t done = 0; done < n; done += part, at += part) {
			part = n - done;
			if (at >= sizeof(header)) {
				memcpy(to + done,
				       f->bytes + (at - sizeof(header)), part);
				continue;
			}
			if (part > sizeof(header) - at)
				part = sizeof(header) - at;
			memcpy(to + done, header + at, part);
		}
	}
	drop_first(l);
	if (l->frames == USER_CROWDED / 2)
		user_poll_soon(l);
	return at < total ? (int64_t)-EMSGSIZE : (int64_t)total;
}

static int
user_attach(void *opaque, uint32_t index, struct vcore_loop *loop,
	    vcore_link_ready_fn ready, void *ready_opaque, void **queue)
{
	struct user_link *l = opaque;
	int rc;

	(void)index;
	if (l->loop)
		return -EBUSY;
	l->loop = loop;
	l->ready = ready;
	l->opaque = ready_opaque;
	l->want = 0;
	rc = user_poll_attach(l);
	if (rc < 0) {
		l->loop = NULL;
		return rc;
	}
	*queue = l;
	return 0;
}

static void
user_detach(void *opaque, void *queue)
{
	struct user_link *l = opaque;

	(void)queue;
	user_poll_detach(l);
	l->loop = NULL;
	l->want = 0;
}

static int
user_want(void *opaque, void *queue, uint32_t events)
{
	struct user_link *l = opaque;

	(void)queue;
	l->want = events;
	if ((events & VCORE_LINK_WRITABLE) ||
	    (l->first && (events & VCORE_LINK_READABLE)))
		user_poll_soon(l);
	return 0;
}

static const struct vcore_link_ops user_ops = {
	.size = sizeof(user_ops),
	.send = user_send,
	.receive = user_receive,
	.attach = user_attach,
	.detach = user_detach,
	.want = user_want,
};

static void
user_release(void *opaque)
{
	struct user_link *l = opaque;

	slirp_cleanup(l->slirp);
	while (l->first)
		drop_first(l);
	free(l->sockets);
	free(l);
}

static int
forward(struct user_link *l, const struct vcore_slirp_forward *f)
{
	struct in_addr host = { .s_addr = htonl(INADDR_LOOPBACK) };

	if ((f->protocol != VCORE_SLIRP_TCP &&
	     f->protocol != VCORE_SLIRP_UDP) ||
	    !f->host_port || !f->guest_port ||
	    (f->address && inet_pton(AF_INET, f->address, &host) != 1))
		return user_fail(-EINVAL,
				 "vcore_slirp_new: forward of protocol %u, '%s' port %u to %u",
				 f->protocol, f->address ? f->address : "",
				 f->host_port, f->guest_port);
	if (slirp_add_hostfwd(l->slirp, f->protocol == VCORE_SLIRP_UDP, host,
			      f->host_port, net_address(15),
			      f->guest_port) < 0)
		return user_fail(-EADDRINUSE,
				 "vcore_slirp_new: can't listen on port %u of '%s': %m",
				 f->host_port,
				 f->address ? f->address : "127.0.0.1");
	return 0;
}

static Slirp *
make_slirp(const struct vcore_slirp_opts *o, struct user_link *l)
{
	SlirpConfig c;

	memset(&c, 0, sizeof(c));
	c.version = 4;
	c.restricted = (o->flags & VCORE_SLIRP_RESTRICT) != 0;
	c.disable_host_loopback = (o->flags & VCORE_SLIRP_NO_LOOPBACK) != 0;
	c.in_enabled = true;
	c.vnetwork = net_address(0);
	c.vnetmask.s_addr = htonl(0xffffff00u);
	c.vhost = net_address(2);
	c.vnameserver = net_address(3);
	c.vdhcp_start = net_address(15);
	return slirp_new(&c, &callbacks, l);
}

/* The options as this library knows them; an older caller's are shorter. */
static int
take_opts(struct vcore_slirp_opts *o, const struct vcore_slirp_opts *opts)
{
	VCORE_INIT(o);
	if (!opts)
		return 0;
	if (opts->size < sizeof(*o) || opts->size > 4096)
		return user_fail(-EINVAL, "vcore_slirp_new: opts: bad size %u",
				 opts->size);
	for (uint32_t i = sizeof(*o); i < opts->size; i++)
		if (((const uint8_t *)opts)[i])
			return user_fail(-E2BIG,
					 "vcore_slirp_new: opts: byte %u is not known here",
					 i);
	memcpy(o, opts, sizeof(*o));
	if (o->flags & ~(VCORE_SLIRP_RESTRICT | VCORE_SLIRP_NO_LOOPBACK))
		return user_fail(-E2BIG, "vcore_slirp_new: flags %#x",
				 o->flags);
	if (o->max_flows > USER_FLOWS_MAX)
		return user_fail(-EINVAL, "vcore_slirp_new: %u flows, at most %u",
				 o->max_flows, USER_FLOWS_MAX);
	if (o->forward_count > USER_FORWARDS ||
	    (o->forward_count && !o->forwards))
		return user_fail(-EINVAL,
				 "vcore_slirp_new: %u forwards at %p",
				 o->forward_count, (const void *)o->forwards);
	return 0;
}

static struct user_link *
make_link(const struct vcore_slirp_opts *o)
{
	struct user_link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->last = &l->first;
	l->slirp = make_slirp(o, l);
	if (l->slirp)
		return l;
	free(l);
	return NULL;
}

static int
new_link(struct user_link *l, struct vcore_link **link)
{
	int rc = vcore_link_new(&user_ops, l, user_release, link);

	if (rc < 0)
		return user_fail(rc, "vcore_slirp_new: %s",
				 vcore_error_text());
	return 0;
}

int
vcore_slirp_new(const struct vcore_slirp_opts *opts, struct vcore_link **link)
{
	struct vcore_slirp_opts o;
	struct user_link *l;
	int rc;

	if (!link)
		return user_fail(-EINVAL, "vcore_slirp_new: link is NULL");
	rc = take_opts(&o, opts);
	if (rc < 0)
		return rc;
	l = make_link(&o);
	if (!l)
		return user_fail(-ENOMEM, "vcore_slirp_new: no memory");
	for (uint32_t i = 0; i < o.forward_count && rc == 0; i++)
		rc = forward(l, &o.forwards[i]);
	/* What listens for others is not the guest's. */
	l->flows_max = l->flows + (o.max_flows ? o.max_flows : USER_FLOWS);
	if (rc == 0)
		rc = new_link(l, link);
	if (rc < 0)
		user_release(l);
	return rc;
}
