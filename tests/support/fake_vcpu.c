/* SPDX-License-Identifier: BSD-3-Clause */
/* A vCPU on a fake KVM, for unit tests of layer vcpu. */
#include "support/fake_vcpu.h"

#include "support/support.h"

void
fake_vcpu_new(struct fake_vcpu *f, uint32_t irqchip, uint32_t vcpu_flags,
	      uint32_t flags)
{
	struct vcore_vcpu_opts vcpu;
	struct vcore_bus_opts bus;
	struct vcore_vm_opts vm;

	memset(f, 0, sizeof(*f));
	fake_kvm_init(&f->kvm);
	f->host = fake_kvm_host(&f->kvm);
	ck_assert_ok(vcore_memory_new(NULL, &f->memory));
	VCORE_INIT(&bus);
	if (!(flags & FAKE_VCPU_BARE)) {
		bus.kind = VCORE_BUS_PIO;
		ck_assert_ok(vcore_bus_new(&bus, &f->pio));
		bus.kind = VCORE_BUS_MMIO;
		ck_assert_ok(vcore_bus_new(&bus, &f->mmio));
	}
	VCORE_INIT(&vm);
	vm.irqchip = irqchip;
	vm.pio = f->pio;
	vm.mmio = f->mmio;
	ck_assert_ok(vcore_vm_new(f->host, f->memory, &vm, &f->vm));
	VCORE_INIT(&vcpu);
	vcpu.flags = vcpu_flags;
	ck_assert_ok(vcore_vcpu_new(f->vm, 0, &vcpu, &f->vcpu));
	fake_kvm_clear(&f->kvm);
}

void
fake_vcpu_free(struct fake_vcpu *f)
{
	vcore_vcpu_unref(f->vcpu);
	vcore_vm_unref(f->vm);
	vcore_bus_unref(f->pio);
	vcore_bus_unref(f->mmio);
	vcore_memory_unref(f->memory);
	vcore_host_unref(f->host);
	ck_assert_uint_eq(f->kvm.open, 0);
	ck_assert_uint_eq(f->kvm.maps, 0);
}
