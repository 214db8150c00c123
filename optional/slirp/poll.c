/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libslirp wants to be asked for its sockets before each poll and told the
 * outcome afterwards. Here the loop does the poll: what sockets tell is
 * gathered, and one timer, due soon, does everything else in a turn.
 */
#include "user.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

uint64_t
user_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
user_poll_soon(struct user_link *l)
{
	/* Later than now, so that other callbacks have their turn. */
	if (l->turn)
		(void)vcore_source_set_timer(l->turn, user_now_ns() + 1);
}

static void
on_socket(void *opaque, uint32_t ready)
{
	struct user_socket *s = opaque;

	if (ready & VCORE_LOOP_READ)
		s->revents |= SLIRP_POLL_IN;
	if (ready & VCORE_LOOP_WRITE)
		s->revents |= SLIRP_POLL_OUT;
	if (ready & VCORE_LOOP_HUP)
		s->revents |= SLIRP_POLL_HUP | SLIRP_POLL_ERR;
	user_poll_soon(s->link);
}

static struct user_socket *
find(const struct user_link *l, int fd)
{
	return fd >= 0 && (uint32_t)fd < l->socket_max ? l->sockets[fd] : NULL;
}

/* Room for a descriptor's number. */
static bool
grow(struct user_link *l, uint32_t fd)
{
	uint32_t max = (fd | 63) + 1;
	struct user_socket **sockets;

	if (fd < l->socket_max)
		return true;
	sockets = realloc(l->sockets, max * sizeof(struct user_socket *));
	if (!sockets)
		return false;
	for (uint32_t i = l->socket_max; i < max; i++)
		sockets[i] = NULL;
	l->sockets = sockets;
	l->socket_max = max;
	return true;
}

static struct user_socket *
watch(struct user_link *l, int fd)
{
	struct user_socket *s = find(l, fd);
	struct vcore_source_opts o;

	if (s || !grow(l, (uint32_t)fd))
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->link = l;
	VCORE_INIT(&o);
	o.fd = fd;
	o.fn = on_socket;
	o.opaque = s;
	if (vcore_loop_add(l->loop, &o, &s->source) < 0) {
		free(s);
		return NULL;
	}
	l->sockets[fd] = s;
	return s;
}

/*
 * The loop holds a duplicate: it is closed here, before libslirp closes its
 * own, or the peer would not see the end.
 */
void
user_poll_forget(struct user_link *l, int fd)
{
	struct user_socket *s = find(l, fd);

	if (!s)
		return;
	l->sockets[fd] = NULL;
	vcore_source_remove(s->source);
	free(s);
}

/* A socket that can't be watched is tried again in the next turn. */
static int
add_poll(int fd, int events, void *opaque)
{
	struct user_link *l = opaque;
	struct user_socket *s = watch(l, fd);

	if (!s) {
		l->due_ns = user_now_ns() + 100000000u;
		return fd;
	}
	/*
	 * While the guest is slow nothing is read for it. Urgent data is not
	 * told; it arrives, if at all, in the stream.
	 */
	if ((events & SLIRP_POLL_IN) && l->frames < USER_CROWDED)
		s->wanted |= VCORE_LOOP_READ;
	if (events & SLIRP_POLL_OUT)
		s->wanted |= VCORE_LOOP_WRITE;
	return fd;
}

static int
get_revents(int fd, void *opaque)
{
	struct user_socket *s = find(opaque, fd);

	return s ? s->revents : 0;
}

/* Ask libslirp which sockets to watch from now on, and for how long. */
static void
ask(struct user_link *l)
{
	uint32_t timeout_ms = UINT32_MAX;
	struct user_socket *s;

	for (uint32_t i = 0; i < l->socket_max; i++)
		if (l->sockets[i])
			l->sockets[i]->wanted = 0;
	l->due_ns = 0;
	slirp_pollfds_fill(l->slirp, &timeout_ms, add_poll, l);
	for (uint32_t i = 0; i < l->socket_max; i++) {
		s = l->sockets[i];
		if (s && s->wanted != s->events &&
		    vcore_source_set_events(s->source, s->wanted) == 0)
			s->events = s->wanted;
	}
	if (timeout_ms != UINT32_MAX && !l->due_ns)
		l->due_ns = user_now_ns() + (uint64_t)timeout_ms * 1000000u;
}

/* Tell libslirp what the sockets told. */
static void
tell(struct user_link *l)
{
	slirp_pollfds_poll(l->slirp, 0, get_revents, l);
	for (uint32_t i = 0; i < l->socket_max; i++)
		if (l->sockets[i])
			l->sockets[i]->revents = 0;
}

static void
run_timers(struct user_link *l)
{
	uint64_t now = user_now_ns();

	for (struct user_timer *t = l->timers; t; t = t->next) {
		if (!t->due_ns || t->due_ns > now)
			continue;
		t->due_ns = 0;
		slirp_handle_timer(l->slirp, t->id, t->opaque);
	}
}

static void
arm(struct user_link *l)
{
	uint64_t due = l->due_ns;

	for (struct user_timer *t = l->timers; t; t = t->next)
		if (t->due_ns && (!due || t->due_ns < due))
			due = t->due_ns;
	(void)vcore_source_set_timer(l->turn, due);
}

static uint32_t
ready_now(const struct user_link *l)
{
	uint32_t ready = VCORE_LINK_WRITABLE;

	if (l->first)
		ready |= VCORE_LINK_READABLE;
	return ready & l->want;
}

static void
turn(void *opaque, uint32_t unused)
{
	struct user_link *l = opaque;
	uint32_t ready;

	(void)unused;
	tell(l);
	run_timers(l);
	ask(l);
	arm(l);
	ready = ready_now(l);
	if (!ready)
		return;
	user_poll_soon(l);
	/* Last: the link may be detached when it returns. */
	l->ready(l->opaque, ready);
}

int
user_poll_attach(struct user_link *l)
{
	struct vcore_source_opts o;
	int rc;

	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = turn;
	o.opaque = l;
	rc = vcore_loop_add(l->loop, &o, &l->turn);
	if (rc < 0)
		return rc;
	user_poll_soon(l);
	return 0;
}

void
user_poll_detach(struct user_link *l)
{
	vcore_source_remove(l->turn);
	l->turn = NULL;
	for (uint32_t i = 0; i < l->socket_max; i++)
		user_poll_forget(l, (int)i);
}
