/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: KVM's handle, VMs, vCPUs, CPUID, and who follows a VM. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/cpuid.h>

#include "base/base.h"
#include "kvm/host.h"
#include "support/walk.h"

static struct fake_kvm fake;
static struct vcore_host *host;
static struct vcore_memory *memory;
static struct vcore_region *region;
static struct vcore_bus *pio, *mmio;
static struct vcore_range *bell;
static struct vcore_vm *vm;
static struct vcore_vcpu *vcpu;
static struct vcore_cpuid *cpuid;
static struct vcore_irq *irq;
static uint32_t irqchip, released;
static int fd;

static int
open_host(void)
{
	return vcore__host_open(NULL, &fake.kvm, &host);
}

static void
unref_host(void)
{
	vcore_host_unref(host);
}

/* Nothing is remembered of KVM's answers. */
static void
before_host(void)
{
	ck_assert_ok(open_host());
}

static void
make_vm_parts(void)
{
	struct vcore_region_opts r;
	struct vcore_bus_opts b;

	before_host();
	VCORE_INIT(&r);
	r.len = 4096;
	ck_assert_ok(vcore_region_new(&r, &region));
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	VCORE_INIT(&b);
	b.kind = VCORE_BUS_PIO;
	ck_assert_ok(vcore_bus_new(&b, &pio));
	b.kind = VCORE_BUS_MMIO;
	ck_assert_ok(vcore_bus_new(&b, &mmio));
	fd = eventfd(0, EFD_CLOEXEC);
}

static void
before_vm_kernel(void)
{
	irqchip = VCORE_VM_IRQCHIP_KERNEL;
	make_vm_parts();
}

static void
before_vm_split(void)
{
	irqchip = VCORE_VM_IRQCHIP_SPLIT;
	make_vm_parts();
}

static void
after_vm(void)
{
	close(fd);
	vcore_bus_unref(pio);
	vcore_bus_unref(mmio);
	vcore_memory_unref(memory);
	vcore_region_unref(region);
	unref_host();
}

static int
new_vm(void)
{
	struct vcore_vm_opts o;

	VCORE_INIT(&o);
	o.irqchip = irqchip;
	o.pio = pio;
	o.mmio = mmio;
	return vcore_vm_new(host, memory, &o, &vm);
}

static void
unref_vm(void)
{
	vcore_vm_unref(vm);
}

static void
with_vm(void)
{
	before_vm_split();
	ck_assert_ok(new_vm());
}

static void
with_kernel_vm(void)
{
	before_vm_kernel();
	ck_assert_ok(new_vm());
}

static void
without_vm(void)
{
	unref_vm();
	after_vm();
}

static void
on_eoi(void *opaque, uint32_t vector)
{
	(void)opaque;
	(void)vector;
}

static void
count_release(void *opaque)
{
	(void)opaque;
	released++;
}

static int
set_eoi(void)
{
	released = 0;
	return vcore_vm_set_eoi_handler(vm, on_eoi, NULL, count_release);
}

static void
check_eoi(bool done)
{
	(void)done;
	ck_assert_uint_eq(released, 0);
}

static int
get_clock(void)
{
	uint64_t ns;

	return vcore_vm_get_clock(vm, &ns);
}

static int
set_clock(void)
{
	return vcore_vm_set_clock(vm, 1000);
}

/* What follows a VM: slots, doorbells, interrupts. */
static int
add_memory(void)
{
	return vcore_memory_add(memory, 0x10000, region, 0);
}

static uint32_t
regions(void)
{
	struct vcore_memory_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_memory_get_info(memory, &info));
	return info.regions;
}

static void
check_added(bool done)
{
	ck_assert_uint_eq(regions(), done ? 2 : 1);
}

static int
remove_memory(void)
{
	return vcore_memory_remove(memory, 0);
}

static void
check_removed(bool done)
{
	ck_assert_uint_eq(regions(), done ? 0 : 1);
}

static int
add_bell(void)
{
	struct vcore_doorbell_opts o;

	VCORE_INIT(&o);
	o.addr = 0x1000;
	o.len = 4;
	return vcore_bus_add_doorbell(mmio, &o, fd, &bell);
}

static void
remove_bell(void)
{
	vcore_range_remove(bell);
}

static int
new_irq(uint32_t flags)
{
	struct vcore_irq_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	return vcore_irq_new(vcore_vm_irqchip(vm), &o, &irq);
}

static int
new_line(void)
{
	return new_irq(VCORE_IRQ_LINE);
}

static int
new_level(void)
{
	return new_irq(VCORE_IRQ_LINE | VCORE_IRQ_LEVEL);
}

static int
new_message(void)
{
	return new_irq(0);
}

static void
unref_irq(void)
{
	vcore_irq_unref(irq);
}

static void
with_message(void)
{
	with_vm();
	ck_assert_ok(new_message());
}

static void
with_masked(void)
{
	with_message();
	ck_assert_ok(vcore_irq_set_mask(irq, 1));
	ck_assert_ok(vcore_irq_set_message(irq, 0xfee00000, 0x42));
}

static void
with_level(void)
{
	with_kernel_vm();
	ck_assert_ok(new_level());
}

static void
without_irq(void)
{
	unref_irq();
	without_vm();
}

static int
set_message(void)
{
	return vcore_irq_set_message(irq, 0xfee00000, 0x41);
}

static int
unmask(void)
{
	return vcore_irq_set_mask(irq, 0);
}

static int
set_level(void)
{
	return vcore_irq_set_level(irq, 1);
}

/* KVM has been told of what was done. */
static void
check_level(bool done)
{
	if (done)
		ck_assert_int_eq(fake_kvm_last(&fake, KVM_IRQ_LINE)->rc, 0);
}

static void
check_masked(bool done)
{
	struct vcore_vm_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_vm_get_info(vm, &info));
	ck_assert_uint_eq(info.irqfds, done);
}

static void
without_irqs(void)
{
	check_masked(false);
	without_vm();
}

static int
raise_irq(void)
{
	return vcore_irq_raise(irq);
}

/* KVM has no irqfds: what others write is delivered by a call. */
static void
with_unheard(void)
{
	const uint64_t one = 1;

	fake.caps[KVM_CAP_IRQFD] = 0;
	with_message();
	fake.caps[KVM_CAP_IRQFD] = 1;
	ck_assert_ok(set_message());
	ck_assert_int_eq(write(vcore_irq_fd(irq), &one, sizeof(one)),
			 sizeof(one));
}

static int
deliver(void)
{
	return vcore_irq_deliver(irq);
}

static void
check_delivered(bool done)
{
	if (done)
		ck_assert_int_eq(fake_kvm_last(&fake, KVM_SIGNAL_MSI)->rc, 0);
}

/* vCPUs: an id's descriptor stays with its VM, so each run has a new VM. */
static int
new_vcpu(void)
{
	return vcore_vcpu_new(vm, 1, NULL, &vcpu);
}

static void
with_vcpu(void)
{
	with_vm();
	ck_assert_ok(new_vcpu());
}

static void
without_vcpu(void)
{
	vcore_vcpu_unref(vcpu);
	without_vm();
}

static void
without_new_vcpu(void)
{
	/* Again works, also where its descriptor was kept. */
	ck_assert_ok(new_vcpu());
	without_vcpu();
}

static void
unref_vcpu(void)
{
	vcore_vcpu_unref(vcpu);
}

static int
pause_vcpu(void)
{
	return vcore_vcpu_pause(vcpu, 0);
}

static int
kick_vcpu(void)
{
	return vcore_vcpu_kick(vcpu);
}

static void
with_paused(void)
{
	with_vcpu();
	ck_assert_ok(pause_vcpu());
}

static int
resume_vcpu(void)
{
	return vcore_vcpu_resume(vcpu);
}

static int
set_regs(void)
{
	struct vcore_regs regs = { .rip = 0x1000, .rflags = 2 };

	return vcore_vcpu_set_regs(vcpu, &regs);
}

static int
set_sregs(void)
{
	struct vcore_sregs sregs = { .cr0 = 0x11 };

	return vcore_vcpu_set_sregs(vcpu, &sregs);
}

static int
set_state(void)
{
	struct kvm_fpu fpu = { .fcw = 0x37f };

	return vcore_vcpu_set_state(vcpu, VCORE_VCPU_STATE_FPU, &fpu,
				    sizeof(fpu));
}

static int
set_msrs(void)
{
	struct vcore_msr msr = { .index = 0x174, .value = 1 };
	int rc = vcore_vcpu_set_msrs(vcpu, &msr, 1);

	ck_assert_int_le(rc, 1);
	return rc;
}

static int
set_mp_state(void)
{
	return vcore_vcpu_set_mp_state(vcpu, 0);
}

static int
interrupt(void)
{
	return vcore_vcpu_nmi(vcpu);
}

static int
get_regs(void)
{
	struct vcore_regs regs;

	return vcore_vcpu_get_regs(vcpu, &regs);
}

static int
get_sregs(void)
{
	struct vcore_sregs sregs;

	return vcore_vcpu_get_sregs(vcpu, &sregs);
}

static int
get_msrs(void)
{
	struct vcore_msr msr = { .index = 0x174 };

	return vcore_vcpu_get_msrs(vcpu, &msr, 1);
}

static int
get_mp_state(void)
{
	uint32_t state;

	return vcore_vcpu_get_mp_state(vcpu, &state);
}

/* Interrupts go into a vCPU itself where there is no irqchip. */
static void
with_bare_vcpu(void)
{
	irqchip = VCORE_VM_IRQCHIP_NONE;
	make_vm_parts();
	ck_assert_ok(new_vm());
	ck_assert_ok(new_vcpu());
}

static int
inject(void)
{
	return vcore_vcpu_interrupt(vcpu, 0x41);
}

static int
reset_vcpu(void)
{
	return vcore_vcpu_reset(vcpu);
}

static int
new_cpuid(void)
{
	return vcore_cpuid_new(host, &cpuid);
}

static void
free_cpuid(void)
{
	vcore_cpuid_free(cpuid);
}

static void
with_cpuid(void)
{
	with_vcpu();
	ck_assert_ok(new_cpuid());
}

static void
without_cpuid(void)
{
	free_cpuid();
	without_vcpu();
}

/* Past any room that was left by its making. */
static int
set_cpuid(void)
{
	struct vcore_cpuid_entry e = { .function = 0x40000100 };
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < 40; i++, e.function++)
		rc = vcore_cpuid_set(cpuid, &e);
	return rc;
}

static int
remove_cpuid(void)
{
	return vcore_cpuid_remove(cpuid, 7, 0);
}

static int
mask_cpuid(void)
{
	return vcore_cpuid_mask(cpuid, 7, 0, VCORE_CPUID_EBX, 1);
}

static int
mask_feature(void)
{
	return vcore_cpuid_mask_feature(cpuid, "x2apic");
}

static int
give_cpuid(void)
{
	return vcore_vcpu_set_cpuid(vcpu, cpuid, 2);
}

#define ON_FAKE .kvm = &fake

static const struct walk vm_cases[] = {
	{ WALK(vcore_host_open), .call = open_host, .undo = unref_host,
	  ON_FAKE, .least = 5, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_vm_new), .before = before_vm_kernel, .call = new_vm,
	  .undo = unref_vm, .after = after_vm, ON_FAKE, .least = 10,
	  .also = { -EOPNOTSUPP } },
	{ WALK(vcore_vm_new), .before = before_vm_split, .call = new_vm,
	  .undo = unref_vm, .after = after_vm, ON_FAKE, .least = 10,
	  .also = { -EOPNOTSUPP } },
	{ WALK(vcore_vm_set_eoi_handler), .before = with_vm,
	  .call = set_eoi, .check = check_eoi, .after = without_vm, ON_FAKE,
	  .least = 1 },
	{ WALK(vcore_vm_get_clock), .before = with_vm, .call = get_clock,
	  .after = without_vm, ON_FAKE, .least = 1, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_vm_set_clock), .before = with_vm, .call = set_clock,
	  .after = without_vm, ON_FAKE, .least = 1, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_memory_add), .before = with_vm, .call = add_memory,
	  .check = check_added, .after = without_vm, ON_FAKE, .least = 4 },
	{ WALK(vcore_memory_remove), .before = with_vm,
	  .call = remove_memory, .check = check_removed, .after = without_vm,
	  ON_FAKE, .least = 3 },
	{ WALK(vcore_bus_add_doorbell), .before = with_vm, .call = add_bell,
	  .undo = remove_bell, .after = without_vm, ON_FAKE, .least = 4 },
	{ WALK(vcore_irq_new), .before = with_kernel_vm, .call = new_line,
	  .undo = unref_irq, .after = without_irqs, ON_FAKE, .least = 3 },
	{ WALK(vcore_irq_new), .before = with_kernel_vm, .call = new_level,
	  .undo = unref_irq, .after = without_vm, ON_FAKE, .least = 2 },
	{ WALK(vcore_irq_new), .before = with_vm, .call = new_message,
	  .undo = unref_irq, .after = without_irqs, ON_FAKE, .least = 3 },
	{ WALK(vcore_irq_set_message), .before = with_message,
	  .call = set_message, .check = check_masked, .after = without_irq, ON_FAKE, .least = 1 },
	{ WALK(vcore_irq_set_mask), .before = with_masked, .call = unmask,
	  .check = check_masked, .after = without_irq, ON_FAKE, .least = 1 },
	{ WALK(vcore_irq_set_level), .before = with_level,
	  .call = set_level, .check = check_level, .after = without_irq, ON_FAKE, .least = 1 },
	{ WALK(vcore_irq_deliver), .before = with_unheard,
	  .call = deliver, .check = check_delivered, .after = without_irq, ON_FAKE, .least = 1 },
	{ WALK(vcore_irq_raise), .before = with_message, .call = raise_irq,
	  .after = without_irq, ON_FAKE },
};

static const struct walk vcpu_cases[] = {
	{ WALK(vcore_vcpu_new), .before = with_vm, .call = new_vcpu,
	  .undo = unref_vcpu, .after = without_new_vcpu, ON_FAKE,
	  .least = 8 },
	{ WALK(vcore_vcpu_pause), .before = with_vcpu, .call = pause_vcpu,
	  .after = without_vcpu, ON_FAKE },
	{ WALK(vcore_vcpu_resume), .before = with_paused,
	  .call = resume_vcpu, .after = without_vcpu, ON_FAKE },
	{ WALK(vcore_vcpu_kick), .before = with_vcpu, .call = kick_vcpu,
	  .after = without_vcpu, ON_FAKE },
	{ WALK(vcore_vcpu_set_regs), .before = with_vcpu, .call = set_regs,
	  .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_set_sregs), .before = with_vcpu,
	  .call = set_sregs, .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_set_state), .before = with_vcpu,
	  .call = set_state, .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_set_msrs), .before = with_vcpu, .call = set_msrs,
	  .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_set_mp_state), .before = with_vcpu,
	  .call = set_mp_state, .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_nmi), .before = with_vcpu, .call = interrupt,
	  .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_interrupt), .before = with_bare_vcpu,
	  .call = inject, .after = without_vcpu, ON_FAKE },
	{ WALK(vcore_vcpu_get_regs), .before = with_vcpu, .call = get_regs,
	  .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_get_sregs), .before = with_vcpu,
	  .call = get_sregs, .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_get_msrs), .before = with_vcpu, .call = get_msrs,
	  .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_get_mp_state), .before = with_vcpu,
	  .call = get_mp_state, .after = without_vcpu, ON_FAKE, .least = 1 },
	{ WALK(vcore_vcpu_reset), .before = with_vcpu, .call = reset_vcpu,
	  .after = without_vcpu, ON_FAKE, .least = 5 },
	{ WALK(vcore_cpuid_new), .before = before_host, .call = new_cpuid,
	  .undo = free_cpuid, .after = unref_host, ON_FAKE, .least = 2 },
	{ WALK(vcore_cpuid_set), .before = with_cpuid, .call = set_cpuid,
	  .after = without_cpuid, ON_FAKE, .least = 1 },
	{ WALK(vcore_cpuid_remove), .before = with_cpuid,
	  .call = remove_cpuid, .after = without_cpuid, ON_FAKE },
	{ WALK(vcore_cpuid_mask), .before = with_cpuid, .call = mask_cpuid,
	  .after = without_cpuid, ON_FAKE },
	{ WALK(vcore_cpuid_mask_feature), .before = with_cpuid,
	  .call = mask_feature, .after = without_cpuid, ON_FAKE },
	{ WALK(vcore_vcpu_set_cpuid), .before = with_cpuid,
	  .call = give_cpuid, .after = without_cpuid, ON_FAKE, .least = 2 },
};

START_TEST(test_vms_with_each_call_failing)
{
	fake_kvm_init(&fake);
	walk(vm_cases, VCORE__ARRAY_SIZE(vm_cases));
}
END_TEST

START_TEST(test_vcpus_with_each_call_failing)
{
	fake_kvm_init(&fake);
	walk(vcpu_cases, VCORE__ARRAY_SIZE(vcpu_cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/kvm");
	TCase *t = tcase_create("kvm");

	tcase_add_test(t, test_vms_with_each_call_failing);
	tcase_add_test(t, test_vcpus_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
