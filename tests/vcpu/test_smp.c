/* SPDX-License-Identifier: BSD-3-Clause */
/* Several processors: INIT and SIPI, ids, reset, making an id again. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "support/kvm.h"
#include "support/support.h"

struct cpu {
	struct vcore_vcpu *vcpu;
	struct vcore_exit exit;
	pthread_t thread;
	int rc;
};

static void *
cpu_main(void *opaque)
{
	struct cpu *c = opaque;

	VCORE_INIT(&c->exit);
	c->rc = vcore_vcpu_run(c->vcpu, &c->exit);
	return NULL;
}

/* BSP starts AP; each says so on a port of its own, which ends its run. */
static void
start_both(struct kvm_bed *bed, struct vcore_vcpu *ap)
{
	static const uint32_t zero;
	struct cpu c[2] = { { .vcpu = bed->vcpu }, { .vcpu = ap } };
	int i;

	ck_assert_ok(vcore_memory_write(bed->memory, GUEST_DATA, &zero, 4));
	kvm_bed_load(bed, GUEST_AP, guest_ap, guest_ap_end);
	kvm_bed_guest(bed, smp);
	for (i = 0; i < 2; i++)
		pthread_create(&c[i].thread, NULL, cpu_main, &c[i]);
	for (i = 0; i < 2; i++) {
		pthread_join(c[i].thread, NULL);
		ck_assert_int_eq(c[i].rc, 0);
		ck_assert_uint_eq(c[i].exit.kind, VCORE_EXIT_IO);
	}
	ck_assert_uint_eq(c[0].exit.u.io.port, GUEST_PORT);
	ck_assert_uint_eq(c[0].exit.u.io.data[0], 'S');
	ck_assert_uint_eq(c[1].exit.u.io.port, GUEST_PORT2);
	ck_assert_uint_eq(c[1].exit.u.io.data[0], 'A');
}

START_TEST(test_smp_init_sipi_starts_second_processor)
{
	struct vcore_vcpu *ap;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, KVM_BED_BARE);
	ck_assert_ok(vcore_vcpu_new(bed.vm, 1, NULL, &ap));
	start_both(&bed, ap);
	vcore_vcpu_unref(ap);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_smp_with_split_irqchip)
{
	struct vcore_vcpu *ap;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_SPLIT, KVM_BED_BARE);
	ck_assert_ok(vcore_vcpu_new(bed.vm, 1, NULL, &ap));
	start_both(&bed, ap);
	vcore_vcpu_unref(ap);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_reset_starts_all_over)
{
	struct vcore_regs power_on, after;
	struct vcore_sregs s1, s2;
	struct vcore_vcpu *ap;
	struct kvm_bed bed;
	uint32_t state;
	int i;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, KVM_BED_BARE);
	ck_assert_ok(vcore_vcpu_get_regs(bed.vcpu, &power_on));
	ck_assert_ok(vcore_vcpu_get_sregs(bed.vcpu, &s1));
	ck_assert_ok(vcore_vcpu_new(bed.vm, 1, NULL, &ap));
	for (i = 0; i < 10; i++) {
		start_both(&bed, ap);
		ck_assert_ok(vcore_vcpu_reset(bed.vcpu));
		ck_assert_ok(vcore_vcpu_reset(ap));
		ck_assert_ok(vcore_vcpu_get_regs(bed.vcpu, &after));
		ck_assert_mem_eq(&power_on, &after, sizeof(after));
		ck_assert_ok(vcore_vcpu_get_sregs(bed.vcpu, &s2));
		ck_assert_mem_eq(&s1, &s2, sizeof(s2));
		ck_assert_ok(vcore_vcpu_get_mp_state(ap, &state));
		ck_assert_uint_eq(state, 1);	/* uninitialized */
	}
	vcore_vcpu_unref(ap);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_unplugged_id_can_be_made_again)
{
	struct vcore_vcpu *ap, *twice;
	struct kvm_bed bed;
	int i, fds = -1;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, KVM_BED_BARE);
	for (i = 0; i < 10; i++) {
		ck_assert_ok(vcore_vcpu_new(bed.vm, 1, NULL, &ap));
		ck_assert_error(vcore_vcpu_new(bed.vm, 1, NULL, &twice),
				-EEXIST, "vcore_vcpu_new");
		start_both(&bed, ap);
		vcore_vcpu_unref(ap);
		ck_assert_ok(vcore_vcpu_reset(bed.vcpu));
		if (fds < 0)
			fds = support_open_fds();
		ck_assert_int_eq(fds, support_open_fds());
	}
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_vm_lives_as_long_as_its_vcpus)
{
	struct vcore_exit e;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, KVM_BED_BARE);
	kvm_bed_guest(&bed, hello);
	vcore_vm_unref(bed.vm);
	bed.vm = NULL;
	vcore_memory_unref(bed.memory);
	bed.memory = NULL;
	VCORE_INIT(&e);
	ck_assert_ok(vcore_vcpu_run(bed.vcpu, &e));
	ck_assert_uint_eq(e.u.io.data[0], 'h');
	kvm_bed_free(&bed);
}
END_TEST

int
main(void)
{
	struct vcore_host *host = kvm_host();
	Suite *suite = suite_create("vcpu/smp");
	TCase *t = tcase_create("smp");

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_test(t, test_smp_init_sipi_starts_second_processor);
	tcase_add_test(t, test_smp_with_split_irqchip);
	tcase_add_test(t, test_reset_starts_all_over);
	tcase_add_test(t, test_unplugged_id_can_be_made_again);
	tcase_add_test(t, test_vm_lives_as_long_as_its_vcpus);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
