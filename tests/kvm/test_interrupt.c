/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts and doorbells through this machine's KVM into a guest. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/vm.h"
#include "support/kvm.h"
#include "support/support.h"

#define MSI_ADDR 0xfee00000u

/* Counts what the guest writes to its ports. */
struct counter {
	_Atomic uint32_t ready;
	_Atomic uint32_t interrupts;
};

static int
counter_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	      struct vcore_access *later)
{
	struct counter *c = opaque;

	(void)off;
	(void)len;
	(void)later;
	if ((uint8_t)val == 'R' || (uint8_t)val == 'B')
		atomic_store(&c->ready, 1);
	else if ((uint8_t)val == 'I')
		atomic_fetch_add(&c->interrupts, 1);
	return 0;
}

static int
counter_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	     struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

static const struct vcore_bus_ops counter_ops = {
	.size = sizeof(counter_ops),
	.read = counter_read,
	.write = counter_write,
};

struct bed {
	struct kvm_bed kvm;
	struct counter counter;
	struct vcore_range *range;
	pthread_t thread;
	_Atomic uint32_t failed;
};

static void *
run_main(void *opaque)
{
	struct bed *b = opaque;
	struct vcore_exit e;
	int rc;

	do {
		VCORE_INIT(&e);
		rc = vcore_vcpu_run(b->kvm.vcpu, &e);
	} while (rc == 0 && e.kind == VCORE_EXIT_HALT);
	if (rc || e.kind != VCORE_EXIT_KICKED)
		atomic_store(&b->failed, e.kind ? e.kind : 1000);
	return NULL;
}

static void
bed_new(struct bed *b, uint32_t irqchip)
{
	struct vcore_range_opts opts;

	memset(b, 0, sizeof(*b));
	kvm_bed_new(&b->kvm, irqchip, 0);
	VCORE_INIT(&opts);
	opts.base = GUEST_PORT;
	opts.len = 0x20;
	opts.ops = &counter_ops;
	opts.opaque = &b->counter;
	ck_assert_ok(vcore_bus_add(b->kvm.pio, &opts, &b->range));
}

/* Runs guest_irq until it is ready. */
static void
bed_start(struct bed *b)
{
	kvm_bed_guest(&b->kvm, irq);
	pthread_create(&b->thread, NULL, run_main, b);
	while (!atomic_load(&b->counter.ready))
		sched_yield();
}

static void
bed_free(struct bed *b)
{
	ck_assert_ok(vcore_vcpu_kick(b->kvm.vcpu));
	pthread_join(b->thread, NULL);
	ck_assert_uint_eq(atomic_load(&b->failed), 0);
	vcore_range_remove(b->range);
	kvm_bed_free(&b->kvm);
}

static void
wait_interrupts(struct bed *b, uint32_t n)
{
	while (atomic_load(&b->counter.interrupts) < n &&
	       !atomic_load(&b->failed))
		sched_yield();
	ck_assert_uint_eq(atomic_load(&b->failed), 0);
	ck_assert_uint_eq(atomic_load(&b->counter.interrupts), n);
}

static struct vcore_vm_info
info(struct bed *b)
{
	struct vcore_vm_info i;

	VCORE_INIT(&i);
	ck_assert_ok(vcore_vm_get_info(b->kvm.vm, &i));
	return i;
}

/* Messages by call and by eventfd; masked ones gather to one. */
static void
messages(uint32_t irqchip)
{
	static const uint64_t one = 1;
	struct vcore_irq *irq;
	struct bed b;
	uint32_t i;

	bed_new(&b, irqchip);
	bed_start(&b);
	ck_assert_ok(vcore_irq_new(vcore_vm_irqchip(b.kvm.vm), NULL, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, MSI_ADDR, GUEST_VECTOR));
	ck_assert_uint_eq(info(&b).routes, 1);
	ck_assert_uint_eq(info(&b).irqfds, 1);
	for (i = 0; i < 50; i++) {
		ck_assert_ok(vcore_irq_raise(irq));
		wait_interrupts(&b, i + 1);
	}
	ck_assert_int_eq(write(vcore_irq_fd(irq), &one, 8), 8);
	wait_interrupts(&b, 51);
	ck_assert_ok(vcore_irq_set_mask(irq, 1));
	ck_assert_uint_eq(info(&b).irqfds, 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 0);
	ck_assert_ok(vcore_irq_raise(irq));
	ck_assert_ok(vcore_irq_raise(irq));
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	ck_assert_uint_eq(atomic_load(&b.counter.interrupts), 51);
	ck_assert_ok(vcore_irq_set_mask(irq, 0));
	wait_interrupts(&b, 52);
	ck_assert_ok(vcore_irq_raise(irq));
	wait_interrupts(&b, 53);
	vcore_irq_unref(irq);
	ck_assert_uint_eq(info(&b).routes, 0);
	bed_free(&b);
}

START_TEST(test_message_with_kernel_irqchip)
{
	messages(VCORE_VM_IRQCHIP_KERNEL);
}
END_TEST

START_TEST(test_message_with_split_irqchip)
{
	messages(VCORE_VM_IRQCHIP_SPLIT);
}
END_TEST

START_TEST(test_pin_of_split_irqchip)
{
	struct vcore_irq_opts opts;
	struct vcore_irq *irq, *twice;
	struct bed b;
	uint32_t i;

	bed_new(&b, VCORE_VM_IRQCHIP_SPLIT);
	bed_start(&b);
	VCORE_INIT(&opts);
	opts.flags = VCORE_IRQ_PIN;
	opts.gsi = 5;
	ck_assert_ok(vcore_irq_new(vcore_vm_irqchip(b.kvm.vm), &opts, &irq));
	ck_assert_error(vcore_irq_new(vcore_vm_irqchip(b.kvm.vm), &opts,
				      &twice),
			-EEXIST, "vcore_irq_new");
	ck_assert_ok(vcore_irq_set_message(irq, MSI_ADDR, GUEST_VECTOR));
	for (i = 0; i < 10; i++) {
		ck_assert_ok(vcore_irq_raise(irq));
		wait_interrupts(&b, i + 1);
	}
	vcore_irq_unref(irq);
	bed_free(&b);
}
END_TEST

struct eoi {
	struct vcore_irq *irq;
	_Atomic uint32_t count;
	_Atomic uint32_t vector;
	_Atomic uint32_t again;
	_Atomic uint32_t released;
};

static void
on_eoi(void *opaque, uint32_t vector)
{
	struct eoi *e = opaque;

	atomic_store(&e->vector, vector);
	atomic_fetch_add(&e->count, 1);
	/* As an IOAPIC does while the line is still high. */
	if (atomic_exchange(&e->again, 0))
		(void)vcore_irq_raise(e->irq);
}

static void
on_release(void *opaque)
{
	struct eoi *e = opaque;

	atomic_fetch_add(&e->released, 1);
}

START_TEST(test_level_pin_tells_of_eoi)
{
	struct eoi eoi = { .again = 1 };
	struct vcore_irq_opts opts;
	struct bed b;

	bed_new(&b, VCORE_VM_IRQCHIP_SPLIT);
	bed_start(&b);
	VCORE_INIT(&opts);
	opts.flags = VCORE_IRQ_PIN;
	opts.gsi = 11;
	ck_assert_ok(vcore_irq_new(vcore_vm_irqchip(b.kvm.vm), &opts,
				   &eoi.irq));
	ck_assert_ok(vcore_vm_set_eoi_handler(b.kvm.vm, on_eoi, &eoi,
					      on_release));
	/* bit 15: level triggered, bit 14: asserted */
	ck_assert_ok(vcore_irq_set_message(eoi.irq, MSI_ADDR,
					   GUEST_VECTOR | 0xc000));
	ck_assert_ok(vcore_irq_raise(eoi.irq));
	wait_interrupts(&b, 2);
	while (atomic_load(&eoi.count) < 2)
		sched_yield();
	ck_assert_uint_eq(atomic_load(&eoi.vector), GUEST_VECTOR);
	ck_assert_ok(vcore_vm_set_eoi_handler(b.kvm.vm, NULL, NULL, NULL));
	ck_assert_uint_eq(atomic_load(&eoi.released), 1);
	vcore_irq_unref(eoi.irq);
	bed_free(&b);
}
END_TEST

START_TEST(test_message_outside_the_window_is_kept_but_not_routed)
{
	struct vcore_irq *irq;
	struct bed b;

	bed_new(&b, VCORE_VM_IRQCHIP_KERNEL);
	bed_start(&b);
	ck_assert_ok(vcore_irq_new(vcore_vm_irqchip(b.kvm.vm), NULL, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, 0x1000, GUEST_VECTOR));
	ck_assert_uint_eq(info(&b).routes, 0);
	ck_assert_ok(vcore_irq_raise(irq));
	ck_assert_ok(vcore_irq_set_message(irq, 0x1fee00000, GUEST_VECTOR));
	ck_assert_uint_eq(info(&b).routes, 0);
	ck_assert_ok(vcore_irq_set_message(irq, MSI_ADDR, GUEST_VECTOR));
	ck_assert_ok(vcore_irq_raise(irq));
	wait_interrupts(&b, 1);
	vcore_irq_unref(irq);
	bed_free(&b);
}
END_TEST

START_TEST(test_irq_may_outlive_its_vm)
{
	struct vcore_irq *irq;
	struct kvm_bed bed;
	int fds = support_open_fds();

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, 0);
	ck_assert_ok(vcore_irq_new(vcore_vm_irqchip(bed.vm), NULL, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, MSI_ADDR, GUEST_VECTOR));
	kvm_bed_free(&bed);
	ck_assert_ok(vcore_irq_raise(irq));
	ck_assert_ok(vcore_irq_set_mask(irq, 1));
	ck_assert_ok(vcore_irq_set_mask(irq, 0));
	vcore_irq_unref(irq);
	ck_assert_int_eq(fds, support_open_fds());
}
END_TEST

/* 100 writes of the guest to a doorbell, as KVM or exits deliver them. */
static uint64_t
ring(struct bed *b, uint32_t len, uint32_t flags, uint64_t value)
{
	struct vcore_doorbell_opts opts;
	struct vcore_range *bell;
	uint64_t n = 0;
	int efd;

	efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(efd, 0);
	VCORE_INIT(&opts);
	opts.addr = GUEST_BELL;
	opts.len = len;
	opts.flags = flags;
	opts.value = value;
	ck_assert_ok(vcore_bus_add_doorbell(b->kvm.pio, &opts, efd, &bell));
	ck_assert_ok(vcore_vcpu_reset(b->kvm.vcpu));
	kvm_bed_guest(&b->kvm, bell);
	atomic_store(&b->counter.ready, 0);
	pthread_create(&b->thread, NULL, run_main, b);
	while (!atomic_load(&b->counter.ready))
		sched_yield();
	ck_assert_uint_eq(info(b).bells, 1);
	ck_assert_uint_eq(info(b).bells_refused, 0);
	ck_assert_ok(vcore_vcpu_kick(b->kvm.vcpu));
	pthread_join(b->thread, NULL);
	if (read(efd, &n, sizeof(n)) < 0)
		n = 0;
	vcore_range_remove(bell);
	close(efd);
	return n;
}

START_TEST(test_doorbell_is_served_by_the_kernel)
{
	struct vcore_vcpu_info before, after;
	struct bed b;

	bed_new(&b, VCORE_VM_IRQCHIP_KERNEL);
	VCORE_INIT(&before);
	VCORE_INIT(&after);
	ck_assert_ok(vcore_vcpu_get_info(b.kvm.vcpu, &before));
	ck_assert_uint_eq(ring(&b, 2, 0, 0), 100);
	ck_assert_ok(vcore_vcpu_get_info(b.kvm.vcpu, &after));
	ck_assert_uint_le(after.exits - before.exits, 10);
	/* Another length: it is an ordinary access to the range below. */
	ck_assert_uint_eq(ring(&b, 4, 0, 0), 0);
	ck_assert_uint_eq(ring(&b, 0, 0, 0), 100);
	/* al is 0 */
	ck_assert_uint_eq(ring(&b, 2, VCORE_DOORBELL_MATCH, 0), 100);
	ck_assert_uint_eq(ring(&b, 2, VCORE_DOORBELL_MATCH, 9), 0);
	ck_assert_uint_eq(info(&b).bells, 0);
	vcore_range_remove(b.range);
	kvm_bed_free(&b.kvm);
}
END_TEST

START_TEST(test_clock_is_set_and_goes_on)
{
	uint64_t ns = 0, later = 0;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, 0);
	ck_assert_ok(vcore_vm_set_clock(bed.vm, 5000000000u));
	ck_assert_ok(vcore_vm_get_clock(bed.vm, &ns));
	ck_assert_uint_ge(ns, 5000000000u);
	do
		ck_assert_ok(vcore_vm_get_clock(bed.vm, &later));
	while (later == ns);
	ck_assert_uint_gt(later, ns);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_part_reset_restores_the_chips)
{
	struct kvm_irqchip fresh = { .chip_id = KVM_IRQCHIP_IOAPIC }, now;
	struct vcore__part part;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, 0);
	ck_assert_int_eq(vcore__vm_ioctl(bed.vm, KVM_GET_IRQCHIP, &fresh), 0);
	now = fresh;
	now.chip.ioapic.redirtbl[3].bits = 0x1234;
	ck_assert_int_eq(vcore__vm_ioctl(bed.vm, KVM_SET_IRQCHIP, &now), 0);
	vcore__vm_part(bed.vm, &part);
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_IRQCHIP);
	part.ops->reset(part.p);
	memset(&now, 0, sizeof(now));
	now.chip_id = KVM_IRQCHIP_IOAPIC;
	ck_assert_int_eq(vcore__vm_ioctl(bed.vm, KVM_GET_IRQCHIP, &now), 0);
	ck_assert_uint_eq(now.chip.ioapic.redirtbl[3].bits,
			  fresh.chip.ioapic.redirtbl[3].bits);
	kvm_bed_free(&bed);
}
END_TEST

int
main(void)
{
	struct vcore_host *host = kvm_host();
	Suite *suite = suite_create("kvm/interrupt");
	TCase *t = tcase_create("interrupt");

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_test(t, test_message_with_kernel_irqchip);
	tcase_add_test(t, test_message_with_split_irqchip);
	tcase_add_test(t, test_pin_of_split_irqchip);
	tcase_add_test(t, test_level_pin_tells_of_eoi);
	tcase_add_test(t,
		       test_message_outside_the_window_is_kept_but_not_routed);
	tcase_add_test(t, test_irq_may_outlive_its_vm);
	tcase_add_test(t, test_doorbell_is_served_by_the_kernel);
	tcase_add_test(t, test_clock_is_set_and_goes_on);
	tcase_add_test(t, test_part_reset_restores_the_chips);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
