/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUID tables: masks, names, topology, on a fake KVM. */
#include "vcpu/arch/x86_64/cpuid.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>

#include "support/fake_vcpu.h"
#include "support/support.h"

static struct fake_vcpu f;
static struct vcore_cpuid *c;

static void
setup(void)
{
	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_KERNEL, 0, 0);
	ck_assert_ok(vcore_cpuid_new(f.host, &c));
}

static void
teardown(void)
{
	vcore_cpuid_free(c);
	fake_vcpu_free(&f);
}

/* What KVM was given. */
static const struct kvm_cpuid_entry2 *
given(uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < f.kvm.ncpuid; i++)
		if (f.kvm.cpuid[i].function == function &&
		    f.kvm.cpuid[i].index == index)
			return &f.kvm.cpuid[i];
	ck_abort_msg("leaf %#x, %u was not given", function, index);
	return NULL;
}

START_TEST(test_cpuid_new_bad_arguments)
{
	struct vcore_cpuid *out = NULL;
	struct vcore_cpuid_entry e;

	ck_assert_error(vcore_cpuid_new(NULL, &out), -EINVAL,
			"vcore_cpuid_new: host");
	ck_assert_error(vcore_cpuid_new(f.host, NULL), -EINVAL,
			"vcore_cpuid_new: cpuid");
	vcore_cpuid_free(NULL);
	ck_assert_uint_eq(vcore_cpuid_count(NULL), 0);
	ck_assert_error(vcore_cpuid_get(NULL, 0, 0, &e), -EINVAL,
			"vcore_cpuid_get");
	ck_assert_error(vcore_cpuid_get(c, 0, 0, NULL), -EINVAL,
			"vcore_cpuid_get");
	ck_assert_error(vcore_cpuid_at(NULL, 0, &e), -EINVAL,
			"vcore_cpuid_at");
	ck_assert_error(vcore_cpuid_set(NULL, &e), -EINVAL,
			"vcore_cpuid_set");
	ck_assert_error(vcore_cpuid_set(c, NULL), -EINVAL, "vcore_cpuid_set");
	ck_assert_error(vcore_cpuid_remove(NULL, 0, 0), -EINVAL,
			"vcore_cpuid_remove");
	ck_assert_error(vcore_cpuid_mask(NULL, 0, 0, 1, 1), -EINVAL,
			"vcore_cpuid_mask");
	ck_assert_error(vcore_cpuid_mask(c, 0, 0, 0, 1), -EINVAL,
			"vcore_cpuid_mask");
	ck_assert_error(vcore_cpuid_mask(c, 0, 0, 5, 1), -EINVAL,
			"vcore_cpuid_mask");
	ck_assert_error(vcore_cpuid_mask_feature(NULL, "sse"), -EINVAL,
			"vcore_cpuid_mask_feature");
	ck_assert_error(vcore_cpuid_mask_feature(c, NULL), -EINVAL,
			"vcore_cpuid_mask_feature");
}
END_TEST

START_TEST(test_cpuid_new_refused_by_kvm)
{
	struct vcore_cpuid *out = NULL;

	f.kvm.fail_request = KVM_GET_SUPPORTED_CPUID;
	f.kvm.fail_error = EINVAL;
	ck_assert_error(vcore_cpuid_new(f.host, &out), -EINVAL,
			"vcore_cpuid_new");
	/* Always too small: it does not grow for ever. */
	f.kvm.fail_error = E2BIG;
	ck_assert_error(vcore_cpuid_new(f.host, &out), -E2BIG,
			"vcore_cpuid_new");
	ck_assert_ptr_null(out);
}
END_TEST

START_TEST(test_cpuid_has_what_kvm_forgets_to_list)
{
	struct vcore_cpuid_entry e;

	ck_assert_ok(vcore_cpuid_get(c, 1, 0, &e));
	ck_assert_uint_eq(e.ecx >> 31, 1);	/* hypervisor */
	ck_assert_uint_eq(e.ecx >> 24 & 1, 1);	/* TSC deadline timer */
}
END_TEST

START_TEST(test_cpuid_get_set_remove)
{
	struct vcore_cpuid_entry e, n = { .function = 0x10, .index = 1,
					  .flags = 1, .eax = 7 };
	uint32_t i, count = vcore_cpuid_count(c);

	ck_assert_error(vcore_cpuid_get(c, 0x10, 1, &e), -ENOENT,
			"vcore_cpuid_get");
	ck_assert_ok(vcore_cpuid_set(c, &n));
	ck_assert_uint_eq(vcore_cpuid_count(c), count + 1);
	ck_assert_ok(vcore_cpuid_get(c, 0x10, 1, &e));
	ck_assert_mem_eq(&e, &n, sizeof(e));
	n.eax = 8;
	ck_assert_ok(vcore_cpuid_set(c, &n));
	ck_assert_ok(vcore_cpuid_at(c, count, &e));
	ck_assert_uint_eq(e.eax, 8);
	ck_assert_uint_eq(vcore_cpuid_count(c), count + 1);
	for (i = 2; i < 100; i++) {
		n.index = i;
		ck_assert_ok(vcore_cpuid_set(c, &n));
	}
	for (i = 1; i < 100; i++)
		ck_assert_ok(vcore_cpuid_remove(c, 0x10, i));
	ck_assert_error(vcore_cpuid_remove(c, 0x10, 1), -ENOENT,
			"vcore_cpuid_remove");
	ck_assert_uint_eq(vcore_cpuid_count(c), count);
	ck_assert_error(vcore_cpuid_at(c, count, &e), -ENOENT,
			"vcore_cpuid_at");
	/* A leaf without indices answers for each. */
	ck_assert_ok(vcore_cpuid_get(c, 1, 77, &e));
}
END_TEST

START_TEST(test_cpuid_set_bad_entries)
{
	struct vcore_cpuid_entry e = { .function = 4, .index = 9 };

	ck_assert_ok(vcore_cpuid_set(c, &e));
	e.flags = 2;
	ck_assert_error(vcore_cpuid_set(c, &e), -E2BIG, "vcore_cpuid_set");
	e.flags = 0;
	e.reserved = 1;
	ck_assert_error(vcore_cpuid_set(c, &e), -E2BIG, "vcore_cpuid_set");
	e.reserved = 0;
	e.function = 7;
	e.index = 0;
	ck_assert_error(vcore_cpuid_set(c, &e), -EINVAL, "vcore_cpuid_set");
}
END_TEST

START_TEST(test_cpuid_mask_each_register)
{
	struct vcore_cpuid_entry e = { .function = 0x99, .eax = 3, .ebx = 3,
				       .ecx = 3, .edx = 3 };
	uint32_t reg;

	ck_assert_ok(vcore_cpuid_set(c, &e));
	for (reg = VCORE_CPUID_EAX; reg <= VCORE_CPUID_EDX; reg++)
		ck_assert_ok(vcore_cpuid_mask(c, 0x99, 0, reg, 1));
	ck_assert_ok(vcore_cpuid_get(c, 0x99, 0, &e));
	ck_assert_uint_eq(e.eax, 2);
	ck_assert_uint_eq(e.ebx, 2);
	ck_assert_uint_eq(e.ecx, 2);
	ck_assert_uint_eq(e.edx, 2);
	ck_assert_error(vcore_cpuid_mask(c, 0x98, 0, 1, 1), -ENOENT,
			"vcore_cpuid_mask");
}
END_TEST

START_TEST(test_cpuid_mask_feature_by_name)
{
	struct vcore_cpuid_entry e;

	ck_assert_ok(vcore_cpuid_mask_feature(c, "avx512f"));
	ck_assert_ok(vcore_cpuid_mask_feature(c, "smap"));
	ck_assert_ok(vcore_cpuid_get(c, 7, 0, &e));
	ck_assert_uint_eq(e.ebx, ~(1u << 16 | 1u << 20));
	/* A leaf that is not there is as good as masked. */
	ck_assert_ok(vcore_cpuid_mask_feature(c, "xsaves"));
	ck_assert_error(vcore_cpuid_mask_feature(c, "avx9000"), -ENOENT,
			"vcore_cpuid_mask_feature");
	ck_assert_error(vcore_cpuid_mask_feature(c, ""), -ENOENT,
			"vcore_cpuid_mask_feature");
}
END_TEST

START_TEST(test_feature_names_and_bits_are_unique)
{
	const struct vcore__feature *a, *b;
	uint32_t i, j;

	for (i = 0; (a = vcore__feature_at(i)); i++) {
		ck_assert_uint_lt(a->bit, 32);
		ck_assert_uint_ge(a->reg, VCORE_CPUID_EAX);
		ck_assert_uint_le(a->reg, VCORE_CPUID_EDX);
		for (j = 0; j < i; j++) {
			b = vcore__feature_at(j);
			ck_assert_str_ne(a->name, b->name);
			ck_assert(a->function != b->function ||
				  a->index != b->index || a->reg != b->reg ||
				  a->bit != b->bit);
		}
	}
	ck_assert_uint_gt(i, 200);
	ck_assert_ptr_null(vcore__feature_at(i + 1));
}
END_TEST

/* Does this processor say that it has a feature? */
static bool
processor_has(const struct vcore__feature *feature)
{
	uint32_t r[VCORE_CPUID_EDX + 1] = {0};

	if (!__get_cpuid_count(feature->function, feature->index,
			       &r[VCORE_CPUID_EAX], &r[VCORE_CPUID_EBX],
			       &r[VCORE_CPUID_ECX], &r[VCORE_CPUID_EDX]))
		return false;
	return r[feature->reg] >> feature->bit & 1;
}

/*
 * A name means the bit that Linux means by it: what Linux shows of this machine
 * and we know, the processor has. Names that only Linux knows are its own
 * ("rep_good"), or of processors newer than the table.
 */
START_TEST(test_feature_names_of_this_machine)
{
	const struct vcore__feature *feature;
	char line[8192], *name, *rest;
	FILE *file = fopen("/proc/cpuinfo", "re");
	uint32_t known = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "flags", 5))
			break;
	fclose(file);
	/* valgrind makes up a processor. */
	if (strncmp(line, "flags", 5) || support_valgrind())
		return;
	rest = strchr(line, ':') + 1;
	while ((name = strtok_r(rest, " \n", &rest))) {
		feature = vcore__feature_find(name);
		/* Of Intel's, Linux says "vnmi" of VMX. */
		if (!feature || strcmp(name, "vnmi") == 0)
			continue;
		ck_assert_msg(processor_has(feature), "%s is another bit", name);
		known++;
	}
	ck_assert_uint_gt(known, 40);
}
END_TEST

START_TEST(test_set_cpuid_topology_of_three)
{
	struct vcore_vcpu *v;

	ck_assert_ok(vcore_vcpu_new(f.vm, 2, NULL, &v));
	ck_assert_ok(vcore_vcpu_set_cpuid(v, c, 3));
	/* APIC id 2, three logical processors, HTT */
	ck_assert_uint_eq(given(1, 0)->ebx >> 24, 2);
	ck_assert_uint_eq(given(1, 0)->ebx >> 16 & 0xff, 3);
	ck_assert_uint_eq(given(1, 0)->edx >> 28 & 1, 1);
	/* first level is one core's, third is everybody's */
	ck_assert_uint_eq(given(4, 0)->eax >> 14 & 0xfff, 0);
	ck_assert_uint_eq(given(4, 3)->eax >> 14 & 0xfff, 2);
	ck_assert_uint_eq(given(4, 3)->eax >> 26, 2);
	/* threads: one; cores: three, two bits of the id; end */
	ck_assert_uint_eq(given(0xb, 0)->eax, 0);
	ck_assert_uint_eq(given(0xb, 0)->ebx, 1);
	ck_assert_uint_eq(given(0xb, 0)->ecx, 0x100);
	ck_assert_uint_eq(given(0xb, 0)->edx, 2);
	ck_assert_uint_eq(given(0xb, 1)->eax, 2);
	ck_assert_uint_eq(given(0xb, 1)->ebx, 3);
	ck_assert_uint_eq(given(0xb, 1)->ecx, 0x201);
	ck_assert_uint_eq(given(0xb, 1)->edx, 2);
	ck_assert_uint_eq(given(0x1f, 1)->ebx, 3);
	ck_assert_uint_eq(given(0x80000001, 0)->ecx & 2, 2);
	ck_assert_uint_eq(given(0x80000008, 0)->ecx & 0xff, 2);
	ck_assert_uint_eq(given(0x80000008, 0)->ecx >> 12, 2);
	ck_assert_uint_eq(given(0x8000001d, 3)->eax >> 14 & 0xfff, 2);
	ck_assert_uint_eq(given(0x8000001e, 0)->eax, 2);
	ck_assert_uint_eq(given(0x8000001e, 0)->ebx, 2);
	ck_assert_uint_eq(given(0x8000001e, 0)->ecx, 0);
	/* KVM's own leaf is as it was. */
	ck_assert_uint_eq(given(0x40000001, 0)->eax, 0xff);
	vcore_vcpu_unref(v);
}
END_TEST

START_TEST(test_set_cpuid_of_one)
{
	ck_assert_ok(vcore_vcpu_set_cpuid(f.vcpu, c, 1));
	ck_assert_uint_eq(given(1, 0)->edx >> 28 & 1, 0);
	ck_assert_uint_eq(given(0xb, 1)->eax, 0);
	ck_assert_uint_eq(given(0xb, 1)->ebx, 1);
	ck_assert_uint_eq(given(0x80000001, 0)->ecx & 2, 0);
	ck_assert_uint_eq(given(1, 0)->ecx >> 21 & 1, 1);
}
END_TEST

START_TEST(test_set_cpuid_errors)
{
	ck_assert_error(vcore_vcpu_set_cpuid(NULL, c, 1), -EINVAL,
			"vcore_vcpu_set_cpuid");
	ck_assert_error(vcore_vcpu_set_cpuid(f.vcpu, NULL, 1), -EINVAL,
			"vcore_vcpu_set_cpuid");
	ck_assert_error(vcore_vcpu_set_cpuid(f.vcpu, c, 0), -EINVAL,
			"vcore_vcpu_set_cpuid");
	ck_assert_error(vcore_vcpu_set_cpuid(f.vcpu, c, FAKE_VCPUS + 1),
			-EINVAL, "vcore_vcpu_set_cpuid");
	f.kvm.fail_request = KVM_SET_CPUID2;
	f.kvm.fail_error = EINVAL;
	ck_assert_error(vcore_vcpu_set_cpuid(f.vcpu, c, 1), -EINVAL,
			"vcore_vcpu_set_cpuid");
}
END_TEST

START_TEST(test_set_cpuid_without_apic_hides_its_features)
{
	struct fake_vcpu bare;
	uint32_t i;

	fake_vcpu_new(&bare, VCORE_VM_IRQCHIP_NONE, 0, 0);
	ck_assert_ok(vcore_vcpu_set_cpuid(bare.vcpu, c, 1));
	for (i = 0; i < bare.kvm.ncpuid; i++)
		if (bare.kvm.cpuid[i].function == 1)
			ck_assert_uint_eq(bare.kvm.cpuid[i].ecx &
						  (1u << 21 | 1u << 24),
					  0);
	fake_vcpu_free(&bare);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/cpuid");
	TCase *t = tcase_create("cpuid");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_cpuid_new_bad_arguments);
	tcase_add_test(t, test_cpuid_new_refused_by_kvm);
	tcase_add_test(t, test_cpuid_has_what_kvm_forgets_to_list);
	tcase_add_test(t, test_cpuid_get_set_remove);
	tcase_add_test(t, test_cpuid_set_bad_entries);
	tcase_add_test(t, test_cpuid_mask_each_register);
	tcase_add_test(t, test_cpuid_mask_feature_by_name);
	tcase_add_test(t, test_feature_names_and_bits_are_unique);
	tcase_add_test(t, test_feature_names_of_this_machine);
	tcase_add_test(t, test_set_cpuid_topology_of_three);
	tcase_add_test(t, test_set_cpuid_of_one);
	tcase_add_test(t, test_set_cpuid_errors);
	tcase_add_test(t, test_set_cpuid_without_apic_hides_its_features);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
