/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting a vCPU's thread out of KVM_RUN: kicks, pauses, waiting inside. */
#ifndef VCORE_LIB_VCPU_KICK_H
#define VCORE_LIB_VCPU_KICK_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* kick.request; 0 or just IN: nothing to attend to */
#define VCORE__KICK_KICK    (1u << 0)	/* return VCORE_EXIT_KICKED */
#define VCORE__KICK_WAKE    (1u << 1)	/* look at what you wait for */
#define VCORE__KICK_IN      (1u << 2)	/* the owner is in KVM_RUN or in a
					 * handler; never set while paused */
#define VCORE__KICK_PAUSE   (1u << 8)	/* one; bits 8..31 count them */
#define VCORE__KICK_PAUSES(request) ((request) >> 8)
#define VCORE__KICK_PAUSES_MAX 0xffffffu

/* What keeps the kick signal from ending the process. */
enum vcore__kick_way {
	VCORE__KICK_BLOCK,	/* it is blocked from enter to leave */
	VCORE__KICK_BLOCKED,	/* the embedder keeps it blocked */
	VCORE__KICK_HANDLED,	/* the embedder has a handler, which sets
				 * *immediate */
};

/*
 * docs/threading.md, "Kick", says why no kick is lost and no stranger is
 * signalled. All atomics are sequentially consistent.
 */
struct vcore__kick {
	_Atomic uint32_t request;	/* futex: a parked owner and those who
					 * pause wait here */
	_Atomic uint64_t owner;		/* number of the thread that is inside
					 * run; 0: none */
	_Atomic int32_t target;		/* thread that may be signalled */
	_Atomic uint32_t senders;	/* futex: threads between target and
					 * tgkill() */
	_Atomic uint32_t sent;		/* signals since ever */
	_Atomic uint32_t unsent;	/* the last one could not be queued */
	uint32_t taken;			/* owner's: sent, when last left */
	uint64_t last;			/* owner's: who it was last time */
	int32_t tid;			/* owner's: thread id of that one */
	int signal;
	bool blocked;			/* owner's: was blocked on entry */
	enum vcore__kick_way way;
	volatile uint8_t *immediate;	/* kvm_run.immediate_exit */
};

void
vcore__kick_init(struct vcore__kick *k, int signal, enum vcore__kick_way way,
		 volatile uint8_t *immediate);

/*
 * The calling thread becomes owner, not IN yet. *fresh: *mask is to be given to
 * KVM_SET_SIGNAL_MASK: what the thread blocks, without the kick signal. The
 * embedder's word is checked when another thread comes than last time. -EBUSY:
 * somebody is owner; -EINVAL: the signal is not as the way says.
 */
int
vcore__kick_enter(struct vcore__kick *k, sigset_t *mask, bool *fresh);

/* Owner: the mask did not get to KVM; the next run is fresh, too. */
void
vcore__kick_ask_again(struct vcore__kick *k);

/* Does the process have a handler for this signal? */
bool
vcore__kick_has_handler(int signal);

void
vcore__kick_leave(struct vcore__kick *k);

/*
 * Owner, after KVM_RUN said EINTR: take out the signals that are blocked, also
 * those of strangers, with which KVM_RUN would say so for ever.
 */
void
vcore__kick_drain(struct vcore__kick *k);

/* Owner: be IN, unless paused: false. */
bool
vcore__kick_go_in(struct vcore__kick *k);

/*
 * Owner: no longer IN; wait until nothing is left to wait for: no pause, and
 * ready(opaque) (NULL: true); then be IN: true. False, and not IN: kicked.
 */
bool
vcore__kick_park(struct vcore__kick *k, bool (*ready)(void *opaque),
		 void *opaque);

/* Any thread: 0, or -EAGAIN if the signal could not be queued. */
int
vcore__kick_kick(struct vcore__kick *k);

/* Any thread: make a parked owner look again. */
void
vcore__kick_wake(struct vcore__kick *k);

/*
 * Ask for a pause; then wait until the owner is not IN. After -ETIMEDOUT the
 * request stands: take it back with resume. deadline_ns:
 * CLOCK_MONOTONIC; 0: for ever. -ENOSPC: too many pauses.
 */
int
vcore__kick_pause(struct vcore__kick *k);
int
vcore__kick_wait_paused(struct vcore__kick *k, uint64_t deadline_ns);

/* -EINVAL: not paused. */
int
vcore__kick_resume(struct vcore__kick *k);

/*
 * Keep others from running it without running it oneself; -EBUSY: somebody
 * does.
 */
int
vcore__kick_claim(struct vcore__kick *k);
void
vcore__kick_unclaim(struct vcore__kick *k);

/* Is it out of KVM_RUN and of handlers, and bound to stay there? */
bool
vcore__kick_is_paused(struct vcore__kick *k);

/* Does the calling thread own it? */
bool
vcore__kick_is_owner(struct vcore__kick *k);

static inline uint32_t
vcore__kick_request(struct vcore__kick *k)
{
	return atomic_load(&k->request);
}

#endif
