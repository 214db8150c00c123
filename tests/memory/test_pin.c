/* SPDX-License-Identifier: BSD-3-Clause */
/* Pins: what they keep, who waits for them, and for whom not. */
#include "memory/map.h"

#include <pthread.h>
#include <sched.h>

#include "memory/common.h"

#define FOREVER 60000000000ull

static struct vcore_memory *memory;
static struct vcore__memory_user user;
static struct iovec iov;

static void
setup_with(uint64_t timeout)
{
	memory = make_memory(timeout);
	add(memory, PAGE, PAGE, 0);
	add(memory, 8 * PAGE, PAGE, 0);
	ck_assert_int_eq(vcore__memory_user_init(&user, memory), 0);
}

static void
setup(void)
{
	setup_with(FOREVER);
}

static void
setup_short(void)
{
	setup_with(5000000);
}

static void
teardown(void)
{
	vcore__memory_user_fini(&user);
	vcore_memory_unref(memory);
}

/* A removal on a thread of its own. */
struct removal {
	pthread_t thread;
	uint64_t gpa;
	int rc;
	_Atomic int over;
};

static void *
removal_thread(void *arg)
{
	struct removal *r = arg;

	r->rc = vcore_memory_remove(memory, r->gpa);
	atomic_store(&r->over, 1);
	return NULL;
}

static void
removal_start(struct removal *r, uint64_t gpa)
{
	r->gpa = gpa;
	atomic_init(&r->over, 0);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, removal_thread, r),
			 0);
}

static int
removal_join(struct removal *r)
{
	pthread_join(r->thread, NULL);
	return r->rc;
}

/* Until the removal waits for pins of the old phase. */
static void
wait_for_phase(uint32_t old)
{
	while (atomic_load(&memory->phase) == old)
		sched_yield();
}

static uint32_t
user_pin(uint64_t gpa)
{
	uint32_t phase;

	vcore__memory_enter(&user);
	ck_assert_int_eq(vcore__memory_iov(&user, gpa, 1, true, &iov, 1), 1);
	phase = vcore__memory_pin(&user);
	vcore__memory_exit(&user);
	return phase;
}

START_TEST(test_removal_waits_for_a_users_pin)
{
	struct removal r;
	uint32_t phase = user_pin(PAGE);

	removal_start(&r, PAGE);
	wait_for_phase(phase);
	/* Nobody finds it any more, but whoever has it may use it. */
	vcore__memory_enter(&user);
	ck_assert_ptr_null(vcore__memory_hva(&user, PAGE, 1, false));
	vcore__memory_exit(&user);
	*(volatile char *)iov.iov_base = 1;
	ck_assert_int_eq(atomic_load(&r.over), 0);
	vcore__memory_unpin(&user, phase);
	ck_assert_int_eq(removal_join(&r), 0);
}
END_TEST

START_TEST(test_removal_waits_for_a_public_pin)
{
	struct vcore_pin pin;
	struct removal r;

	ck_assert_int_eq(vcore_memory_pin(memory, PAGE, PAGE, VCORE_PIN_WRITE,
					  &iov, 1, &pin), 1);
	removal_start(&r, PAGE);
	wait_for_phase(0);
	*(volatile char *)iov.iov_base = 1;
	ck_assert_int_eq(atomic_load(&r.over), 0);
	vcore_memory_unpin(memory, &pin);
	ck_assert_int_eq(removal_join(&r), 0);
}
END_TEST

START_TEST(test_removal_waits_for_a_section)
{
	uint64_t generation;
	struct removal r;
	VCORE__GUEST_PTR *p;

	vcore__memory_enter(&user);
	vcore__memory_enter(&user);	/* nested */
	generation = vcore__memory_generation(&user);
	p = vcore__memory_hva(&user, PAGE, 8, true);
	removal_start(&r, PAGE);
	while (vcore__memory_generation(&user) == generation)
		sched_yield();
	vcore__memory_exit(&user);
	vcore__guest_store64(p, 1);
	ck_assert_int_eq(atomic_load(&r.over), 0);
	vcore__memory_exit(&user);
	ck_assert_int_eq(removal_join(&r), 0);
}
END_TEST

/* A busy device can't hold a removal up for ever. */
START_TEST(test_removal_does_not_wait_for_newer_pins)
{
	uint32_t old = user_pin(PAGE), newer;
	struct removal r;

	removal_start(&r, PAGE);
	wait_for_phase(old);
	newer = user_pin(8 * PAGE);
	ck_assert_uint_ne(newer, old);
	vcore__memory_unpin(&user, old);
	ck_assert_int_eq(removal_join(&r), 0);
	vcore__memory_unpin(&user, newer);
}
END_TEST

START_TEST(test_adding_waits_for_nobody)
{
	uint32_t phase = user_pin(PAGE);

	vcore__memory_enter(&user);
	add(memory, 64 * PAGE, PAGE, 0);
	vcore__memory_exit(&user);
	vcore__memory_unpin(&user, phase);
}
END_TEST

START_TEST(test_timeout_names_the_pins_and_keeps_the_region)
{
	uint32_t phase = user_pin(PAGE);

	ck_assert_error(vcore_memory_remove(memory, PAGE), -ETIMEDOUT,
			"vcore_memory_remove: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "1 pins"));
	ck_assert_ok(vcore_memory_read(memory, PAGE, &(char){ 0 }, 1));
	vcore__memory_unpin(&user, phase);
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
}
END_TEST

START_TEST(test_timeout_names_a_reader)
{
	vcore__memory_enter(&user);
	ck_assert_error(vcore_memory_remove(memory, PAGE), -ETIMEDOUT,
			"vcore_memory_remove: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "reader"));
	vcore__memory_exit(&user);
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
}
END_TEST

/* Removals that gave up leave pins in both phases. */
START_TEST(test_pins_of_both_phases_are_waited_for)
{
	uint32_t first = user_pin(PAGE), second;

	ck_assert_int_eq(vcore_memory_remove(memory, PAGE), -ETIMEDOUT);
	second = user_pin(PAGE);
	ck_assert_uint_ne(first, second);
	ck_assert_int_eq(vcore_memory_remove(memory, PAGE), -ETIMEDOUT);
	vcore__memory_unpin(&user, second);
	ck_assert_int_eq(vcore_memory_remove(memory, PAGE), -ETIMEDOUT);
	vcore__memory_unpin(&user, first);
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
}
END_TEST

START_TEST(test_pins_of_every_user_count)
{
	struct vcore__memory_user other;
	uint32_t phase;

	ck_assert_int_eq(vcore__memory_user_init(&other, memory), 0);
	vcore__memory_enter(&other);
	phase = vcore__memory_pin(&other);
	vcore__memory_exit(&other);
	ck_assert_int_eq(vcore_memory_remove(memory, PAGE), -ETIMEDOUT);
	vcore__memory_unpin(&other, phase);
	vcore__memory_user_fini(&other);
	vcore__memory_user_fini(&other);	/* no-op */
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
}
END_TEST

START_TEST(test_pin_refusals_take_nothing)
{
	struct vcore_pin pin = { { 1, 2, 3, 4 } };

	ck_assert_error(vcore_memory_pin(NULL, PAGE, 1, 0, &iov, 1, &pin),
			-EINVAL, "vcore_memory_pin: ");
	ck_assert_error(vcore_memory_pin(memory, PAGE, 1, 0, NULL, 1, &pin),
			-EINVAL, "vcore_memory_pin: ");
	ck_assert_error(vcore_memory_pin(memory, PAGE, 1, 0, &iov, 1, NULL),
			-EINVAL, "vcore_memory_pin: ");
	ck_assert_error(vcore_memory_pin(memory, PAGE, 1, 2, &iov, 1, &pin),
			-E2BIG, "vcore_memory_pin: ");
	ck_assert_error(vcore_memory_pin(memory, 0, 1, 0, &iov, 1, &pin),
			-EFAULT, "vcore_memory_pin: ");
	ck_assert_error(vcore_memory_pin(memory, PAGE, 1, 0, &iov, 0, &pin),
			-ENOSPC, "vcore_memory_pin: ");
	ck_assert_uint_eq(pin.opaque[0], 1);
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
}
END_TEST

START_TEST(test_unpin_twice_or_elsewhere_is_a_noop)
{
	struct vcore_memory *other = make_memory(0);
	struct vcore_pin pin, copy;

	ck_assert_int_eq(vcore_memory_pin(memory, PAGE, 1, 0, &iov, 1, &pin),
			 1);
	copy = pin;
	vcore_memory_unpin(other, &copy);
	vcore_memory_unpin(NULL, &copy);
	vcore_memory_unpin(memory, NULL);
	ck_assert_int_eq(vcore_memory_remove(memory, PAGE), -ETIMEDOUT);
	vcore_memory_unpin(memory, &pin);
	vcore_memory_unpin(memory, &pin);
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
	vcore_memory_unref(other);
}
END_TEST

/* A request outlives the object that the embedder let go of. */
START_TEST(test_caller_mapping_is_released_after_the_last_pin)
{
	struct vcore_region *r = make_caller(PAGE);
	struct vcore_pin pin;
	struct removal remove;

	ck_assert_ok(vcore_memory_add(memory, 32 * PAGE, r, 0));
	vcore_region_unref(r);
	ck_assert_int_eq(vcore_memory_pin(memory, 32 * PAGE, 1, 0, &iov, 1,
					  &pin), 1);
	removal_start(&remove, 32 * PAGE);
	wait_for_phase(0);
	ck_assert_int_eq(caller_released, 0);
	vcore_memory_unpin(memory, &pin);
	ck_assert_int_eq(removal_join(&remove), 0);
	ck_assert_int_eq(caller_released, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pin");
	TCase *tc = tcase_create("patient");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_removal_waits_for_a_users_pin);
	tcase_add_test(tc, test_removal_waits_for_a_public_pin);
	tcase_add_test(tc, test_removal_waits_for_a_section);
	tcase_add_test(tc, test_removal_does_not_wait_for_newer_pins);
	tcase_add_test(tc, test_adding_waits_for_nobody);
	tcase_add_test(tc, test_pin_refusals_take_nothing);
	tcase_add_test(tc, test_caller_mapping_is_released_after_the_last_pin);
	suite_add_tcase(s, tc);

	tc = tcase_create("impatient");
	tcase_add_checked_fixture(tc, setup_short, teardown);
	tcase_add_test(tc, test_timeout_names_the_pins_and_keeps_the_region);
	tcase_add_test(tc, test_timeout_names_a_reader);
	tcase_add_test(tc, test_pins_of_both_phases_are_waited_for);
	tcase_add_test(tc, test_pins_of_every_user_count);
	tcase_add_test(tc, test_unpin_twice_or_elsewhere_is_a_noop);
	suite_add_tcase(s, tc);
	return support_run(s);
}
