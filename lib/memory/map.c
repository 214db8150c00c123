/* SPDX-License-Identifier: BSD-3-Clause */
/* The map of guest memory: creation, listeners, information. */
#include "memory/map.h"

#include <stdlib.h>

#include "base/base.h"
#include "base/wait.h"

#define MEMORY_INFO_V1 VCORE__SIZE_TO(struct vcore_memory_info, top)
#define DEFAULT_LIMIT (1ull << 52)
#define DEFAULT_TIMEOUT_NS 5000000000ull

#define FAIL(rc, ...) vcore__err(NULL, (rc), "vcore_memory_new: " __VA_ARGS__)

static int
init_locks(struct vcore_memory *m)
{
	pthread_mutexattr_t attr;
	int rc;

	rc = pthread_mutexattr_init(&attr);
	if (rc)
		return -rc;
	/* Says EDEADLK to a listener that wants to change the map. */
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	rc = pthread_mutex_init(&m->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	if (rc)
		return -rc;
	rc = pthread_mutex_init(&m->users_lock, NULL);
	if (rc)
		pthread_mutex_destroy(&m->lock);
	return -rc;
}

int
vcore_memory_new(const struct vcore_memory_opts *opts,
		 struct vcore_memory **memory)
{
	struct vcore_memory_opts o;
	struct vcore_memory *m;
	int rc;

	if (!memory)
		return FAIL(-EINVAL, "memory is NULL");
	VCORE_INIT(&o);
	if (opts) {
		rc = VCORE__SIZED("vcore_memory_new: opts", &o,
				  remove_timeout_ns, opts);
		if (rc < 0)
			return rc;
	}
	if (o.flags)
		return FAIL(-E2BIG, "flags %#x are unknown", o.flags);

	m = aligned_alloc(_Alignof(struct vcore_memory), sizeof(*m));
	if (!m)
		return FAIL(-ENOMEM, "out of memory");
	memset(m, 0, sizeof(*m));
	rc = vcore__domain_new(&m->domain);
	if (rc < 0) {
		rc = FAIL(rc, "out of memory");
		goto err_free;
	}
	rc = init_locks(m);
	if (rc < 0) {
		rc = FAIL(rc, "pthread_mutex_init");
		goto err_domain;
	}
	vcore__rangemap_init(&m->map, m->domain);
	atomic_init(&m->refs, 1);
	atomic_init(&m->generation, 1);
	m->log = vcore_log_ref(o.log);
	m->events = vcore_events_ref(o.events);
	vcore__event_slot_init(&m->fault_event, VCORE_EVENT_MEMORY_FAULT,
			       "memory", "a page was lost and is zero now");
	m->limit = o.limit ? o.limit : DEFAULT_LIMIT;
	m->remove_timeout_ns = o.remove_timeout_ns ? o.remove_timeout_ns :
						     DEFAULT_TIMEOUT_NS;
	*memory = m;
	return 0;

err_domain:
	vcore__domain_free(m->domain);
err_free:
	free(m);
	return rc;
}

struct vcore_memory *
vcore_memory_ref(struct vcore_memory *memory)
{
	if (memory)
		atomic_fetch_add_explicit(&memory->refs, 1,
					  memory_order_relaxed);
	return memory;
}

/* Whoever held a user, a listener or a pin held a reference: none is left. */
static void
memory_free(struct vcore_memory *m)
{
	const struct vcore__range_entry *range;
	struct vcore__map_entry *e;
	uint32_t pos = 0;

	while ((range = vcore__ranges_next(vcore__rangemap_current(&m->map),
					   &pos)))
		vcore__map_entry_free(range->value);
	while ((e = m->limbo)) {
		m->limbo = e->next;
		vcore__map_entry_free(e);
	}
	vcore__rangemap_fini(&m->map);
	vcore__domain_free(m->domain);
	vcore__fault_slots_free(m);
	pthread_mutex_destroy(&m->users_lock);
	pthread_mutex_destroy(&m->lock);
	if (m->events)
		vcore__event_slot_fini(m->events, &m->fault_event);
	vcore_events_unref(m->events);
	vcore_log_unref(m->log);
	free(m);
}

void
vcore_memory_unref(struct vcore_memory *memory)
{
	if (memory && atomic_fetch_sub_explicit(&memory->refs, 1,
						memory_order_acq_rel) == 1)
		memory_free(memory);
}

int
vcore__memory_lock(struct vcore_memory *m, const char *who)
{
	if (!vcore__may_wait())
		return vcore__err(m->log, -EDEADLK,
				  "%s: called in a callback, which may not wait",
				  who);
	if (pthread_mutex_lock(&m->lock) == 0)
		return 0;
	return vcore__err(m->log, -EDEADLK,
			  "%s: called from inside a change of this map", who);
}

void
vcore__memory_unlock(struct vcore_memory *m)
{
	pthread_mutex_unlock(&m->lock);
}

void
vcore__map_entry_free(struct vcore__map_entry *e)
{
	vcore_region_unref(e->span.region);
	free(e);
}

/* del for the first n spans. */
static void
forget(struct vcore_memory *m, struct vcore__map_listener *l, uint32_t n)
{
	const struct vcore__range_entry *range;
	struct vcore__map_entry *e;
	uint32_t pos = 0;

	while (n-- > 0 &&
	       (range = vcore__ranges_next(vcore__rangemap_current(&m->map),
					   &pos))) {
		e = range->value;
		(void)l->del(l->opaque, &e->span);
	}
}

int
vcore__memory_listen(struct vcore_memory *memory, struct vcore__map_listener *l)
{
	const struct vcore__range_entry *range;
	struct vcore__map_listener **tail;
	struct vcore__map_entry *e;
	uint32_t pos = 0, n = 0;
	int rc;

	rc = vcore__memory_lock(memory, "vcore__memory_listen");
	if (rc < 0)
		return rc;
	while ((range = vcore__ranges_next(
			vcore__rangemap_current(&memory->map), &pos))) {
		e = range->value;
		rc = l->add(l->opaque, &e->span);
		if (rc < 0)
			break;
		n++;
	}
	if (rc < 0) {
		forget(memory, l, n);
	} else {
		for (tail = &memory->listeners; *tail; tail = &(*tail)->next)
			;
		l->next = NULL;
		*tail = l;
	}
	vcore__memory_unlock(memory);
	return rc < 0 ? rc : 0;
}

void
vcore__memory_unlisten(struct vcore_memory *memory,
		       struct vcore__map_listener *l)
{
	struct vcore__map_listener **at;

	/* Not vcore__memory_lock(): it has to work in callbacks, too. */
	if (pthread_mutex_lock(&memory->lock) != 0)
		return;
	for (at = &memory->listeners; *at && *at != l; at = &(*at)->next)
		;
	if (*at) {
		*at = l->next;
		forget(memory, l, UINT32_MAX);
	}
	vcore__memory_unlock(memory);
}

int
vcore_memory_get_info(struct vcore_memory *memory,
		      struct vcore_memory_info *info)
{
	const struct vcore__range_entry *range;
	const struct vcore__ranges *ranges;
	struct vcore_memory_info i;
	uint64_t token;
	uint32_t pos = 0;

	if (!memory || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_get_info: memory %p or info %p is NULL",
				  (void *)memory, (void *)info);
	VCORE_INIT(&i);
	vcore__domain_enter(memory->domain, &token);
	ranges = vcore__rangemap_current(&memory->map);
	while ((range = vcore__ranges_next(ranges, &pos))) {
		i.bytes += range->len;
		i.top = range->start + range->len;
		i.regions++;
	}
	vcore__domain_exit(memory->domain, token);
	if (vcore__sized_return(info, MEMORY_INFO_V1, &i, sizeof(i)) < 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_get_info: info of size %u",
				  info->size);
	return 0;
}

int
vcore_memory_get_range(struct vcore_memory *memory, uint32_t index,
		       uint64_t *gpa, uint64_t *len, uint32_t *flags)
{
	const struct vcore__range_entry *range;
	const struct vcore__map_entry *e;
	const struct vcore__ranges *ranges;
	uint32_t pos = 0, n = 0;
	uint64_t token;

	if (!memory || !gpa || !len || !flags)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_get_range: a pointer is NULL");
	vcore__domain_enter(memory->domain, &token);
	ranges = vcore__rangemap_current(&memory->map);
	while ((range = vcore__ranges_next(ranges, &pos)) && n < index)
		n++;
	if (range) {
		e = range->value;
		*gpa = e->span.gpa;
		*len = e->span.len;
		*flags = e->span.flags;
	}
	vcore__domain_exit(memory->domain, token);
	if (!range)
		return vcore__err(NULL, -ENOENT,
				  "vcore_memory_get_range: index %u of %u",
				  index, n);
	return 0;
}
