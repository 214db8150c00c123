/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of the map: several removals and additions that are one step. */
#include "memory/map.h"

#include <stdlib.h>

#include "base/base.h"

#define ULL(x) ((unsigned long long)(x))

struct vcore_memory_change {
	struct vcore_memory *memory;	/* counted */
	struct vcore__map_op *ops, **tail;
	bool used;
};

/*
 * A commit under way. Steps are counted as they are done, a step being one
 * call of one listener for one span, so that exactly those are undone.
 */
struct commit {
	struct vcore_memory *m;
	const char *who;
	struct vcore__map_entry *removed, *added;
	struct vcore__map_entry *dead;	/* to free without the lock */
	struct vcore__ranges *next;	/* the map as it shall be */
	struct vcore__ranges *back;	/* the map as it is, to go back to */
	bool published;
};

static int
prepare_remove(struct commit *c, const struct vcore__map_op *op)
{
	const struct vcore__range_entry *range;
	struct vcore__map_entry *e;

	range = vcore__ranges_find(c->next, op->gpa);
	if (!range || range->start != op->gpa)
		return vcore__err(c->m->log, -ENOENT,
				  "%s: no region starts at %#llx", c->who,
				  ULL(op->gpa));
	e = range->value;
	e->next = c->removed;
	c->removed = e;
	return vcore__ranges_remove(c->next, range->start, range->len);
}

static struct vcore__map_entry *
entry_new(struct vcore_memory *m, const struct vcore__map_op *op)
{
	struct vcore__map_entry *e;

	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	if (vcore__fault_slot_take(m, &e->slot) < 0) {
		free(e);
		return NULL;
	}
	e->span.gpa = op->gpa;
	e->span.len = op->region->len;
	e->span.region = vcore_region_ref(op->region);
	e->span.hva = op->region->hva;
	e->span.flags = op->flags;
	if (op->region->flags & VCORE_REGION_READONLY)
		e->span.flags |= VCORE_MEMORY_READONLY;
	return e;
}

/* What is in the way of an addition? */
static int
overlap(const struct commit *c, uint64_t gpa, uint64_t len)
{
	const struct vcore__range_entry *range;
	uint32_t pos = 0;

	while ((range = vcore__ranges_next(c->next, &pos)))
		if (range->start + (range->len - 1) >= gpa)
			break;
	return vcore__err(c->m->log, -EEXIST,
			  "%s: [%#llx, + %#llx) overlaps [%#llx, + %#llx)",
			  c->who, ULL(gpa), ULL(len),
			  range ? ULL(range->start) : 0,
			  range ? ULL(range->len) : 0);
}

static int
prepare_add(struct commit *c, const struct vcore__map_op *op)
{
	uint64_t len = op->region->len;
	struct vcore__map_entry *e;

	if (op->gpa & (vcore__page_size() - 1) ||
	    !vcore__range_fits(op->gpa, len, c->m->limit))
		return vcore__err(c->m->log, -EINVAL,
				  "%s: [%#llx, + %#llx) is unaligned or passes %#llx",
				  c->who, ULL(op->gpa), ULL(len),
				  ULL(c->m->limit));
	e = entry_new(c->m, op);
	if (!e)
		return vcore__err(c->m->log, -ENOMEM, "%s: out of memory",
				  c->who);
	e->next = c->added;
	c->added = e;
	if (vcore__ranges_insert(c->next, op->gpa, len, e) < 0)
		return overlap(c, op->gpa, len);
	return 0;
}

/* Check everything and allocate everything; nobody notices yet. */
static int
prepare(struct commit *c, const struct vcore__map_op *ops)
{
	const struct vcore__map_op *op;
	uint32_t adds = 0;
	int rc;

	for (op = ops; op; op = op->next)
		adds += op->region != NULL;
	if (vcore__rangemap_copy(&c->m->map, adds, &c->next) < 0 ||
	    vcore__rangemap_copy(&c->m->map, 0, &c->back) < 0)
		return vcore__err(c->m->log, -ENOMEM, "%s: out of memory",
				  c->who);
	for (op = ops; op; op = op->next) {
		rc = op->region ? 0 : prepare_remove(c, op);
		if (rc < 0)
			return rc;
	}
	for (op = ops; op; op = op->next) {
		rc = op->region ? prepare_add(c, op) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Tell listeners of one level about one list; counts what was done. */
static int
tell(struct commit *c, uint32_t level, bool add, size_t *done)
{
	const struct vcore__map_entry *e;
	struct vcore__map_listener *l;
	int rc;

	for (e = add ? c->added : c->removed; e; e = e->next) {
		for (l = c->m->listeners; l; l = l->next) {
			if (l->level != level)
				continue;
			rc = add ? l->add(l->opaque, &e->span) :
				   l->del(l->opaque, &e->span);
			if (rc < 0)
				return rc;
			++*done;
		}
	}
	return 0;
}

/* Take the first n steps of tell() back. There is no way back from here. */
static void
untell(struct commit *c, uint32_t level, bool add, size_t n)
{
	const struct vcore__map_entry *e;
	struct vcore__map_listener *l;
	int rc;

	for (e = add ? c->added : c->removed; e; e = e->next) {
		for (l = c->m->listeners; l && n; l = l->next) {
			if (l->level != level)
				continue;
			rc = add ? l->del(l->opaque, &e->span) :
				   l->add(l->opaque, &e->span);
			if (rc < 0)
				vcore__log(c->m->log, VCORE_LOG_ERR,
					   "%s: undoing at %#llx, a listener answers %d",
					   c->who, ULL(e->span.gpa), rc);
			n--;
		}
	}
}

static void
publish(struct vcore_memory *m, struct vcore__ranges **ranges)
{
	vcore__rangemap_publish(&m->map, *ranges);
	*ranges = NULL;
	atomic_fetch_add(&m->generation, 1);
}

/*
 * Walk the steps; on failure everything is as before except that added entries
 * may still be in use by readers (published is set then).
 */
static int
apply(struct commit *c, uint64_t deadline)
{
	size_t del_guest = 0, del_devices = 0, add_devices = 0, add_guest = 0;
	int rc;

	rc = tell(c, VCORE__GUEST, false, &del_guest);
	if (rc == 0)
		rc = tell(c, VCORE__DEVICES, false, &del_devices);
	if (rc == 0)
		rc = tell(c, VCORE__DEVICES, true, &add_devices);
	if (rc == 0) {
		publish(c->m, &c->next);
		c->published = true;
		rc = tell(c, VCORE__GUEST, true, &add_guest);
	}
	if (rc < 0)
		rc = vcore__err(c->m->log, rc,
				"%s: a listener refused: %s, %s", c->who,
				vcore__strerror(rc), vcore_error_text());
	if (rc == 0 && c->removed)
		rc = vcore__map_drain(c->m, deadline, c->who);
	if (rc == 0)
		return 0;

	untell(c, VCORE__GUEST, true, add_guest);
	if (c->published)
		publish(c->m, &c->back);
	untell(c, VCORE__DEVICES, true, add_devices);
	untell(c, VCORE__DEVICES, false, del_devices);
	untell(c, VCORE__GUEST, false, del_guest);
	return rc;
}

/* Nobody sees these any more. */
static void
bury(struct commit *c, struct vcore__map_entry **list)
{
	struct vcore__map_entry *e;

	while ((e = *list)) {
		*list = e->next;
		vcore__fault_slot_give(e->slot);
		e->next = c->dead;
		c->dead = e;
	}
}

/* Readers may have seen the added entries: they wait in limbo for a drain. */
static void
abandon(struct commit *c, uint64_t deadline)
{
	struct vcore__map_entry **tail;

	if (!c->published) {
		bury(c, &c->added);
		return;
	}
	for (tail = &c->m->limbo; *tail; tail = &(*tail)->next)
		;
	*tail = c->added;
	c->added = NULL;
	if (vcore__map_drain(c->m, deadline, NULL) == 0)
		bury(c, &c->m->limbo);
}

static int
commit_locked(struct commit *c, const struct vcore__map_op *ops)
{
	struct vcore__map_entry *e;
	uint64_t deadline;
	int rc;

	rc = prepare(c, ops);
	if (rc == 0) {
		for (e = c->added; e; e = e->next)
			vcore__fault_slot_set(e->slot, &e->span);
		if (vcore__add_overflow(vcore__now_ns(),
					c->m->remove_timeout_ns, &deadline))
			deadline = UINT64_MAX;
		rc = apply(c, deadline);
		if (rc < 0)
			abandon(c, deadline);
	} else {
		bury(c, &c->added);
	}
	if (rc == 0 && c->removed) {
		bury(c, &c->removed);
		bury(c, &c->m->limbo);	/* it drained as well */
	}
	vcore__ranges_free(c->next);
	vcore__ranges_free(c->back);
	return rc;
}

int
vcore__map_commit(struct vcore_memory *m, const struct vcore__map_op *ops,
		  const char *who)
{
	struct commit c = { .m = m, .who = who };
	struct vcore__map_entry *e;
	int rc;

	rc = vcore__memory_lock(m, who);
	if (rc < 0)
		return rc;
	rc = commit_locked(&c, ops);
	vcore__memory_unlock(m);
	while ((e = c.dead)) {
		c.dead = e->next;
		vcore__map_entry_free(e);
	}
	return rc;
}

static int
check_add(struct vcore_log *log, const struct vcore_region *region,
	  uint32_t flags, const char *who)
{
	if (!region)
		return vcore__err(log, -EINVAL, "%s: region is NULL", who);
	if (flags & ~VCORE_MEMORY_READONLY)
		return vcore__err(log, -E2BIG, "%s: flags %#x are unknown", who,
				  flags & ~VCORE_MEMORY_READONLY);
	return 0;
}

int
vcore_memory_add(struct vcore_memory *memory, uint64_t gpa,
		 struct vcore_region *region, uint32_t flags)
{
	struct vcore__map_op op = {
		.gpa = gpa, .region = region, .flags = flags,
	};
	int rc;

	if (!memory)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_add: memory is NULL");
	rc = check_add(memory->log, region, flags, "vcore_memory_add");
	return rc < 0 ? rc : vcore__map_commit(memory, &op, "vcore_memory_add");
}

int
vcore_memory_remove(struct vcore_memory *memory, uint64_t gpa)
{
	struct vcore__map_op op = { .gpa = gpa };

	if (!memory)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_remove: memory is NULL");
	return vcore__map_commit(memory, &op, "vcore_memory_remove");
}

int
vcore_memory_change_new(struct vcore_memory *memory,
			struct vcore_memory_change **change)
{
	struct vcore_memory_change *c;

	if (!memory || !change)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_change_new: memory %p or change %p is NULL",
				  (void *)memory, (void *)change);
	c = calloc(1, sizeof(*c));
	if (!c)
		return vcore__err(memory->log, -ENOMEM,
				  "vcore_memory_change_new: out of memory");
	c->memory = vcore_memory_ref(memory);
	c->tail = &c->ops;
	*change = c;
	return 0;
}

static int
change_append(struct vcore_memory_change *c, const struct vcore__map_op *op,
	      const char *who)
{
	struct vcore__map_op *copy;

	if (c->used)
		return vcore__err(c->memory->log, -EBUSY,
				  "%s: the change was committed already", who);
	copy = malloc(sizeof(*copy));
	if (!copy)
		return vcore__err(c->memory->log, -ENOMEM, "%s: out of memory",
				  who);
	*copy = *op;
	vcore_region_ref(copy->region);
	*c->tail = copy;
	c->tail = &copy->next;
	return 0;
}

int
vcore_memory_change_add(struct vcore_memory_change *change, uint64_t gpa,
			struct vcore_region *region, uint32_t flags)
{
	static const char who[] = "vcore_memory_change_add";
	struct vcore__map_op op = {
		.gpa = gpa, .region = region, .flags = flags,
	};
	int rc;

	if (!change)
		return vcore__err(NULL, -EINVAL, "%s: change is NULL", who);
	rc = check_add(change->memory->log, region, flags, who);
	return rc < 0 ? rc : change_append(change, &op, who);
}

int
vcore_memory_change_remove(struct vcore_memory_change *change, uint64_t gpa)
{
	struct vcore__map_op op = { .gpa = gpa };

	if (!change)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_change_remove: change is NULL");
	return change_append(change, &op, "vcore_memory_change_remove");
}

int
vcore_memory_change_commit(struct vcore_memory_change *change)
{
	static const char who[] = "vcore_memory_change_commit";

	if (!change)
		return vcore__err(NULL, -EINVAL, "%s: change is NULL", who);
	if (change->used)
		return vcore__err(change->memory->log, -EBUSY,
				  "%s: the change was committed already", who);
	change->used = true;
	return vcore__map_commit(change->memory, change->ops, who);
}

void
vcore_memory_change_free(struct vcore_memory_change *change)
{
	struct vcore__map_op *op;

	if (!change)
		return;
	while ((op = change->ops)) {
		change->ops = op->next;
		vcore_region_unref(op->region);
		free(op);
	}
	vcore_memory_unref(change->memory);
	free(change);
}
