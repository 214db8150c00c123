/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a loop: what loop.c and source.c share. */
#ifndef VCORE_LIB_LOOP_IMPL_H
#define VCORE_LIB_LOOP_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/loop.h>

#include "base/call.h"
#include "loop/timers.h"

/* Callbacks of each sort (descriptors, timers, calls) in one dispatch. */
#define VCORE__LOOP_BUDGET 64

/*
 * Reference count of a loop that ends: handles that its last calls take and
 * drop don't end it again, and no source can be added.
 */
#define VCORE__LOOP_ENDING (1u << 30)

/* Whose dispatch it is: its owner's, or that of somebody who helps out. */
#define VCORE__LOOP_OWNED  1u
#define VCORE__LOOP_HELPED 2u

struct vcore_loop {
	_Atomic uint32_t refs;		/* handles, sources, a dispatch */
	_Atomic uint32_t busy;		/* VCORE__LOOP_*: a thread dispatches */
	_Atomic uint32_t quit;
	int epfd;
	int wakefd;			/* eventfd: posted calls, quit */
	int timerfd;
	struct vcore_log *log;
	struct vcore_loop *outer;	/* owner: its callback dispatches us */
	_Atomic(struct vcore__call *) posted;	/* stack, newest on top */
	struct vcore__call *todo;	/* owner: taken from there, in order */
	struct vcore__call **todo_end;
	bool will_look;			/* owner: at calls, in this dispatch */
	pthread_mutex_t lock;		/* everything below, and sources */
	struct vcore__timers timers;
	uint64_t armed_ns;		/* timerfd; 0: it isn't */
};

/*
 * A source. It holds a reference on the loop until it is removed; what remains
 * then is its `reap` call in the loop's queue, which needs none.
 */
struct vcore_source {
	struct vcore_loop *loop;
	struct vcore__call reap;
	vcore_loop_fn fn;
	void *opaque;
	void (*release)(void *opaque);
	struct vcore__timer timer;	/* loop->lock */
	uint32_t flags;
	int fd;				/* our own; -1: timer, or closed */
	uint32_t events;		/* loop->lock; 0: not in epoll */
	bool blocking;			/* the eventfd has no O_NONBLOCK */
	bool removed;			/* loop->lock */
	bool running;			/* loop->lock; fn is being called */
	bool is_timer;
};

/* owner: run a source epoll reported; 1 if its function was called. */
int
vcore__source_ready(struct vcore_source *s, uint32_t epoll_events);

/* owner: run expired timers, program the timerfd for the rest; how many. */
int
vcore__source_timers(struct vcore_loop *loop);

#endif
