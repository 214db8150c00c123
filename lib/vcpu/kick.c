/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting a vCPU's thread out of KVM_RUN. See docs/threading.md, "Kick". */
#include "vcpu/kick.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

/* How often a signal that can't be queued is tried again. */
#define TRIES 100
#define RETRY_NS 1000000u

static void
futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t deadline_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline_ns / 1000000000u),
		.tv_nsec = (long)(deadline_ns % 1000000000u),
	};

	(void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen,
		      deadline_ns ? &ts : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void
futex_wake(_Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL,
		      0);
}

/*
 * A number that no other thread has or had; 0: nobody's. Not the thread id,
 * which the calling thread of a fork() doesn't keep in the child.
 */
static uint64_t
self(void)
{
	static _Atomic uint64_t threads;
	/* Never allocated late: kicks come from signal handlers too. */
	static _Thread_local uint64_t number
		__attribute__((tls_model("initial-exec")));

	if (!number)
		number = atomic_fetch_add(&threads, 1) + 1;
	return number;
}

bool
vcore__kick_is_owner(struct vcore__kick *k)
{
	return atomic_load(&k->owner) == self();
}

int
vcore__kick_claim(struct vcore__kick *k)
{
	uint64_t nobody = 0;

	if (!atomic_compare_exchange_strong(&k->owner, &nobody, self()))
		return -EBUSY;
	return 0;
}

void
vcore__kick_unclaim(struct vcore__kick *k)
{
	atomic_store(&k->owner, 0);
}

void
vcore__kick_init(struct vcore__kick *k, int sig, enum vcore__kick_way way,
		 volatile uint8_t *immediate)
{
	k->signal = sig;
	k->way = way;
	k->immediate = immediate;
}

static void
only(sigset_t *set, int sig)
{
	sigemptyset(set);
	sigaddset(set, sig);
}

bool
vcore__kick_has_handler(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 &&
	       ((sa.sa_flags & SA_SIGINFO) ||
		(sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN));
}

/* Is the signal as it has to be? mask: what the thread blocks but for it. */
static bool
prepare(struct vcore__kick *k, sigset_t *mask)
{
	sigset_t set;

	only(&set, k->signal);
	pthread_sigmask(SIG_BLOCK, k->way == VCORE__KICK_BLOCK ? &set : NULL,
			mask);
	k->blocked = sigismember(mask, k->signal) == 1;
	sigdelset(mask, k->signal);
	switch (k->way) {
	case VCORE__KICK_BLOCKED:
		return k->blocked;
	case VCORE__KICK_HANDLED:
		return !k->blocked &&
		       vcore__kick_has_handler(k->signal);
	case VCORE__KICK_BLOCK:
	default:
		return true;
	}
}

int
vcore__kick_enter(struct vcore__kick *k, sigset_t *mask, bool *fresh)
{
	bool moved;

	if (vcore__kick_claim(k))
		return -EBUSY;
	moved = k->last != self();
	*fresh = false;
	if (moved || k->way == VCORE__KICK_BLOCK) {
		if (!prepare(k, mask)) {
			atomic_store(&k->owner, 0);
			return -EINVAL;
		}
		*fresh = k->way != VCORE__KICK_HANDLED;
	}
	if (moved) {
		k->last = self();
		k->tid = gettid();
	}
	atomic_store(&k->target, k->tid);
	return 0;
}

void
vcore__kick_ask_again(struct vcore__kick *k)
{
	k->last = 0;
}

/* Nobody is between reading target and having sent, once target is 0. */
static void
wait_senders(struct vcore__kick *k)
{
	uint32_t n;

	while ((n = atomic_load(&k->senders)))
		futex_wait(&k->senders, n, 0);
}

void
vcore__kick_drain(struct vcore__kick *k)
{
	static const struct timespec now = { 0 };
	sigset_t set;

	if (k->way == VCORE__KICK_HANDLED)
		return;
	only(&set, k->signal);
	while (sigtimedwait(&set, NULL, &now) >= 0 || errno == EINTR)
		;
}

bool
vcore__kick_go_in(struct vcore__kick *k)
{
	uint32_t r = atomic_load(&k->request);

	do {
		if (VCORE__KICK_PAUSES(r))
			return false;
	} while (!atomic_compare_exchange_weak(&k->request, &r,
					       r | VCORE__KICK_IN));
	return true;
}

/* A pause waits for that. */
static void
go_out(struct vcore__kick *k)
{
	if (VCORE__KICK_PAUSES(atomic_fetch_and(&k->request, ~VCORE__KICK_IN)))
		futex_wake(&k->request);
}

void
vcore__kick_leave(struct vcore__kick *k)
{
	uint32_t sent;
	sigset_t set;

	go_out(k);
	atomic_store(&k->target, 0);
	wait_senders(k);
	sent = atomic_load(&k->sent);
	if (sent != k->taken)
		vcore__kick_drain(k);
	k->taken = sent;
	if (k->way == VCORE__KICK_BLOCK && !k->blocked) {
		only(&set, k->signal);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	}
	atomic_store(&k->owner, 0);
}

bool
vcore__kick_park(struct vcore__kick *k, bool (*ready)(void *opaque),
		 void *opaque)
{
	uint32_t r;

	go_out(k);
	for (;;) {
		r = atomic_load(&k->request);
		if (r & VCORE__KICK_KICK)
			return false;
		if (r & VCORE__KICK_WAKE)
			atomic_fetch_and(&k->request, ~VCORE__KICK_WAKE);
		else if ((!ready || ready(opaque)) && vcore__kick_go_in(k))
			return true;
		else
			futex_wait(&k->request, r, 0);
	}
}

bool
vcore__kick_is_paused(struct vcore__kick *k)
{
	uint32_t r = atomic_load(&k->request);

	return VCORE__KICK_PAUSES(r) && !(r & VCORE__KICK_IN);
}

/*
 * Signal the owner if it is inside. The owner does not leave while senders
 * is not 0, so the thread exists, and blocks the signal if that is its way.
 */
static int
send_signal(struct vcore__kick *k)
{
	int32_t target;
	int rc = 0;

	atomic_fetch_add(&k->senders, 1);
	target = atomic_load(&k->target);
	if (target && vcore__kick_is_owner(k)) {
		/* In a handler, of the bus or of a signal. */
		*k->immediate = 1;
	} else if (target) {
		atomic_fetch_add(&k->sent, 1);
		rc = (int)syscall(SYS_tgkill, getpid(), target, k->signal);
		rc = rc < 0 ? -errno : 0;
		atomic_store(&k->unsent, rc != 0);
	}
	if (atomic_fetch_sub(&k->senders, 1) == 1 &&
	    !atomic_load(&k->target))
		futex_wake(&k->senders);
	return rc;
}

/*
 * The owner has something new in request, which was this before. It is in
 * KVM_RUN, or waits, or will look before it does either.
 */
static int
notify(struct vcore__kick *k, uint32_t before)
{
	if (before & VCORE__KICK_IN)
		return send_signal(k);
	if (atomic_load(&k->owner))
		futex_wake(&k->request);
	return 0;
}

int
vcore__kick_kick(struct vcore__kick *k)
{
	int tries, saved = errno, rc = 0;
	uint32_t r;

	r = atomic_fetch_or(&k->request, VCORE__KICK_KICK);
	/* Kicks that the owner has not seen yet are one. */
	if (!(r & VCORE__KICK_KICK))
		rc = notify(k, r);
	/* EAGAIN: RLIMIT_SIGPENDING of the user is used up. */
	for (tries = 0; rc == -EAGAIN && tries < TRIES; tries++) {
		sched_yield();
		rc = notify(k, atomic_load(&k->request));
	}
	errno = saved;
	return rc;
}

void
vcore__kick_wake(struct vcore__kick *k)
{
	atomic_fetch_or(&k->request, VCORE__KICK_WAKE);
	if (atomic_load(&k->owner))
		futex_wake(&k->request);
}

int
vcore__kick_pause(struct vcore__kick *k)
{
	uint32_t r = atomic_load(&k->request);

	do {
		if (VCORE__KICK_PAUSES(r) == VCORE__KICK_PAUSES_MAX)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&k->request, &r,
					       r + VCORE__KICK_PAUSE));
	if (r & VCORE__KICK_IN)
		(void)send_signal(k);
	return 0;
}

int
vcore__kick_wait_paused(struct vcore__kick *k, uint64_t deadline_ns)
{
	uint64_t now, until;
	uint32_t r;
	bool again;

	while ((r = atomic_load(&k->request)) & VCORE__KICK_IN) {
		until = deadline_ns;
		now = vcore__now_ns();
		if (deadline_ns && now >= deadline_ns)
			return -ETIMEDOUT;
		/* A signal that could not be queued is sent again later. */
		again = atomic_load(&k->unsent);
		if (again && (!deadline_ns || deadline_ns - now > RETRY_NS))
			until = now + RETRY_NS;
		futex_wait(&k->request, r, until);
		if (again)
			(void)send_signal(k);
	}
	return 0;
}

int
vcore__kick_resume(struct vcore__kick *k)
{
	uint32_t r = atomic_load(&k->request);

	do {
		if (!VCORE__KICK_PAUSES(r))
			return -EINVAL;
	} while (!atomic_compare_exchange_weak(&k->request, &r,
					       r - VCORE__KICK_PAUSE));
	if (VCORE__KICK_PAUSES(r) == 1)
		futex_wake(&k->request);
	return 0;
}
