/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sources of a loop: descriptors and timers.
 *
 * The loop watches a duplicate of the descriptor. epoll keys its entries by
 * file and number, so an entry whose number was closed while the file lived on
 * (KVM holds an ioeventfd's file) could never be deleted and would report a
 * freed source. With a number of our own the caller may close his at any time.
 *
 * Removing: `removed` is set under the lock, which each call checks before it
 * begins, so none begins afterwards. The duplicate is closed at once unless a
 * call is running, then by who runs it. The memory goes in a posted call: on
 * the loop's thread after the batch of epoll results that may name the source.
 */
#include <vcore/loop.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/base.h"
#include "loop/call.h"
#include "loop/impl.h"

#define EVENTS_KNOWN (VCORE_LOOP_READ | VCORE_LOOP_WRITE | VCORE_LOOP_HUP)
#define EVENTS_ASKED (VCORE_LOOP_READ | VCORE_LOOP_WRITE)

/* Program the timerfd if something is due before it fires. Lock held. */
static void
arm(struct vcore_loop *loop)
{
	struct vcore__timer *first = vcore__timers_first(&loop->timers);
	struct itimerspec its = { 0 };

	if (!first || (loop->armed_ns && loop->armed_ns <= first->deadline_ns))
		return;
	loop->armed_ns = first->deadline_ns;
	its.it_value.tv_sec = (time_t)(first->deadline_ns / 1000000000u);
	its.it_value.tv_nsec = (long)(first->deadline_ns % 1000000000u);
	/* Can't fail: descriptor and times are valid. */
	timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* Tell epoll what is asked for now. Lock held. */
static int
watch(struct vcore_source *s, uint32_t events)
{
	struct epoll_event ev = { 0 };
	int op = EPOLL_CTL_MOD;

	if (!events && !s->events)
		return 0;
	if (!events)
		op = EPOLL_CTL_DEL;
	else if (!s->events)
		op = EPOLL_CTL_ADD;
	ev.data.ptr = s;
	if (events & VCORE_LOOP_READ)
		ev.events |= EPOLLIN;
	if (events & VCORE_LOOP_WRITE)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(s->loop->epfd, op, s->fd, &ev) < 0)
		return -errno;
	s->events = events;
	return 0;
}

static void
reap(struct vcore__call *c)
{
	struct vcore_source *s = VCORE__CONTAINER(c, struct vcore_source, reap);

	if (s->release)
		s->release(s->opaque);
	free(s);
}

static int
check_opts(struct vcore_loop *loop, const struct vcore_source_opts *o)
{
	if (o->flags & ~VCORE_SOURCE_EVENTFD || o->events & ~EVENTS_KNOWN)
		return vcore__err(loop->log, -E2BIG,
				  "vcore_loop_add: flags %#x, events %#x",
				  o->flags, o->events);
	if (atomic_load(&loop->refs) >= VCORE__LOOP_ENDING)
		return vcore__err(loop->log, -EBUSY,
				  "vcore_loop_add: the loop is ending");
	if (!o->fn)
		return vcore__err(loop->log, -EINVAL,
				  "vcore_loop_add: opts: fn is NULL");
	if (o->fd < -1)
		return vcore__err(loop->log, -EINVAL,
				  "vcore_loop_add: opts: fd is %d", o->fd);
	if (o->fd == -1 && (o->flags || o->events))
		return vcore__err(loop->log, -EINVAL,
				  "vcore_loop_add: timer: flags %#x, events %#x",
				  o->flags, o->events);
	return 0;
}

/* Fill in the descriptor or reserve the timer. Undone by nobody on failure. */
static int
open_source(struct vcore_source *s, const struct vcore_source_opts *o)
{
	struct vcore_loop *loop = s->loop;
	uint32_t events = o->events & EVENTS_ASKED;
	int rc;

	if (o->fd == -1) {
		s->is_timer = true;
		rc = vcore__timers_reserve(&loop->timers);
		return rc < 0 ? vcore__err(loop->log, rc,
					   "vcore_loop_add: no memory")
			      : 0;
	}
	rc = fcntl(o->fd, F_GETFL);
	s->blocking = rc >= 0 && !(rc & O_NONBLOCK);
	s->fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
	if (s->fd < 0)
		return vcore__err(loop->log, -errno,
				  "vcore_loop_add: fd %d: %m", o->fd);
	rc = watch(s, events);
	if (rc == 0)
		return 0;
	close(s->fd);
	errno = -rc;
	return vcore__err(loop->log, rc, "vcore_loop_add: fd %d: epoll: %m",
			  o->fd);
}

int
vcore_loop_add(struct vcore_loop *loop, const struct vcore_source_opts *opts,
	       struct vcore_source **source)
{
	struct vcore_source_opts o;
	struct vcore_source *s;
	int rc;

	if (!loop || !source)
		return vcore__err(NULL, -EINVAL, "vcore_loop_add: %s is NULL",
				  loop ? "source" : "loop");
	rc = VCORE__SIZED("vcore_loop_add: opts", &o, release, opts);
	if (rc == 0)
		rc = check_opts(loop, &o);
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return vcore__err(loop->log, -ENOMEM,
				  "vcore_loop_add: no memory");
	s->loop = loop;
	s->fd = -1;
	s->flags = o.flags;
	s->fn = o.fn;
	s->opaque = o.opaque;
	s->release = o.release;
	s->reap.fn = reap;
	/*
	 * Before epoll knows it: another thread may call fn, and fn may use
	 * *source, before this call returns.
	 */
	pthread_mutex_lock(&loop->lock);
	rc = open_source(s, &o);
	if (rc == 0) {
		vcore_loop_ref(loop);
		*source = s;
	}
	pthread_mutex_unlock(&loop->lock);
	if (rc != 0)
		free(s);
	return rc;
}

int
vcore_source_set_events(struct vcore_source *source, uint32_t events)
{
	struct vcore_loop *loop;
	int rc;

	if (!source)
		return vcore__err(NULL, -EINVAL,
				  "vcore_source_set_events: source is NULL");
	loop = source->loop;
	if (events & ~EVENTS_KNOWN)
		return vcore__err(loop->log, -E2BIG,
				  "vcore_source_set_events: events %#x", events);
	if (source->is_timer)
		return vcore__err(loop->log, -EINVAL,
				  "vcore_source_set_events: source is a timer");
	pthread_mutex_lock(&loop->lock);
	rc = watch(source, events & EVENTS_ASKED);
	pthread_mutex_unlock(&loop->lock);
	if (rc < 0) {
		errno = -rc;
		vcore__err(loop->log, rc,
			   "vcore_source_set_events: events %#x: epoll: %m",
			   events);
	}
	return rc;
}

int
vcore_source_set_timer(struct vcore_source *source, uint64_t deadline_ns)
{
	struct vcore_loop *loop;

	if (!source)
		return vcore__err(NULL, -EINVAL,
				  "vcore_source_set_timer: source is NULL");
	loop = source->loop;
	if (!source->is_timer)
		return vcore__err(loop->log, -EINVAL,
				  "vcore_source_set_timer: source is no timer");
	pthread_mutex_lock(&loop->lock);
	vcore__timers_set(&loop->timers, &source->timer, deadline_ns);
	arm(loop);
	pthread_mutex_unlock(&loop->lock);
	return 0;
}

/* Lock held, source removed and not running. */
static void
close_fd(struct vcore_source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void
vcore_source_remove(struct vcore_source *source)
{
	struct vcore_loop *loop;

	if (!source)
		return;
	loop = source->loop;
	pthread_mutex_lock(&loop->lock);
	source->removed = true;
	if (source->is_timer) {
		vcore__timers_set(&loop->timers, &source->timer, 0);
		vcore__timers_unreserve(&loop->timers);
	} else {
		/* Can't fail: the descriptor is ours and known to epoll. */
		(void)watch(source, 0);
		if (!source->running)
			close_fd(source);
	}
	pthread_mutex_unlock(&loop->lock);
	vcore__loop_post(loop, &source->reap);
	vcore_loop_unref(loop);
}

/* Read an eventfd's counter; false if somebody else did. */
static bool
drain(const struct vcore_source *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	uint64_t counter;

	if (s->blocking && poll(&p, 1, 0) != 1)
		return false;
	return read(s->fd, &counter, sizeof(counter)) == sizeof(counter);
}

static uint32_t
ready_mask(const struct vcore_source *s, uint32_t epoll_events)
{
	uint32_t ready = 0;

	if (epoll_events & EPOLLIN)
		ready |= s->events & VCORE_LOOP_READ;
	if (epoll_events & EPOLLOUT)
		ready |= s->events & VCORE_LOOP_WRITE;
	if (epoll_events & (EPOLLHUP | EPOLLERR) && s->events)
		ready |= VCORE_LOOP_HUP;
	return ready;
}

/* Call the function of a source that the caller marked as running. */
static void
call(struct vcore_source *s, uint32_t ready)
{
	s->fn(s->opaque, ready);
}

static void
stop_running(struct vcore_source *s)
{
	s->running = false;
	if (s->removed)
		close_fd(s);
}

int
vcore__source_ready(struct vcore_source *s, uint32_t epoll_events)
{
	struct vcore_loop *loop = s->loop;
	uint32_t ready = 0;
	int called = 0;

	pthread_mutex_lock(&loop->lock);
	/* An earlier callback of this batch may have changed either. */
	if (!s->removed)
		ready = ready_mask(s, epoll_events);
	s->running = ready != 0;
	pthread_mutex_unlock(&loop->lock);
	if (!ready)
		return 0;
	if (!(s->flags & VCORE_SOURCE_EVENTFD) || drain(s)) {
		call(s, ready);
		called = 1;
	}
	pthread_mutex_lock(&loop->lock);
	stop_running(s);
	pthread_mutex_unlock(&loop->lock);
	return called;
}

int
vcore__source_timers(struct vcore_loop *loop)
{
	uint64_t now = vcore__now_ns(), expirations;
	struct vcore__timer *t;
	struct vcore_source *s;
	int called = 0;
	ssize_t n;

	n = read(loop->timerfd, &expirations, sizeof(expirations));
	(void)n;
	pthread_mutex_lock(&loop->lock);
	while (called < VCORE__LOOP_BUDGET &&
	       (t = vcore__timers_first(&loop->timers)) &&
	       t->deadline_ns <= now) {
		vcore__timers_set(&loop->timers, t, 0);
		s = VCORE__CONTAINER(t, struct vcore_source, timer);
		s->running = true;
		pthread_mutex_unlock(&loop->lock);
		call(s, 0);
		called++;
		pthread_mutex_lock(&loop->lock);
		stop_running(s);
	}
	/* Whatever the read took away: program it anew for what is left. */
	loop->armed_ns = 0;
	arm(loop);
	pthread_mutex_unlock(&loop->lock);
	return called;
}
