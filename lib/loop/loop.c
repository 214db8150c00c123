/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Event loop: one epoll descriptor that also is the embedder's way in.
 *
 * It watches the sources, a timerfd for the earliest timer and an eventfd for
 * posted calls. Each of the three sorts has a budget per dispatch; what is left
 * keeps the descriptor readable, so a loop inside another loop returns often
 * and loses nothing.
 *
 * Posted calls are a stack that many threads push to and the owner takes as a
 * whole and reverses. The eventfd is written by the push that finds the stack
 * empty, and each write is told once (EPOLLET), before the stack is taken: a
 * push is either taken, or finds the stack empty after that and writes. So it
 * need not be read. A callback of a source or a timer need not write: the stack
 * is looked at when those have run.
 */
#include <vcore/loop.h>

#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/base.h"
#include "base/wait.h"
#include "loop/call.h"
#include "loop/impl.h"

static _Thread_local struct vcore_loop *current;

struct vcore_loop *
vcore__loop_current(void)
{
	return current;
}

static void
enter(struct vcore_loop *loop)
{
	loop->outer = current;
	current = loop;
	vcore__nowait_begin();
}

static void
leave(struct vcore_loop *loop)
{
	vcore__nowait_end();
	current = loop->outer;
	loop->outer = NULL;
}

int
vcore_loop_is_owner(struct vcore_loop *loop)
{
	struct vcore_loop *l;

	for (l = current; l; l = l->outer)
		if (l == loop)
			return 1;
	return 0;
}

/* Make dispatch return and look at posted calls. */
static void
wake(struct vcore_loop *loop)
{
	uint64_t one = 1;
	ssize_t n;

	n = write(loop->wakefd, &one, sizeof(one));
	(void)n;
}

void
vcore__loop_post(struct vcore_loop *loop, struct vcore__call *c)
{
	struct vcore__call *top = atomic_load(&loop->posted);

	do {
		c->next = top;
	} while (!atomic_compare_exchange_weak(&loop->posted, &top, c));
	if (!top && !(current == loop && loop->will_look))
		wake(loop);
}

/* Move posted calls to the end of todo, in order. Owner. */
static void
collect(struct vcore_loop *loop)
{
	struct vcore__call *c = atomic_exchange(&loop->posted, NULL);
	struct vcore__call *last = c, *first = NULL, *next;

	if (!c)
		return;
	for (; c; c = next) {
		next = c->next;
		c->next = first;
		first = c;
	}
	*loop->todo_end = first;
	loop->todo_end = &last->next;
}

static void
run_first(struct vcore_loop *loop)
{
	struct vcore__call *c = loop->todo;

	loop->todo = c->next;
	if (!loop->todo)
		loop->todo_end = &loop->todo;
	c->fn(c);
}

static int
run_calls(struct vcore_loop *loop)
{
	int called = 0;

	collect(loop);
	for (; loop->todo && called < VCORE__LOOP_BUDGET; called++)
		run_first(loop);
	if (loop->todo)
		wake(loop);
	return called;
}

static int
watch_own(struct vcore_loop *loop, int *fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = fd };

	return epoll_ctl(loop->epfd, EPOLL_CTL_ADD, *fd, &ev);
}

static void
close_fds(struct vcore_loop *loop)
{
	if (loop->timerfd >= 0)
		close(loop->timerfd);
	if (loop->wakefd >= 0)
		close(loop->wakefd);
	if (loop->epfd >= 0)
		close(loop->epfd);
}

static int
open_fds(struct vcore_loop *loop)
{
	loop->timerfd = -1;
	loop->wakefd = -1;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd >= 0)
		loop->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wakefd >= 0)
		loop->timerfd = timerfd_create(CLOCK_MONOTONIC,
					       TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timerfd >= 0 &&
	    watch_own(loop, &loop->wakefd, EPOLLIN | EPOLLET) == 0 &&
	    watch_own(loop, &loop->timerfd, EPOLLIN) == 0)
		return 0;
	return -errno;
}

int
vcore_loop_new(const struct vcore_loop_opts *opts, struct vcore_loop **loop)
{
	struct vcore_loop_opts o = { .size = sizeof(o) };
	struct vcore_loop *l;
	int rc;

	if (opts) {
		rc = VCORE__SIZED("vcore_loop_new: opts", &o, log, opts);
		if (rc < 0)
			return rc;
	}
	if (!loop)
		return vcore__err(o.log, -EINVAL,
				  "vcore_loop_new: loop is NULL");
	if (o.flags)
		return vcore__err(o.log, -E2BIG, "vcore_loop_new: flags %#x",
				  o.flags);
	l = calloc(1, sizeof(*l));
	if (!l)
		return vcore__err(o.log, -ENOMEM, "vcore_loop_new: no memory");
	rc = open_fds(l);
	if (rc < 0) {
		close_fds(l);
		free(l);
		errno = -rc;
		return vcore__err(o.log, rc, "vcore_loop_new: descriptors: %m");
	}
	atomic_init(&l->refs, 1);
	pthread_mutex_init(&l->lock, NULL);
	l->todo_end = &l->todo;
	l->log = vcore_log_ref(o.log);
	*loop = l;
	return 0;
}

struct vcore_loop *
vcore_loop_ref(struct vcore_loop *loop)
{
	if (loop)
		atomic_fetch_add(&loop->refs, 1);
	return loop;
}

/* The last reference went: nobody dispatches, and no source is left. */
static void
end(struct vcore_loop *loop)
{
	atomic_store(&loop->refs, VCORE__LOOP_ENDING);
	enter(loop);
	for (collect(loop); loop->todo; collect(loop))
		run_first(loop);
	leave(loop);
	close_fds(loop);
	vcore__timers_fini(&loop->timers);
	pthread_mutex_destroy(&loop->lock);
	vcore_log_unref(loop->log);
	free(loop);
}

void
vcore_loop_unref(struct vcore_loop *loop)
{
	if (loop && atomic_fetch_sub(&loop->refs, 1) == 1)
		end(loop);
}

int
vcore_loop_fd(struct vcore_loop *loop)
{
	if (!loop)
		return vcore__err(NULL, -EINVAL, "vcore_loop_fd: loop is NULL");
	return loop->epfd;
}

static int
dispatch(struct vcore_loop *loop, int timeout_ms)
{
	struct epoll_event ev[VCORE__LOOP_BUDGET];
	bool timers = false, calls = false;
	int n, i, called = 0;

	n = epoll_wait(loop->epfd, ev, VCORE__LOOP_BUDGET, timeout_ms);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0)
		return vcore__err(loop->log, -errno,
				  "vcore_loop_dispatch: epoll_wait: %m");
	loop->will_look = true;
	for (i = 0; i < n; i++) {
		if (ev[i].data.ptr == &loop->wakefd)
			calls = true;
		else if (ev[i].data.ptr == &loop->timerfd)
			timers = true;
		else
			called += vcore__source_ready(ev[i].data.ptr,
						      ev[i].events);
	}
	if (timers)
		called += vcore__source_timers(loop);
	loop->will_look = false;
	/* Last: a call may free a source that the results above name. */
	if (calls || atomic_load(&loop->posted))
		called += run_calls(loop);
	return called;
}

/* Become the owner for one dispatch. The caller holds a reference. */
static int
dispatch_as_owner(struct vcore_loop *loop, int timeout_ms)
{
	uint32_t seen = 0;
	int rc;

	/* Who helps out does not wait, and the owner was not to know of him. */
	while (!atomic_compare_exchange_strong(&loop->busy, &seen,
					       VCORE__LOOP_OWNED)) {
		if (seen != VCORE__LOOP_HELPED)
			return vcore__err(loop->log, -EBUSY,
					  "vcore_loop_dispatch: another thread is in");
		seen = 0;
		sched_yield();
	}
	enter(loop);
	rc = dispatch(loop, timeout_ms);
	leave(loop);
	atomic_store(&loop->busy, 0);
	return rc;
}

int
vcore__loop_help(struct vcore_loop *loop)
{
	uint32_t seen = 0;
	int rc;

	if (vcore_loop_is_owner(loop))
		return -EDEADLK;
	if (!atomic_compare_exchange_strong(&loop->busy, &seen,
					    VCORE__LOOP_HELPED))
		return -EBUSY;
	vcore_loop_ref(loop);
	enter(loop);
	rc = dispatch(loop, 0);
	leave(loop);
	atomic_store(&loop->busy, 0);
	/* This may have been woken in the owner's place. */
	if (atomic_load(&loop->quit))
		wake(loop);
	vcore_loop_unref(loop);
	return rc;
}

int
vcore_loop_dispatch(struct vcore_loop *loop, int32_t timeout_ms)
{
	int rc;

	if (!loop)
		return vcore__err(NULL, -EINVAL,
				  "vcore_loop_dispatch: loop is NULL");
	if (timeout_ms < -1)
		return vcore__err(loop->log, -EINVAL,
				  "vcore_loop_dispatch: timeout_ms is %d",
				  timeout_ms);
	if (vcore_loop_is_owner(loop) || (current && timeout_ms != 0))
		return vcore__err(loop->log, -EDEADLK,
				  "vcore_loop_dispatch: in a loop's callback");
	vcore_loop_ref(loop);
	rc = dispatch_as_owner(loop, timeout_ms);
	vcore_loop_unref(loop);
	return rc;
}

int
vcore_loop_run(struct vcore_loop *loop)
{
	int rc = 0;

	if (!loop)
		return vcore__err(NULL, -EINVAL, "vcore_loop_run: loop is NULL");
	if (current)
		return vcore__err(loop->log, -EDEADLK,
				  "vcore_loop_run: in a loop's callback");
	vcore_loop_ref(loop);
	while (rc >= 0 && !atomic_exchange(&loop->quit, 0))
		rc = dispatch_as_owner(loop, -1);
	vcore_loop_unref(loop);
	return rc < 0 ? rc : 0;
}

void
vcore_loop_quit(struct vcore_loop *loop)
{
	if (!loop)
		return;
	atomic_store(&loop->quit, 1);
	wake(loop);
}

struct boxed_call {
	struct vcore__call call;
	void (*fn)(void *opaque);
	void *opaque;
};

static void
run_boxed(struct vcore__call *c)
{
	struct boxed_call box = *VCORE__CONTAINER(c, struct boxed_call, call);

	free(VCORE__CONTAINER(c, struct boxed_call, call));
	box.fn(box.opaque);
}

int
vcore_loop_call(struct vcore_loop *loop, void (*fn)(void *opaque), void *opaque)
{
	struct boxed_call *box;

	if (!loop || !fn)
		return vcore__err(NULL, -EINVAL, "vcore_loop_call: %s is NULL",
				  loop ? "fn" : "loop");
	box = malloc(sizeof(*box));
	if (!box)
		return vcore__err(loop->log, -ENOMEM,
				  "vcore_loop_call: no memory");
	box->call.fn = run_boxed;
	box->fn = fn;
	box->opaque = opaque;
	vcore__loop_post(loop, &box->call);
	return 0;
}
