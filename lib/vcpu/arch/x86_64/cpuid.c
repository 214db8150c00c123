/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUID tables: what KVM supports, minus what is masked, plus topology. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "vcpu/arch/x86_64/cpuid.h"
#include "vcpu/vcpu.h"

/* Leaves asked for at first; doubled while KVM has more. */
#define FIRST 128u
#define LIMIT 4096u

/* The entry's index counts (struct kvm_cpuid_entry2.flags). */
#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

#define LEAF1_ECX_X2APIC       (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR   (1u << 31)
#define LEAF1_EDX_HTT          (1u << 28)
#define EXT1_ECX_CMP_LEGACY    (1u << 1)

/* leaf 0xb and 0x1f, ECX bits 15:8 */
#define LEVEL_SMT  1u
#define LEVEL_CORE 2u

static struct kvm_cpuid2 *
table_new(uint32_t n)
{
	struct kvm_cpuid2 *t;

	t = calloc(1, sizeof(*t) + n * sizeof(t->entries[0]));
	if (t)
		t->nent = n;
	return t;
}

/* KVM's table, or NULL and *rc. */
static struct kvm_cpuid2 *
supported(struct vcore_host *host, int *rc)
{
	struct kvm_cpuid2 *t;
	uint32_t n;

	for (n = FIRST; n <= LIMIT; n *= 2) {
		t = table_new(n);
		if (!t) {
			*rc = -ENOMEM;
			return NULL;
		}
		*rc = vcore__kvm_ioctl(&host->kvm, host->fd,
				       KVM_GET_SUPPORTED_CPUID, t);
		if (*rc >= 0 && t->nent <= n)
			return t;
		free(t);
		if (*rc != -E2BIG)
			return NULL;
	}
	return NULL;
}

static struct vcore_cpuid_entry *
find(const struct vcore_cpuid *c, uint32_t function, uint32_t index)
{
	struct vcore_cpuid_entry *e;
	uint32_t i;

	for (i = 0; i < c->count; i++) {
		e = &c->entry[i];
		if (e->function == function &&
		    (!(e->flags & INDEXED) || e->index == index))
			return e;
	}
	return NULL;
}

/* Bits that KVM does not list although it has them. */
static void
add_bits(struct vcore_cpuid *c)
{
	struct vcore_cpuid_entry *e = find(c, 1, 0);

	if (!e)
		return;
	e->ecx |= LEAF1_ECX_HYPERVISOR;
	if (vcore__host_cap(c->host, KVM_CAP_TSC_DEADLINE_TIMER))
		e->ecx |= LEAF1_ECX_TSC_DEADLINE;
}

int
vcore_cpuid_new(struct vcore_host *host, struct vcore_cpuid **out)
{
	struct vcore_cpuid *c;
	struct kvm_cpuid2 *t;
	int rc = 0;

	if (!host || !out)
		return vcore__err(NULL, -EINVAL, "vcore_cpuid_new: %s is NULL",
				  host ? "cpuid" : "host");
	t = supported(host, &rc);
	if (!t)
		return vcore__err(host->log, rc,
				  "vcore_cpuid_new: KVM_GET_SUPPORTED_CPUID: %s",
				  vcore__strerror(rc));
	c = calloc(1, sizeof(*c));
	if (!c)
		goto err_free;
	c->cap = t->nent + 8;
	c->entry = calloc(c->cap, sizeof(*c->entry));
	if (!c->entry)
		goto err_free;
	for (; c->count < t->nent; c->count++) {
		/* The reserved word of both is zero. */
		memcpy(&c->entry[c->count], &t->entries[c->count],
		       sizeof(*c->entry));
		c->entry[c->count].reserved = 0;
	}
	free(t);
	c->host = vcore_host_ref(host);
	add_bits(c);
	*out = c;
	return 0;

err_free:
	free(c);
	free(t);
	return vcore__err(host->log, -ENOMEM,
			  "vcore_cpuid_new: out of memory");
}

void
vcore_cpuid_free(struct vcore_cpuid *c)
{
	if (!c)
		return;
	vcore_host_unref(c->host);
	free(c->entry);
	free(c);
}

uint32_t
vcore_cpuid_count(const struct vcore_cpuid *c)
{
	return c ? c->count : 0;
}

static int
no_entry(const char *who, uint32_t function, uint32_t index)
{
	return vcore__err(NULL, -ENOENT, "%s: no leaf %#x, index %u", who,
			  function, index);
}

int
vcore_cpuid_get(const struct vcore_cpuid *c, uint32_t function, uint32_t index,
		struct vcore_cpuid_entry *entry)
{
	const struct vcore_cpuid_entry *e;

	if (!c || !entry)
		return vcore__err(NULL, -EINVAL, "vcore_cpuid_get: %s is NULL",
				  c ? "entry" : "cpuid");
	e = find(c, function, index);
	if (!e)
		return no_entry("vcore_cpuid_get", function, index);
	*entry = *e;
	return 0;
}

int
vcore_cpuid_at(const struct vcore_cpuid *c, uint32_t at,
	       struct vcore_cpuid_entry *entry)
{
	if (!c || !entry)
		return vcore__err(NULL, -EINVAL, "vcore_cpuid_at: %s is NULL",
				  c ? "entry" : "cpuid");
	if (at >= c->count)
		return vcore__err(NULL, -ENOENT,
				  "vcore_cpuid_at: entry %u of %u", at,
				  c->count);
	*entry = c->entry[at];
	return 0;
}

int
vcore_cpuid_set(struct vcore_cpuid *c, const struct vcore_cpuid_entry *entry)
{
	struct vcore_cpuid_entry *e;
	uint32_t n;

	if (!c || !entry)
		return vcore__err(NULL, -EINVAL, "vcore_cpuid_set: %s is NULL",
				  c ? "entry" : "cpuid");
	if (entry->reserved || entry->flags & ~(uint32_t)INDEXED)
		return vcore__err(NULL, -E2BIG,
				  "vcore_cpuid_set: flags %#x, reserved %#x: unknown bits",
				  entry->flags, entry->reserved);
	e = find(c, entry->function, entry->index);
	if (e && (e->flags & INDEXED) == (entry->flags & INDEXED)) {
		*e = *entry;
		return 0;
	}
	if (e)
		return vcore__err(NULL, -EINVAL,
				  "vcore_cpuid_set: leaf %#x is there %s indices",
				  entry->function,
				  e->flags & INDEXED ? "with" : "without");
	if (c->count == c->cap) {
		n = c->cap * 2 + 8;
		e = realloc(c->entry, n * sizeof(*e));
		if (!e)
			return vcore__err(NULL, -ENOMEM,
					  "vcore_cpuid_set: out of memory");
		c->entry = e;
		c->cap = n;
	}
	c->entry[c->count++] = *entry;
	return 0;
}

int
vcore_cpuid_remove(struct vcore_cpuid *c, uint32_t function, uint32_t index)
{
	struct vcore_cpuid_entry *e;
	uint32_t at;

	if (!c)
		return vcore__err(NULL, -EINVAL,
				  "vcore_cpuid_remove: cpuid is NULL");
	e = find(c, function, index);
	if (!e)
		return no_entry("vcore_cpuid_remove", function, index);
	at = (uint32_t)(e - c->entry);
	c->count--;
	memmove(e, e + 1, (c->count - at) * sizeof(*e));
	return 0;
}

int
vcore_cpuid_mask(struct vcore_cpuid *c, uint32_t function, uint32_t index,
		 uint32_t reg, uint32_t bits)
{
	struct vcore_cpuid_entry *e;

	if (!c || reg < VCORE_CPUID_EAX || reg > VCORE_CPUID_EDX)
		return vcore__err(NULL, -EINVAL, "vcore_cpuid_mask: %s %u",
				  c ? "register" : "cpuid is NULL, register",
				  reg);
	e = find(c, function, index);
	if (!e)
		return no_entry("vcore_cpuid_mask", function, index);
	switch (reg) {
	case VCORE_CPUID_EAX:
		e->eax &= ~bits;
		break;
	case VCORE_CPUID_EBX:
		e->ebx &= ~bits;
		break;
	case VCORE_CPUID_ECX:
		e->ecx &= ~bits;
		break;
	default:
		e->edx &= ~bits;
		break;
	}
	return 0;
}

int
vcore_cpuid_mask_feature(struct vcore_cpuid *c, const char *name)
{
	const struct vcore__feature *f;

	if (!c || !name)
		return vcore__err(NULL, -EINVAL,
				  "vcore_cpuid_mask_feature: %s is NULL",
				  c ? "name" : "cpuid");
	f = vcore__feature_find(name);
	if (!f)
		return vcore__err(NULL, -ENOENT,
				  "vcore_cpuid_mask_feature: \"%.40s\" is not known",
				  name);
	/* A leaf that is not there has no feature to mask. */
	if (!find(c, f->function, f->index))
		return 0;
	return vcore_cpuid_mask(c, f->function, f->index, f->reg,
				UINT32_C(1) << f->bit);
}

/* Bits of an APIC id that number the cores of one package. */
static uint32_t
core_bits(uint32_t cpus)
{
	return cpus > 1 ? 32 - (uint32_t)__builtin_clz(cpus - 1) : 0;
}

static void
field(uint32_t *reg, uint32_t shift, uint32_t width, uint32_t value)
{
	uint32_t mask = ((UINT32_C(1) << width) - 1) << shift;

	*reg = (*reg & ~mask) | ((value << shift) & mask);
}

/* Intel 4, AMD 0x8000001d: who shares a cache. Level 3 up: all cores. */
static void
cache_leaf(struct kvm_cpuid_entry2 *e, uint32_t cpus, bool intel)
{
	uint32_t level = (e->eax >> 5) & 7;

	if (!(e->eax & 31))
		return;
	field(&e->eax, 14, 12, level >= 3 ? cpus - 1 : 0);
	if (intel)
		field(&e->eax, 26, 6, cpus > 64 ? 63 : cpus - 1);
}

/* 0xb and 0x1f: level 0 threads, level 1 cores, then nothing. */
static void
topology_leaf(struct kvm_cpuid_entry2 *e, uint32_t id, uint32_t cpus)
{
	e->eax = e->ebx = 0;
	e->ecx = e->index & 0xff;
	e->edx = id;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx |= LEVEL_SMT << 8;
	} else if (e->index == 1) {
		e->eax = core_bits(cpus);
		e->ebx = cpus;
		e->ecx |= LEVEL_CORE << 8;
	}
}

static void
leaf1(struct kvm_cpuid_entry2 *e, uint32_t id, uint32_t cpus, bool lapic)
{
	field(&e->ebx, 24, 8, id > 255 ? 255 : id);
	field(&e->ebx, 16, 8, cpus > 255 ? 255 : cpus);
	e->edx &= ~LEAF1_EDX_HTT;
	if (cpus > 1)
		e->edx |= LEAF1_EDX_HTT;
	if (!lapic)
		e->ecx &= ~(LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_X2APIC);
}

/* Leaf 0 of AMD and Hygon: "Auth"enticAMD, "Hygo"nGenuine */
static bool
is_amd(const struct vcore_cpuid *c)
{
	const struct vcore_cpuid_entry *e = find(c, 0, 0);

	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948);
}

/* Elsewhere the bit is reserved. */
static void
cmp_legacy(struct kvm_cpuid_entry2 *e, uint32_t cpus, bool amd)
{
	e->ecx &= ~EXT1_ECX_CMP_LEGACY;
	if (amd && cpus > 1)
		e->ecx |= EXT1_ECX_CMP_LEGACY;
}

/* One package of as many cores as there are vCPUs, one thread each. */
static void
set_topology(struct kvm_cpuid_entry2 *e, const struct vcore_cpuid *c,
	     const struct vcore_vcpu *v, uint32_t cpus)
{
	bool lapic = v->vm->irqchip_kind != VCORE_VM_IRQCHIP_NONE;
	uint32_t id = v->id;

	switch (e->function) {
	case 1:
		leaf1(e, id, cpus, lapic);
		break;
	case 4:
		cache_leaf(e, cpus, true);
		break;
	case 0xb:
	case 0x1f:
		topology_leaf(e, id, cpus);
		break;
	case 0x80000001:
		cmp_legacy(e, cpus, is_amd(c));
		break;
	case 0x80000008:
		field(&e->ecx, 0, 8, cpus > 256 ? 255 : cpus - 1);
		field(&e->ecx, 12, 4, core_bits(cpus));
		break;
	case 0x8000001d:
		cache_leaf(e, cpus, false);
		break;
	case 0x8000001e:
		e->eax = id;
		e->ebx = id & 0xff;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

/* Leaves whose second level KVM does not list. */
static void
add_levels(struct kvm_cpuid2 *t, uint32_t function)
{
	struct kvm_cpuid_entry2 *e, *zero = NULL;
	uint32_t i;

	for (i = 0; i < t->nent; i++) {
		e = &t->entries[i];
		if (e->function == function && e->index == 1)
			return;
		if (e->function == function && e->index == 0)
			zero = e;
	}
	if (!zero)
		return;
	zero->flags |= INDEXED;
	e = &t->entries[t->nent++];
	*e = *zero;
	e->index = 1;
}

int
vcore_vcpu_set_cpuid(struct vcore_vcpu *v, const struct vcore_cpuid *c,
		     uint32_t cpus)
{
	struct kvm_cpuid2 *t;
	uint32_t i;
	int rc;

	if (!v || !c)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_set_cpuid: %s is NULL",
				  v ? "cpuid" : "vcpu");
	if (!cpus || cpus > v->vm->vcpu_max)
		return vcore__err(v->vm->log, -EINVAL,
				  "vcore_vcpu_set_cpuid: %u cpus, not 1 to %u",
				  cpus, v->vm->vcpu_max);
	rc = vcore__vcpu_check_idle(v, "vcore_vcpu_set_cpuid");
	if (rc)
		return rc;
	t = table_new(c->count + 2);
	if (!t)
		return vcore__err(v->vm->log, -ENOMEM,
				  "vcore_vcpu_set_cpuid: out of memory");
	t->nent = c->count;
	for (i = 0; i < c->count; i++)
		memcpy(&t->entries[i], &c->entry[i], sizeof(c->entry[i]));
	add_levels(t, 0xb);
	add_levels(t, 0x1f);
	for (i = 0; i < t->nent; i++)
		set_topology(&t->entries[i], c, v, cpus);
	rc = vcore__vcpu_ioctl(v, KVM_SET_CPUID2, t);
	free(t);
	if (rc < 0)
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_set_cpuid: vCPU %u: KVM_SET_CPUID2: %s",
				  v->id, vcore__strerror(rc));
	return 0;
}
