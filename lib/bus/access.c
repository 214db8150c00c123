/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses that are answered later, and accesses made by a plain thread. */
#include "bus/bus.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/wait.h"
#include "bus/range.h"

void
vcore_access_done(struct vcore_access *later, uint64_t val)
{
	uint32_t pending = VCORE__ACCESS_PENDING;
	void (*wake)(struct vcore_access *a);

	if (!later)
		return;
	if (!atomic_compare_exchange_strong(&later->state, &pending,
					    VCORE__ACCESS_FILLING)) {
		/* Else: a second answer, the embedder's error; no way in. */
		if (pending == VCORE__ACCESS_ORPHAN)
			later->gone(later);
		return;
	}
	if (later->len < 8)
		val &= (UINT64_C(1) << (later->len * 8)) - 1;
	later->val = val;
	wake = later->wake;
	atomic_store(&later->state, VCORE__ACCESS_DONE);
	if (wake)
		wake(later);
	atomic_store(&later->state, VCORE__ACCESS_SETTLED);
}

bool
vcore__access_take(struct vcore_access *a, uint64_t *val)
{
	uint32_t s;

	/* DONE lasts as long as wake() does, which doesn't wait. */
	while ((s = atomic_load(&a->state)) == VCORE__ACCESS_DONE)
		sched_yield();
	if (s != VCORE__ACCESS_SETTLED)
		return false;
	*val = a->val;
	atomic_store_explicit(&a->state, VCORE__ACCESS_IDLE,
			      memory_order_relaxed);
	return true;
}

bool
vcore__access_abandon(struct vcore_access *a)
{
	uint32_t s = VCORE__ACCESS_PENDING;
	uint64_t val;

	if (atomic_compare_exchange_strong(&a->state, &s,
					   VCORE__ACCESS_ORPHAN))
		return true;
	while (atomic_load(&a->state) == VCORE__ACCESS_FILLING)
		sched_yield();
	(void)vcore__access_take(a, &val);
	return false;
}

static void
futex_wake(struct vcore_access *a)
{
	(void)syscall(SYS_futex, &a->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
		      NULL, 0);
}

static void
futex_wait(struct vcore_access *a, uint32_t seen)
{
	(void)syscall(SYS_futex, &a->state, FUTEX_WAIT_PRIVATE, seen, NULL,
		      NULL, 0);
}

static int
access_wait(struct vcore_bus *bus, int write, uint64_t addr, uint32_t len,
	    uint64_t *val)
{
	struct vcore_access a = { .wake = futex_wake };
	uint64_t answer;
	uint32_t s;
	int rc;

	/* Also where the handler would answer at once, lest it be luck. */
	if (!vcore__may_wait())
		return -EDEADLK;
	vcore_bus_ref(bus);
	rc = vcore__bus_access(bus, NULL, write, addr, len, val, &a);
	if (rc == -EINPROGRESS) {
		while (!vcore__access_take(&a, &answer)) {
			s = atomic_load(&a.state);
			if (s == VCORE__ACCESS_PENDING ||
			    s == VCORE__ACCESS_FILLING)
				futex_wait(&a, s);
		}
		if (!write)
			*val = answer;
		rc = 0;
	}
	vcore_bus_unref(bus);
	return rc;
}

static int
explain(const char *fn, int rc, uint64_t addr, uint32_t len)
{
	if (rc == -EDEADLK)
		return vcore__err(NULL, rc, "%s: in a callback", fn);
	if (rc == -EINVAL)
		return vcore__err(NULL, rc, "%s: length %u at %#llx", fn, len,
				  (unsigned long long)addr);
	if (rc < 0)
		return vcore__err(NULL, rc, "%s: nobody answers at %#llx, length %u",
				  fn, (unsigned long long)addr, len);
	return rc;
}

int
vcore_bus_read(struct vcore_bus *bus, uint64_t addr, uint32_t len,
	       uint64_t *val)
{
	if (!bus || !val)
		return vcore__err(NULL, -EINVAL, "vcore_bus_read: %s is NULL",
				  bus ? "val" : "bus");
	return explain("vcore_bus_read",
		       access_wait(bus, 0, addr, len, val), addr, len);
}

int
vcore_bus_write(struct vcore_bus *bus, uint64_t addr, uint32_t len,
		uint64_t val)
{
	if (!bus)
		return vcore__err(NULL, -EINVAL, "vcore_bus_write: bus is NULL");
	return explain("vcore_bus_write",
		       access_wait(bus, 1, addr, len, &val), addr, len);
}
