/* SPDX-License-Identifier: BSD-3-Clause */
/* What x86 adds to a VM: pages for Intel's real mode, PIC, IOAPIC, PIT. */
#include <cpuid.h>
#include <stdlib.h>

#include "base/base.h"
#include "kvm/compat.h"
#include "kvm/vm.h"

/*
 * Four pages between the local APIC (0xfee00000) and the firmware (below 4
 * GiB) that no memory may cover: identity map, then three of a TSS.
 */
#define IDENTITY_MAP_ADDR 0xfeffc000u
#define TSS_ADDR          (IDENTITY_MAP_ADDR + 0x1000u)

/* The interrupt window: local APICs listen here. */
#define MSI_BASE 0xfee00000u
#define MSI_SIZE 0x00100000u

#define ISA_LINES 16u

struct vcore__chip_state {
	struct kvm_irqchip chip[3];	/* both PICs, IOAPIC */
	struct kvm_pit_state2 pit;
	bool has_pit;
};

#define VENDOR_UNKNOWN 0
#define VENDOR_AMD     1
#define VENDOR_OTHER   2

/*
 * AMD's real mode needs no help, and telling KVM costs time. So does CPUID
 * where this host is a guest itself, 4 us each: it is asked once.
 */
static bool
cpu_is_amd(void)
{
	static _Atomic int vendor = VENDOR_UNKNOWN;
	unsigned int max, b = 0, c, d;
	int v = atomic_load_explicit(&vendor, memory_order_relaxed);

	if (v != VENDOR_UNKNOWN)
		return v == VENDOR_AMD;
	v = VENDOR_OTHER;
	/* "Auth"enticAMD, "Hygo"nGenuine */
	if (__get_cpuid(0, &max, &b, &c, &d) &&
	    (b == 0x68747541 || b == 0x6f677948))
		v = VENDOR_AMD;
	atomic_store_explicit(&vendor, v, memory_order_relaxed);
	return v == VENDOR_AMD;
}

int
vcore__vm_arch_init(struct vcore_vm *vm)
{
	uint64_t identity = IDENTITY_MAP_ADDR;
	int rc;

	if (cpu_is_amd())
		return 0;
	/* Both are absent where they are not needed: never fatal. */
	rc = vcore__vm_ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (rc < 0)
		vcore__log(vm->log, VCORE_LOG_INFO,
			   "KVM_SET_IDENTITY_MAP_ADDR: %s", vcore__strerror(rc));
	rc = vcore__vm_ioctl(vm, KVM_SET_TSS_ADDR,
			     (void *)(uintptr_t)TSS_ADDR);
	if (rc < 0)
		vcore__log(vm->log, VCORE_LOG_INFO,
			   "KVM_SET_TSS_ADDR: %s", vcore__strerror(rc));
	return 0;
}

static int
lacks(struct vcore_vm *vm, int rc, const char *what)
{
	return vcore__err(vm->log, rc == -ENOTTY ? -EOPNOTSUPP : rc,
			  "vcore_vm_new: %s: %s", what, vcore__strerror(rc));
}

static int
split(struct vcore_vm *vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { VCORE__CHIP_PINS },
	};
	int rc;

	if (!vcore__host_cap(vm->host, KVM_CAP_SPLIT_IRQCHIP))
		return lacks(vm, -EOPNOTSUPP,
			     "KVM without KVM_CAP_SPLIT_IRQCHIP");
	rc = vcore__vm_ioctl(vm, KVM_ENABLE_CAP, &cap);
	return rc < 0 ? lacks(vm, rc, "KVM_CAP_SPLIT_IRQCHIP") : 0;
}

/* The chips as they are at power-on, for part_reset(). */
static int
remember(struct vcore_vm *vm)
{
	struct vcore__chip_state *s = calloc(1, sizeof(*s));
	uint32_t i;
	int rc;

	if (!s)
		return lacks(vm, -ENOMEM, "memory");
	for (i = 0; i < VCORE__ARRAY_SIZE(s->chip); i++) {
		s->chip[i].chip_id = i;
		rc = vcore__vm_ioctl(vm, KVM_GET_IRQCHIP, &s->chip[i]);
		if (rc < 0)
			goto err_free;
	}
	s->has_pit = vm->flags & VCORE_VM_PIT;
	rc = s->has_pit ? vcore__vm_ioctl(vm, KVM_GET_PIT2, &s->pit) : 0;
	if (rc < 0)
		goto err_free;
	vm->chip_reset = s;
	return 0;

err_free:
	free(s);
	return lacks(vm, rc, "KVM_GET_IRQCHIP or KVM_GET_PIT2");
}

int
vcore__vm_arch_irqchip(struct vcore_vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int rc;

	if (vm->irqchip_kind == VCORE_VM_IRQCHIP_SPLIT)
		return split(vm);
	rc = vcore__vm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
	if (rc < 0)
		return lacks(vm, rc, "KVM_CREATE_IRQCHIP");
	if (vm->flags & VCORE_VM_PIT) {
		rc = vcore__vm_ioctl(vm, KVM_CREATE_PIT2, &pit);
		if (rc < 0)
			return lacks(vm, rc, "KVM_CREATE_PIT2");
	}
	return remember(vm);
}

void
vcore__vm_arch_irqchip_reset(struct vcore_vm *vm)
{
	struct vcore__chip_state *s = vm->chip_reset;
	int rc = 0, last;
	uint32_t i;

	if (!s)
		return;
	for (i = 0; i < VCORE__ARRAY_SIZE(s->chip); i++) {
		last = vcore__vm_ioctl(vm, KVM_SET_IRQCHIP, &s->chip[i]);
		rc = last < 0 ? last : rc;
	}
	if (s->has_pit) {
		last = vcore__vm_ioctl(vm, KVM_SET_PIT2, &s->pit);
		rc = last < 0 ? last : rc;
	}
	if (rc < 0)
		vcore__log(vm->log, VCORE_LOG_ERR,
			   "interrupt chips are not at power-on state: %s",
			   vcore__strerror(rc));
}

/* What KVM has made by itself: every line on the IOAPIC, ISA's on a PIC too. */
uint32_t
vcore__chip_arch_defaults(const struct vcore__chip *chip,
			  struct kvm_irq_routing_entry *entry)
{
	struct kvm_irq_routing_entry *e = entry;
	uint32_t gsi;

	if (chip->split)
		return 0;
	memset(entry, 0, VCORE__CHIP_DEFAULTS * sizeof(*entry));
	for (gsi = 0; gsi < VCORE__CHIP_PINS; gsi++) {
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e++->u.irqchip.pin = gsi;
		if (gsi >= ISA_LINES)
			continue;
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER
					       : KVM_IRQCHIP_PIC_SLAVE;
		e++->u.irqchip.pin = gsi % 8;
	}
	return (uint32_t)(e - entry);
}

bool
vcore__chip_arch_routable(uint64_t addr)
{
	return addr - MSI_BASE < MSI_SIZE;
}
