/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One of KVM's capabilities at a time is hidden from the library: a machine
 * works without, or the text says which one it needs.
 */
#include <errno.h>
#include <stdio.h>

#include "kvm/compat.h"
#include "kvm/host.h"
#include "kvm/ioctl.h"
#include "support/machine.h"

#define CAPS 512u

static const uint16_t goes_off[] = { POKE_SLEEP, POKE_S5, POKE_END };

static bool asked[CAPS];	/* the library looks at it */
static uint32_t hidden;
static int instead;	/* what the hidden one is said to be */

static int
hiding_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	uintptr_t cap = (uintptr_t)arg;

	if (request == KVM_CHECK_EXTENSION && cap < CAPS) {
		asked[cap] = true;
		if (cap == hidden)
			return instead;
	}
	return vcore__kvm_real.ioctl(opaque, fd, request, arg);
}

/* The real KVM, less what is hidden. */
static int
open_host(struct vcore_host **host)
{
	static struct vcore__kvm_ops ops;
	static const struct vcore__kvm kvm = { &ops, NULL };
	struct vcore_host_opts o;

	ops = vcore__kvm_real;
	ops.ioctl = hiding_ioctl;
	VCORE_INIT(&o);
	o.flags = VCORE_HOST_FD;
	o.fd = vcore_host_fd(machine_host);
	return vcore__host_open(&o, &kvm, host);
}

#define NAME(cap) { cap, #cap }

static const char *
name_of(uint32_t cap)
{
	static const struct {
		uint32_t cap;
		const char *name;
	} names[] = {
		NAME(KVM_CAP_USER_MEMORY),	NAME(KVM_CAP_NR_MEMSLOTS),
		NAME(KVM_CAP_READONLY_MEM),	NAME(KVM_CAP_IRQFD),
		NAME(KVM_CAP_IRQ_ROUTING),	NAME(KVM_CAP_SPLIT_IRQCHIP),
		NAME(KVM_CAP_MAX_VCPUS),	NAME(KVM_CAP_NR_VCPUS),
		NAME(KVM_CAP_MAX_VCPU_ID),	NAME(KVM_CAP_XSAVE2),
		NAME(KVM_CAP_TSC_DEADLINE_TIMER),
		NAME(KVM_CAP_CHECK_EXTENSION_VM),
	};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].cap == cap)
			return names[i].name;
	ck_abort_msg("capability %u is asked for: give it a name", cap);
	return NULL;
}

/* A machine with devices on both transports boots and goes off. */
static int
boot(uint32_t irqchip, uint32_t cpus)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = goes_off };
	struct vcore_machine *m = NULL;
	struct vcore_host *host = NULL;
	struct vcore_machine_opts opts;
	int rc = open_host(&host);

	if (rc < 0)
		return rc;
	machine_opts(&opts, &guest);
	opts.cpus = cpus;
	opts.host = host;
	opts.irqchip = irqchip;
	rc = vcore_machine_new(&opts, &m);
	if (rc == 0)
		rc = vcore_machine_add(m, "rng,transport=mmio");
	if (rc == 0)
		rc = vcore_machine_add(m, "rng,transport=pci");
	if (rc == 0)
		rc = vcore_machine_run(m);
	if (rc == 0)
		ck_assert_int_eq(guest.boots, 1);
	vcore_machine_unref(m);
	vcore_host_unref(host);
	return rc;
}

START_TEST(test_each_capability_hidden_is_done_without_or_named)
{
	uint32_t irqchip = (uint32_t)_i, refused = 0, done = 0;
	bool wanted[CAPS];
	int fds, rc;

	hidden = CAPS;
	ck_assert_int_eq(boot(irqchip, 2), 0);
	memcpy(wanted, asked, sizeof(wanted));
	fds = support_open_fds();
	for (hidden = 0; hidden < CAPS; hidden++) {
		if (!wanted[hidden])
			continue;
		rc = boot(irqchip, 2);
		printf("irqchip %u without %s: %s\n", irqchip, name_of(hidden),
		       rc == 0 ? "works" : vcore_error_text());
		fflush(stdout);
		if (rc < 0) {
			ck_assert_int_eq(rc, -EOPNOTSUPP);
			ck_assert_ptr_nonnull(strstr(vcore_error_text(),
						     name_of(hidden)));
			refused++;
		} else {
			done++;
		}
		ck_assert_int_eq(support_open_fds(), fds);
	}
	ck_assert_uint_ge(refused, 1);
	ck_assert_uint_ge(done, 5);
}
END_TEST

START_TEST(test_more_vcpus_than_kvm_has_names_the_capability)
{
	hidden = KVM_CAP_MAX_VCPUS;
	instead = 1;
	ck_assert_error(boot(VCORE_VM_IRQCHIP_KERNEL, 2), -EOPNOTSUPP,
			"vcore_machine_new: 2 vCPUs, KVM has 1 ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "KVM_CAP_MAX_VCPUS"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("capability");
	TCase *tc = tcase_create("capability");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_loop_test(
		tc, test_each_capability_hidden_is_done_without_or_named,
		VCORE_VM_IRQCHIP_KERNEL, VCORE_VM_IRQCHIP_SPLIT + 1);
	tcase_add_test(tc, test_more_vcpus_than_kvm_has_names_the_capability);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
