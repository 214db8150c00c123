/* SPDX-License-Identifier: BSD-3-Clause */
/* Posting an event from a signal handler; forgetting events. */
#ifndef VCORE_LIB_BASE_EVENT_H
#define VCORE_LIB_BASE_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#include <vcore/event.h>

/*
 * One event prepared beforehand, inside an object of the caller, who keeps the
 * queue referenced until vcore__event_slot_fini().
 */
struct vcore__event_slot {
	struct vcore__event_slot *next;	/* queue's while queued */
	_Atomic uint32_t queued;
	uint32_t kind;			/* enum vcore_event_kind */
	_Atomic uint64_t count;		/* posts since it was last read */
	_Atomic uint64_t value[2];
	char object[32];
	char text[160];
};

/* kind > 0; object and text are cut to what fits; text may be NULL. */
void
vcore__event_slot_init(struct vcore__event_slot *slot, uint32_t kind,
		       const char *object, const char *text);

/*
 * Post a slot's event with value[0] and value[1]. Any thread, also in a signal
 * handler: only atomics and one write(2) to the eventfd; errno is preserved.
 * While the slot waits to be read, further posts count and replace the values.
 */
void
vcore__events_post_signal(struct vcore_events *events,
			  struct vcore__event_slot *slot, uint64_t value0,
			  uint64_t value1);

/* any: what waits of this kind is taken out of the queue, unread. */
void
vcore__events_forget(struct vcore_events *events, uint32_t kind);

/*
 * control: nobody posts the slot any more. What was posted and not read yet
 * moves into the queue; the slot is then the caller's again.
 */
void
vcore__event_slot_fini(struct vcore_events *events,
		       struct vcore__event_slot *slot);

#endif
