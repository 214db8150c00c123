/* SPDX-License-Identifier: BSD-3-Clause */
/* Several threads at one machine, and whose threads run it. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "machine/machine.h"
#include "support/machine.h"

static struct machine_guest counting = { MACHINE_GUEST(count) };

/* A thread that is in vcore_machine_run(). */
struct runner {
	struct vcore_machine *machine;
	pthread_t thread;
	int rc;
};

static void *
runner_main(void *opaque)
{
	struct runner *r = opaque;

	r->rc = vcore_machine_run(r->machine);
	return NULL;
}

static void
runner_start(struct runner *r, struct vcore_machine *m)
{
	r->machine = m;
	r->rc = 1;
	pthread_create(&r->thread, NULL, runner_main, r);
}

static void
runner_join(struct runner *r)
{
	pthread_join(r->thread, NULL);
	ck_assert_int_eq(r->rc, 0);
}

START_TEST(test_stop_from_another_thread_ends_run)
{
	struct vcore_machine *m = machine_new(&counting, 0);
	struct runner r;

	runner_start(&r, m);
	machine_wait_data(m, 0);
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	runner_join(&r);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_pause_and_reset_from_another_thread_while_run_waits)
{
	struct vcore_machine *m = machine_new(&counting, 0);
	struct runner r;
	uint32_t seen;

	runner_start(&r, m);
	machine_wait_data(m, 0);
	ck_assert_ok(vcore_machine_pause(m));
	seen = machine_data(m);
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_uint_eq(machine_data(m), seen);
	ck_assert_ok(vcore_machine_resume(m));
	machine_wait_data(m, seen);
	vcore_machine_quit(m);
	runner_join(&r);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_all_threads_in_run_return)
{
	struct vcore_machine *m = machine_new(&counting, 0);
	struct runner r[4];

	for (int i = 0; i < 4; i++)
		runner_start(&r[i], m);
	machine_wait_data(m, 0);
	vcore_machine_quit(m);
	for (int i = 0; i < 4; i++)
		runner_join(&r[i]);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_run_keeps_the_machine_that_others_let_go_of)
{
	struct vcore_machine *m = machine_new(&counting, 0);
	struct runner r;

	runner_start(&r, vcore_machine_ref(m));
	machine_wait_data(m, 0);
	/* Its own reference goes with the machine off, in no defined order. */
	vcore_machine_quit(m);
	vcore_machine_unref(m);
	runner_join(&r);
	vcore_machine_unref(m);
}
END_TEST

struct quarrel {
	struct vcore_machine *machine;
	int (*call)(struct vcore_machine *machine);
	_Atomic bool end;
};

static void *
quarrel_main(void *opaque)
{
	struct quarrel *q = opaque;
	int rc;

	while (!q->end) {
		rc = q->call(q->machine);
		ck_assert_msg(rc == 0 || rc == -EBUSY, "%d: %s", rc,
			      vcore_error_text());
		sched_yield();
	}
	return NULL;
}

START_TEST(test_threads_that_pause_resume_and_reset_take_turns)
{
	static int (*const calls[])(struct vcore_machine *) = {
		vcore_machine_pause, vcore_machine_resume, vcore_machine_reset,
	};
	struct vcore_machine *m = machine_new(&counting, 0);
	struct quarrel q[3] = { { NULL, NULL, false } };
	pthread_t thread[3];
	struct runner r;
	uint32_t boots = counting.boots;

	runner_start(&r, m);
	machine_wait_data(m, 0);
	for (int i = 0; i < 3; i++) {
		q[i].machine = m;
		q[i].call = calls[i];
		pthread_create(&thread[i], NULL, quarrel_main, &q[i]);
	}
	while (counting.boots < boots + 30)
		sched_yield();
	ck_assert_ok(vcore_machine_stop(m));
	for (int i = 0; i < 3; i++) {
		q[i].end = true;
		pthread_join(thread[i], NULL);
	}
	runner_join(&r);
	vcore_machine_unref(m);
}
END_TEST

/* Threads of the embedder's: the handle is an index, which may be 0. */
struct spawner {
	pthread_t thread[16];
	uintptr_t count, joined, fail_at;
};

struct start {
	void (*fn)(void *arg);
	void *arg;
};

static void *
trampoline(void *opaque)
{
	struct start start = *(struct start *)opaque;

	free(opaque);
	start.fn(start.arg);
	return NULL;
}

static int
spawn(void *opaque, const char *name, void (*fn)(void *arg), void *arg,
      void **thread)
{
	struct spawner *s = opaque;
	struct start *start;

	ck_assert_uint_lt(strlen(name), 16);
	if (s->count == s->fail_at)
		return -EAGAIN;
	start = malloc(sizeof(*start));
	ck_assert_ptr_nonnull(start);
	*start = (struct start){ fn, arg };
	*thread = (void *)s->count;
	ck_assert_int_eq(pthread_create(&s->thread[s->count], NULL, trampoline,
					start), 0);
	s->count++;
	return 0;
}

static void
join(void *opaque, void *thread)
{
	struct spawner *s = opaque;

	pthread_join(s->thread[(uintptr_t)thread], NULL);
	s->joined++;
}

static const struct vcore_spawn_ops spawn_ops = {
	.size = sizeof(spawn_ops), .spawn = spawn, .join = join,
};

static struct vcore_machine *
new_with_spawner(struct spawner *s, struct machine_guest *guest)
{
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, guest);
	opts.cpus = 3;
	opts.loops = 2;
	opts.spawn = &spawn_ops;
	opts.spawn_opaque = s;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	return m;
}

START_TEST(test_threads_of_the_embedder_are_each_joined_once)
{
	struct spawner s = { .fail_at = 16 };
	struct vcore_machine *m = new_with_spawner(&s, &counting);

	ck_assert_uint_eq(s.count, 0);
	ck_assert_ok(vcore_machine_start(m));
	ck_assert_uint_eq(s.count, 5);
	machine_wait_data(m, 0);
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_uint_eq(s.joined, 5);
	vcore_machine_unref(m);
	ck_assert_uint_eq(s.joined, 5);
}
END_TEST

START_TEST(test_start_with_the_nth_thread_failing_leaves_it_new)
{
	struct spawner s = { .fail_at = 0 };
	struct vcore_machine *m = new_with_spawner(&s, &counting);

	for (uintptr_t n = 0; n < 5; n++) {
		s = (struct spawner){ .fail_at = n };
		ck_assert_error(vcore_machine_start(m), -EAGAIN,
				"vcore_machine_start: thread of ");
		ck_assert_uint_eq(s.count, n);
		ck_assert_uint_eq(s.joined, n);
		ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	}
	s = (struct spawner){ .fail_at = 16 };
	ck_assert_ok(vcore_machine_start(m));
	machine_wait_data(m, 0);
	vcore_machine_unref(m);
	ck_assert_uint_eq(s.joined, 5);
}
END_TEST

/* All files of a machine share one pool, whose threads are the embedder's. */
START_TEST(test_disks_share_four_threads_of_the_embedder)
{
	const char *recipe = "block,path=/proc/self/exe,ro";
	struct spawner s = { .fail_at = 2 };
	struct vcore_machine *m = new_with_spawner(&s, &counting);

	ck_assert_error(vcore_machine_add(m, recipe), -EAGAIN,
			"vcore_machine_add: vcore_pool_new: thread 3 of 4: ");
	ck_assert_ptr_null(vcore_machine_device(m, 0));
	ck_assert_uint_eq(s.joined, 2);
	s = (struct spawner){ .fail_at = 16 };
	/* What can't be opened leaves no threads behind. */
	ck_assert_error(vcore_machine_add(m, "block,path=/nonexistent"),
			-ENOENT, "vcore_machine_add: ");
	ck_assert_uint_eq(s.joined, s.count);
	s = (struct spawner){ .fail_at = 16 };
	ck_assert_ok(vcore_machine_add(m, recipe));
	ck_assert_uint_eq(s.count, 4);
	ck_assert_ok(vcore_machine_add(m, recipe));
	ck_assert_uint_eq(s.count, 4);
	ck_assert_ok(vcore_machine_start(m));
	ck_assert_uint_eq(s.count, 9);
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_uint_eq(s.joined, 5);
	vcore_machine_unref(m);
	ck_assert_uint_eq(s.joined, 9);
}
END_TEST

static void *
turner_main(void *opaque)
{
	ck_assert_ok(vcore_loop_run(opaque));
	return NULL;
}

static const uint16_t chatters[] = {
	POKE_SERIAL, 'a', POKE_SERIAL, 'b', POKE_SERIAL, 'c', POKE_SLEEP,
	POKE_S5, POKE_END
};

static struct vcore_machine *
new_on_loop(struct vcore_loop *loop, struct machine_guest *guest,
	    struct vcore_stream *serial)
{
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, guest);
	opts.loop = loop;
	opts.loops = 7;		/* of no use here */
	opts.serial = serial;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ptr_eq(vcore_machine_loop(m, 0), loop);
	ck_assert_ptr_null(vcore_machine_loop(m, 1));
	return m;
}

START_TEST(test_loop_of_the_embedder_turned_by_its_thread)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = chatters };
	struct vcore_stream *serial = NULL;
	struct vcore_loop *loop = NULL;
	struct vcore_machine *m;
	pthread_t thread;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_stream_new_ring(64, &serial));
	m = new_on_loop(loop, &guest, serial);
	pthread_create(&thread, NULL, turner_main, loop);
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	machine_wait_text(serial, "abc");
	vcore_machine_unref(m);
	vcore_loop_quit(loop);
	pthread_join(thread, NULL);
	vcore_loop_unref(loop);
	vcore_stream_unref(serial);
}
END_TEST

START_TEST(test_loop_of_the_embedder_that_nobody_turns)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = chatters };
	struct vcore_stream *serial = NULL;
	struct vcore_loop *loop = NULL;
	struct vcore_machine *m;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_stream_new_ring(64, &serial));
	m = new_on_loop(loop, &guest, serial);
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_ok(vcore_machine_start(m));
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_ok(vcore_machine_resume(m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
	vcore_loop_unref(loop);
	vcore_stream_unref(serial);
}
END_TEST

START_TEST(test_two_machines_at_once_are_strangers)
{
	struct machine_guest guest[2] = {
		{ MACHINE_GUEST(count) }, { MACHINE_GUEST(count) },
	};
	struct vcore_machine *m[2];
	uint32_t seen;

	for (int i = 0; i < 2; i++) {
		m[i] = machine_new(&guest[i], 0);
		ck_assert_ok(vcore_machine_start(m[i]));
	}
	ck_assert_ok(vcore_machine_pause(m[0]));
	seen = machine_data(m[0]);
	machine_wait_data(m[1], machine_data(m[1]));
	ck_assert_uint_eq(machine_data(m[0]), seen);
	ck_assert_ok(vcore_machine_stop(m[1]));
	vcore_machine_unref(m[1]);
	ck_assert_ok(vcore_machine_resume(m[0]));
	machine_wait_data(m[0], seen);
	vcore_machine_unref(m[0]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("threads");
	TCase *tc = tcase_create("threads");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_test(tc, test_stop_from_another_thread_ends_run);
	tcase_add_test(tc,
		       test_pause_and_reset_from_another_thread_while_run_waits);
	tcase_add_test(tc, test_all_threads_in_run_return);
	tcase_add_test(tc, test_run_keeps_the_machine_that_others_let_go_of);
	tcase_add_test(tc,
		       test_threads_that_pause_resume_and_reset_take_turns);
	tcase_add_test(tc, test_threads_of_the_embedder_are_each_joined_once);
	tcase_add_test(tc, test_disks_share_four_threads_of_the_embedder);
	tcase_add_test(tc,
		       test_start_with_the_nth_thread_failing_leaves_it_new);
	tcase_add_test(tc, test_loop_of_the_embedder_turned_by_its_thread);
	tcase_add_test(tc, test_loop_of_the_embedder_that_nobody_turns);
	tcase_add_test(tc, test_two_machines_at_once_are_strangers);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
