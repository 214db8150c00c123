/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/loop/pool.c. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/base.h"
#include "loop/call.h"
#include "support/support.h"

#define CALLS 5000

static _Atomic int calls;

static void
count(void *opaque)
{
	(void)opaque;
	atomic_fetch_add(&calls, 1);
}

static struct vcore_pool *
pool_of(uint32_t threads)
{
	struct vcore_pool_opts opts;
	struct vcore_pool *pool;

	VCORE_INIT(&opts);
	opts.threads = threads;
	ck_assert_ok(vcore_pool_new(&opts, &pool));
	return pool;
}

/*
 * A spawner of the embedder, which counts. A pool that ends on its last worker
 * hands that thread back to itself: it is left for the test to join.
 */
struct spawner {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t spawned, joined, self_joined, limit;
	char last_name[16];
	pthread_t last;		/* valid if self_joined */
};

struct started {
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
};

static void *
enter(void *arg)
{
	struct started *s = arg;

	s->fn(s->arg);
	return NULL;
}

static int
spawn(void *opaque, const char *name, void (*fn)(void *arg), void *arg,
      void **thread)
{
	struct spawner *spawner = opaque;
	struct started *s;

	if (spawner->spawned == spawner->limit)
		return -EAGAIN;
	spawner->spawned++;
	snprintf(spawner->last_name, sizeof(spawner->last_name), "%s", name);
	s = calloc(1, sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	*thread = s;
	return -pthread_create(&s->id, NULL, enter, s);
}

static void
join(void *opaque, void *thread)
{
	struct spawner *spawner = opaque;
	struct started *s = thread;
	bool self = pthread_equal(s->id, pthread_self());

	if (!self)
		pthread_join(s->id, NULL);
	pthread_mutex_lock(&spawner->lock);
	if (self)
		spawner->last = s->id;	/* wait_for_joins() waits for it */
	free(s);
	spawner->joined++;
	spawner->self_joined += self;
	pthread_cond_signal(&spawner->changed);
	pthread_mutex_unlock(&spawner->lock);
}

static const struct vcore_spawn_ops spawn_ops = {
	.size = sizeof(spawn_ops),
	.spawn = spawn,
	.join = join,
};

static struct spawner spawner = { .lock = PTHREAD_MUTEX_INITIALIZER,
				  .changed = PTHREAD_COND_INITIALIZER,
				  .limit = UINT32_MAX };

static int
pool_spawned(uint32_t threads, struct vcore_pool **pool)
{
	struct vcore_pool_opts opts;

	VCORE_INIT(&opts);
	opts.threads = threads;
	opts.spawn = &spawn_ops;
	opts.spawn_opaque = &spawner;
	return vcore_pool_new(&opts, pool);
}

static void
wait_for_joins(uint32_t number)
{
	pthread_mutex_lock(&spawner.lock);
	while (spawner.joined < number)
		pthread_cond_wait(&spawner.changed, &spawner.lock);
	pthread_mutex_unlock(&spawner.lock);
	ck_assert_uint_eq(spawner.self_joined, 1);
	pthread_join(spawner.last, NULL);
}

START_TEST(test_new_bad_options_return_the_documented_errors)
{
	struct vcore_spawn_ops no_join = spawn_ops;
	struct vcore_pool *pool = NULL;
	struct vcore_pool_opts opts;

	VCORE_INIT(&opts);
	ck_assert_error(vcore_pool_new(&opts, NULL), -EINVAL, "vcore_pool_new:");
	opts.flags = 1;
	ck_assert_error(vcore_pool_new(&opts, &pool), -E2BIG, "vcore_pool_new:");
	opts.flags = 0;
	opts.reserved0 = 1;
	ck_assert_error(vcore_pool_new(&opts, &pool), -E2BIG, "vcore_pool_new:");
	opts.reserved0 = 0;
	opts.threads = 1025;
	ck_assert_error(vcore_pool_new(&opts, &pool), -EINVAL,
			"vcore_pool_new:");
	opts.threads = 1;
	no_join.join = NULL;
	opts.spawn = &no_join;
	ck_assert_error(vcore_pool_new(&opts, &pool), -EINVAL,
			"vcore_pool_new: spawn");
	opts.size = 0;
	ck_assert_error(vcore_pool_new(&opts, &pool), -EINVAL,
			"vcore_pool_new:");
	ck_assert_ptr_null(pool);
}
END_TEST

START_TEST(test_new_with_each_step_failing_leaves_no_thread)
{
	struct vcore_pool *pool = NULL;
	unsigned int n;
	int rc;

	/* The pool; then for each of 4 threads its struct and itself. */
	for (n = 1; n <= 9; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_pool_new(NULL, &pool);
		ck_assert(fail_stop());
		ck_assert_error(rc, n > 1 && n % 2 ? -EAGAIN : -ENOMEM,
				"vcore_pool_new:");
		ck_assert_ptr_null(pool);
	}
	ck_assert_ok(vcore_pool_new(NULL, &pool));
	vcore_pool_unref(pool);
}
END_TEST

START_TEST(test_null_handles)
{
	struct vcore_pool *pool = pool_of(1);
	int rc;

	ck_assert_ptr_null(vcore_pool_ref(NULL));
	vcore_pool_unref(NULL);
	ck_assert_error(vcore_pool_call(NULL, count, NULL), -EINVAL,
			"vcore_pool_call:");
	ck_assert_error(vcore_pool_call(pool, NULL, NULL), -EINVAL,
			"vcore_pool_call:");
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_pool_call(pool, count, NULL);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_pool_call:");
	vcore_pool_unref(pool);
	ck_assert_int_eq(atomic_load(&calls), 0);
}
END_TEST

START_TEST(test_last_unref_finishes_what_is_queued)
{
	struct vcore_pool *pool = pool_of(3);
	int i;

	for (i = 0; i < CALLS; i++)
		ck_assert_ok(vcore_pool_call(pool, count, NULL));
	vcore_pool_unref(vcore_pool_ref(pool));
	vcore_pool_unref(pool);
	ck_assert_int_eq(atomic_load(&calls), CALLS);
}
END_TEST

struct numbered {
	struct vcore__call call;
	int number;
};

static int expected;

static void
expect_number(struct vcore__call *c)
{
	struct numbered *n = VCORE__CONTAINER(c, struct numbered, call);

	ck_assert_int_eq(expected++, n->number);
}

START_TEST(test_one_worker_runs_in_order_of_posting)
{
	static struct numbered n[500];
	struct vcore_pool *pool = pool_of(1);
	int i;

	for (i = 0; i < 500; i++) {
		n[i].call.fn = expect_number;
		n[i].number = i;
		vcore__pool_post(pool, &n[i].call);
	}
	vcore_pool_unref(pool);
	ck_assert_int_eq(expected, 500);
}
END_TEST

static pthread_barrier_t barrier;

static void
meet(void *opaque)
{
	(void)opaque;
	pthread_barrier_wait(&barrier);
	count(NULL);
}

START_TEST(test_calls_run_side_by_side)
{
	struct vcore_pool *pool = pool_of(4);
	int i;

	/* Four at once, or this never ends. */
	pthread_barrier_init(&barrier, NULL, 4);
	for (i = 0; i < 8; i++)
		ck_assert_ok(vcore_pool_call(pool, meet, NULL));
	vcore_pool_unref(pool);
	ck_assert_int_eq(atomic_load(&calls), 8);
	pthread_barrier_destroy(&barrier);
}
END_TEST

static void
wait_here(void *opaque)
{
	struct vcore__waiter w;

	vcore__waiter_init(&w);
	ck_assert_int_eq(vcore__waiter_wait(&w, 1), -ETIMEDOUT);
	count(opaque);
}

START_TEST(test_a_worker_may_wait)
{
	struct vcore_pool *pool = pool_of(1);

	ck_assert_ok(vcore_pool_call(pool, wait_here, NULL));
	vcore_pool_unref(pool);
	ck_assert_int_eq(atomic_load(&calls), 1);
}
END_TEST

START_TEST(test_embedders_threads_are_used_and_joined)
{
	struct vcore_pool *pool;

	ck_assert_ok(pool_spawned(12, &pool));
	ck_assert_uint_eq(spawner.spawned, 12);
	ck_assert_str_eq(spawner.last_name, "vcore-pool11");
	ck_assert_ok(vcore_pool_call(pool, count, NULL));
	vcore_pool_unref(pool);
	ck_assert_uint_eq(spawner.joined, 12);
	ck_assert_uint_eq(spawner.self_joined, 0);
	ck_assert_int_eq(atomic_load(&calls), 1);
}
END_TEST

START_TEST(test_spawn_that_fails_midway_joins_the_others)
{
	struct vcore_pool *pool = NULL;

	spawner.limit = 2;
	ck_assert_error(pool_spawned(3, &pool), -EAGAIN, "vcore_pool_new:");
	ck_assert_ptr_null(pool);
	ck_assert_uint_eq(spawner.spawned, 2);
	ck_assert_uint_eq(spawner.joined, 2);
}
END_TEST

static void
post_and_unref(void *opaque)
{
	int i;

	for (i = 0; i < 20; i++)
		ck_assert_ok(vcore_pool_call(opaque, count, NULL));
	vcore_pool_unref(opaque);
	/* Still a call of the pool: it may post. */
	ck_assert_ok(vcore_pool_call(opaque, count, NULL));
}

START_TEST(test_last_unref_in_a_worker_finishes_and_cleans_up)
{
	struct vcore_pool *pool;
	uint32_t threads = _i ? 1 : 4;

	ck_assert_ok(pool_spawned(threads, &pool));
	ck_assert_ok(vcore_pool_call(pool, post_and_unref, pool));
	wait_for_joins(threads);
	ck_assert_int_eq(atomic_load(&calls), 21);
	ck_assert_uint_eq(spawner.self_joined, 1);
}
END_TEST

static void
unref_pool(void *opaque)
{
	vcore_pool_unref(opaque);
}

START_TEST(test_last_unref_in_a_loop_callback_does_not_wait)
{
	struct vcore_loop *loop;
	struct vcore_pool *pool;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(pool_spawned(1, &pool));
	pthread_barrier_init(&barrier, NULL, 2);
	ck_assert_ok(vcore_pool_call(pool, meet, NULL));
	ck_assert_ok(vcore_loop_call(loop, unref_pool, pool));
	/* The worker waits for us: were unref to join it, nobody went on. */
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 1);
	pthread_barrier_wait(&barrier);
	wait_for_joins(1);
	ck_assert_int_eq(atomic_load(&calls), 1);
	vcore_loop_unref(loop);
}
END_TEST

static void *
post_many(void *arg)
{
	int i;

	for (i = 0; i < CALLS; i++)
		ck_assert_ok(vcore_pool_call(arg, count, NULL));
	vcore_pool_unref(arg);
	return NULL;
}

START_TEST(test_stress_every_call_runs_once_whoever_unrefs_last)
{
	struct vcore_pool *pool = pool_of(2);
	pthread_t thread[3];
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, post_many,
			       vcore_pool_ref(pool));
	vcore_pool_unref(pool);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(atomic_load(&calls), 3 * CALLS);
}
END_TEST

START_TEST(test_many_pools_come_and_go)
{
	struct vcore_pool *pool;
	int i;

	for (i = 0; i < 100; i++) {
		pool = pool_of(2);
		ck_assert_ok(vcore_pool_call(pool, count, NULL));
		vcore_pool_unref(pool);
	}
	ck_assert_int_eq(atomic_load(&calls), 100);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pool");
	TCase *t = tcase_create("pool");

	tcase_add_test(t, test_new_bad_options_return_the_documented_errors);
	tcase_add_test(t, test_new_with_each_step_failing_leaves_no_thread);
	tcase_add_test(t, test_null_handles);
	tcase_add_test(t, test_last_unref_finishes_what_is_queued);
	tcase_add_test(t, test_one_worker_runs_in_order_of_posting);
	tcase_add_test(t, test_calls_run_side_by_side);
	tcase_add_test(t, test_a_worker_may_wait);
	tcase_add_test(t, test_embedders_threads_are_used_and_joined);
	tcase_add_test(t, test_spawn_that_fails_midway_joins_the_others);
	tcase_add_loop_test(t,
			    test_last_unref_in_a_worker_finishes_and_cleans_up,
			    0, 2);
	tcase_add_test(t, test_last_unref_in_a_loop_callback_does_not_wait);
	tcase_add_test(t, test_stress_every_call_runs_once_whoever_unrefs_last);
	tcase_add_test(t, test_many_pools_come_and_go);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
