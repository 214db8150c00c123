/* SPDX-License-Identifier: BSD-3-Clause */
/* The map of guest memory becomes KVM memory slots. */
#include <errno.h>

#include "kvm/vm.h"
#include "support/fake_kvm.h"
#include "support/support.h"

#define PAGE 4096u

static struct fake_kvm fake;
static struct vcore_host *host;
static struct vcore_memory *memory;
static struct vcore_region *region;
static struct vcore_vm *vm;

static void
setup(void)
{
	struct vcore_region_opts opts;

	fake_kvm_init(&fake);
	host = fake_kvm_host(&fake);
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	VCORE_INIT(&opts);
	opts.len = PAGE;
	ck_assert_ok(vcore_region_new(&opts, &region));
	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	fake_kvm_clear(&fake);
}

static void
teardown(void)
{
	vcore_vm_unref(vm);
	vcore_region_unref(region);
	vcore_memory_unref(memory);
	vcore_host_unref(host);
	ck_assert_uint_eq(fake.open, 0);
}

static uint32_t
slots(void)
{
	struct vcore_vm_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_vm_get_info(vm, &info));
	return info.slots;
}

static const struct kvm_userspace_memory_region *
last(void)
{
	return &fake_kvm_last(&fake, KVM_SET_USER_MEMORY_REGION)->u.slot;
}

START_TEST(test_slot_of_a_region)
{
	struct vcore_region_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_region_get_info(region, &info));
	ck_assert_ok(vcore_memory_add(memory, 0x10000, region, 0));
	ck_assert_uint_eq(last()->guest_phys_addr, 0x10000);
	ck_assert_uint_eq(last()->memory_size, PAGE);
	ck_assert_uint_eq(last()->userspace_addr, info.hva);
	ck_assert_uint_eq(last()->flags, 0);
	ck_assert_uint_eq(slots(), 1);
	ck_assert_ok(vcore_memory_remove(memory, 0x10000));
	ck_assert_uint_eq(last()->guest_phys_addr, 0x10000);
	ck_assert_uint_eq(last()->memory_size, 0);
	ck_assert_uint_eq(slots(), 0);
}
END_TEST

START_TEST(test_slot_of_rom_is_readonly)
{
	ck_assert_ok(vcore_memory_add(memory, 0, region,
				      VCORE_MEMORY_READONLY));
	ck_assert_uint_eq(last()->flags, KVM_MEM_READONLY);
	ck_assert_ok(vcore_memory_remove(memory, 0));
}
END_TEST

START_TEST(test_slot_of_rom_without_capability_is_eopnotsupp)
{
	struct vcore_vm *other;
	struct vcore_host *h;

	fake.caps[KVM_CAP_READONLY_MEM] = 0;
	h = fake_kvm_host(&fake);
	ck_assert_ok(vcore_vm_new(h, memory, NULL, &other));
	vcore_vm_unref(vm);
	vm = other;
	vcore_host_unref(h);
	ck_assert_int_eq(vcore_memory_add(memory, 0, region,
					  VCORE_MEMORY_READONLY),
			 -EOPNOTSUPP);
	ck_assert_uint_eq(slots(), 0);
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	ck_assert_ok(vcore_memory_remove(memory, 0));
}
END_TEST

START_TEST(test_slots_all_used_is_enospc_and_ids_are_reused)
{
	uint32_t i, id;

	for (i = 0; i < FAKE_SLOTS; i++)
		ck_assert_ok(vcore_memory_add(memory, (FAKE_SLOTS - i) * PAGE,
					      region, 0));
	ck_assert_int_eq(vcore_memory_add(memory, 0x100000, region, 0),
			 -ENOSPC);
	ck_assert_uint_eq(slots(), FAKE_SLOTS);
	ck_assert_ok(vcore_memory_remove(memory, 3 * PAGE));
	id = last()->slot;
	ck_assert_ok(vcore_memory_add(memory, 0x100000, region, 0));
	ck_assert_uint_eq(last()->slot, id);
	for (i = 0; i < FAKE_SLOTS; i++)
		if (i != FAKE_SLOTS - 3)
			ck_assert_ok(vcore_memory_remove(
				memory, (FAKE_SLOTS - i) * PAGE));
	ck_assert_ok(vcore_memory_remove(memory, 0x100000));
	ck_assert_uint_eq(slots(), 0);
}
END_TEST

START_TEST(test_slot_refused_by_kvm_changes_nothing)
{
	uint64_t gpa, len;
	uint32_t flags;

	fake.fail_request = KVM_SET_USER_MEMORY_REGION;
	fake.fail_error = EEXIST;
	ck_assert_int_eq(vcore_memory_add(memory, 0, region, 0), -EEXIST);
	ck_assert_uint_eq(slots(), 0);
	ck_assert_int_eq(vcore_memory_get_range(memory, 0, &gpa, &len, &flags),
			 -ENOENT);
	fake.fail_request = 0;
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	fake.fail_request = KVM_SET_USER_MEMORY_REGION;
	ck_assert_int_lt(vcore_memory_remove(memory, 0), 0);
	ck_assert_uint_eq(slots(), 1);
	fake.fail_request = 0;
	ck_assert_ok(vcore_memory_remove(memory, 0));
}
END_TEST

/* Pages that only Intel's real mode needs: a VM does without if it has to. */
static bool
is_vital(unsigned long request)
{
	return request != KVM_SET_IDENTITY_MAP_ADDR &&
	       request != KVM_SET_TSS_ADDR;
}

START_TEST(test_slots_of_what_was_mapped_before)
{
	uint32_t n, calls;
	int rc;

	vcore_vm_unref(vm);
	vm = NULL;
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	ck_assert_ok(vcore_memory_add(memory, PAGE, region, 0));
	/* Whatever is refused: no VM, and nothing is left over. */
	for (n = 1;; n++) {
		fake.failed = false;
		fake.fail_at = n;
		calls = fake.calls;
		rc = vcore_vm_new(host, memory, NULL, &vm);
		if (!fake.failed)
			break;
		if (!is_vital(fake.call[calls + n - 1].request)) {
			ck_assert_int_eq(rc, 0);
			vcore_vm_unref(vm);
			continue;
		}
		ck_assert_int_lt(rc, 0);
		ck_assert_uint_eq(fake.open, 1);
	}
	ck_assert_uint_gt(n, 2);
	fake.fail_at = 0;
	vcore_vm_unref(vm);
	ck_assert_uint_eq(fake.open, 1);
	ck_assert_ok(vcore_vm_new(host, memory, NULL, &vm));
	ck_assert_uint_eq(slots(), 2);
	fake_kvm_clear(&fake);
	vcore_vm_unref(vm);
	vm = NULL;
	/* The descriptor was closed: slots are not taken away one by one. */
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_ok(vcore_memory_remove(memory, 0));
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kvm/slots");
	TCase *t = tcase_create("slots");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_slot_of_a_region);
	tcase_add_test(t, test_slot_of_rom_is_readonly);
	tcase_add_test(t, test_slot_of_rom_without_capability_is_eopnotsupp);
	tcase_add_test(t, test_slots_all_used_is_enospc_and_ids_are_reused);
	tcase_add_test(t, test_slot_refused_by_kvm_changes_nothing);
	tcase_add_test(t, test_slots_of_what_was_mapped_before);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
