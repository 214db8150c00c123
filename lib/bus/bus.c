/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus: ranges with handlers, and how an access finds its handler. */
#include "bus/bus.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/rangemap.h"
#include "base/rcu.h"
#include "bus/range.h"

static uint64_t
ones(uint32_t len)
{
	return len == 8 ? UINT64_MAX : (UINT64_C(1) << (len * 8)) - 1;
}

static bool
is_width(uint32_t len)
{
	return len == 1 || len == 2 || len == 4 || len == 8;
}

/* Sized structs that may be NULL for defaults. */
static int
copy_bus_opts(struct vcore_bus_opts *o, const struct vcore_bus_opts *opts)
{
	int rc;

	VCORE_INIT(o);
	if (opts) {
		rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
		if (rc < 0)
			return vcore__err(NULL, rc,
					  "vcore_bus_new: opts: bad size %u or unknown field",
					  opts->size);
	}
	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_bus_new: flags %#x",
				  o->flags);
	if (!o->kind)
		o->kind = VCORE_BUS_MMIO;
	if (o->kind != VCORE_BUS_MMIO && o->kind != VCORE_BUS_PIO)
		return vcore__err(NULL, -EINVAL, "vcore_bus_new: kind %u",
				  o->kind);
	return 0;
}

int
vcore_bus_new(const struct vcore_bus_opts *opts, struct vcore_bus **bus)
{
	struct vcore_bus_opts o;
	struct vcore_bus *b;
	int rc;

	if (!bus)
		return vcore__err(NULL, -EINVAL, "vcore_bus_new: bus is NULL");
	rc = copy_bus_opts(&o, opts);
	if (rc < 0)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b)
		return vcore__err(NULL, -ENOMEM, "vcore_bus_new: no memory");
	rc = vcore__domain_new(&b->domain);
	if (rc < 0) {
		free(b);
		return vcore__err(NULL, rc, "vcore_bus_new: no memory");
	}
	pthread_mutex_init(&b->lock, NULL);
	vcore__rangemap_init(&b->ranges, b->domain);
	vcore__rangemap_init(&b->bells, b->domain);
	b->kind = o.kind;
	b->last = o.kind == VCORE_BUS_PIO ? 0xffff : UINT64_MAX;
	atomic_init(&b->refs, 1);
	*bus = b;
	return 0;
}

struct vcore_bus *
vcore_bus_ref(struct vcore_bus *bus)
{
	if (bus)
		atomic_fetch_add_explicit(&bus->refs, 1, memory_order_relaxed);
	return bus;
}

void
vcore_bus_unref(struct vcore_bus *bus)
{
	if (!bus)
		return;
	if (atomic_fetch_sub_explicit(&bus->refs, 1, memory_order_acq_rel) != 1)
		return;
	/* No range is left on it: each would hold a reference. */
	vcore__rangemap_fini(&bus->ranges);
	vcore__rangemap_fini(&bus->bells);
	vcore__domain_free(bus->domain);
	vcore__bus_bury(bus);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

void
vcore__bus_bury(struct vcore_bus *bus)
{
	struct vcore_range *r, *next;

	if (!atomic_load_explicit(&bus->dead, memory_order_relaxed))
		return;
	r = atomic_exchange(&bus->dead, NULL);
	for (; r; r = next) {
		next = r->next_dead;
		if (r->release)
			r->release(r->opaque);
		if (r->is_bell)
			close(r->bell.efd);
		free(r);
	}
}

/*
 * Every reader has passed. The domain may notice that inside a change of the
 * bus, with the bus's lock held, where release() may not run.
 */
static void
range_passed(struct vcore__retired *node)
{
	struct vcore_range *r =
		VCORE__CONTAINER(node, struct vcore_range, retired);
	struct vcore_bus *bus = r->bus;

	r->next_dead = atomic_load_explicit(&bus->dead, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&bus->dead, &r->next_dead, r))
		;
}

static int
check_range(const struct vcore_bus *bus, const struct vcore_range_opts *o)
{
	if (o->flags)
		return vcore__err(NULL, -E2BIG, "vcore_bus_add: flags %#x",
				  o->flags);
	if (!o->ops)
		return vcore__err(NULL, -EINVAL, "vcore_bus_add: ops is NULL");
	if (!o->len || o->base > bus->last || o->len - 1 > bus->last - o->base)
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_add: range at %#llx, length %#llx, last address %#llx",
				  (unsigned long long)o->base,
				  (unsigned long long)o->len,
				  (unsigned long long)bus->last);
	return 0;
}

static int
copy_ops(struct vcore_bus_ops *ops, const struct vcore_bus_ops *from)
{
	int rc = vcore__sized_copy(ops, sizeof(*ops), sizeof(*ops), from);

	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_bus_add: ops: bad size %u or unknown method",
				  from->size);
	if (ops->flags)
		return vcore__err(NULL, -E2BIG, "vcore_bus_add: ops flags %#x",
				  ops->flags);
	if (!ops->read || !ops->write)
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_add: ops: read or write is NULL");
	return 0;
}

static int
insert(struct vcore_bus *bus, struct vcore_range *r)
{
	int rc;

	pthread_mutex_lock(&bus->lock);
	rc = vcore__rangemap_insert(&bus->ranges, r->base, r->len, r);
	if (rc == 0)
		bus->count++;
	pthread_mutex_unlock(&bus->lock);
	vcore__bus_bury(bus);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_bus_add: range at %#llx, length %#llx: %s",
				  (unsigned long long)r->base,
				  (unsigned long long)r->len,
				  rc == -EEXIST ? "overlaps another" :
						  "no memory");
	return 0;
}

int
vcore_bus_add(struct vcore_bus *bus, const struct vcore_range_opts *opts,
	      struct vcore_range **range)
{
	struct vcore_range_opts o;
	struct vcore_bus_ops ops;
	struct vcore_range *r;
	int rc;

	if (!bus || !opts || !range)
		return vcore__err(NULL, -EINVAL, "vcore_bus_add: %s is NULL",
				  !bus ? "bus" : !opts ? "opts" : "range");
	rc = vcore__sized_copy(&o, sizeof(o), sizeof(o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_bus_add: opts: bad size %u or unknown field",
				  opts->size);
	rc = check_range(bus, &o);
	if (rc < 0)
		return rc;
	rc = copy_ops(&ops, o.ops);
	if (rc < 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return vcore__err(NULL, -ENOMEM, "vcore_bus_add: no memory");
	r->bus = bus;
	r->base = o.base;
	r->len = o.len;
	r->ops = ops;
	r->opaque = o.opaque;
	r->release = o.release;
	rc = insert(bus, r);
	if (rc < 0) {
		free(r);
		return rc;
	}
	vcore_bus_ref(bus);
	*range = r;
	return 0;
}

void
vcore_range_remove(struct vcore_range *range)
{
	struct vcore_bus *bus;

	if (!range)
		return;
	bus = range->bus;
	pthread_mutex_lock(&bus->lock);
	if (range->is_bell)
		vcore__bell_unlink(bus, range);
	else
		(void)vcore__rangemap_remove(&bus->ranges, range->base,
					     range->len);
	bus->count--;
	pthread_mutex_unlock(&bus->lock);
	vcore__domain_retire(bus->domain, &range->retired, range_passed);
	vcore__bus_bury(bus);
	vcore_bus_unref(bus);
}

int
vcore_bus_get_info(struct vcore_bus *bus, struct vcore_bus_info *info)
{
	struct vcore_bus_info i;

	if (!bus || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_get_info: %s is NULL",
				  bus ? "info" : "bus");
	VCORE_INIT(&i);
	pthread_mutex_lock(&bus->lock);
	i.ranges = bus->count;
	pthread_mutex_unlock(&bus->lock);
	i.unclaimed = atomic_load_explicit(&bus->unclaimed,
					   memory_order_relaxed);
	i.doorbells = atomic_load_explicit(&bus->rung, memory_order_relaxed);
	if (vcore__sized_return(info, sizeof(i), &i, sizeof(i)) < 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_bus_get_info: info: bad size %u",
				  info->size);
	return 0;
}

/* Nobody takes it. */
static int
unclaimed(struct vcore_bus *bus, bool write, uint64_t *val)
{
	atomic_fetch_add_explicit(&bus->unclaimed, 1, memory_order_relaxed);
	if (!write)
		*val = UINT64_MAX;
	return -ENOENT;
}

/* Inside a reader. */
static int
dispatch(struct vcore_bus *bus, uint32_t *near, bool write, uint64_t addr,
	 uint32_t len, uint64_t *val, struct vcore_access *a)
{
	struct vcore_range *range, *bell;
	uint64_t off, given = write ? *val & ones(len) : 0;

	range = vcore__bus_handler(bus, near, write, addr, len, given, &off);
	if (range && write)
		return vcore__range_call(range, true, off, len, &given, a);
	if (range)
		return vcore__range_call(range, false, off, len, val, a);
	bell = write ? vcore__bell_find(bus, addr, len, given) : NULL;
	if (!bell)
		return -ENOENT;
	vcore__bell_ring(&bell->bell);
	return 0;
}

int
vcore__bus_odd_answer(struct vcore_bus *bus, int rc, bool write, uint64_t *val,
		      struct vcore_access *a)
{
	uint64_t answer;

	if (rc != -EINPROGRESS)
		return unclaimed(bus, write, val);
	/* Perhaps it came before the handler returned. */
	if (!vcore__access_take(a, &answer))
		return -EINPROGRESS;
	if (!write)
		*val = answer;
	return 0;
}

uint32_t
vcore__bus_kind(const struct vcore_bus *bus)
{
	return bus->kind;
}

void
vcore__bus_reader_init(struct vcore_bus *bus, struct vcore__reader *r)
{
	vcore__reader_init(r, bus->domain);
}

VCORE__HOT int
vcore__bus_access(struct vcore_bus *bus, struct vcore__reader *r, int write,
		  uint64_t addr, uint32_t len, uint64_t *val,
		  struct vcore_access *a)
{
	uint32_t near = 0;
	uint64_t token;
	int rc;

	if (!is_width(len))
		return -EINVAL;
	if (r) {
		vcore__reader_enter(r);
		rc = dispatch(bus, &r->near, write, addr, len, val, a);
		vcore__reader_exit(r);
	} else {
		vcore__domain_enter(bus->domain, &token);
		rc = dispatch(bus, &near, write, addr, len, val, a);
		vcore__domain_exit(bus->domain, token);
	}
	vcore__bus_bury(bus);
	if (rc < 0)
		rc = vcore__bus_odd_answer(bus, rc, write, val, a);
	if (!write && rc != -EINPROGRESS)
		*val &= ones(len);
	return rc < 0 ? rc : 0;
}
