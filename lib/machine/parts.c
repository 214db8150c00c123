/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices and chips as parts: stopped upwards by rank, started downwards. */
#include "machine/machine.h"

#include "base/base.h"
#include "loop/call.h"

/* How long to wait for an embedder's loop before dispatching it once more. */
#define TURN_NS 1000000u

_Static_assert(VCORE__MACHINE_MAX_PARTS >= VCORE__MACHINE_MAX_DEVICES + 8,
	       "room for all devices and chips");

void
vcore__machine_add_part(struct vcore_machine *m, const struct vcore__part *part)
{
	m->part[m->part_count++] = *part;
}

/*
 * Wait for a stop. With a loop of the embedder's, this thread may be the one
 * that ought to dispatch it: then it does so while it waits.
 */
static int
wait_stop(struct vcore_machine *m, struct vcore__waiter *stop,
	  uint64_t deadline)
{
	uint64_t now;
	int rc;

	if (m->opts.loop == NULL)
		return vcore__waiter_wait(stop, deadline);
	do {
		(void)vcore__loop_help(m->opts.loop);
		now = vcore__now_ns();
		rc = vcore__waiter_wait(stop, now + TURN_NS);
	} while (rc == -ETIMEDOUT && now < deadline);
	return rc;
}

/* Ask all of a rank, then wait: the times do not add up. */
static int
stop_rank(struct vcore_machine *m, uint32_t rank, enum vcore__stop how,
	  uint64_t deadline, const char *who)
{
	struct vcore__waiter *stop[VCORE__MACHINE_MAX_PARTS] = { NULL };
	const struct vcore__part *part;
	int rc, first = 0;

	for (uint32_t i = 0; i < m->part_count; i++) {
		part = &m->part[i];
		if (part->ops->rank != rank)
			continue;
		stop[i] = vcore__waiter_new();
		if (stop[i] != NULL)
			part->ops->stop(part->p, how, &stop[i]->call);
		else
			first = vcore__err(m->opts.log, -ENOMEM,
					   "%s: no memory to stop '%s'", who,
					   part->name);
	}
	for (uint32_t i = 0; i < m->part_count; i++) {
		if (stop[i] == NULL)
			continue;
		rc = wait_stop(m, stop[i], deadline);
		vcore__waiter_free(stop[i]);
		if (rc < 0 && first == 0)
			first = vcore__err(m->opts.log, rc,
					   "%s: '%s' did not stop", who,
					   m->part[i].name);
	}
	return first;
}

int
vcore__machine_parts_stop(struct vcore_machine *m, enum vcore__stop how,
			  const char *who)
{
	uint64_t deadline = vcore__now_ns() + m->stop_ns;
	int rc, first = 0;

	for (uint32_t rank = VCORE__RANK_VCPU; rank <= VCORE__RANK_IRQCHIP;
	     rank++) {
		rc = stop_rank(m, rank, how, deadline, who);
		if (first == 0)
			first = rc;
	}
	return first;
}

int
vcore__machine_parts_start(struct vcore_machine *m, const char *who)
{
	int rc, first = 0;

	for (uint32_t rank = VCORE__RANK_IRQCHIP; rank >= VCORE__RANK_VCPU;
	     rank--) {
		for (uint32_t i = 0; i < m->part_count; i++) {
			if (m->part[i].ops->rank != rank)
				continue;
			rc = m->part[i].ops->start(m->part[i].p);
			if (rc < 0 && first == 0)
				first = vcore__err(m->opts.log, rc,
						   "%s: '%s' did not start",
						   who, m->part[i].name);
		}
	}
	return first;
}

/* The irqchip last: what devices do to their lines then counts for nothing. */
void
vcore__machine_parts_reset(struct vcore_machine *m)
{
	for (uint32_t rank = VCORE__RANK_VCPU; rank <= VCORE__RANK_IRQCHIP;
	     rank++)
		for (uint32_t i = 0; i < m->part_count; i++)
			if (m->part[i].ops->rank == rank &&
			    m->part[i].ops->reset != NULL)
				m->part[i].ops->reset(m->part[i].p);
}
