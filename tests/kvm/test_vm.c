/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM on a fake KVM: creation and its failures, loans, EOIs, clock. */
#include <errno.h>
#include <signal.h>

#include "kvm/vm.h"
#include "support/fake_kvm.h"
#include "support/support.h"

static struct fake_kvm fake;
static struct vcore_host *host;
static struct vcore_memory *memory;
static struct vcore_vm_opts opts;
static struct vcore_vm *vm;
static int fds;

static void
setup(void)
{
	fds = support_open_fds();
	fake_kvm_init(&fake);
	host = fake_kvm_host(&fake);
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	VCORE_INIT(&opts);
	vm = NULL;
	fake_kvm_clear(&fake);
}

static void
teardown(void)
{
	vcore_vm_unref(vm);
	vcore_memory_unref(memory);
	vcore_host_unref(host);
	ck_assert_uint_eq(fake.open, 0);
	ck_assert_uint_eq(fake.maps, 0);
	ck_assert_int_eq(support_open_fds(), fds);
}

static void
fails(int error)
{
	ck_assert_error(vcore_vm_new(host, memory, &opts, &vm), error,
			"vcore_vm_new");
	ck_assert_ptr_null(vm);
}

START_TEST(test_vm_new_with_defaults_is_bare)
{
	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	ck_assert_ptr_null(vcore_vm_irqchip(vm));
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_CREATE_IRQCHIP), 0);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_ENABLE_CAP), 0);
	ck_assert_int_ge(vcore_vm_fd(vm), 0);
	ck_assert_uint_eq(vm->kick_signal, (uint32_t)SIGRTMIN);
}
END_TEST

START_TEST(test_vm_new_bad_arguments)
{
	ck_assert_error(vcore_vm_new(NULL, memory, NULL, &vm), -EINVAL,
			"vcore_vm_new: host");
	ck_assert_error(vcore_vm_new(host, NULL, NULL, &vm), -EINVAL,
			"vcore_vm_new: memory");
	ck_assert_error(vcore_vm_new(host, memory, NULL, NULL), -EINVAL,
			"vcore_vm_new: vm");
	opts.flags = 1u << 9;
	fails(-E2BIG);
	opts.flags = 0;
	opts.irqchip = 3;
	fails(-EINVAL);
	opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
	opts.flags = VCORE_VM_PIT;
	fails(-EINVAL);
	VCORE_INIT(&opts);
	opts.size = 8;
	fails(-EINVAL);
	ck_assert_uint_eq(fake.calls, 0);
}
END_TEST

START_TEST(test_vm_new_unusable_signal_is_einval)
{
	static const uint32_t bad[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,
					SIGILL, SIGFPE, 32, 33, 65, 1000 };
	uint32_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.kick_signal = bad[i];
		fails(-EINVAL);
	}
	opts.kick_signal = SIGUSR1;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
}
END_TEST

START_TEST(test_vm_new_type_reaches_kvm)
{
	opts.type = 7;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_CREATE_VM)->arg, 7);
}
END_TEST

START_TEST(test_vm_new_kernel_irqchip_with_pit)
{
	struct vcore_vm_info info;

	opts.irqchip = VCORE_VM_IRQCHIP_KERNEL;
	opts.flags = VCORE_VM_PIT;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	ck_assert_ptr_nonnull(vcore_vm_irqchip(vm));
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_CREATE_IRQCHIP), 1);
	ck_assert_uint_eq(fake_kvm_last(&fake, KVM_CREATE_PIT2)->u.pit.flags,
			  KVM_PIT_SPEAKER_DUMMY);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vm_get_info(vm, &info));
	ck_assert_uint_eq(info.vcpu_max, FAKE_VCPUS);
	ck_assert_uint_eq(info.routes, 0);
}
END_TEST

START_TEST(test_vm_new_split_irqchip_reserves_24_routes)
{
	const struct fake_call *c;

	opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	c = fake_kvm_last(&fake, KVM_ENABLE_CAP);
	ck_assert_uint_eq(c->u.cap.cap, KVM_CAP_SPLIT_IRQCHIP);
	ck_assert_uint_eq(c->u.cap.args[0], 24);
}
END_TEST

START_TEST(test_vm_new_without_split_capability_is_eopnotsupp)
{
	fake.caps[KVM_CAP_SPLIT_IRQCHIP] = 0;
	opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
	fails(-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(),
				     "KVM_CAP_SPLIT_IRQCHIP"));
}
END_TEST

START_TEST(test_vm_new_without_irqchip_ioctl_is_eopnotsupp)
{
	fake.fail_request = KVM_CREATE_IRQCHIP;
	fake.fail_error = ENOTTY;
	opts.irqchip = VCORE_VM_IRQCHIP_KERNEL;
	fails(-EOPNOTSUPP);
}
END_TEST

/* One capability absent at a time: works without, or names it. */
START_TEST(test_vm_new_with_each_capability_hidden)
{
	static const uint32_t kinds[] = { VCORE_VM_IRQCHIP_NONE,
					  VCORE_VM_IRQCHIP_KERNEL,
					  VCORE_VM_IRQCHIP_SPLIT };
	struct vcore_host *h;
	uint32_t cap, k;
	int was, rc;

	for (cap = 0; cap < FAKE_CAPS; cap++) {
		was = fake.caps[cap];
		if (!was || cap == KVM_CAP_USER_MEMORY)
			continue;
		fake.caps[cap] = 0;
		for (k = 0; k < 3; k++) {
			h = fake_kvm_host(&fake);
			opts.irqchip = kinds[k];
			rc = vcore_vm_new(h, memory, &opts, &vm);
			if (rc == 0)
				vcore_vm_unref(vm);
			else
				ck_assert_int_eq(rc, -EOPNOTSUPP);
			vm = NULL;
			vcore_host_unref(h);
		}
		fake.caps[cap] = was;
	}
}
END_TEST

START_TEST(test_vm_new_fails_at_each_ioctl_without_leak)
{
	static const uint32_t kinds[] = { VCORE_VM_IRQCHIP_NONE,
					  VCORE_VM_IRQCHIP_KERNEL,
					  VCORE_VM_IRQCHIP_SPLIT };
	struct vcore_vm *got;
	uint32_t k, n;
	int rc;

	for (k = 0; k < 3; k++) {
		opts.irqchip = kinds[k];
		opts.flags = k == 1 ? VCORE_VM_PIT : 0;
		for (n = 1;; n++) {
			got = NULL;
			fake.failed = false;
			fake.fail_at = n;
			rc = vcore_vm_new(host, memory, &opts, &got);
			fake.fail_at = 0;
			if (rc)
				ck_assert_ptr_null(got);
			else
				vcore_vm_unref(got);
			ck_assert_uint_eq(fake.open, 1);
			if (!fake.failed)
				break;
		}
		ck_assert_uint_gt(n, 1);
	}
}
END_TEST

START_TEST(test_vm_new_out_of_memory_takes_nothing)
{
	static const uint32_t kinds[] = { VCORE_VM_IRQCHIP_NONE,
					  VCORE_VM_IRQCHIP_KERNEL,
					  VCORE_VM_IRQCHIP_SPLIT };
	struct vcore_vm *got;
	bool failed;
	uint32_t k, n;
	int rc;

	for (k = 0; k < 3; k++) {
		opts.irqchip = kinds[k];
		for (n = 1, failed = true; failed; n++) {
			got = NULL;
			fail_nth(FAIL_ALLOC, n);
			rc = vcore_vm_new(host, memory, &opts, &got);
			failed = fail_stop();
			if (failed)
				ck_assert_error(rc, -ENOMEM, "vcore_vm_new");
			ck_assert_int_eq(failed, !got);
			vcore_vm_unref(got);
			ck_assert_uint_eq(fake.open, 1);
		}
		ck_assert_uint_gt(n, 3);
	}
}
END_TEST

START_TEST(test_vm_capability_asks_the_vm_if_it_can)
{
	fake.caps[KVM_CAP_CHECK_EXTENSION_VM] = 1;
	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	ck_assert_int_eq(vcore_vm_capability(vm, KVM_CAP_MAX_VCPUS),
			 FAKE_VCPUS);
	ck_assert_int_eq(fake_kvm_last(&fake, KVM_CHECK_EXTENSION)->fd,
			 vcore_vm_fd(vm));
	ck_assert_error(vcore_vm_capability(NULL, 1), -EINVAL,
			"vcore_vm_capability");
}
END_TEST

START_TEST(test_vm_null_arguments)
{
	struct vcore_vm_info info;
	uint64_t ns;

	ck_assert_error(vcore_vm_fd(NULL), -EINVAL, "vcore_vm_fd");
	ck_assert_ptr_null(vcore_vm_irqchip(NULL));
	ck_assert_ptr_null(vcore_vm_ref(NULL));
	vcore_vm_unref(NULL);
	ck_assert_error(vcore_vm_get_info(NULL, &info), -EINVAL,
			"vcore_vm_get_info");
	ck_assert_error(vcore_vm_get_clock(NULL, &ns), -EINVAL,
			"vcore_vm_get_clock");
	ck_assert_error(vcore_vm_set_clock(NULL, 0), -EINVAL,
			"vcore_vm_set_clock");
	ck_assert_error(vcore_vm_set_eoi_handler(NULL, NULL, NULL, NULL),
			-EINVAL, "vcore_vm_set_eoi_handler");
	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	ck_assert_error(vcore_vm_get_clock(vm, NULL), -EINVAL,
			"vcore_vm_get_clock");
	memset(&info, 0, sizeof(info));
	ck_assert_error(vcore_vm_get_info(vm, &info), -EINVAL,
			"vcore_vm_get_info");
}
END_TEST

START_TEST(test_vm_clock_without_capability_is_eopnotsupp)
{
	uint64_t ns = 5;

	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	fake.fail_request = KVM_GET_CLOCK;
	fake.fail_error = ENOTTY;
	ck_assert_error(vcore_vm_get_clock(vm, &ns), -EOPNOTSUPP,
			"vcore_vm_get_clock");
	ck_assert_uint_eq(ns, 5);
	fake.fail_request = KVM_SET_CLOCK;
	fake.fail_error = EINVAL;
	ck_assert_error(vcore_vm_set_clock(vm, 9), -EINVAL,
			"vcore_vm_set_clock");
}
END_TEST

static uint32_t eois, releases;

static void
on_eoi(void *opaque, uint32_t vector)
{
	(void)opaque;
	eois += vector;
}

/* Takes itself away in its own call: release must wait for its return. */
static void
on_last_eoi(void *opaque, uint32_t vector)
{
	ck_assert_ok(vcore_vm_set_eoi_handler(opaque, NULL, NULL, NULL));
	ck_assert_uint_eq(releases, 0);
	eois += vector;
}

static void
on_release(void *opaque)
{
	(void)opaque;
	releases++;
}

START_TEST(test_vm_eoi_handler_is_released_once)
{
	eois = releases = 0;
	opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	vcore__vm_eoi(vm, 1);
	ck_assert_ok(vcore_vm_set_eoi_handler(vm, on_last_eoi, vm,
					      on_release));
	vcore__vm_eoi(vm, 2);
	ck_assert_uint_eq(eois, 2);
	ck_assert_uint_eq(releases, 1);
	vcore__vm_eoi(vm, 4);
	ck_assert_uint_eq(eois, 2);
	ck_assert_ok(vcore_vm_set_eoi_handler(vm, on_eoi, NULL, on_release));
	ck_assert_ok(vcore_vm_set_eoi_handler(vm, on_eoi, NULL, on_release));
	ck_assert_uint_eq(releases, 2);
	vcore__vm_eoi(vm, 8);
	ck_assert_uint_eq(eois, 10);
	vcore_vm_unref(vm);
	vm = NULL;
	ck_assert_uint_eq(releases, 3);
}
END_TEST

START_TEST(test_vm_eoi_handler_out_of_memory_keeps_the_old_one)
{
	int rc;

	eois = releases = 0;
	opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	ck_assert_ok(vcore_vm_set_eoi_handler(vm, on_eoi, NULL, on_release));
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_vm_set_eoi_handler(vm, on_eoi, NULL, on_release);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_vm_set_eoi_handler");
	ck_assert_uint_eq(releases, 0);
	vcore__vm_eoi(vm, 3);
	ck_assert_uint_eq(eois, 3);
}
END_TEST

START_TEST(test_vm_eoi_handler_needs_split_irqchip)
{
	opts.irqchip = VCORE_VM_IRQCHIP_KERNEL;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	ck_assert_error(vcore_vm_set_eoi_handler(vm, on_eoi, NULL, on_release),
			-EOPNOTSUPP, "vcore_vm_set_eoi_handler");
}
END_TEST

static void
count_free(void *keep)
{
	(*(uint32_t *)keep)++;
}

START_TEST(test_loan_keeps_the_descriptor)
{
	struct vcore__loan *a, *b, *again;
	uint32_t freed = 0;

	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	ck_assert_ok(vcore__vm_loan(vm, 3, &a));
	ck_assert(a->fresh);
	a->fresh = false;
	a->keep = &freed;
	a->keep_free = count_free;
	ck_assert_error(vcore__vm_loan(vm, 3, &b), -EEXIST,
			"vcore_vcpu_new");
	vcore__vm_return(vm, a);
	ck_assert_ok(vcore__vm_loan(vm, 3, &again));
	ck_assert_ptr_eq(a, again);
	ck_assert(!again->fresh);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_CREATE_VCPU), 1);
	vcore_vm_unref(vm);
	vm = NULL;
	ck_assert_uint_eq(freed, 1);
}
END_TEST

START_TEST(test_loan_of_large_id_is_einval)
{
	struct vcore__loan *a;

	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	ck_assert_error(vcore__vm_loan(vm, FAKE_IDS, &a), -EINVAL,
			"vcore_vcpu_new");
}
END_TEST

START_TEST(test_loan_fails_at_each_step_without_leak)
{
	struct vcore__loan *a;
	uint32_t n;

	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	for (n = 1;; n++) {
		fake.fail_at = n;
		if (vcore__vm_loan(vm, n, &a) == 0)
			break;
		ck_assert_uint_eq(fake.open, 2);
	}
	fake.fail_at = 0;
	ck_assert_uint_eq(n, 3);
}
END_TEST

START_TEST(test_part_without_chips_does_nothing)
{
	struct vcore__part part;

	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	vcore__vm_part(vm, &part);
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_IRQCHIP);
	fake_kvm_clear(&fake);
	part.ops->reset(part.p);
	ck_assert_int_eq(part.ops->start(part.p), 0);
	ck_assert_uint_eq(fake.calls, 0);
}
END_TEST

START_TEST(test_part_reset_writes_all_chips)
{
	struct vcore__part part;

	opts.irqchip = VCORE_VM_IRQCHIP_KERNEL;
	opts.flags = VCORE_VM_PIT;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
	vcore__vm_part(vm, &part);
	part.ops->reset(part.p);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_SET_IRQCHIP), 3);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_SET_PIT2), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kvm/vm");
	TCase *t = tcase_create("vm");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_vm_new_with_defaults_is_bare);
	tcase_add_test(t, test_vm_new_bad_arguments);
	tcase_add_test(t, test_vm_new_unusable_signal_is_einval);
	tcase_add_test(t, test_vm_new_type_reaches_kvm);
	tcase_add_test(t, test_vm_new_kernel_irqchip_with_pit);
	tcase_add_test(t, test_vm_new_split_irqchip_reserves_24_routes);
	tcase_add_test(t, test_vm_new_without_split_capability_is_eopnotsupp);
	tcase_add_test(t, test_vm_new_without_irqchip_ioctl_is_eopnotsupp);
	tcase_add_test(t, test_vm_new_with_each_capability_hidden);
	tcase_add_test(t, test_vm_new_fails_at_each_ioctl_without_leak);
	tcase_add_test(t, test_vm_new_out_of_memory_takes_nothing);
	tcase_add_test(t, test_vm_capability_asks_the_vm_if_it_can);
	tcase_add_test(t, test_vm_null_arguments);
	tcase_add_test(t, test_vm_clock_without_capability_is_eopnotsupp);
	tcase_add_test(t, test_vm_eoi_handler_is_released_once);
	tcase_add_test(t, test_vm_eoi_handler_out_of_memory_keeps_the_old_one);
	tcase_add_test(t, test_vm_eoi_handler_needs_split_irqchip);
	tcase_add_test(t, test_loan_keeps_the_descriptor);
	tcase_add_test(t, test_loan_of_large_id_is_einval);
	tcase_add_test(t, test_loan_fails_at_each_step_without_leak);
	tcase_add_test(t, test_part_without_chips_does_nothing);
	tcase_add_test(t, test_part_reset_writes_all_chips);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
