/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiter: a thread that waits for a call's completion, on a futex. */
#include "loop/call.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

enum {
	PENDING = 0,
	DONE = 1,
	ABANDONED = 2
};

/*
 * Runs on the completer's thread. After the exchange the waiter may be gone, so
 * only its address is used, which the kernel may find to be nobody's.
 */
static void
complete(struct vcore__call *c)
{
	struct vcore__waiter *w =
		VCORE__CONTAINER(c, struct vcore__waiter, call);
	_Atomic uint32_t *futex = &w->futex;

	if (atomic_exchange(futex, DONE) == ABANDONED)
		free(w);
	else
		syscall(SYS_futex, futex, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
			NULL, 0);
}

void
vcore__waiter_init(struct vcore__waiter *w)
{
	memset(w, 0, sizeof(*w));
	w->call.fn = complete;
}

struct vcore__waiter *
vcore__waiter_new(void)
{
	struct vcore__waiter *w = malloc(sizeof(*w));

	if (w)
		vcore__waiter_init(w);
	return w;
}

void
vcore__waiter_free(struct vcore__waiter *w)
{
	if (w && atomic_exchange(&w->futex, ABANDONED) == DONE)
		free(w);
}

int
vcore__waiter_wait(struct vcore__waiter *w, uint64_t deadline_ns)
{
	struct timespec ts, *deadline = NULL;

	if (vcore__loop_current())
		return -EDEADLK;
	if (deadline_ns) {
		ts.tv_sec = (time_t)(deadline_ns / 1000000000u);
		ts.tv_nsec = (long)(deadline_ns % 1000000000u);
		deadline = &ts;
	}
	while (atomic_load(&w->futex) == PENDING) {
		/* Absolute, so that EINTR needs no arithmetic. */
		if (syscall(SYS_futex, &w->futex, FUTEX_WAIT_BITSET_PRIVATE,
			    PENDING, deadline, NULL, FUTEX_BITSET_MATCH_ANY) < 0 &&
		    errno == ETIMEDOUT && atomic_load(&w->futex) == PENDING)
			return -ETIMEDOUT;
	}
	return w->call.rc;
}
