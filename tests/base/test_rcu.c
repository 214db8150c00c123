/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/rcu.c: when retired nodes run, and stress with threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/base.h"
#include "base/rcu.h"
#include "support/support.h"

#define ALIVE	      0x600dull
#define DEAD	      0xdeadull
#define STRESS_WRITES support_rounds(20000, 1000000)
#ifdef __SANITIZE_THREAD__
#define RACES 10000
#else
#define RACES 100000
#endif
/* 4 s; in a soak there is no hurry. */
#define RACES_NS (support_rounds(4, 36000) * 1000000000ull)

struct node {
	struct vcore__retired retired;
	int ran;
};

static int order[8], ordered;

static void
mark(struct vcore__retired *r)
{
	struct node *n = VCORE__CONTAINER(r, struct node, retired);

	n->ran++;
	order[ordered++ % 8] = n->ran;
}

static struct vcore__domain *domain;
static struct vcore__reader reader, other;

static void
setup(void)
{
	ck_assert_int_eq(vcore__domain_new(&domain), 0);
	vcore__reader_init(&reader, domain);
	vcore__reader_init(&other, domain);
}

static void
teardown(void)
{
	vcore__reader_fini(&other);
	vcore__reader_fini(&reader);
	vcore__domain_free(domain);
}

START_TEST(test_new_without_memory_returns_enomem)
{
	struct vcore__domain *d = NULL;
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore__domain_new(&d);
	ck_assert(fail_stop());
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_ptr_null(d);
}
END_TEST

START_TEST(test_retire_without_readers_runs_at_once)
{
	struct node n = { .ran = 0 };

	vcore__domain_retire(domain, &n.retired, mark);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

START_TEST(test_retire_runs_when_the_reader_leaves)
{
	struct node n = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__domain_reclaim(domain);
	ck_assert_int_eq(n.ran, 0);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

START_TEST(test_nested_sections_end_with_the_outermost)
{
	struct node n = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__reader_enter(&reader);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(n.ran, 0);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

START_TEST(test_last_of_several_readers_reclaims)
{
	struct node n = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__reader_enter(&other);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(n.ran, 0);
	vcore__reader_exit(&other);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

START_TEST(test_reader_that_came_later_holds_nothing_back)
{
	struct node n = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__reader_enter(&other);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(n.ran, 1);
	vcore__reader_exit(&other);
}
END_TEST

START_TEST(test_reader_that_came_later_does_not_reclaim_for_others)
{
	struct node n = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__reader_enter(&other);
	vcore__reader_exit(&other);
	ck_assert_int_eq(n.ran, 0);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

START_TEST(test_only_what_every_reader_passed_runs)
{
	struct node early = { .ran = 0 }, late = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__domain_retire(domain, &early.retired, mark);
	vcore__reader_enter(&other);
	vcore__domain_retire(domain, &late.retired, mark);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(early.ran, 1);
	ck_assert_int_eq(late.ran, 0);
	vcore__reader_exit(&other);
	ck_assert_int_eq(late.ran, 1);
}
END_TEST

START_TEST(test_nodes_run_in_order_of_retiring)
{
	struct node n[3] = { { .ran = 10 }, { .ran = 20 }, { .ran = 30 } };
	int i;

	vcore__reader_enter(&reader);
	for (i = 0; i < 3; i++)
		vcore__domain_retire(domain, &n[i].retired, mark);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(ordered, 3);
	ck_assert_int_eq(order[0], 11);
	ck_assert_int_eq(order[1], 21);
	ck_assert_int_eq(order[2], 31);
}
END_TEST

START_TEST(test_anonymous_section_holds_back)
{
	struct node n = { .ran = 0 };
	uint64_t token;

	vcore__domain_enter(domain, &token);
	vcore__domain_retire(domain, &n.retired, mark);
	ck_assert_int_eq(n.ran, 0);
	vcore__domain_exit(domain, token);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

START_TEST(test_overlapping_anonymous_sections_do_not_hold_back_for_ever)
{
	struct node n = { .ran = 0 };
	uint64_t a, b;
	int i;

	vcore__domain_enter(domain, &a);
	vcore__domain_retire(domain, &n.retired, mark);
	/* Never a moment without a section, yet the first one ends. */
	for (i = 0; i < 3; i++) {
		vcore__domain_enter(domain, &b);
		vcore__domain_exit(domain, a);
		a = b;
	}
	ck_assert_int_eq(n.ran, 1);
	vcore__domain_exit(domain, a);
}
END_TEST

START_TEST(test_anonymous_section_that_came_later_holds_nothing_back)
{
	struct node n = { .ran = 0 };
	uint64_t a, b;

	vcore__domain_enter(domain, &a);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__domain_enter(domain, &b);
	ck_assert_uint_ne(a, b);
	vcore__domain_exit(domain, a);
	ck_assert_int_eq(n.ran, 1);
	vcore__domain_exit(domain, b);
}
END_TEST

START_TEST(test_anonymous_section_joins_no_group_that_is_to_end)
{
	struct node n = { .ran = 0 }, m = { .ran = 0 };
	uint64_t a, b, late;

	vcore__domain_enter(domain, &a);
	vcore__domain_retire(domain, &n.retired, mark);
	vcore__domain_enter(domain, &b);
	vcore__domain_retire(domain, &m.retired, mark);
	vcore__domain_enter(domain, &late);
	vcore__domain_exit(domain, a);
	ck_assert_int_eq(n.ran, 1);
	ck_assert_int_eq(m.ran, 0);
	vcore__domain_exit(domain, b);
	vcore__domain_exit(domain, late);
	ck_assert_int_eq(m.ran, 1);
}
END_TEST

START_TEST(test_free_runs_what_is_retired)
{
	struct vcore__domain *d;
	struct node n = { .ran = 0 };
	uint64_t token;

	ck_assert_int_eq(vcore__domain_new(&d), 0);
	vcore__domain_enter(d, &token);
	vcore__domain_retire(d, &n.retired, mark);
	/* The section ends with no exit that would reclaim: a dead thread's. */
	ck_assert_int_eq(n.ran, 0);
	vcore__domain_exit(d, token);
	vcore__domain_free(d);
	ck_assert_int_eq(n.ran, 1);
	vcore__domain_free(NULL);
}
END_TEST

static struct node second;

static void
retire_second(struct vcore__retired *r)
{
	mark(r);
	vcore__domain_retire(domain, &second.retired, mark);
}

START_TEST(test_callback_may_retire_and_read)
{
	struct node first = { .ran = 0 };

	vcore__reader_enter(&reader);
	vcore__domain_retire(domain, &first.retired, retire_second);
	vcore__reader_exit(&reader);
	ck_assert_int_eq(first.ran, 1);
	ck_assert_int_eq(second.ran, 1);
}
END_TEST

START_TEST(test_fini_reader_is_forgotten)
{
	struct vcore__reader gone;
	struct node n = { .ran = 0 };

	vcore__reader_init(&gone, domain);
	vcore__reader_enter(&gone);
	vcore__reader_exit(&gone);
	vcore__reader_fini(&gone);
	memset(&gone, 0xff, sizeof(gone));
	vcore__domain_retire(domain, &n.retired, mark);
	ck_assert_int_eq(n.ran, 1);
}
END_TEST

/* Stress: readers look at objects that a writer replaces and poisons. */

struct object {
	struct vcore__retired retired;
	uint64_t magic;
	uint64_t number;
};

static _Atomic(struct object *) shared;
static _Atomic uint64_t freed, stop;

static void
poison(struct vcore__retired *r)
{
	struct object *o = VCORE__CONTAINER(r, struct object, retired);

	/* Plain accesses on purpose: a race is TSan's and ASan's to find. */
	o->magic = DEAD;
	o->number = 0;
	free(o);
	atomic_fetch_add(&freed, 1);
}

static struct object *
object_new(uint64_t number)
{
	struct object *o = calloc(1, sizeof(*o));

	ck_assert_ptr_nonnull(o);
	o->magic = ALIVE;
	o->number = number;
	return o;
}

static void
look(uint64_t *last)
{
	struct object *o = atomic_load(&shared);

	ck_assert_uint_eq(o->magic, ALIVE);
	ck_assert_uint_ge(o->number, *last);
	*last = o->number;
	ck_assert_uint_eq(o->magic, ALIVE);
}

static void *
read_with_reader(void *arg)
{
	struct vcore__reader *r = arg;
	uint64_t last = 0;

	while (!atomic_load(&stop)) {
		vcore__reader_enter(r);
		look(&last);
		vcore__reader_exit(r);
	}
	return NULL;
}

/* Readers that come and go. */
static void *
read_with_new_readers(void *arg)
{
	struct vcore__reader r;
	uint64_t last = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		vcore__reader_init(&r, domain);
		vcore__reader_enter(&r);
		look(&last);
		vcore__reader_exit(&r);
		vcore__reader_fini(&r);
	}
	return NULL;
}

static void *
read_anonymously(void *arg)
{
	uint64_t last = 0, token;

	(void)arg;
	while (!atomic_load(&stop)) {
		vcore__domain_enter(domain, &token);
		look(&last);
		vcore__domain_exit(domain, token);
	}
	return NULL;
}

START_TEST(test_stress_readers_never_see_freed_memory)
{
	pthread_t thread[4];
	struct object *old;
	uint64_t i, writes = STRESS_WRITES;

	atomic_store(&shared, object_new(0));
	pthread_create(&thread[0], NULL, read_with_reader, &reader);
	pthread_create(&thread[1], NULL, read_with_reader, &other);
	pthread_create(&thread[2], NULL, read_with_new_readers, NULL);
	pthread_create(&thread[3], NULL, read_anonymously, NULL);
	for (i = 1; i <= writes; i++) {
		old = atomic_exchange(&shared, object_new(i));
		vcore__domain_retire(domain, &old->retired, poison);
	}
	atomic_store(&stop, 1);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	/* Nobody reads any more, and nobody was asked to reclaim. */
	ck_assert_uint_eq(atomic_load(&freed), writes);
	free(atomic_load(&shared));
}
END_TEST

/*
 * Race one exit against one retire: whoever is last must run the node. The two
 * meet by spinning, which is closer than a barrier, at distances that vary.
 */

static _Atomic int entered, go, left, checked, enough;

/*
 * Is this the last race? On a busy machine each takes as long as it is until
 * both threads have a processor, so it is not always the RACES-th. Told to the
 * other thread before `go` is.
 */
static bool
last_race(int i, uint64_t begin_ns)
{
	bool last = i == RACES || vcore__now_ns() - begin_ns > RACES_NS;

	if (last)
		atomic_store(&enough, 1);
	return last;
}

static void
spin_until(_Atomic int *value, int wanted)
{
	int spins = 0;

	while (atomic_load(value) != wanted)
		if (++spins % 1000 == 0)
			sched_yield();
}

static void
dawdle(int steps)
{
	volatile int i;

	for (i = 0; i < steps; i++)
		;
}

static void *
leave_when_told(void *arg)
{
	bool last = false;
	int i;

	(void)arg;
	for (i = 1; !last; i++) {
		vcore__reader_enter(&reader);
		atomic_store(&entered, i);
		spin_until(&go, i);
		last = atomic_load(&enough);
		dawdle(i % 128);
		vcore__reader_exit(&reader);
		atomic_store(&left, i);
		spin_until(&checked, i);
	}
	return NULL;
}

static void
count_freed(struct vcore__retired *r)
{
	(void)r;
	atomic_fetch_add(&freed, 1);
}

START_TEST(test_race_of_exit_and_retire_forgets_no_node)
{
	uint64_t begin_ns = vcore__now_ns();
	struct vcore__retired node;
	bool last = false;
	pthread_t thread;
	int i;

	pthread_create(&thread, NULL, leave_when_told, NULL);
	for (i = 1; !last; i++) {
		spin_until(&entered, i);
		last = last_race(i, begin_ns);
		atomic_store(&go, i);
		vcore__domain_retire(domain, &node, count_freed);
		spin_until(&left, i);
		ck_assert_int_eq((int)atomic_load(&freed), i);
		atomic_store(&checked, i);
	}
	pthread_join(thread, NULL);
}
END_TEST

/* Race one enter against one replacement: what was found stays alive. */

static void *
enter_when_told(void *arg)
{
	struct object *o;
	bool last = false;
	uint64_t seen;
	int i, look;

	(void)arg;
	for (i = 1; !last; i++) {
		spin_until(&go, i);
		last = atomic_load(&enough);
		dawdle(i % 128);
		vcore__reader_enter(&reader);
		o = atomic_load(&shared);
		for (look = 0, seen = ALIVE; look < 64; look++)
			seen &= *(volatile uint64_t *)&o->magic;
		vcore__reader_exit(&reader);
		ck_assert_uint_eq(seen, ALIVE);
		atomic_store(&left, i);
	}
	return NULL;
}

START_TEST(test_race_of_enter_and_retire_keeps_what_was_found)
{
	uint64_t begin_ns = vcore__now_ns();
	struct object *old, *fresh;
	bool last = false;
	pthread_t thread;
	int i;

	atomic_store(&shared, object_new(0));
	pthread_create(&thread, NULL, enter_when_told, NULL);
	for (i = 1; !last; i++) {
		last = last_race(i, begin_ns);
		fresh = object_new(0);
		atomic_store(&go, i);
		dawdle(64);
		old = atomic_exchange(&shared, fresh);
		vcore__domain_retire(domain, &old->retired, poison);
		spin_until(&left, i);
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq((int)atomic_load(&freed), i - 1);
	free(atomic_load(&shared));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("rcu");
	TCase *t = tcase_create("rcu");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_new_without_memory_returns_enomem);
	tcase_add_test(t, test_retire_without_readers_runs_at_once);
	tcase_add_test(t, test_retire_runs_when_the_reader_leaves);
	tcase_add_test(t, test_nested_sections_end_with_the_outermost);
	tcase_add_test(t, test_last_of_several_readers_reclaims);
	tcase_add_test(t, test_reader_that_came_later_holds_nothing_back);
	tcase_add_test(t,
		       test_reader_that_came_later_does_not_reclaim_for_others);
	tcase_add_test(t, test_only_what_every_reader_passed_runs);
	tcase_add_test(t, test_nodes_run_in_order_of_retiring);
	tcase_add_test(t, test_anonymous_section_holds_back);
	tcase_add_test(t,
		       test_overlapping_anonymous_sections_do_not_hold_back_for_ever);
	tcase_add_test(t,
		       test_anonymous_section_that_came_later_holds_nothing_back);
	tcase_add_test(t, test_anonymous_section_joins_no_group_that_is_to_end);
	tcase_add_test(t, test_free_runs_what_is_retired);
	tcase_add_test(t, test_callback_may_retire_and_read);
	tcase_add_test(t, test_fini_reader_is_forgotten);
	tcase_add_test(t, test_stress_readers_never_see_freed_memory);
	tcase_add_test(t, test_race_of_exit_and_retire_forgets_no_node);
	tcase_add_test(t, test_race_of_enter_and_retire_keeps_what_was_found);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
