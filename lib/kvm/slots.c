/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM memory slots: one per span of the map, ids reused. */
#include "kvm/slots.h"

#include <stdlib.h>

#include "base/base.h"
#include "kvm/compat.h"

/* What KVM had before it had KVM_CAP_NR_MEMSLOTS. */
#define DEFAULT_MAX 32u

static int
set_slot(struct vcore__slots *s, const struct vcore__slot *slot, uint64_t len,
	 VCORE__GUEST_PTR *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot->id,
		.flags = len ? slot->flags : 0,
		.guest_phys_addr = slot->gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)hva,
	};

	return vcore__vmfd_ioctl(s->vmfd, KVM_SET_USER_MEMORY_REGION, &r);
}

static uint32_t
count(const struct vcore__slots *s)
{
	return atomic_load_explicit(&s->count, memory_order_relaxed);
}

/* Index of the first slot at or above gpa. */
static uint32_t
lower_bound(const struct vcore__slots *s, uint64_t gpa)
{
	uint32_t lo = 0, hi = count(s), mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->slot[mid].gpa < gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Room for one more slot and for one more id. */
static int
reserve(struct vcore__slots *s)
{
	struct vcore__slot *slot;
	uint64_t *used;
	uint32_t n;

	if (count(s) == s->cap) {
		n = s->cap ? s->cap * 2 : 8;
		slot = realloc(s->slot, n * sizeof(*slot));
		if (!slot)
			return -ENOMEM;
		s->slot = slot;
		s->cap = n;
	}
	if (count(s) == s->words * 64) {
		n = s->words ? s->words * 2 : 1;
		used = realloc(s->used, n * sizeof(*used));
		if (!used)
			return -ENOMEM;
		memset(used + s->words, 0, (n - s->words) * sizeof(*used));
		s->used = used;
		s->words = n;
	}
	return 0;
}

/* The lowest free id. reserve() has seen to it that there is one. */
static uint32_t
free_id(const struct vcore__slots *s)
{
	uint32_t w = 0;

	while (!~s->used[w])
		w++;
	return w * 64 + (uint32_t)__builtin_ctzll(~s->used[w]);
}

static int
check_add(struct vcore__slots *s, const struct vcore__span *span)
{
	if (count(s) >= s->max)
		return vcore__err(s->log, -ENOSPC,
				  "vcore_memory_add: all %u slots of KVM_CAP_NR_MEMSLOTS are in use",
				  s->max);
	if ((span->flags & VCORE_MEMORY_READONLY) &&
	    !vcore__host_cap(s->vmfd->host, KVM_CAP_READONLY_MEM))
		return vcore__err(s->log, -EOPNOTSUPP,
				  "vcore_memory_add: read-only memory at %#llx: KVM lacks KVM_CAP_READONLY_MEM",
				  (unsigned long long)span->gpa);
	if (reserve(s))
		return vcore__err(s->log, -ENOMEM,
				  "vcore_memory_add: out of memory");
	return 0;
}

static int
slot_add(void *opaque, const struct vcore__span *span)
{
	struct vcore__slots *s = opaque;
	struct vcore__slot new = { .gpa = span->gpa, .len = span->len };
	uint32_t n, at;
	int rc;

	rc = check_add(s, span);
	if (rc)
		return rc;
	new.id = free_id(s);
	if (span->flags & VCORE_MEMORY_READONLY)
		new.flags = KVM_MEM_READONLY;
	rc = set_slot(s, &new, new.len, span->hva);
	if (rc < 0)
		return vcore__err(s->log, rc,
				  "vcore_memory_add: KVM refuses slot %u at [%#llx, +%#llx): %s",
				  new.id, (unsigned long long)new.gpa,
				  (unsigned long long)new.len,
				  vcore__strerror(rc));
	n = count(s);
	at = lower_bound(s, new.gpa);
	memmove(&s->slot[at + 1], &s->slot[at], (n - at) * sizeof(new));
	s->slot[at] = new;
	s->used[new.id / 64] |= UINT64_C(1) << (new.id % 64);
	atomic_store_explicit(&s->count, n + 1, memory_order_relaxed);
	return 0;
}

static int
slot_del(void *opaque, const struct vcore__span *span)
{
	struct vcore__slots *s = opaque;
	uint32_t at = lower_bound(s, span->gpa);
	struct vcore__slot old;
	uint32_t n = count(s);
	int rc;

	if (at == n || s->slot[at].gpa != span->gpa)
		return vcore__err(s->log, -ENOENT,
				  "vcore_memory_remove: no slot at %#llx",
				  (unsigned long long)span->gpa);
	old = s->slot[at];
	rc = s->closed ? 0 : set_slot(s, &old, 0, NULL);
	if (rc < 0)
		return vcore__err(s->log, rc,
				  "vcore_memory_remove: KVM keeps slot %u at %#llx: %s",
				  old.id, (unsigned long long)old.gpa,
				  vcore__strerror(rc));
	memmove(&s->slot[at], &s->slot[at + 1], (n - at - 1) * sizeof(old));
	s->used[old.id / 64] &= ~(UINT64_C(1) << (old.id % 64));
	atomic_store_explicit(&s->count, n - 1, memory_order_relaxed);
	return 0;
}

int
vcore__slots_init(struct vcore__slots *s, struct vcore__vmfd *vmfd,
		  struct vcore_memory *memory, struct vcore_log *log)
{
	int rc;

	s->vmfd = vmfd;
	s->log = log;
	s->max = vcore__host_cap(vmfd->host, KVM_CAP_NR_MEMSLOTS);
	if (!s->max)
		s->max = DEFAULT_MAX;
	s->listener.level = VCORE__GUEST;
	s->listener.add = slot_add;
	s->listener.del = slot_del;
	s->listener.opaque = s;
	rc = vcore__memory_listen(memory, &s->listener);
	if (rc) {
		free(s->slot);
		free(s->used);
	}
	return rc;
}

void
vcore__slots_fini(struct vcore__slots *s, struct vcore_memory *memory)
{
	vcore__memory_unlisten(memory, &s->listener);
	free(s->slot);
	free(s->used);
}
