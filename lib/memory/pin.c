/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pins, and how a removal waits for them.
 *
 * Pins are counted per user under the current phase. A removal that has taken
 * its range out of the map waits until every section that began before is
 * over: whatever pins the range has been counted by then, under either phase.
 * Then the other phase has to become empty (left over from a removal that gave
 * up; nobody adds to it, since sections that read it as current are over as
 * well), the phase is switched, and the old one has to become empty. New pins
 * go to the new phase meanwhile, so that a busy device can't keep a removal
 * waiting for ever. A section that began after the change, read the old phase
 * and pins only now holds nothing that was removed; the next removal finds it
 * in its other phase.
 */
#include "memory/map.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define PIN_MAGIC 0x76636f7265706e31ull	/* "vcorepn1" */
/* A domain may free late: look again after this long. */
#define SLICE_NS 10000000ull

/* A grace period that one thread waits for, or has given up. */
struct grace {
	struct vcore__retired retired;
	_Atomic uint32_t state;
};

enum { GRACE_WAITING = 0, GRACE_OVER = 1, GRACE_ABANDONED = 2 };

static void
futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &ts, NULL, 0);
}

static void
futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Nanoseconds to wait now; 0: the deadline has passed. */
static uint64_t
slice(uint64_t deadline)
{
	uint64_t now = vcore__now_ns();

	if (now >= deadline)
		return 0;
	return deadline - now < SLICE_NS ? deadline - now : SLICE_NS;
}

static void
grace_over(struct vcore__retired *node)
{
	struct grace *g = VCORE__CONTAINER(node, struct grace, retired);

	/* After the exchange g may be gone; its address is no more than a key. */
	if (atomic_exchange(&g->state, GRACE_OVER) == GRACE_ABANDONED)
		free(g);
	else
		futex_wake(&g->state);
}

/* 0, -ETIMEDOUT. Takes g. */
static int
grace_wait(struct vcore_memory *m, struct grace *g, uint64_t deadline)
{
	uint32_t waiting = GRACE_WAITING;
	uint64_t ns;

	vcore__domain_retire(m->domain, &g->retired, grace_over);
	while (atomic_load(&g->state) == GRACE_WAITING) {
		ns = slice(deadline);
		if (ns == 0) {
			if (atomic_compare_exchange_strong(&g->state, &waiting,
							   GRACE_ABANDONED))
				return -ETIMEDOUT;
			break;
		}
		futex_wait(&g->state, GRACE_WAITING, ns);
		vcore__domain_reclaim(m->domain);
	}
	free(g);
	return 0;
}

static uint64_t
pins_sum(struct vcore_memory *m, uint32_t phase)
{
	struct vcore__memory_user *u;
	uint64_t sum;

	sum = atomic_load(&m->pins[phase]);
	pthread_mutex_lock(&m->users_lock);
	for (u = m->users; u; u = u->next)
		sum += atomic_load(&u->pins[phase]);
	pthread_mutex_unlock(&m->users_lock);
	return sum;
}

static int
pins_wait(struct vcore_memory *m, uint32_t phase, uint64_t deadline)
{
	uint32_t seen;
	uint64_t ns;
	int rc = 0;

	/* Order: an unpin that misses this store is seen by the sum. */
	atomic_store(&m->draining, 1);
	for (;;) {
		seen = atomic_load(&m->wake);
		if (pins_sum(m, phase) == 0)
			break;
		ns = slice(deadline);
		if (ns == 0) {
			rc = -ETIMEDOUT;
			break;
		}
		futex_wait(&m->wake, seen, ns);
	}
	atomic_store(&m->draining, 0);
	return rc;
}

int
vcore__map_drain(struct vcore_memory *m, uint64_t deadline_ns, const char *who)
{
	uint32_t phase = atomic_load(&m->phase);
	struct grace *g;
	uint64_t pins;
	int rc;

	g = calloc(1, sizeof(*g));
	if (!g)
		return who ? vcore__err(m->log, -ENOMEM, "%s: out of memory",
					who) : -ENOMEM;
	rc = grace_wait(m, g, deadline_ns);
	if (rc == 0)
		rc = pins_wait(m, phase ^ 1, deadline_ns);
	if (rc == 0) {
		atomic_store(&m->phase, phase ^ 1);
		rc = pins_wait(m, phase, deadline_ns);
	}
	if (rc < 0 && who) {
		pins = pins_sum(m, 0) + pins_sum(m, 1);
		return vcore__err(m->log, rc,
				  "%s: %llu ns passed, waiting for %llu pins%s",
				  who, (unsigned long long)m->remove_timeout_ns,
				  (unsigned long long)pins,
				  pins ? "" : " but for a reader that does not leave");
	}
	return rc;
}

/* Count one pin less; wake a remover if it may have been the last. */
static void
unpin(struct vcore_memory *m, _Atomic uint64_t *pins)
{
	if (atomic_fetch_sub(pins, 1) != 1 || !atomic_load(&m->draining))
		return;
	atomic_fetch_add(&m->wake, 1);
	futex_wake(&m->wake);
}

uint32_t
vcore__memory_phase(struct vcore__memory_user *u)
{
	return atomic_load_explicit(&u->memory->phase, memory_order_acquire);
}

void
vcore__memory_pin_phase(struct vcore__memory_user *u, uint32_t phase)
{
	atomic_fetch_add_explicit(&u->pins[phase], 1, memory_order_relaxed);
}

uint32_t
vcore__memory_pin(struct vcore__memory_user *u)
{
	uint32_t phase = vcore__memory_phase(u);

	vcore__memory_pin_phase(u, phase);
	return phase;
}

void
vcore__memory_unpin(struct vcore__memory_user *u, uint32_t phase)
{
	unpin(u->memory, &u->pins[phase & 1]);
}

int
vcore_memory_pin(struct vcore_memory *memory, uint64_t gpa, uint64_t len,
		 uint32_t flags, struct iovec *iov, uint32_t max,
		 struct vcore_pin *pin)
{
	uint64_t token;
	uint32_t phase = 0;
	int rc;

	if (!memory || !pin || (!iov && max))
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_pin: memory %p, iov %p or pin %p is NULL",
				  (void *)memory, (void *)iov, (void *)pin);
	if (flags & ~VCORE_PIN_WRITE)
		return vcore__err(memory->log, -E2BIG,
				  "vcore_memory_pin: flags %#x are unknown",
				  flags & ~VCORE_PIN_WRITE);
	vcore__domain_enter(memory->domain, &token);
	rc = vcore__map_iov(memory, NULL, gpa, len, flags & VCORE_PIN_WRITE,
			    iov, max);
	if (rc >= 0) {
		phase = atomic_load(&memory->phase);
		atomic_fetch_add(&memory->pins[phase], 1);
	}
	vcore__domain_exit(memory->domain, token);
	if (rc < 0)
		return vcore__err(NULL, rc, rc == -ENOSPC ?
				  "vcore_memory_pin: [%#llx, + %#llx) needs more than %u pieces" :
				  "vcore_memory_pin: [%#llx, + %#llx) has a hole or is read-only (%u iovecs)",
				  (unsigned long long)gpa,
				  (unsigned long long)len, max);
	pin->opaque[0] = PIN_MAGIC;
	pin->opaque[1] = (uintptr_t)memory;
	pin->opaque[2] = phase;
	pin->opaque[3] = 0;
	return rc;
}

void
vcore_memory_unpin(struct vcore_memory *memory, struct vcore_pin *pin)
{
	if (!memory || !pin || pin->opaque[0] != PIN_MAGIC ||
	    pin->opaque[1] != (uintptr_t)memory)
		return;
	pin->opaque[0] = 0;
	unpin(memory, &memory->pins[pin->opaque[2] & 1]);
}
