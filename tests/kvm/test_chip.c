/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts of a VM on a fake KVM: routes, irqfds, lines, failures. */
#include <errno.h>

#include "kvm/vm.h"
#include "support/fake_kvm.h"
#include "support/support.h"

#define ADDR 0xfee00000u
/* Entries of the lines: 24 on the IOAPIC, 16 on the PICs. */
#define DEFAULTS 40u

static struct fake_kvm fake;
static struct vcore_host *host;
static struct vcore_memory *memory;
static struct vcore_vm *vm;
static struct vcore_irqchip *chip;
static int fds;

static void
make(uint32_t kind)
{
	struct vcore_vm_opts opts;

	fds = support_open_fds();
	host = fake_kvm_host(&fake);
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	VCORE_INIT(&opts);
	opts.irqchip = kind;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	chip = vcore_vm_irqchip(vm);
	fake_kvm_clear(&fake);
}

static void
setup(void)
{
	fake_kvm_init(&fake);
}

static void
teardown(void)
{
	vcore_vm_unref(vm);
	vcore_memory_unref(memory);
	vcore_host_unref(host);
	ck_assert_uint_eq(fake.open, 0);
	ck_assert_int_eq(support_open_fds(), fds);
}

static int
new_irq(uint32_t flags, uint32_t gsi, struct vcore_irq **irq)
{
	struct vcore_irq_opts opts;

	VCORE_INIT(&opts);
	opts.flags = flags;
	opts.gsi = gsi;
	return vcore_irq_new(chip, &opts, irq);
}

static struct vcore_vm_info
info(void)
{
	struct vcore_vm_info i;

	VCORE_INIT(&i);
	ck_assert_ok(vcore_vm_get_info(vm, &i));
	return i;
}

START_TEST(test_message_is_routed_and_hooked)
{
	const struct kvm_irq_routing_entry *e = &fake.routes[DEFAULTS];
	struct vcore_irq *irq;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(0, 0, &irq));
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_ok(vcore_irq_set_message(irq, ADDR | 0x1000, 0x41));
	ck_assert_uint_eq(fake.nroutes, DEFAULTS + 1);
	ck_assert_uint_eq(e->type, KVM_IRQ_ROUTING_MSI);
	ck_assert_uint_eq(e->gsi, 24);
	ck_assert_uint_eq(e->u.msi.address_lo, ADDR | 0x1000);
	ck_assert_uint_eq(e->u.msi.address_hi, 0);
	ck_assert_uint_eq(e->u.msi.data, 0x41);
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQFD)->u.irqfd.gsi, 24);
	ck_assert_uint_eq(info().irqfds, 1);
	/* The same again costs nothing, a change one call. */
	fake_kvm_clear(&fake);
	ck_assert_ok(vcore_irq_set_message(irq, ADDR | 0x1000, 0x41));
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 0x42));
	ck_assert_uint_eq(fake.calls, 1);
	ck_assert_uint_eq(e->u.msi.data, 0x42);
	vcore_irq_unref(irq);
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQFD)->u.irqfd.flags,
			  KVM_IRQFD_FLAG_DEASSIGN);
	ck_assert_uint_eq(info().irqfds, 0);
	ck_assert_uint_eq(info().routes, 0);
}
END_TEST

START_TEST(test_lines_keep_their_default_routes)
{
	struct vcore_irq *irq;
	uint32_t i, pic = 0, ioapic = 0;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(0, 0, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 1));
	for (i = 0; i < DEFAULTS; i++) {
		ck_assert_uint_eq(fake.routes[i].type,
				  KVM_IRQ_ROUTING_IRQCHIP);
		if (fake.routes[i].u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC)
			ioapic |= 1u << fake.routes[i].gsi;
		else
			pic |= 1u << fake.routes[i].gsi;
	}
	ck_assert_uint_eq(ioapic, 0xffffff);
	ck_assert_uint_eq(pic, 0xffff);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_masked_messages_are_routed_together)
{
	struct vcore_irq *irq[4];
	uint32_t i;

	make(VCORE_VM_IRQCHIP_SPLIT);
	for (i = 0; i < 4; i++) {
		ck_assert_ok(new_irq(0, 0, &irq[i]));
		ck_assert_ok(vcore_irq_set_mask(irq[i], 1));
		ck_assert_ok(vcore_irq_set_message(irq[i], ADDR, i));
	}
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_SET_GSI_ROUTING), 0);
	for (i = 0; i < 4; i++)
		ck_assert_ok(vcore_irq_set_mask(irq[i], 0));
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_SET_GSI_ROUTING), 1);
	ck_assert_uint_eq(fake.nroutes, 4);
	ck_assert_uint_eq(info().irqfds, 4);
	for (i = 0; i < 4; i++)
		vcore_irq_unref(irq[i]);
}
END_TEST

START_TEST(test_message_numbers_run_out_and_come_back)
{
	struct vcore_irq *irq[4], *more = NULL;
	uint32_t i;

	make(VCORE_VM_IRQCHIP_KERNEL);
	for (i = 0; i < FAKE_ROUTES - 24; i++)
		ck_assert_ok(new_irq(0, 0, &irq[i]));
	ck_assert_error(new_irq(0, 0, &more), -ENOSPC, "vcore_irq_new");
	vcore_irq_unref(irq[1]);
	ck_assert_ok(new_irq(0, 0, &irq[1]));
	ck_assert_ok(vcore_irq_set_message(irq[1], ADDR, 0));
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQFD)->u.irqfd.gsi, 25);
	for (i = 0; i < 4; i++)
		vcore_irq_unref(irq[i]);
}
END_TEST

START_TEST(test_unroutable_address_is_kept_out_of_kvm)
{
	static const uint64_t bad[] = { 0x1000, 0xfed00000, 0xfef00000,
					0x1fee00000, UINT64_MAX };
	struct vcore_irq *irq;
	uint32_t i;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(0, 0, &irq));
	for (i = 0; i < 5; i++) {
		ck_assert_ok(vcore_irq_set_message(irq, bad[i], 1));
		ck_assert_ok(vcore_irq_raise(irq));
		ck_assert_uint_eq(info().routes, 0);
	}
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 1));
	ck_assert_uint_eq(info().irqfds, 1);
	ck_assert_ok(vcore_irq_set_message(irq, bad[0], 1));
	ck_assert_uint_eq(info().irqfds, 0);
	ck_assert_uint_eq(fake.nroutes, DEFAULTS);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_route_refused_by_kvm_changes_nothing)
{
	struct vcore_irq *irq;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(0, 0, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 7));
	fake.fail_request = KVM_SET_GSI_ROUTING;
	fake.fail_error = EINVAL;
	ck_assert_error(vcore_irq_set_message(irq, ADDR, 8), -EINVAL,
			"vcore_irq_set_message");
	fake.fail_request = 0;
	ck_assert_uint_eq(fake.routes[DEFAULTS].u.msi.data, 7);
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 9));
	ck_assert_uint_eq(fake.routes[DEFAULTS].u.msi.data, 9);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_each_failing_ioctl_leaves_the_irq_usable)
{
	struct vcore_irq *irq;
	uint32_t n;
	int rc;

	make(VCORE_VM_IRQCHIP_KERNEL);
	for (n = 1;; n++) {
		ck_assert_ok(new_irq(0, 0, &irq));
		fake.failed = false;
		fake.fail_at = n;
		rc = vcore_irq_set_message(irq, ADDR, 1);
		if (rc == 0)
			rc = vcore_irq_set_mask(irq, 1);
		if (rc == 0)
			rc = vcore_irq_set_mask(irq, 0);
		fake.fail_at = 0;
		ck_assert_int_eq(rc != 0, fake.failed);
		ck_assert_ok(vcore_irq_set_mask(irq, 0));
		ck_assert_ok(vcore_irq_set_message(irq, ADDR, 2));
		ck_assert_uint_eq(info().irqfds, 1);
		ck_assert_uint_eq(info().routes, 1);
		vcore_irq_unref(irq);
		if (!fake.failed)
			break;
	}
	ck_assert_uint_gt(n, 3);
}
END_TEST

START_TEST(test_edge_line_is_hooked_at_once)
{
	struct vcore_irq *irq;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(VCORE_IRQ_LINE, 4, &irq));
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQFD)->u.irqfd.gsi, 4);
	ck_assert_uint_eq(info().routes, 0);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_level_line_is_high_while_anybody_holds_it)
{
	struct vcore_irq *a, *b;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(VCORE_IRQ_LINE | VCORE_IRQ_LEVEL, 10, &a));
	ck_assert_ok(new_irq(VCORE_IRQ_LINE | VCORE_IRQ_LEVEL, 10, &b));
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_ok(vcore_irq_set_level(a, 1));
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQ_LINE)->u.level.level, 1);
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQ_LINE)->u.level.irq, 10);
	ck_assert_ok(vcore_irq_set_level(b, 1));
	ck_assert_ok(vcore_irq_set_level(a, 0));
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_IRQ_LINE), 1);
	/* Going away lets go of the line. */
	vcore_irq_unref(b);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_IRQ_LINE), 2);
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQ_LINE)->u.level.level, 0);
	vcore_irq_unref(a);
}
END_TEST

START_TEST(test_lines_and_pins_where_they_do_not_exist)
{
	struct vcore_irq *irq = NULL;

	make(VCORE_VM_IRQCHIP_SPLIT);
	ck_assert_error(new_irq(VCORE_IRQ_LINE, 4, &irq), -EOPNOTSUPP,
			"vcore_irq_new");
	ck_assert_error(new_irq(VCORE_IRQ_PIN, 24, &irq), -EINVAL,
			"vcore_irq_new");
	ck_assert_ok(new_irq(VCORE_IRQ_PIN, 23, &irq));
	vcore_irq_unref(irq);
	teardown();
	setup();
	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_error(new_irq(VCORE_IRQ_PIN, 4, &irq), -EOPNOTSUPP,
			"vcore_irq_new");
	ck_assert_error(new_irq(VCORE_IRQ_LINE, 24, &irq), -EINVAL,
			"vcore_irq_new");
}
END_TEST

START_TEST(test_masked_pin_keeps_its_route)
{
	struct vcore_irq *irq;

	make(VCORE_VM_IRQCHIP_SPLIT);
	ck_assert_ok(new_irq(VCORE_IRQ_PIN, 9, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 0x8031));
	ck_assert_uint_eq(fake.nroutes, 1);
	ck_assert_uint_eq(fake.routes[0].gsi, 9);
	ck_assert_ok(vcore_irq_set_mask(irq, 1));
	ck_assert_uint_eq(fake.nroutes, 1);
	ck_assert_uint_eq(info().irqfds, 0);
	vcore_irq_unref(irq);
	/* The pin is free again. */
	ck_assert_ok(new_irq(VCORE_IRQ_PIN, 9, &irq));
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_without_irqfd_raises_are_calls)
{
	struct vcore_irq *line, *msg;

	fake.caps[KVM_CAP_IRQFD] = 0;
	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(VCORE_IRQ_LINE, 4, &line));
	ck_assert_ok(vcore_irq_raise(line));
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_IRQ_LINE), 2);
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_IRQ_LINE)->u.level.level, 0);
	ck_assert_ok(new_irq(0, 0, &msg));
	ck_assert_ok(vcore_irq_set_message(msg, ADDR, 0x55));
	ck_assert_ok(vcore_irq_raise(msg));
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_SIGNAL_MSI)->u.msi.data,
			  0x55);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_IRQFD), 0);
	vcore_irq_unref(line);
	vcore_irq_unref(msg);
}
END_TEST

START_TEST(test_without_routing_messages_are_eopnotsupp)
{
	struct vcore_irq *irq = NULL;

	fake.caps[KVM_CAP_IRQ_ROUTING] = 0;
	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_error(new_irq(0, 0, &irq), -EOPNOTSUPP, "vcore_irq_new");
	ck_assert_ok(new_irq(VCORE_IRQ_LINE, 4, &irq));
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_irq_outlives_vm)
{
	struct vcore_irq *irq;

	make(VCORE_VM_IRQCHIP_KERNEL);
	ck_assert_ok(new_irq(0, 0, &irq));
	vcore_vm_unref(vm);
	vm = NULL;
	/* host, and the VM's own */
	ck_assert_uint_eq(fake.open, 2);
	ck_assert_ok(vcore_irq_set_message(irq, ADDR, 1));
	vcore_irq_unref(irq);
	ck_assert_uint_eq(fake.open, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kvm/chip");
	TCase *t = tcase_create("chip");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_message_is_routed_and_hooked);
	tcase_add_test(t, test_lines_keep_their_default_routes);
	tcase_add_test(t, test_masked_messages_are_routed_together);
	tcase_add_test(t, test_message_numbers_run_out_and_come_back);
	tcase_add_test(t, test_unroutable_address_is_kept_out_of_kvm);
	tcase_add_test(t, test_route_refused_by_kvm_changes_nothing);
	tcase_add_test(t, test_each_failing_ioctl_leaves_the_irq_usable);
	tcase_add_test(t, test_edge_line_is_hooked_at_once);
	tcase_add_test(t, test_level_line_is_high_while_anybody_holds_it);
	tcase_add_test(t, test_lines_and_pins_where_they_do_not_exist);
	tcase_add_test(t, test_masked_pin_keeps_its_route);
	tcase_add_test(t, test_without_irqfd_raises_are_calls);
	tcase_add_test(t, test_without_routing_messages_are_eopnotsupp);
	tcase_add_test(t, test_irq_outlives_vm);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
