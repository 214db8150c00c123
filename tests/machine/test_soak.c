/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long runs: machines made, run and freed, and one that boots again and again.
 * Descriptors, threads, blocks of memory and mappings are the same each time,
 * once what is kept has been made. VCORE_SOAK in the environment: 500 rounds
 * and 100 reboots, otherwise as many as fit into a plain run of the tests.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/machine.h"

#define WARM 6u			/* rounds: each combination of options, twice */

/* What the process holds; memory the kernel gave it, in KiB, is no count. */
struct held {
	int64_t blocks, mapped;
	int fds, threads;
};

static struct held
held(void)
{
	struct held h = {
		.blocks = fail_blocks(),
		.mapped = fail_mapped(),
		.fds = support_open_fds(),
		.threads = machine_threads(),
	};

	return h;
}

static void
check_held(const struct held *was, const char *what, uint32_t n)
{
	struct held now;

	/* A joined thread is counted a moment longer. */
	machine_wait_threads(was->threads);
	now = held();
	ck_assert_msg(now.blocks == was->blocks && now.mapped == was->mapped &&
			      now.fds == was->fds &&
			      now.threads == was->threads,
		      "%s %u: %lld blocks, %lld bytes mapped, %d descriptors, %d threads more",
		      what, n, (long long)(now.blocks - was->blocks),
		      (long long)(now.mapped - was->mapped),
		      now.fds - was->fds, now.threads - was->threads);
}

/* Anonymous memory of the process that is there, in KiB. */
static long
resident_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static const uint16_t goes_off[] = { POKE_SERIAL, 'x', POKE_SLEEP, POKE_S5,
				     POKE_END };
static const uint16_t resets[] = { POKE_SERIAL, 'x', POKE_RESET, POKE_PULSE,
				   POKE_END };

static void
add_devices(struct vcore_machine *m)
{
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_ok(vcore_machine_add(m, "rng,transport=mmio"));
	ck_assert_ok(vcore_machine_add(m, "block,path=/proc/self/exe,ro"));
	ck_assert_ok(vcore_machine_add(m, "console,stream=null,port1=pty"));
}

/* Made, run until the guest is off, and freed. */
static void
round_trip(uint32_t n)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = goes_off };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, &guest);
	opts.cpus = 1 + n % 3;
	opts.irqchip = 1 + n % 2;
	opts.loops = 1 + n % 2;
	opts.flags = n % 3 == 0 ? VCORE_MACHINE_SHARED_MEMORY : 0;
	ck_assert_ok(vcore_stream_new_ring(64, &opts.serial));
	ck_assert_ok(vcore_machine_new(&opts, &m));
	vcore_stream_unref(opts.serial);
	add_devices(m);
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_uint_eq(guest.boots, 1);
	vcore_machine_unref(m);
}

START_TEST(test_rounds_leave_everything_flat)
{
	uint32_t rounds = support_rounds(40, 500);
	long kib = 0, now;
	struct held was;

	for (uint32_t n = 0; n < WARM; n++)
		round_trip(n);
	was = held();
	for (uint32_t n = 0; n < rounds; n++) {
		round_trip(n);
		check_held(&was, "round", n);
		if (n == rounds / 2)
			kib = resident_kib();
	}
	now = resident_kib();
	printf("%u rounds: %ld KiB in the middle, %ld at the end\n", rounds,
	       kib, now);
	/* Sanitizers keep what was freed. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	ck_assert_int_le(now, kib + 512);
#endif
}
END_TEST

/* What the second boot found, and how many are to come. */
static struct {
	struct machine_guest guest;
	struct held was;
	long kib;
	uint32_t wanted;
} again;

/* On the control thread, while all vCPUs wait. */
static int
boot_again(void *opaque, struct vcore_machine *m)
{
	uint32_t boots = again.guest.boots;
	int rc;

	(void)opaque;
	if (boots == again.wanted)
		again.guest.pokes_again = goes_off;
	rc = machine_boot(&again.guest, m);
	if (boots == 1) {
		again.was = held();
		again.kib = resident_kib();
	} else if (boots > 1) {
		check_held(&again.was, "reboot", boots);
	}
	return rc;
}

START_TEST(test_reboots_leave_everything_flat)
{
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;
	long now;

	again.guest = (struct machine_guest){ MACHINE_GUEST(pokes),
					      .pokes = resets,
					      .pokes_again = resets };
	again.wanted = support_rounds(20, 100);
	machine_opts(&opts, NULL);
	opts.cpus = 2;
	opts.irqchip = (uint32_t)_i;
	opts.boot = boot_again;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	add_devices(m);
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_uint_eq(again.guest.boots, again.wanted + 1);
	now = resident_kib();
	printf("%u reboots: %ld KiB after the first, %ld at the end\n",
	       again.wanted, again.kib, now);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	ck_assert_int_le(now, again.kib + 512);
#endif
	vcore_machine_unref(m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("soak");
	TCase *tc = tcase_create("soak");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_test(tc, test_rounds_leave_everything_flat);
	tcase_add_loop_test(tc, test_reboots_leave_everything_flat,
			    VCORE_VM_IRQCHIP_KERNEL,
			    VCORE_VM_IRQCHIP_SPLIT + 1);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
