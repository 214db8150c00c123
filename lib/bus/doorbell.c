/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells: writes that make an eventfd readable, and who listens to them. */
#include "bus/bus.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "bus/range.h"

static bool
conflicts(const struct vcore__bell *a, const struct vcore__bell *b)
{
	if (a->len && b->len && a->len != b->len)
		return false;
	if (a->flags & b->flags & VCORE_DOORBELL_MATCH)
		return a->value == b->value;
	return true;
}

static bool
rings(const struct vcore__bell *bell, uint32_t len, uint64_t val)
{
	if (bell->len && bell->len != len)
		return false;
	return !(bell->flags & VCORE_DOORBELL_MATCH) || bell->value == val;
}

struct vcore_range *
vcore__bell_find(struct vcore_bus *bus, uint64_t addr, uint32_t len,
		 uint64_t val)
{
	const struct vcore__range_entry *e;
	struct vcore__bell_group *group;
	struct vcore_range *r;

	e = vcore__rangemap_find(&bus->bells, addr);
	if (!e)
		return NULL;
	group = e->value;
	r = atomic_load(&group->head);
	while (r && !rings(&r->bell, len, val))
		r = atomic_load(&r->next_bell);
	return r;
}

void
vcore__bell_ring(const struct vcore__bell *bell)
{
	static const uint64_t one = 1;
	struct vcore_range *r =
		VCORE__CONTAINER(bell, struct vcore_range, bell);

	/* A full counter (-EAGAIN) is readable already. */
	if (write(bell->efd, &one, sizeof(one)) < 0)
		(void)0;
	atomic_fetch_add_explicit(&r->bus->rung, 1, memory_order_relaxed);
}

static struct vcore__bell_group *
group_at(struct vcore_bus *bus, uint64_t addr)
{
	const struct vcore__range_entry *e;

	e = vcore__rangemap_find(&bus->bells, addr);
	return e ? e->value : NULL;
}

static void
group_free(struct vcore__retired *node)
{
	free(VCORE__CONTAINER(node, struct vcore__bell_group, retired));
}

/* With the lock. An empty group at addr, on the map. */
static int
group_new(struct vcore_bus *bus, uint64_t addr, struct vcore__bell_group **out)
{
	struct vcore__bell_group *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	rc = vcore__rangemap_insert(&bus->bells, addr, 1, g);
	if (rc < 0) {
		free(g);
		return rc;
	}
	*out = g;
	return 0;
}

/* With the lock. */
static int
insert_locked(struct vcore_bus *bus, struct vcore_range *range)
{
	struct vcore__bus_listener *l;
	struct vcore__bell_group *g = group_at(bus, range->bell.addr);
	struct vcore_range *r;
	int rc;

	r = g ? atomic_load(&g->head) : NULL;
	for (; r; r = atomic_load(&r->next_bell))
		if (conflicts(&r->bell, &range->bell))
			return -EEXIST;
	if (!g) {
		rc = group_new(bus, range->bell.addr, &g);
		if (rc < 0)
			return rc;
	}
	range->group = g;
	atomic_store(&range->next_bell, atomic_load(&g->head));
	atomic_store(&g->head, range);
	bus->count++;
	for (l = bus->listeners; l; l = l->next)
		(void)l->bell_add(l->opaque, &range->bell);
	return 0;
}

int
vcore__bell_insert(struct vcore_bus *bus, struct vcore_range *range)
{
	uint64_t token;
	int rc;

	vcore__domain_enter(bus->domain, &token);
	pthread_mutex_lock(&bus->lock);
	rc = insert_locked(bus, range);
	pthread_mutex_unlock(&bus->lock);
	vcore__domain_exit(bus->domain, token);
	vcore__bus_bury(bus);
	return rc;
}

void
vcore__bell_unlink(struct vcore_bus *bus, struct vcore_range *range)
{
	struct vcore__bell_group *g = range->group;
	struct vcore__bus_listener *l;
	_Atomic(struct vcore_range *) *p = &g->head;
	struct vcore_range *r;

	/* Out of the kernel first: until it is off the list, exits ring it. */
	for (l = bus->listeners; l; l = l->next)
		l->bell_del(l->opaque, &range->bell);
	while ((r = atomic_load(p)) != range)
		p = &r->next_bell;
	atomic_store(p, atomic_load(&range->next_bell));
	if (!atomic_load(&g->head)) {
		(void)vcore__rangemap_remove(&bus->bells, range->bell.addr, 1);
		vcore__domain_retire(bus->domain, &g->retired, group_free);
	}
}

static int
check_bell(const struct vcore_bus *bus, const struct vcore_doorbell_opts *o)
{
	if ((o->flags & ~VCORE_DOORBELL_MATCH) || o->reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_bus_add_doorbell: flags %#x",
				  o->flags);
	if (o->len != 0 && o->len != 1 && o->len != 2 && o->len != 4 &&
	    o->len != 8)
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_add_doorbell: length %u", o->len);
	if (o->addr > bus->last ||
	    (o->len && o->len - 1 > bus->last - o->addr))
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_add_doorbell: address %#llx, length %u, last address %#llx",
				  (unsigned long long)o->addr, o->len,
				  (unsigned long long)bus->last);
	if ((o->flags & VCORE_DOORBELL_MATCH) &&
	    (o->len == 0 || (o->len < 8 && o->value >> (o->len * 8))))
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_add_doorbell: value %#llx of length %u",
				  (unsigned long long)o->value, o->len);
	return 0;
}

static int
insert_or_explain(struct vcore_bus *bus, struct vcore_range *r)
{
	int rc = vcore__bell_insert(bus, r);

	if (rc == 0)
		return 0;
	return vcore__err(NULL, rc,
			  "vcore_bus_add_doorbell: address %#llx, length %u, value %#llx: %s",
			  (unsigned long long)r->bell.addr, r->bell.len,
			  (unsigned long long)r->bell.value,
			  rc == -EEXIST ? "a doorbell like it is there" :
					  "no memory");
}

int
vcore_bus_add_doorbell(struct vcore_bus *bus,
		       const struct vcore_doorbell_opts *opts, int efd,
		       struct vcore_range **range)
{
	struct vcore_doorbell_opts o;
	struct vcore_range *r;
	int rc;

	if (!bus || !opts || !range)
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_add_doorbell: %s is NULL",
				  !bus ? "bus" : !opts ? "opts" : "range");
	rc = vcore__sized_copy(&o, sizeof(o), sizeof(o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_bus_add_doorbell: opts: bad size %u or unknown field",
				  opts->size);
	rc = check_bell(bus, &o);
	if (rc < 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_bus_add_doorbell: no memory");
	r->bus = bus;
	r->is_bell = true;
	r->bell.addr = o.addr;
	r->bell.len = o.len;
	r->bell.flags = o.flags;
	r->bell.value = o.flags & VCORE_DOORBELL_MATCH ? o.value : 0;
	r->bell.kind = bus->kind;
	r->bell.efd = fcntl(efd, F_DUPFD_CLOEXEC, 0);
	if (r->bell.efd < 0) {
		rc = vcore__err(NULL, -errno,
				"vcore_bus_add_doorbell: descriptor %d: errno %d",
				efd, errno);
		goto err_free;
	}
	rc = insert_or_explain(bus, r);
	if (rc < 0)
		goto err_close;
	vcore_bus_ref(bus);
	*range = r;
	return 0;

err_close:
	close(r->bell.efd);
err_free:
	free(r);
	return rc;
}

/* With the lock: call fn for every bell there is. */
static void
for_each_bell(struct vcore_bus *bus, const struct vcore__bus_listener *l,
	      bool add)
{
	const struct vcore__ranges *all;
	const struct vcore__range_entry *e;
	struct vcore__bell_group *g;
	struct vcore_range *r;
	uint32_t pos = 0;

	all = vcore__rangemap_current(&bus->bells);
	while ((e = vcore__ranges_next(all, &pos))) {
		g = e->value;
		for (r = atomic_load(&g->head); r;
		     r = atomic_load(&r->next_bell)) {
			if (add)
				(void)l->bell_add(l->opaque, &r->bell);
			else
				l->bell_del(l->opaque, &r->bell);
		}
	}
}

int
vcore__bus_listen(struct vcore_bus *bus, struct vcore__bus_listener *l)
{
	uint64_t token;

	vcore__domain_enter(bus->domain, &token);
	pthread_mutex_lock(&bus->lock);
	l->next = bus->listeners;
	bus->listeners = l;
	for_each_bell(bus, l, true);
	pthread_mutex_unlock(&bus->lock);
	vcore__domain_exit(bus->domain, token);
	vcore__bus_bury(bus);
	return 0;
}

void
vcore__bus_unlisten(struct vcore_bus *bus, struct vcore__bus_listener *l)
{
	struct vcore__bus_listener **p;
	uint64_t token;

	vcore__domain_enter(bus->domain, &token);
	pthread_mutex_lock(&bus->lock);
	for (p = &bus->listeners; *p && *p != l; p = &(*p)->next)
		;
	if (*p) {
		*p = l->next;
		for_each_bell(bus, l, false);
	}
	pthread_mutex_unlock(&bus->lock);
	vcore__domain_exit(bus->domain, token);
	vcore__bus_bury(bus);
}
