/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Event queue: bounded, coalescing, with a descriptor that tells when to look.
 *
 * Ordinary posts take the mutex. A post from a signal handler can't: it pushes
 * a slot that its caller prepared onto a stack (one CAS; the only other
 * operation takes the whole stack, so there is no ABA problem) and writes the
 * eventfd. Whoever next holds the mutex moves the slots into the queue.
 *
 * The eventfd's counter is non-zero while something waits: written when the
 * queue becomes non-empty, read when it becomes empty. A slot pushed while the
 * mutex holder is at the latter is either seen by the look at the stack that
 * follows the read, or its own write comes after the read.
 */
#include "base/event.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"

#define CAPACITY_DEFAULT 64u
#define CAPACITY_MAX	 4096u

struct vcore_events {
	_Atomic uint32_t refs;
	int fd;
	_Atomic(struct vcore__event_slot *) slots; /* stack */
	pthread_mutex_t lock;			   /* everything below */
	uint64_t lost;
	uint32_t capacity, first, count; /* ring of waiting events */
	struct vcore_event ring[];
};

int
vcore_events_new(const struct vcore_events_opts *opts,
		 struct vcore_events **events)
{
	struct vcore_events_opts o = { .size = sizeof(o) };
	struct vcore_events *e;
	int rc;

	if (opts) {
		rc = VCORE__SIZED("vcore_events_new: opts", &o, reserved0, opts);
		if (rc < 0)
			return rc;
	}
	if (!events)
		return vcore__err(NULL, -EINVAL,
				  "vcore_events_new: events is NULL");
	if (o.flags || o.reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_events_new: flags %#x, reserved0 %#x",
				  o.flags, o.reserved0);
	if (o.capacity > CAPACITY_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_events_new: capacity %u is above %u",
				  o.capacity, CAPACITY_MAX);
	if (o.capacity == 0)
		o.capacity = CAPACITY_DEFAULT;
	e = calloc(1, sizeof(*e) + o.capacity * sizeof(e->ring[0]));
	if (!e)
		return vcore__err(NULL, -ENOMEM, "vcore_events_new: no memory");
	e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->fd < 0) {
		rc = vcore__err(NULL, -errno, "vcore_events_new: eventfd: %m");
		free(e);
		return rc;
	}
	atomic_init(&e->refs, 1);
	pthread_mutex_init(&e->lock, NULL);
	e->capacity = o.capacity;
	*events = e;
	return 0;
}

struct vcore_events *
vcore_events_ref(struct vcore_events *events)
{
	if (events)
		atomic_fetch_add(&events->refs, 1);
	return events;
}

void
vcore_events_unref(struct vcore_events *events)
{
	if (!events || atomic_fetch_sub(&events->refs, 1) != 1)
		return;
	close(events->fd);
	pthread_mutex_destroy(&events->lock);
	free(events);
}

int
vcore_events_fd(struct vcore_events *events)
{
	if (!events)
		return vcore__err(NULL, -EINVAL,
				  "vcore_events_fd: events is NULL");
	return events->fd;
}

/* Make the descriptor readable. Async-signal-safe. */
static void
signal_fd(struct vcore_events *events)
{
	uint64_t one = 1;
	ssize_t n;

	/* EAGAIN: the counter is at its limit, so it is readable already. */
	n = write(events->fd, &one, sizeof(one));
	(void)n;
}

/* Make it unreadable, unless a slot came meanwhile. Lock held. */
static void
clear_fd(struct vcore_events *events)
{
	uint64_t counter;
	ssize_t n;

	n = read(events->fd, &counter, sizeof(counter));
	(void)n;
	if (atomic_load(&events->slots))
		signal_fd(events);
}

static struct vcore_event *
at(struct vcore_events *events, uint32_t i)
{
	return &events->ring[(events->first + i) % events->capacity];
}

static struct vcore_event *
find_waiting(struct vcore_events *events, const struct vcore_event *event)
{
	struct vcore_event *e;
	uint32_t i;

	for (i = 0; i < events->count; i++) {
		e = at(events, i);
		if (e->kind == event->kind &&
		    strcmp(e->object, event->object) == 0)
			return e;
	}
	return NULL;
}

/*
 * Kinds that ask for something. Nobody repeats them, and a machine that misses
 * one stands still for ever; the others only tell.
 */
static bool
must_not_be_lost(uint32_t kind)
{
	return kind == VCORE_EVENT_RESET || kind == VCORE_EVENT_POWEROFF ||
	       kind == VCORE_EVENT_SHUTDOWN ||
	       kind == VCORE_EVENT_VCPU_ERROR || kind == VCORE_EVENT_STOP;
}

/* Give the place of the oldest event that can be lost up. Lock held. */
static bool
make_room(struct vcore_events *events)
{
	uint32_t i = 0;

	while (i < events->count && must_not_be_lost(at(events, i)->kind))
		i++;
	if (i == events->count)
		return false;
	events->lost += at(events, i)->count;
	for (events->count--; i < events->count; i++)
		*at(events, i) = *at(events, i + 1);
	return true;
}

/* Merge or append an event that stands for event->count. Lock held. */
static int
enqueue(struct vcore_events *events, const struct vcore_event *event)
{
	struct vcore_event *e = find_waiting(events, event);
	uint64_t before = 0;

	if (e) {
		before = e->count;
	} else if (events->count == events->capacity &&
		   (!must_not_be_lost(event->kind) || !make_room(events))) {
		events->lost += event->count;
		return -ENOSPC;
	} else {
		e = at(events, events->count);
		if (events->count++ == 0)
			signal_fd(events);
	}
	*e = *event;
	e->count += before;
	return 0;
}

/* Move what signal handlers posted into the queue. Lock held. */
static void
drain_slots(struct vcore_events *events)
{
	struct vcore__event_slot *slot, *next, *oldest_first = NULL;
	struct vcore_event event;

	slot = atomic_exchange(&events->slots, NULL);
	for (; slot; slot = next) {
		next = slot->next;
		slot->next = oldest_first;
		oldest_first = slot;
	}
	for (slot = oldest_first; slot; slot = next) {
		next = slot->next;
		VCORE_INIT(&event);
		event.kind = slot->kind;
		memcpy(event.object, slot->object, sizeof(event.object));
		memcpy(event.text, slot->text, sizeof(event.text));
		/* From here on a post queues the slot anew. */
		atomic_store(&slot->queued, 0);
		event.count = atomic_exchange(&slot->count, 0);
		event.value[0] = atomic_load(&slot->value[0]);
		event.value[1] = atomic_load(&slot->value[1]);
		/* 0: a post between the store and the exchange took it over. */
		if (event.count)
			(void)enqueue(events, &event);
	}
}

/* Take the oldest event, or the news of lost ones. Lock held. */
static bool
dequeue(struct vcore_events *events, struct vcore_event *event)
{
	if (events->count) {
		*event = events->ring[events->first];
		events->first = (events->first + 1) % events->capacity;
		events->count--;
		return true;
	}
	if (!events->lost)
		return false;
	VCORE_INIT(event);
	event->kind = VCORE_EVENT_LOST;
	event->count = events->lost;
	snprintf(event->object, sizeof(event->object), "events");
	snprintf(event->text, sizeof(event->text),
		 "the queue of %u was full: %llu events are lost",
		 events->capacity, (unsigned long long)events->lost);
	events->lost = 0;
	return true;
}

int
vcore_events_next(struct vcore_events *events, struct vcore_event *event)
{
	size_t v1 = VCORE__SIZE_TO(struct vcore_event, text);
	struct vcore_event e;
	bool found;

	if (!events || !event)
		return vcore__err(NULL, -EINVAL, "vcore_events_next: %s is NULL",
				  events ? "event" : "events");
	/* Before an event is taken, so that none is lost by an error. */
	if (event->size < v1 || event->size > VCORE__SIZE_LIMIT)
		return vcore__err(NULL, -EINVAL,
				  "vcore_events_next: event: size %u",
				  event->size);
	pthread_mutex_lock(&events->lock);
	drain_slots(events);
	found = dequeue(events, &e);
	if (!events->count && !events->lost)
		clear_fd(events);
	pthread_mutex_unlock(&events->lock);
	if (!found)
		return 0;
	vcore__sized_return(event, v1, &e, sizeof(e));
	return 1;
}

int
vcore_events_post(struct vcore_events *events, const struct vcore_event *event)
{
	struct vcore_event e;
	int rc;

	if (!events)
		return vcore__err(NULL, -EINVAL,
				  "vcore_events_post: events is NULL");
	rc = VCORE__SIZED("vcore_events_post: event", &e, text, event);
	if (rc < 0)
		return rc;
	if (e.kind == 0)
		return vcore__err(NULL, -EINVAL, "vcore_events_post: kind is 0");
	if (!memchr(e.object, 0, sizeof(e.object)) ||
	    !memchr(e.text, 0, sizeof(e.text)))
		return vcore__err(NULL, -EINVAL,
				  "vcore_events_post: %.31s: text has no NUL",
				  e.object);
	e.count = 1;
	pthread_mutex_lock(&events->lock);
	drain_slots(events);
	rc = enqueue(events, &e);
	pthread_mutex_unlock(&events->lock);
	if (rc < 0)
		vcore__err(NULL, rc,
			   "vcore_events_post: %s, kind %u: %u events wait",
			   e.object, e.kind, events->capacity);
	return rc;
}

void
vcore__event_slot_init(struct vcore__event_slot *slot, uint32_t kind,
		       const char *object, const char *text)
{
	memset(slot, 0, sizeof(*slot));
	slot->kind = kind;
	snprintf(slot->object, sizeof(slot->object), "%s", object);
	snprintf(slot->text, sizeof(slot->text), "%s", text ? text : "");
}

void
vcore__events_post_signal(struct vcore_events *events,
			  struct vcore__event_slot *slot, uint64_t value0,
			  uint64_t value1)
{
	struct vcore__event_slot *top;
	int saved = errno;

	atomic_store(&slot->value[0], value0);
	atomic_store(&slot->value[1], value1);
	atomic_fetch_add(&slot->count, 1);
	/* Whoever queued it first is found: the count is read after that. */
	if (!atomic_exchange(&slot->queued, 1)) {
		top = atomic_load(&events->slots);
		do {
			slot->next = top;
		} while (!atomic_compare_exchange_weak(&events->slots, &top,
						       slot));
		signal_fd(events);
	}
	errno = saved;
}

void
vcore__events_forget(struct vcore_events *events, uint32_t kind)
{
	uint32_t i, kept = 0;

	pthread_mutex_lock(&events->lock);
	drain_slots(events);
	for (i = 0; i < events->count; i++)
		if (at(events, i)->kind != kind)
			*at(events, kept++) = *at(events, i);
	events->count = kept;
	if (!kept && !events->lost)
		clear_fd(events);
	pthread_mutex_unlock(&events->lock);
}

void
vcore__event_slot_fini(struct vcore_events *events,
		       struct vcore__event_slot *slot)
{
	pthread_mutex_lock(&events->lock);
	drain_slots(events);
	pthread_mutex_unlock(&events->lock);
	(void)slot;
}
