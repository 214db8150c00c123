/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/event.c. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"
#include "base/event.h"
#include "support/support.h"

#define POSTS	2000
#define THREADS 3

static struct vcore_events *events;

static void
setup(void)
{
	ck_assert_ok(vcore_events_new(NULL, &events));
}

static void
teardown(void)
{
	vcore_events_unref(events);
}

static struct vcore_event
event_of(const char *object, uint32_t kind, uint64_t value)
{
	struct vcore_event e;

	VCORE_INIT(&e);
	e.kind = kind;
	e.value[0] = value;
	snprintf(e.object, sizeof(e.object), "%s", object);
	return e;
}

static int
post(const char *object, uint32_t kind, uint64_t value)
{
	struct vcore_event e = event_of(object, kind, value);

	return vcore_events_post(events, &e);
}

static int
next(struct vcore_event *e)
{
	VCORE_INIT(e);
	return vcore_events_next(events, e);
}

static int
readable(void)
{
	return support_readable(vcore_events_fd(events));
}

START_TEST(test_new_bad_options_return_the_documented_errors)
{
	struct vcore_events *e = NULL;
	struct vcore_events_opts opts;

	VCORE_INIT(&opts);
	ck_assert_error(vcore_events_new(&opts, NULL), -EINVAL,
			"vcore_events_new:");
	opts.capacity = 4097;
	ck_assert_error(vcore_events_new(&opts, &e), -EINVAL,
			"vcore_events_new:");
	opts.capacity = 0;
	opts.flags = 1;
	ck_assert_error(vcore_events_new(&opts, &e), -E2BIG,
			"vcore_events_new:");
	opts.flags = 0;
	opts.reserved0 = 1;
	ck_assert_error(vcore_events_new(&opts, &e), -E2BIG,
			"vcore_events_new:");
	opts.size = 3;
	ck_assert_error(vcore_events_new(&opts, &e), -EINVAL,
			"vcore_events_new:");
	ck_assert_ptr_null(e);
}
END_TEST

START_TEST(test_new_with_each_step_failing_leaks_nothing)
{
	struct vcore_events *e = NULL;
	int before = support_open_fds();
	bool failed = true;
	unsigned int n;
	int rc;

	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_events_new(NULL, &e);
		failed = fail_stop();
		if (!failed)
			break;
		ck_assert_error(rc, n == 1 ? -ENOMEM : -EMFILE,
				"vcore_events_new:");
		ck_assert_ptr_null(e);
		ck_assert_int_eq(support_open_fds(), before);
	}
	ck_assert_uint_eq(n, 3);
	vcore_events_unref(e);
	ck_assert_int_eq(support_open_fds(), before);
}
END_TEST

START_TEST(test_empty_queue_has_nothing_and_is_not_readable)
{
	struct vcore_event e;

	ck_assert_int_eq(next(&e), 0);
	ck_assert_uint_eq(e.kind, 0);
	ck_assert(!readable());
}
END_TEST

START_TEST(test_posted_event_is_read_once)
{
	struct vcore_event e = event_of("block0", VCORE_EVENT_DISK_ERROR, 5);

	snprintf(e.text, sizeof(e.text), "read failed");
	e.value[3] = 9;
	e.count = 77;
	ck_assert_ok(vcore_events_post(events, &e));
	ck_assert(readable());
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_DISK_ERROR);
	ck_assert_uint_eq(e.count, 1);
	ck_assert_uint_eq(e.value[0], 5);
	ck_assert_uint_eq(e.value[3], 9);
	ck_assert_str_eq(e.object, "block0");
	ck_assert_str_eq(e.text, "read failed");
	ck_assert(!readable());
	ck_assert_int_eq(next(&e), 0);
}
END_TEST

START_TEST(test_same_object_and_kind_coalesce_with_the_newest_values)
{
	struct vcore_event e;

	ck_assert_ok(post("vcpu0", VCORE_EVENT_RESET, 1));
	ck_assert_ok(post("vcpu1", VCORE_EVENT_RESET, 2));
	ck_assert_ok(post("vcpu0", VCORE_EVENT_RESET, 3));
	ck_assert_ok(post("vcpu0", VCORE_EVENT_PANIC, 4));
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "vcpu0");
	ck_assert_uint_eq(e.count, 2);
	ck_assert_uint_eq(e.value[0], 3);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "vcpu1");
	ck_assert_uint_eq(e.count, 1);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_PANIC);
	ck_assert_int_eq(next(&e), 0);
}
END_TEST

START_TEST(test_a_read_event_does_not_coalesce_with_a_later_one)
{
	struct vcore_event e;

	ck_assert_ok(post("vcpu0", VCORE_EVENT_RESET, 1));
	ck_assert_int_eq(next(&e), 1);
	ck_assert_ok(post("vcpu0", VCORE_EVENT_RESET, 2));
	ck_assert(readable());
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.count, 1);
}
END_TEST

START_TEST(test_full_queue_returns_enospc_and_tells_the_reader)
{
	struct vcore_events_opts opts;
	struct vcore_event e;

	vcore_events_unref(events);
	VCORE_INIT(&opts);
	opts.capacity = 2;
	ck_assert_ok(vcore_events_new(&opts, &events));
	ck_assert_ok(post("a", VCORE_EVENT_USER, 0));
	ck_assert_ok(post("b", VCORE_EVENT_USER, 0));
	ck_assert_error(post("c", VCORE_EVENT_USER, 0), -ENOSPC,
			"vcore_events_post:");
	ck_assert_error(post("d", VCORE_EVENT_USER, 0), -ENOSPC,
			"vcore_events_post:");
	/* Merging needs no room. */
	ck_assert_ok(post("b", VCORE_EVENT_USER, 0));
	ck_assert_int_eq(next(&e), 1);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.count, 2);
	ck_assert(readable());
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_LOST);
	ck_assert_uint_eq(e.count, 2);
	ck_assert(!readable());
	ck_assert_int_eq(next(&e), 0);
	ck_assert_ok(post("c", VCORE_EVENT_USER, 0));
	ck_assert_int_eq(next(&e), 1);
}
END_TEST

static void
fill(uint32_t capacity, uint32_t kind)
{
	struct vcore_events_opts opts;
	char name[16];

	vcore_events_unref(events);
	VCORE_INIT(&opts);
	opts.capacity = capacity;
	ck_assert_ok(vcore_events_new(&opts, &events));
	for (uint32_t i = 0; i < capacity; i++) {
		snprintf(name, sizeof(name), "o%u", i);
		ck_assert_ok(post(name, kind, i));
	}
}

START_TEST(test_what_asks_takes_the_place_of_what_tells)
{
	static const uint32_t asks[] = {
		VCORE_EVENT_RESET, VCORE_EVENT_POWEROFF, VCORE_EVENT_SHUTDOWN,
		VCORE_EVENT_VCPU_ERROR, VCORE_EVENT_STOP,
	};
	struct vcore_event e;
	size_t i;

	fill(8, VCORE_EVENT_USER);
	/* Two of the first one count as two lost. */
	ck_assert_ok(post("o0", VCORE_EVENT_USER, 0));
	for (i = 0; i < VCORE__ARRAY_SIZE(asks); i++)
		ck_assert_ok(post("x", asks[i], i));
	ck_assert_error(post("y", VCORE_EVENT_PANIC, 0), -ENOSPC,
			"vcore_events_post:");
	for (i = 5; i < 8; i++) {
		ck_assert_int_eq(next(&e), 1);
		ck_assert_uint_eq(e.kind, VCORE_EVENT_USER);
		ck_assert_uint_eq(e.value[0], i);
	}
	for (i = 0; i < VCORE__ARRAY_SIZE(asks); i++) {
		ck_assert_int_eq(next(&e), 1);
		ck_assert_uint_eq(e.kind, asks[i]);
		ck_assert_uint_eq(e.value[0], i);
	}
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_LOST);
	ck_assert_uint_eq(e.count, 7);
	ck_assert_int_eq(next(&e), 0);
}
END_TEST

START_TEST(test_what_asks_does_not_replace_its_like)
{
	struct vcore_event e;

	fill(2, VCORE_EVENT_RESET);
	ck_assert_error(post("x", VCORE_EVENT_STOP, 0), -ENOSPC,
			"vcore_events_post:");
	ck_assert_ok(post("o1", VCORE_EVENT_RESET, 7));
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "o0");
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "o1");
	ck_assert_uint_eq(e.count, 2);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_LOST);
	ck_assert_uint_eq(e.count, 1);
}
END_TEST

START_TEST(test_stop_in_a_signal_handler_comes_through_a_full_queue)
{
	struct vcore__event_slot slot;
	struct vcore_event e;

	fill(2, VCORE_EVENT_USER);
	vcore__event_slot_init(&slot, VCORE_EVENT_STOP, "machine", NULL);
	vcore__events_post_signal(events, &slot, 0, 0);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "o1");
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_STOP);
	vcore__event_slot_fini(events, &slot);
}
END_TEST

START_TEST(test_ring_wraps_many_times_in_order)
{
	struct vcore_event e;
	char name[16];
	uint64_t i, read = 0;

	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "o%llu", (unsigned long long)i);
		ck_assert_ok(post(name, VCORE_EVENT_USER, i));
		if (i % 3 == 0)
			continue;
		ck_assert_int_eq(next(&e), 1);
		ck_assert_uint_eq(e.value[0], read++);
		if (i % 3 == 2 && next(&e) == 1)
			ck_assert_uint_eq(e.value[0], read++);
	}
	while (next(&e) == 1)
		ck_assert_uint_eq(e.value[0], read++);
	ck_assert_uint_eq(read, 500);
}
END_TEST

START_TEST(test_post_bad_arguments_return_the_documented_errors)
{
	struct vcore_event e = event_of("x", VCORE_EVENT_USER, 0);
	struct {
		struct vcore_event known;
		uint64_t later;
	} longer = { .known = e, .later = 1 };

	ck_assert_error(vcore_events_post(NULL, &e), -EINVAL,
			"vcore_events_post:");
	ck_assert_error(vcore_events_post(events, NULL), -EINVAL,
			"vcore_events_post:");
	e.kind = 0;
	ck_assert_error(vcore_events_post(events, &e), -EINVAL,
			"vcore_events_post:");
	e.kind = VCORE_EVENT_USER;
	memset(e.object, 'x', sizeof(e.object));
	ck_assert_error(vcore_events_post(events, &e), -EINVAL,
			"vcore_events_post:");
	e.object[31] = '\0';
	memset(e.text, 'x', sizeof(e.text));
	ck_assert_error(vcore_events_post(events, &e), -EINVAL,
			"vcore_events_post:");
	e.text[159] = '\0';
	e.size = 8;
	ck_assert_error(vcore_events_post(events, &e), -EINVAL,
			"vcore_events_post:");
	longer.known.size = sizeof(longer);
	ck_assert_error(vcore_events_post(events, &longer.known), -E2BIG,
			"vcore_events_post:");
	ck_assert(!readable());
}
END_TEST

START_TEST(test_next_bad_arguments_return_einval_and_keep_the_event)
{
	struct vcore_event e;

	ck_assert_ok(post("x", VCORE_EVENT_USER, 1));
	VCORE_INIT(&e);
	ck_assert_error(vcore_events_next(NULL, &e), -EINVAL,
			"vcore_events_next:");
	ck_assert_error(vcore_events_next(events, NULL), -EINVAL,
			"vcore_events_next:");
	e.size = 0;
	ck_assert_error(vcore_events_next(events, &e), -EINVAL,
			"vcore_events_next:");
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.value[0], 1);
}
END_TEST

START_TEST(test_next_fills_a_longer_struct_up_to_what_is_known)
{
	struct {
		struct vcore_event known;
		uint64_t later;
	} longer = { .later = 7 };

	ck_assert_ok(post("x", VCORE_EVENT_USER, 1));
	longer.known.size = sizeof(longer);
	ck_assert_int_eq(vcore_events_next(events, &longer.known), 1);
	ck_assert_uint_eq(longer.known.size, sizeof(struct vcore_event));
	ck_assert_uint_eq(longer.later, 7);
}
END_TEST

START_TEST(test_null_handles)
{
	ck_assert_error(vcore_events_fd(NULL), -EINVAL, "vcore_events_fd:");
	ck_assert_ptr_null(vcore_events_ref(NULL));
	vcore_events_unref(NULL);
	ck_assert_ptr_eq(vcore_events_ref(events), events);
	vcore_events_unref(events);
	ck_assert_ok(post("x", VCORE_EVENT_USER, 1));
}
END_TEST

START_TEST(test_signal_post_arrives_like_any_other)
{
	struct vcore__event_slot slot;
	struct vcore_event e;

	vcore__event_slot_init(&slot, VCORE_EVENT_MEMORY_FAULT, "ram0", "lost");
	vcore__events_post_signal(events, &slot, 1, 2);
	ck_assert(readable());
	vcore__events_post_signal(events, &slot, 3, 4);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.kind, VCORE_EVENT_MEMORY_FAULT);
	ck_assert_uint_eq(e.count, 2);
	ck_assert_uint_eq(e.value[0], 3);
	ck_assert_uint_eq(e.value[1], 4);
	ck_assert_str_eq(e.object, "ram0");
	ck_assert_str_eq(e.text, "lost");
	ck_assert(!readable());
	vcore__events_post_signal(events, &slot, 5, 6);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.value[0], 5);
	vcore__event_slot_fini(events, &slot);
}
END_TEST

START_TEST(test_signal_posts_come_in_order_and_merge_with_waiting_ones)
{
	struct vcore__event_slot one, two;
	struct vcore_event e;

	vcore__event_slot_init(&one, VCORE_EVENT_USER, "one", NULL);
	vcore__event_slot_init(&two, VCORE_EVENT_USER, "two", NULL);
	ck_assert_ok(post("two", VCORE_EVENT_USER, 0));
	vcore__events_post_signal(events, &one, 1, 0);
	vcore__events_post_signal(events, &two, 2, 0);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "two");
	ck_assert_uint_eq(e.count, 2);
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "one");
	ck_assert_int_eq(next(&e), 0);
}
END_TEST

START_TEST(test_slot_can_go_before_its_event_is_read)
{
	struct vcore__event_slot slot;
	struct vcore_event e;

	vcore__event_slot_init(&slot, VCORE_EVENT_USER, "gone", "bye");
	vcore__events_post_signal(events, &slot, 1, 0);
	vcore__event_slot_fini(events, &slot);
	memset(&slot, 0xff, sizeof(slot));
	ck_assert(readable());
	ck_assert_int_eq(next(&e), 1);
	ck_assert_str_eq(e.object, "gone");
}
END_TEST

START_TEST(test_slot_text_too_long_is_cut)
{
	struct vcore__event_slot slot;
	char longer[300];

	memset(longer, 'z', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	vcore__event_slot_init(&slot, VCORE_EVENT_USER, longer, longer);
	ck_assert_uint_eq(strlen(slot.object), 31);
	ck_assert_uint_eq(strlen(slot.text), 159);
}
END_TEST

static struct vcore__event_slot signal_slot;

static void
on_signal(int number)
{
	(void)number;
	vcore__events_post_signal(events, &signal_slot, 1, 0);
}

/* The handler interrupts posts and reads that hold the mutex. */
START_TEST(test_handler_may_interrupt_post_and_next)
{
	struct sigaction sa = { .sa_handler = on_signal };
	uint64_t sum = 0;
	struct vcore_event e;
	timer_t timer;
	struct itimerspec often = { .it_interval.tv_nsec = 200000,
				    .it_value.tv_nsec = 200000 };
	int i;

	vcore__event_slot_init(&signal_slot, VCORE_EVENT_USER, "signal", NULL);
	sigaction(SIGALRM, &sa, NULL);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
	for (i = 0; i < 5 * POSTS; i++) {
		ck_assert_ok(post("main", VCORE_EVENT_USER, 0));
		while (next(&e) == 1)
			sum += strcmp(e.object, "main") ? 0 : e.count;
	}
	timer_delete(timer);
	ck_assert_uint_eq(sum, 5 * POSTS);
	vcore__event_slot_fini(events, &signal_slot);
}
END_TEST

static void *
post_many(void *arg)
{
	struct vcore__event_slot *slot = arg;
	int i;

	for (i = 0; i < POSTS; i++) {
		vcore__events_post_signal(events, slot, 0, 0);
		ck_assert_ok(post("shared", VCORE_EVENT_USER, 0));
	}
	return NULL;
}

START_TEST(test_stress_every_post_is_counted_once)
{
	struct vcore__event_slot own[THREADS], *slots = own;
	uint64_t shared = 0, slotted = 0;
	pthread_t thread[THREADS];
	struct vcore_event e;
	int i;

	/* Two threads share a slot, one has its own. */
	vcore__event_slot_init(&slots[0], VCORE_EVENT_USER, "slot0", NULL);
	vcore__event_slot_init(&slots[1], VCORE_EVENT_USER, "slot1", NULL);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, post_many, &slots[i / 2]);
	/* Only woken by the descriptor, so a lost wake-up hangs the test. */
	while (shared < THREADS * POSTS || slotted < THREADS * POSTS) {
		ck_assert(support_wait_readable(vcore_events_fd(events)));
		while (next(&e) == 1) {
			if (strcmp(e.object, "shared") == 0)
				shared += e.count;
			else
				slotted += e.count;
		}
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(next(&e), 0);
	ck_assert_uint_eq(shared, THREADS * POSTS);
	ck_assert_uint_eq(slotted, THREADS * POSTS);
}
END_TEST

/*
 * A slot that is posted again the moment its event was read: the post meets
 * the reader's look at the empty queue. Nobody else wakes the reader.
 */
static _Atomic int taken;

static void *
post_when_taken(void *arg)
{
	int i, spins = 0;

	for (i = 0; i < 10 * POSTS; i++) {
		while (atomic_load(&taken) != i)
			if (++spins % 1000 == 0)
				sched_yield();
		vcore__events_post_signal(events, arg, 0, 0);
	}
	return NULL;
}

START_TEST(test_race_of_signal_post_and_empty_queue_loses_no_wake_up)
{
	struct vcore__event_slot slot;
	struct vcore_event e;
	pthread_t thread;

	vcore__event_slot_init(&slot, VCORE_EVENT_USER, "slot", NULL);
	pthread_create(&thread, NULL, post_when_taken, &slot);
	while (atomic_load(&taken) < 10 * POSTS) {
		ck_assert(support_wait_readable(vcore_events_fd(events)));
		while (next(&e) == 1)
			atomic_fetch_add(&taken, (int)e.count);
	}
	pthread_join(thread, NULL);
	vcore__event_slot_fini(events, &slot);
}
END_TEST

START_TEST(test_forget_takes_out_one_kind_and_keeps_the_order)
{
	struct vcore_event e;

	/* So that the ring wraps in the middle. */
	for (uint64_t i = 0; i < 60; i++) {
		ck_assert_ok(post("x", 1, i));
		ck_assert_int_eq(next(&e), 1);
	}
	for (uint64_t i = 0; i < 9; i++) {
		char name[8];

		snprintf(name, sizeof(name), "o%d", (int)i);
		ck_assert_ok(post(name, i % 3 == 1 ? 7 : 8, i));
	}
	vcore__events_forget(events, 7);
	for (uint64_t i = 0; i < 9; i++) {
		if (i % 3 == 1)
			continue;
		ck_assert_int_eq(next(&e), 1);
		ck_assert_uint_eq(e.kind, 8);
		ck_assert_uint_eq(e.value[0], i);
	}
	ck_assert_int_eq(next(&e), 0);
}
END_TEST

START_TEST(test_forget_the_last_one_makes_it_unreadable)
{
	struct vcore__event_slot slot;
	struct vcore_event e;

	vcore__event_slot_init(&slot, 7, "slot", NULL);
	ck_assert_ok(post("x", 7, 1));
	vcore__events_post_signal(events, &slot, 0, 0);
	ck_assert(readable());
	vcore__events_forget(events, 7);
	ck_assert(!readable());
	ck_assert_int_eq(next(&e), 0);
	vcore__events_forget(events, 7);
	ck_assert_ok(post("x", 7, 2));
	ck_assert(readable());
	ck_assert_int_eq(next(&e), 1);
	ck_assert_uint_eq(e.count, 1);
	vcore__event_slot_fini(events, &slot);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("event");
	TCase *t = tcase_create("event");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_new_bad_options_return_the_documented_errors);
	tcase_add_test(t, test_new_with_each_step_failing_leaks_nothing);
	tcase_add_test(t, test_empty_queue_has_nothing_and_is_not_readable);
	tcase_add_test(t, test_posted_event_is_read_once);
	tcase_add_test(t,
		       test_same_object_and_kind_coalesce_with_the_newest_values);
	tcase_add_test(t, test_a_read_event_does_not_coalesce_with_a_later_one);
	tcase_add_test(t, test_full_queue_returns_enospc_and_tells_the_reader);
	tcase_add_test(t, test_what_asks_takes_the_place_of_what_tells);
	tcase_add_test(t, test_what_asks_does_not_replace_its_like);
	tcase_add_test(
		t, test_stop_in_a_signal_handler_comes_through_a_full_queue);
	tcase_add_test(t, test_ring_wraps_many_times_in_order);
	tcase_add_test(t, test_post_bad_arguments_return_the_documented_errors);
	tcase_add_test(t,
		       test_next_bad_arguments_return_einval_and_keep_the_event);
	tcase_add_test(t, test_next_fills_a_longer_struct_up_to_what_is_known);
	tcase_add_test(t, test_null_handles);
	tcase_add_test(t, test_signal_post_arrives_like_any_other);
	tcase_add_test(t,
		       test_signal_posts_come_in_order_and_merge_with_waiting_ones);
	tcase_add_test(t, test_slot_can_go_before_its_event_is_read);
	tcase_add_test(t, test_slot_text_too_long_is_cut);
	tcase_add_test(t, test_handler_may_interrupt_post_and_next);
	tcase_add_test(t, test_forget_takes_out_one_kind_and_keeps_the_order);
	tcase_add_test(t, test_forget_the_last_one_makes_it_unreadable);
	tcase_add_test(
		t, test_race_of_signal_post_and_empty_queue_loses_no_wake_up);
	tcase_add_test(t, test_stress_every_post_is_counted_once);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
