/* SPDX-License-Identifier: BSD-3-Clause */
/* What a machine makes of its vCPUs' exits; several vCPUs. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "machine/machine.h"
#include "support/machine.h"

/* The next event, which has to be of this kind. */
static struct vcore_event
take_event(struct vcore_machine *m, uint32_t kind)
{
	struct pollfd p = { .fd = vcore_machine_fd(m), .events = POLLIN };
	struct vcore_event event;

	ck_assert_int_eq(poll(&p, 1, 30000), 1);
	VCORE_INIT(&event);
	ck_assert_int_eq(vcore_machine_next(m, &event), 1);
	ck_assert_msg(event.kind == kind, "event %u of %s: %s", event.kind,
		      event.object, event.text);
	return event;
}

START_TEST(test_triple_fault_boots_again)
{
	struct machine_guest guest = { MACHINE_GUEST(fault) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_event event;

	ck_assert_ok(vcore_machine_start(m));
	for (uint32_t i = 1; i <= 5; i++) {
		event = take_event(m, VCORE_EVENT_SHUTDOWN);
		ck_assert_str_eq(event.object, "vcpu0");
		ck_assert_uint_eq(guest.boots, i + 1);
	}
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_triple_fault_with_no_reboot_makes_it_off)
{
	struct machine_guest guest = { MACHINE_GUEST(fault) };
	struct vcore_machine *m = machine_new(&guest, VCORE_MACHINE_NO_REBOOT);

	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_vcpu_after_a_triple_fault_can_be_paused_and_stopped)
{
	struct machine_guest guest = { MACHINE_GUEST(fault) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct pollfd p = { .fd = vcore_machine_fd(m), .events = POLLIN };

	ck_assert_ok(vcore_machine_start(m));
	ck_assert_int_eq(poll(&p, 1, 30000), 1);
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_ok(vcore_machine_resume(m));
	take_event(m, VCORE_EVENT_SHUTDOWN);
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_internal_error_is_an_event_with_instruction_bytes)
{
	struct machine_guest guest = { MACHINE_GUEST(insn) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_event event;

	ck_assert_ok(vcore_machine_start(m));
	event = take_event(m, VCORE_EVENT_VCPU_ERROR);
	ck_assert_str_eq(event.object, "vcpu0");
	ck_assert_uint_eq(event.value[0], 0);
	ck_assert_msg(strstr(event.text, "bytes 0f 58 03") != NULL, "%s",
		      event.text);
	ck_assert_msg(strstr(event.text, "rip 0x1005") != NULL, "%s",
		      event.text);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_internal_error_makes_run_return_eio)
{
	struct machine_guest guest = { MACHINE_GUEST(insn) };
	struct vcore_machine *m = machine_new(&guest, 0);

	ck_assert_error(vcore_machine_run(m), -EIO,
			"vcore_machine_run: vcpu0: KVM internal error");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_after_an_internal_error_forgets_it)
{
	struct machine_guest guest = { MACHINE_GUEST(insn) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct pollfd p = { .fd = vcore_machine_fd(m), .events = POLLIN };
	struct vcore_event event;

	ck_assert_ok(vcore_machine_start(m));
	ck_assert_int_eq(poll(&p, 1, 30000), 1);
	guest.start = guest_count;
	guest.end = guest_count_end;
	ck_assert_ok(vcore_machine_reset(m));
	VCORE_INIT(&event);
	ck_assert_int_eq(vcore_machine_next(m, &event), 0);
	machine_wait_data(m, machine_data(m));
	vcore_machine_unref(m);
}
END_TEST

/* The embedder's answers to exits, one after the other. */
struct answers {
	struct vcore_machine *machine;
	_Atomic uint32_t asked;
	int rc[3];
	struct vcore_exit exit;
};

static int
answer(void *opaque, struct vcore_vcpu *vcpu, const struct vcore_exit *exit)
{
	struct answers *a = opaque;
	struct vcore_regs regs;
	uint32_t n = a->asked;

	a->exit = *exit;
	ck_assert_ptr_eq(vcpu, vcore_machine_vcpu(a->machine, 0));
	ck_assert_error(vcore_machine_pause(a->machine), -EDEADLK,
			"vcore_machine_pause: called in a callback");
	if (a->rc[n] > 0) {
		/* Past the instruction that KVM does not know. */
		ck_assert_ok(vcore_vcpu_get_regs(vcpu, &regs));
		regs.rip += 3;
		ck_assert_ok(vcore_vcpu_set_regs(vcpu, &regs));
	} else if (a->rc[n] < 0) {
		vcore_error_set(a->rc[n], "not today");
	}
	a->asked = n + 1;
	return a->rc[n];
}

static struct vcore_machine *
new_with_answers(struct machine_guest *guest, struct answers *a)
{
	struct vcore_machine_opts opts;

	machine_opts(&opts, guest);
	opts.vcpu_exit = answer;
	opts.vcpu_exit_opaque = a;
	ck_assert_ok(vcore_machine_new(&opts, &a->machine));
	return a->machine;
}

START_TEST(test_exit_that_the_embedder_answers_runs_on)
{
	struct machine_guest guest = { MACHINE_GUEST(insn_off) };
	struct answers a = { .rc = { 1 } };
	struct vcore_machine *m = new_with_answers(&guest, &a);

	/* It gets to the instructions behind, which switch it off. */
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_uint_eq(a.asked, 1);
	ck_assert_uint_eq(a.exit.kind, VCORE_EXIT_INTERNAL_ERROR);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_exit_that_the_embedder_does_not_know_is_an_event)
{
	struct machine_guest guest = { MACHINE_GUEST(insn_off) };
	struct answers a = { .rc = { 0, -EPERM } };
	struct vcore_machine *m = new_with_answers(&guest, &a);
	struct vcore_event event;

	ck_assert_ok(vcore_machine_start(m));
	event = take_event(m, VCORE_EVENT_VCPU_ERROR);
	ck_assert_ptr_nonnull(strstr(event.text, "KVM internal error"));
	ck_assert_uint_eq(a.asked, 1);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
	/* It may say itself what is wrong. */
	m = new_with_answers(&guest, &a);
	ck_assert_error(vcore_machine_run(m), -EIO,
			"vcore_machine_run: vcpu0: not today");
	ck_assert_uint_eq(a.asked, 2);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_triple_fault_is_not_the_embedders)
{
	struct machine_guest guest = { MACHINE_GUEST(fault) };
	struct answers a = { .rc = { 1 } };
	struct vcore_machine *m = new_with_answers(&guest, &a);

	ck_assert_ok(vcore_machine_start(m));
	take_event(m, VCORE_EVENT_SHUTDOWN);
	ck_assert_uint_eq(a.asked, 0);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_panic_is_an_event_and_the_guest_runs_on)
{
	static const uint16_t panics[] = { POKE_PANIC, 1, POKE_SLEEP, POKE_S5,
					   POKE_END };
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = panics };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_event event;

	ck_assert_ok(vcore_machine_start(m));
	event = take_event(m, VCORE_EVENT_PANIC);
	ck_assert_uint_eq(event.value[0], 1);
	take_event(m, VCORE_EVENT_POWEROFF);
	take_event(m, VCORE_EVENT_STOP);
	vcore_machine_unref(m);
}
END_TEST

static const uint16_t pokes_nobody[] = {
	POKE_READ, GUEST_PORT, POKE_READ, 0xfffe, GUEST_PORT, 1, 0xfffd, 2,
	POKE_SLEEP, POKE_S5, POKE_END
};

START_TEST(test_ports_that_nobody_answers_are_counted)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = pokes_nobody };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_vcpu_info info;

	ck_assert_int_eq(vcore_machine_run(m), 0);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vcpu_get_info(vcore_machine_vcpu(m, 0), &info));
	ck_assert_uint_eq(info.unclaimed, 4);
	ck_assert_uint_eq(machine_data(m) & 0xff, 0xff);
	vcore_machine_unref(m);
}
END_TEST

/* Widths 1, 2, 4 at an address where nothing is; one crosses a page. */
START_TEST(test_addresses_that_nobody_answers_are_counted)
{
	struct machine_guest guest = { MACHINE_GUEST(mmio) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_vcpu_info info;

	ck_assert_ok(vcore_machine_start(m));
	do {
		VCORE_INIT(&info);
		ck_assert_ok(vcore_vcpu_get_info(vcore_machine_vcpu(m, 0),
						 &info));
	} while (info.unclaimed < 10);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	vcore_machine_unref(m);
}
END_TEST

struct smp {
	struct machine_guest guest;
	uint32_t others;
};

static int
boot_smp(void *opaque, struct vcore_machine *m)
{
	struct kvm_bed bed = { .memory = vcore_machine_memory(m) };
	struct smp *smp = opaque;

	kvm_bed_load(&bed, GUEST_AP, guest_ap_all, guest_ap_all_end);
	ck_assert_ok(vcore_memory_write(bed.memory, GUEST_POKES, &smp->others,
					4));
	return machine_boot(&smp->guest, m);
}

static void
run_smp(uint32_t cpus, uint32_t irqchip)
{
	struct smp smp = { { MACHINE_GUEST(smp_all) }, cpus - 1 };
	struct vcore_stream *serial = NULL;
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	ck_assert_ok(vcore_stream_new_ring(64, &serial));
	machine_opts(&opts, &smp.guest);
	opts.boot = boot_smp;
	opts.boot_opaque = &smp;
	opts.cpus = cpus;
	opts.irqchip = irqchip;
	opts.serial = serial;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ptr_nonnull(vcore_machine_vcpu(m, cpus - 1));
	ck_assert_ptr_null(vcore_machine_vcpu(m, cpus));
	ck_assert_ok(vcore_machine_start(m));
	machine_wait_text(serial, "S");
	/* All processors once more from the beginning. */
	ck_assert_ok(vcore_machine_reset(m));
	machine_wait_text(serial, "S");
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_ok(vcore_machine_resume(m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
	vcore_stream_unref(serial);
}

START_TEST(test_eight_vcpus_start_by_init_and_sipi)
{
	run_smp(8, VCORE_VM_IRQCHIP_KERNEL);
}
END_TEST

START_TEST(test_eight_vcpus_with_the_split_irqchip)
{
	run_smp(8, VCORE_VM_IRQCHIP_SPLIT);
}
END_TEST

static int
boot_faulting(void *opaque, struct vcore_machine *m)
{
	struct kvm_bed bed = { .memory = vcore_machine_memory(m) };
	struct smp *smp = opaque;

	kvm_bed_load(&bed, GUEST_AP, guest_ap_fault, guest_ap_fault_end);
	ck_assert_ok(vcore_memory_write(bed.memory, GUEST_POKES, &smp->others,
					4));
	return machine_boot(&smp->guest, m);
}

/* All but the first fault, about at once: one boot, no matter whose it was. */
START_TEST(test_triple_fault_of_other_vcpus_boots_again)
{
	struct smp smp = { { MACHINE_GUEST(smp_all) }, 3 };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;
	struct vcore_event event;

	machine_opts(&opts, &smp.guest);
	opts.boot = boot_faulting;
	opts.boot_opaque = &smp;
	opts.cpus = 4;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ok(vcore_machine_start(m));
	for (uint32_t i = 1; i <= 5; i++) {
		event = take_event(m, VCORE_EVENT_SHUTDOWN);
		ck_assert_str_ne(event.object, "vcpu0");
		ck_assert_uint_eq(smp.guest.boots, i + 1);
	}
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(m);
}
END_TEST

/* Most of them wait for INIT in the kernel: kicks have to get them out. */
START_TEST(test_vcpus_that_were_never_started_are_paused_and_stopped)
{
	struct machine_guest guest = { MACHINE_GUEST(count) };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, &guest);
	opts.cpus = 16;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ok(vcore_machine_start(m));
	for (int i = 0; i < 10; i++) {
		ck_assert_ok(vcore_machine_pause(m));
		ck_assert_ok(vcore_machine_resume(m));
	}
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("cpus");
	TCase *tc = tcase_create("cpus");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_test(tc, test_triple_fault_boots_again);
	tcase_add_test(tc, test_triple_fault_with_no_reboot_makes_it_off);
	tcase_add_test(
		tc, test_vcpu_after_a_triple_fault_can_be_paused_and_stopped);
	tcase_add_test(tc,
		       test_internal_error_is_an_event_with_instruction_bytes);
	tcase_add_test(tc, test_internal_error_makes_run_return_eio);
	tcase_add_test(tc, test_reset_after_an_internal_error_forgets_it);
	tcase_add_test(tc, test_exit_that_the_embedder_answers_runs_on);
	tcase_add_test(tc,
		       test_exit_that_the_embedder_does_not_know_is_an_event);
	tcase_add_test(tc, test_triple_fault_is_not_the_embedders);
	tcase_add_test(tc, test_panic_is_an_event_and_the_guest_runs_on);
	tcase_add_test(tc, test_ports_that_nobody_answers_are_counted);
	tcase_add_test(tc, test_addresses_that_nobody_answers_are_counted);
	tcase_add_test(tc, test_eight_vcpus_start_by_init_and_sipi);
	tcase_add_test(tc, test_eight_vcpus_with_the_split_irqchip);
	tcase_add_test(tc, test_triple_fault_of_other_vcpus_boots_again);
	tcase_add_test(
		tc, test_vcpus_that_were_never_started_are_paused_and_stopped);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
