/* SPDX-License-Identifier: BSD-3-Clause */
/* State that KVM hands over in structs of its own: bytes, by kind. */
#include "vcpu/arch/x86_64/state.h"

#include <inttypes.h>
#include <string.h>

#include "base/base.h"

struct kind {
	const char *name;
	uint32_t cap;			/* 0: every KVM has it */
	uint32_t len;			/* bytes; 0: not the same everywhere */
	unsigned long get, set;
};

#define NESTED_SIZE offsetof(struct kvm_nested_state, size)

#define KIND(name, cap, type, request)                                \
	{ name, cap, sizeof(struct type), KVM_GET_##request,          \
	  KVM_SET_##request }

static const struct kind kinds[] = {
	[VCORE_VCPU_STATE_FPU] = KIND("FPU", 0, kvm_fpu, FPU),
	[VCORE_VCPU_STATE_XSAVE] = { "KVM_CAP_XSAVE", KVM_CAP_XSAVE, 0,
				     KVM_GET_XSAVE, KVM_SET_XSAVE },
	[VCORE_VCPU_STATE_XCRS] =
		KIND("KVM_CAP_XCRS", KVM_CAP_XCRS, kvm_xcrs, XCRS),
	[VCORE_VCPU_STATE_EVENTS] =
		KIND("KVM_CAP_VCPU_EVENTS", KVM_CAP_VCPU_EVENTS,
		     kvm_vcpu_events, VCPU_EVENTS),
	[VCORE_VCPU_STATE_DEBUGREGS] =
		KIND("KVM_CAP_DEBUGREGS", KVM_CAP_DEBUGREGS, kvm_debugregs,
		     DEBUGREGS),
	[VCORE_VCPU_STATE_LAPIC] =
		KIND("KVM_CAP_IRQCHIP", KVM_CAP_IRQCHIP, kvm_lapic_state,
		     LAPIC),
	[VCORE_VCPU_STATE_SREGS2] =
		KIND("KVM_CAP_SREGS2", KVM_CAP_SREGS2, kvm_sregs2, SREGS2),
	[VCORE_VCPU_STATE_NESTED] = { "KVM_CAP_NESTED_STATE",
				      KVM_CAP_NESTED_STATE, 0,
				      KVM_GET_NESTED_STATE,
				      KVM_SET_NESTED_STATE },
};

size_t
vcore__vcpu_xsave_len(struct vcore_vcpu *v, unsigned long *request)
{
	size_t len = vcore__host_cap(v->vm->host, KVM_CAP_XSAVE2);

	if (len >= sizeof(struct kvm_xsave)) {
		*request = KVM_GET_XSAVE2;
		return len;
	}
	*request = KVM_GET_XSAVE;
	return sizeof(struct kvm_xsave);
}

/* The kind, with the length and ioctls that it has here; or an error. */
static int
find(struct vcore_vcpu *v, const char *who, uint32_t what, struct kind *k)
{
	uint32_t cap;

	if (!v)
		return vcore__err(NULL, -EINVAL, "%s: vcpu is NULL", who);
	if (what >= VCORE__ARRAY_SIZE(kinds) || !kinds[what].name)
		return vcore__err(v->vm->log, -EINVAL,
				  "%s: vCPU %u: there is no state %u", who,
				  v->id, what);
	*k = kinds[what];
	cap = k->cap ? (uint32_t)vcore__host_cap(v->vm->host, k->cap) : 1;
	if (!cap)
		return vcore__err(v->vm->log, -EOPNOTSUPP,
				  "%s: vCPU %u: KVM lacks %s", who, v->id,
				  k->name);
	if (what == VCORE_VCPU_STATE_LAPIC &&
	    v->vm->irqchip_kind == VCORE_VM_IRQCHIP_NONE)
		return vcore__err(v->vm->log, -EOPNOTSUPP,
				  "%s: vCPU %u has no local APIC", who, v->id);
	if (what == VCORE_VCPU_STATE_XSAVE)
		k->len = (uint32_t)vcore__vcpu_xsave_len(v, &k->get);
	else if (what == VCORE_VCPU_STATE_NESTED)
		k->len = cap;
	return 0;
}

static int
transfer(struct vcore_vcpu *v, const char *who, const struct kind *k,
	 unsigned long request, void *buf)
{
	int rc = vcore__vcpu_check_idle(v, who);

	if (rc)
		return rc;
	rc = vcore__vcpu_ioctl(v, request, buf);
	if (rc < 0)
		return vcore__err(v->vm->log, rc, "%s: vCPU %u: %s: KVM says: %s",
				  who, v->id, k->name, vcore__strerror(rc));
	return 0;
}

/* Nested state says itself how long it is. It need not be aligned. */
static uint32_t
nested_size(const void *buf)
{
	uint32_t size;

	memcpy(&size, (const char *)buf + NESTED_SIZE, sizeof(size));
	return size;
}

int64_t
vcore_vcpu_get_state(struct vcore_vcpu *v, uint32_t what, void *buf,
		     uint64_t len)
{
	static const char who[] = "vcore_vcpu_get_state";
	struct kind k;
	int rc;

	rc = find(v, who, what, &k);
	if (rc)
		return rc;
	if (!len)
		return k.len;
	if (!buf)
		return vcore__err(v->vm->log, -EINVAL,
				  "%s: vCPU %u: buf is NULL", who, v->id);
	if (len < k.len)
		return vcore__err(v->vm->log, -ENOSPC,
				  "%s: vCPU %u: %s needs %u bytes, not %" PRIu64,
				  who, v->id, k.name, k.len, len);
	if (what == VCORE_VCPU_STATE_NESTED)
		memcpy((char *)buf + NESTED_SIZE, &k.len, sizeof(k.len));
	rc = transfer(v, who, &k, k.get, buf);
	if (rc)
		return rc;
	return what == VCORE_VCPU_STATE_NESTED ? nested_size(buf) : k.len;
}

static bool
is_whole(uint32_t what, const struct kind *k, const void *buf, uint64_t len)
{
	if (what == VCORE_VCPU_STATE_NESTED)
		return len >= sizeof(struct kvm_nested_state) &&
		       len <= k->len && nested_size(buf) == len;
	return len == k->len;
}

int
vcore_vcpu_set_state(struct vcore_vcpu *v, uint32_t what, const void *buf,
		     uint64_t len)
{
	static const char who[] = "vcore_vcpu_set_state";
	struct kind k;
	int rc;

	rc = find(v, who, what, &k);
	if (rc)
		return rc;
	if (!buf)
		return vcore__err(v->vm->log, -EINVAL,
				  "%s: vCPU %u: buf is NULL", who, v->id);
	if (!is_whole(what, &k, buf, len))
		return vcore__err(v->vm->log, -EINVAL,
				  "%s: vCPU %u: %s: %" PRIu64
				  " bytes, KVM has %u", who, v->id, k.name, len,
				  k.len);
	return transfer(v, who, &k, k.set, (void *)(uintptr_t)buf);
}
