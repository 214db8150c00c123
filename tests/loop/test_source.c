/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/loop/source.c: descriptors, timers, removing at any moment. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "loop/call.h"
#include "loop/impl.h"
#include "support/support.h"

#define STRESS_ROUNDS 2000

static struct vcore_loop *loop;

/* What a source's function and release saw. */
struct seen {
	struct vcore_source *source;
	int calls, releases;
	uint32_t ready;
	bool remove; /* in the function, and check what follows */
};

static void
setup(void)
{
	ck_assert_ok(vcore_loop_new(NULL, &loop));
}

static void
teardown(void)
{
	vcore_loop_unref(loop);
}

static void
on_ready(void *opaque, uint32_t ready)
{
	struct seen *seen = opaque;

	ck_assert_int_eq(vcore_loop_is_owner(loop), 1);
	ck_assert_int_eq(seen->releases, 0);
	seen->calls++;
	seen->ready = ready;
	if (seen->remove) {
		vcore_source_remove(seen->source);
		/* The last call has not returned yet. */
		ck_assert_int_eq(seen->releases, 0);
	}
}

static void
on_release(void *opaque)
{
	struct seen *seen = opaque;

	ck_assert_int_eq(vcore_loop_is_owner(loop), 1);
	seen->releases++;
}

static struct vcore_source_opts
opts_for(struct seen *seen, int fd, uint32_t events)
{
	struct vcore_source_opts opts;

	VCORE_INIT(&opts);
	opts.fd = fd;
	opts.events = events;
	opts.fn = on_ready;
	opts.release = on_release;
	opts.opaque = seen;
	return opts;
}

static void
add(struct seen *seen, int fd, uint32_t events, uint32_t flags)
{
	struct vcore_source_opts opts = opts_for(seen, fd, events);

	opts.flags = flags;
	ck_assert_ok(vcore_loop_add(loop, &opts, &seen->source));
}

static void
add_timer(struct seen *seen)
{
	add(seen, -1, 0, 0);
}

static void
dispatch(int expected)
{
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), expected);
}

/* Remove a source, and turn the loop until it is released. */
static void
drop(struct seen *seen)
{
	vcore_source_remove(seen->source);
	while (!seen->releases)
		ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
}

static void
signal_eventfd(int fd)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

START_TEST(test_add_bad_options_return_the_documented_errors)
{
	struct seen seen = { 0 };
	struct vcore_source_opts good = opts_for(&seen, -1, 0), opts = good;
	struct vcore_source *s = NULL;

	ck_assert_error(vcore_loop_add(NULL, &opts, &s), -EINVAL,
			"vcore_loop_add:");
	ck_assert_error(vcore_loop_add(loop, NULL, &s), -EINVAL,
			"vcore_loop_add:");
	ck_assert_error(vcore_loop_add(loop, &opts, NULL), -EINVAL,
			"vcore_loop_add:");
	opts.fn = NULL;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EINVAL,
			"vcore_loop_add:");
	opts = good;
	opts.size = 0;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EINVAL,
			"vcore_loop_add:");
	opts = good;
	opts.fd = -2;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EINVAL,
			"vcore_loop_add:");
	opts = good;
	opts.events = VCORE_LOOP_READ;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EINVAL,
			"vcore_loop_add:");
	opts.events = 8;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -E2BIG,
			"vcore_loop_add:");
	opts = good;
	opts.flags = 2;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -E2BIG,
			"vcore_loop_add:");
	opts.flags = VCORE_SOURCE_EVENTFD;
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EINVAL,
			"vcore_loop_add:");
	ck_assert_ptr_null(s);
	ck_assert_int_eq(seen.releases, 0);
}
END_TEST

START_TEST(test_add_descriptors_that_do_not_work)
{
	struct seen seen = { 0 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct vcore_source_opts opts = opts_for(&seen, fd, VCORE_LOOP_READ);
	int before = support_open_fds();
	struct vcore_source *s = NULL;

	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EPERM,
			"vcore_loop_add:");
	ck_assert_int_eq(support_open_fds(), before);
	close(fd);
	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EBADF,
			"vcore_loop_add:");
	ck_assert_ptr_null(s);
	ck_assert_int_eq(seen.releases, 0);
}
END_TEST

static void
add_with_each_step_failing(int fd, uint32_t events, unsigned int steps,
			   const int *errors)
{
	struct seen seen = { 0 };
	struct vcore_source_opts opts = opts_for(&seen, fd, events);
	int before = support_open_fds(), rc;
	struct vcore_source *s = NULL;
	unsigned int n;

	for (n = 1; n <= steps; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_loop_add(loop, &opts, &s);
		ck_assert(fail_stop());
		ck_assert_error(rc, errors[n - 1], "vcore_loop_add:");
		ck_assert_ptr_null(s);
		ck_assert_int_eq(support_open_fds(), before);
		ck_assert_int_eq(seen.releases, 0);
	}
	fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
	rc = vcore_loop_add(loop, &opts, &s);
	ck_assert(!fail_stop());
	ck_assert_int_eq(rc, 0);
	vcore_source_remove(s);
	dispatch(1);
	ck_assert_int_eq(seen.releases, 1);
	ck_assert_int_eq(support_open_fds(), before);
}

START_TEST(test_add_with_each_step_failing_takes_nothing)
{
	static const int of_fd[] = { -ENOMEM, -EMFILE, -ENOSPC };
	static const int of_timer[] = { -ENOMEM, -ENOMEM };
	int fd = eventfd(0, EFD_NONBLOCK);

	add_with_each_step_failing(fd, VCORE_LOOP_READ, 3, of_fd);
	add_with_each_step_failing(-1, 0, 2, of_timer);
	close(fd);
}
END_TEST

START_TEST(test_ready_descriptor_is_reported_until_it_is_read)
{
	struct seen seen = { 0 };
	int fd[2];
	char byte = 1;

	ck_assert_int_eq(pipe(fd), 0);
	add(&seen, fd[0], VCORE_LOOP_READ, 0);
	dispatch(0);
	ck_assert_int_eq(write(fd[1], &byte, 1), 1);
	ck_assert(support_readable(vcore_loop_fd(loop)));
	dispatch(1);
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_READ);
	ck_assert_int_eq(read(fd[0], &byte, 1), 1);
	dispatch(0);
	close(fd[1]);
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_HUP);
	drop(&seen);
	close(fd[0]);
}
END_TEST

START_TEST(test_events_can_be_changed)
{
	struct seen seen = { 0 };
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	add(&seen, fd[0], 0, 0);
	dispatch(0);
	ck_assert_ok(vcore_source_set_events(seen.source, VCORE_LOOP_WRITE));
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_WRITE);
	ck_assert_ok(vcore_source_set_events(seen.source, VCORE_LOOP_READ));
	dispatch(0);
	ck_assert_ok(vcore_source_set_events(seen.source,
					     VCORE_LOOP_READ | VCORE_LOOP_WRITE));
	ck_assert_int_eq(write(fd[1], "x", 1), 1);
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_READ | VCORE_LOOP_WRITE);
	drop(&seen);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(test_without_events_not_even_hup_is_reported)
{
	struct seen seen = { 0 };
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	add(&seen, fd[0], VCORE_LOOP_READ, 0);
	close(fd[1]);
	ck_assert_ok(vcore_source_set_events(seen.source, 0));
	ck_assert_ok(vcore_source_set_events(seen.source, 0));
	dispatch(0);
	ck_assert_ok(vcore_source_set_events(seen.source, VCORE_LOOP_READ));
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_READ | VCORE_LOOP_HUP);
	drop(&seen);
	close(fd[0]);
}
END_TEST

START_TEST(test_set_events_bad_arguments_return_the_documented_errors)
{
	struct seen timer = { 0 }, seen = { 0 };
	int fd = eventfd(0, EFD_NONBLOCK), rc;

	add_timer(&timer);
	add(&seen, fd, VCORE_LOOP_READ, 0);
	ck_assert_error(vcore_source_set_events(NULL, 0), -EINVAL,
			"vcore_source_set_events:");
	ck_assert_error(vcore_source_set_events(timer.source, 1), -EINVAL,
			"vcore_source_set_events:");
	ck_assert_error(vcore_source_set_events(seen.source, 16), -E2BIG,
			"vcore_source_set_events:");
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_source_set_events(seen.source, VCORE_LOOP_WRITE);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOSPC, "vcore_source_set_events:");
	fail_nth_with(FAIL_SYSTEM, 1, ENOMEM);
	rc = vcore_source_set_events(seen.source, VCORE_LOOP_WRITE);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_source_set_events:");
	/* What was watched still is. */
	signal_eventfd(fd);
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_READ);
	drop(&seen);
	drop(&timer);
	close(fd);
}
END_TEST

START_TEST(test_eventfd_is_read_before_the_call)
{
	struct seen seen = { 0 };
	int fd = eventfd(0, _i ? EFD_NONBLOCK : 0);

	add(&seen, fd, VCORE_LOOP_READ, VCORE_SOURCE_EVENTFD);
	signal_eventfd(fd);
	signal_eventfd(fd);
	dispatch(1);
	ck_assert_uint_eq(seen.ready, VCORE_LOOP_READ);
	ck_assert(!support_readable(fd));
	dispatch(0);
	drop(&seen);
	close(fd);
}
END_TEST

START_TEST(test_eventfd_that_somebody_else_read_is_not_reported)
{
	int fd = eventfd(0, _i ? EFD_NONBLOCK : 0);
	struct seen one = { 0 }, two = { 0 };

	add(&one, fd, VCORE_LOOP_READ, VCORE_SOURCE_EVENTFD);
	add(&two, fd, VCORE_LOOP_READ, VCORE_SOURCE_EVENTFD);
	signal_eventfd(fd);
	/* Both are in the batch; the first one's turn takes the counter. */
	dispatch(1);
	ck_assert_int_eq(one.calls + two.calls, 1);
	drop(&one);
	drop(&two);
	close(fd);
}
END_TEST

START_TEST(test_caller_may_close_his_descriptor)
{
	int fd = eventfd(0, EFD_NONBLOCK), kept = dup(fd);
	struct seen seen = { 0 };

	add(&seen, fd, VCORE_LOOP_READ, VCORE_SOURCE_EVENTFD);
	close(fd);
	signal_eventfd(kept);
	dispatch(1);
	vcore_source_remove(seen.source);
	/* The file lives on, and the loop has forgotten it all the same. */
	signal_eventfd(kept);
	dispatch(1);
	ck_assert_int_eq(seen.releases, 1);
	ck_assert(!support_readable(vcore_loop_fd(loop)));
	close(kept);
}
END_TEST

START_TEST(test_remove_closes_the_duplicate_at_once)
{
	struct seen seen = { 0 };
	int fd[2], before;
	char byte;

	ck_assert_int_eq(pipe2(fd, O_NONBLOCK), 0);
	before = support_open_fds();
	add(&seen, fd[1], VCORE_LOOP_WRITE, 0);
	ck_assert_int_eq(support_open_fds(), before + 1);
	vcore_source_remove(seen.source);
	ck_assert_int_eq(support_open_fds(), before);
	close(fd[1]);
	ck_assert_int_eq(read(fd[0], &byte, 1), 0);
	close(fd[0]);
	dispatch(1);
	ck_assert_int_eq(seen.releases, 1);
}
END_TEST

START_TEST(test_remove_releases_on_the_loop)
{
	struct seen seen = { 0 };
	int fd = eventfd(1, EFD_NONBLOCK);

	add(&seen, fd, VCORE_LOOP_READ, 0);
	vcore_source_remove(seen.source);
	ck_assert_int_eq(seen.releases, 0);
	dispatch(1);
	ck_assert_int_eq(seen.releases, 1);
	ck_assert_int_eq(seen.calls, 0);
	vcore_source_remove(NULL);
	close(fd);
}
END_TEST

START_TEST(test_remove_in_its_own_callback)
{
	struct seen seen = { .remove = true };
	int fd = eventfd(1, EFD_NONBLOCK), before = support_open_fds();

	add(&seen, fd, VCORE_LOOP_READ, 0);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	ck_assert_int_eq(seen.calls, 1);
	ck_assert_int_eq(seen.releases, 1);
	ck_assert_int_eq(support_open_fds(), before);
	close(fd);
}
END_TEST

START_TEST(test_remove_timer_in_its_own_callback)
{
	struct seen seen = { .remove = true };

	add_timer(&seen);
	ck_assert_ok(vcore_source_set_timer(seen.source, 1));
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	ck_assert_int_eq(seen.calls, 1);
	ck_assert_int_eq(seen.releases, 1);
}
END_TEST

static void
remove_both(void *opaque, uint32_t ready)
{
	struct seen **pair = opaque;
	int i;

	(void)ready;
	for (i = 0; i < 2; i++) {
		vcore_source_remove(pair[i]->source);
		pair[i]->calls++;
	}
}

static void
post_ten(void *opaque, uint32_t ready)
{
	struct vcore__call *c = opaque;

	(void)ready;
	for (int i = 0; i < 10; i++)
		vcore__loop_post(loop, &c[i]);
}

static int posted_calls;

static void
count_posted(struct vcore__call *c)
{
	(void)c;
	posted_calls++;
}

START_TEST(test_what_a_callback_posts_runs_in_the_same_dispatch)
{
	struct vcore__call calls[10] = { 0 };
	struct vcore_source *source;
	struct vcore_source_opts opts;
	int fd = eventfd(1, EFD_NONBLOCK);

	for (int i = 0; i < 10; i++)
		calls[i].fn = count_posted;
	VCORE_INIT(&opts);
	opts.fd = fd;
	opts.events = VCORE_LOOP_READ;
	opts.flags = VCORE_SOURCE_EVENTFD;
	opts.fn = post_ten;
	opts.opaque = calls;
	ck_assert_ok(vcore_loop_add(loop, &opts, &source));
	for (int i = 1; i <= 3; i++) {
		dispatch(11);
		ck_assert_int_eq(posted_calls, 10 * i);
		/* Nothing is left, and nothing to wake up for. */
		ck_assert(!support_readable(vcore_loop_fd(loop)));
		dispatch(0);
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
	}
	vcore_source_remove(source);
	dispatch(1);
	close(fd);
}
END_TEST

START_TEST(test_source_removed_by_a_callback_of_its_batch_is_not_called)
{
	struct seen one = { 0 }, two = { 0 }, *pair[2] = { &one, &two };
	struct vcore_source_opts opts;
	int fd = eventfd(1, EFD_NONBLOCK);

	VCORE_INIT(&opts);
	opts.fd = fd;
	opts.events = VCORE_LOOP_READ;
	opts.fn = remove_both;
	opts.opaque = pair;
	ck_assert_ok(vcore_loop_add(loop, &opts, &one.source));
	ck_assert_ok(vcore_loop_add(loop, &opts, &two.source));
	/* One function, and both ends, which it posted. */
	dispatch(3);
	ck_assert_int_eq(one.calls, 1);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	ck_assert_int_eq(one.calls, 1);
	close(fd);
}
END_TEST

static void
silence(void *opaque, uint32_t ready)
{
	struct seen **pair = opaque;

	(void)ready;
	pair[0]->calls++;
	ck_assert_ok(vcore_source_set_events(pair[0]->source, 0));
	ck_assert_ok(vcore_source_set_events(pair[1]->source, 0));
}

START_TEST(test_source_silenced_by_a_callback_of_its_batch_is_not_called)
{
	struct seen one = { 0 }, two = { 0 }, *pair[2] = { &one, &two };
	struct vcore_source_opts opts;
	int fd = eventfd(1, EFD_NONBLOCK);

	VCORE_INIT(&opts);
	opts.fd = fd;
	opts.events = VCORE_LOOP_READ;
	opts.fn = silence;
	opts.opaque = pair;
	ck_assert_ok(vcore_loop_add(loop, &opts, &one.source));
	ck_assert_ok(vcore_loop_add(loop, &opts, &two.source));
	dispatch(1);
	dispatch(0);
	ck_assert_int_eq(one.calls, 1);
	vcore_source_remove(one.source);
	vcore_source_remove(two.source);
	close(fd);
}
END_TEST

START_TEST(test_source_outlives_the_callers_loop_handle)
{
	int fd = eventfd(0, EFD_NONBLOCK), before;
	struct seen seen = { 0 }, timer = { 0 };

	before = support_open_fds();
	add(&seen, fd, VCORE_LOOP_READ, 0);
	add_timer(&timer);
	vcore_loop_unref(loop);
	ck_assert_int_eq(seen.releases, 0);
	vcore_source_remove(timer.source);
	vcore_source_remove(seen.source);
	ck_assert_int_eq(seen.releases, 1);
	ck_assert_int_eq(timer.releases, 1);
	ck_assert_int_eq(support_open_fds(), before - 3);
	close(fd);
	setup();
}
END_TEST

static void
add_while_ending(void *opaque)
{
	struct vcore_source_opts opts = opts_for(opaque, -1, 0);
	struct vcore_source *s = NULL;

	ck_assert_error(vcore_loop_add(loop, &opts, &s), -EBUSY,
			"vcore_loop_add:");
	((struct seen *)opaque)->releases++;
}

START_TEST(test_add_while_the_loop_ends_returns_ebusy)
{
	struct seen seen = { 0 };

	ck_assert_ok(vcore_loop_call(loop, add_while_ending, &seen));
	vcore_loop_unref(loop);
	ck_assert_int_eq(seen.releases, 1);
	setup();
}
END_TEST

START_TEST(test_timer_fires_once_when_it_is_due)
{
	struct seen seen = { 0 };

	add_timer(&seen);
	dispatch(0);
	ck_assert_ok(
		vcore_source_set_timer(seen.source, vcore__now_ns() + 1000000));
	while (!seen.calls)
		ck_assert_int_ge(vcore_loop_dispatch(loop, -1), 0);
	ck_assert_uint_eq(seen.ready, 0);
	dispatch(0);
	ck_assert_int_eq(seen.calls, 1);
	drop(&seen);
}
END_TEST

START_TEST(test_timer_in_the_past_fires_at_once)
{
	struct seen seen = { 0 };

	add_timer(&seen);
	ck_assert_ok(vcore_source_set_timer(seen.source, 1));
	ck_assert(support_wait_readable(vcore_loop_fd(loop)));
	dispatch(1);
	drop(&seen);
}
END_TEST

START_TEST(test_disarmed_or_removed_timer_does_not_fire)
{
	struct seen off = { 0 }, gone = { 0 }, last = { 0 };

	add_timer(&off);
	add_timer(&gone);
	add_timer(&last);
	ck_assert_ok(vcore_source_set_timer(off.source, 1));
	ck_assert_ok(vcore_source_set_timer(gone.source, 2));
	ck_assert_ok(
		vcore_source_set_timer(last.source, vcore__now_ns() + 1000000));
	ck_assert_ok(vcore_source_set_timer(off.source, 0));
	vcore_source_remove(gone.source);
	while (!last.calls)
		ck_assert_int_ge(vcore_loop_dispatch(loop, -1), 0);
	ck_assert_int_eq(off.calls, 0);
	ck_assert_int_eq(gone.calls, 0);
	ck_assert_int_eq(gone.releases, 1);
	drop(&off);
	drop(&last);
}
END_TEST

START_TEST(test_timer_far_away_does_not_fire)
{
	struct seen seen = { 0 };

	add_timer(&seen);
	ck_assert_ok(vcore_source_set_timer(seen.source, UINT64_MAX));
	dispatch(0);
	ck_assert_ok(vcore_source_set_timer(seen.source, 1));
	ck_assert(support_wait_readable(vcore_loop_fd(loop)));
	dispatch(1);
	drop(&seen);
}
END_TEST

static void
fire_again(void *opaque, uint32_t ready)
{
	struct seen *seen = opaque;

	(void)ready;
	if (++seen->calls < 300)
		ck_assert_ok(vcore_source_set_timer(seen->source, 1));
}

START_TEST(test_timer_that_arms_itself_lets_dispatch_return)
{
	struct seen seen = { 0 };
	struct vcore_source_opts opts = opts_for(&seen, -1, 0);

	opts.fn = fire_again;
	ck_assert_ok(vcore_loop_add(loop, &opts, &seen.source));
	ck_assert_ok(vcore_source_set_timer(seen.source, 1));
	while (seen.calls < 300) {
		ck_assert(support_wait_readable(vcore_loop_fd(loop)));
		ck_assert_int_le(vcore_loop_dispatch(loop, 0),
				 VCORE__LOOP_BUDGET);
	}
	drop(&seen);
}
END_TEST

START_TEST(test_set_timer_bad_arguments_return_einval)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct seen seen = { 0 };

	add(&seen, fd, VCORE_LOOP_READ, 0);
	ck_assert_error(vcore_source_set_timer(NULL, 1), -EINVAL,
			"vcore_source_set_timer:");
	ck_assert_error(vcore_source_set_timer(seen.source, 1), -EINVAL,
			"vcore_source_set_timer:");
	drop(&seen);
	close(fd);
}
END_TEST

START_TEST(test_many_busy_sources_all_get_their_turn)
{
	enum {
		MANY = 200
	};
	static struct seen seen[MANY];
	int fd = eventfd(1, EFD_NONBLOCK), i, n;

	for (i = 0; i < MANY; i++)
		add(&seen[i], fd, VCORE_LOOP_READ, 0);
	for (i = 0; i < 2 * MANY / VCORE__LOOP_BUDGET + 1; i++) {
		n = vcore_loop_dispatch(loop, 0);
		ck_assert_int_le(n, VCORE__LOOP_BUDGET);
	}
	for (i = 0; i < MANY; i++) {
		ck_assert_int_ge(seen[i].calls, 1);
		vcore_source_remove(seen[i].source);
	}
	close(fd);
}
END_TEST

/*
 * Stress: a thread adds, signals and removes sources while another dispatches.
 * Each source has an object of its own, poisoned by its release.
 */
struct object {
	_Atomic int released;
	int calls;
	struct vcore_source *source;
};

static _Atomic int releases;
static _Atomic int late_calls;

static void
touch(void *opaque, uint32_t ready)
{
	struct object *o = opaque;

	(void)ready;
	o->calls++;
	if (atomic_load(&o->released))
		atomic_fetch_add(&late_calls, 1);
}

static void
forget(void *opaque)
{
	struct object *o = opaque;

	atomic_store(&o->released, 1);
	o->calls = -1;
	free(o);
	atomic_fetch_add(&releases, 1);
}

static void *
add_and_remove(void *arg)
{
	int fd = eventfd(0, EFD_NONBLOCK), i;
	struct vcore_source_opts opts;
	struct object *o;

	(void)arg;
	for (i = 0; i < STRESS_ROUNDS; i++) {
		o = calloc(1, sizeof(*o));
		VCORE_INIT(&opts);
		opts.fd = i % 3 ? fd : -1;
		opts.events = i % 3 ? VCORE_LOOP_READ : 0;
		opts.flags = i % 3 == 1 ? VCORE_SOURCE_EVENTFD : 0;
		opts.fn = touch;
		opts.release = forget;
		opts.opaque = o;
		ck_assert_ok(vcore_loop_add(loop, &opts, &o->source));
		if (i % 3)
			signal_eventfd(fd);
		else
			ck_assert_ok(vcore_source_set_timer(o->source, 1));
		vcore_source_remove(o->source);
	}
	close(fd);
	return NULL;
}

static void *
run_loop(void *arg)
{
	ck_assert_ok(vcore_loop_run(arg));
	return NULL;
}

START_TEST(test_stress_removing_from_elsewhere_releases_exactly_once)
{
	int before = support_open_fds();
	pthread_t runner, thread[2];
	int i;

	pthread_create(&runner, NULL, run_loop, loop);
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, add_and_remove, NULL);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	vcore_loop_quit(loop);
	pthread_join(runner, NULL);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	ck_assert_int_eq(atomic_load(&releases), 2 * STRESS_ROUNDS);
	ck_assert_int_eq(atomic_load(&late_calls), 0);
	ck_assert_int_eq(support_open_fds(), before);
}
END_TEST

/* Remove on one thread while the function is running on another. */

static pthread_barrier_t inside, removed;

static void
stay_inside(void *opaque, uint32_t ready)
{
	struct seen *seen = opaque;

	(void)ready;
	pthread_barrier_wait(&inside);
	pthread_barrier_wait(&removed);
	ck_assert_int_eq(seen->releases, 0);
	seen->calls++;
}

START_TEST(test_remove_while_it_is_called_elsewhere_releases_after_the_call)
{
	int fd = eventfd(1, EFD_NONBLOCK), before = support_open_fds();
	struct seen seen = { 0 };
	struct vcore_source_opts opts = opts_for(&seen, fd, VCORE_LOOP_READ);
	pthread_t runner;

	pthread_barrier_init(&inside, NULL, 2);
	pthread_barrier_init(&removed, NULL, 2);
	opts.fn = stay_inside;
	ck_assert_ok(vcore_loop_add(loop, &opts, &seen.source));
	pthread_create(&runner, NULL, run_loop, loop);
	pthread_barrier_wait(&inside);
	vcore_source_remove(seen.source);
	/* The call may still use it: open until it returns. */
	ck_assert_int_eq(support_open_fds(), before + 1);
	pthread_barrier_wait(&removed);
	vcore_loop_quit(loop);
	pthread_join(runner, NULL);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	ck_assert_int_eq(seen.calls, 1);
	ck_assert_int_eq(seen.releases, 1);
	ck_assert_int_eq(support_open_fds(), before);
	close(fd);
}
END_TEST

static void
add_tests_of_descriptors(TCase *t)
{
	tcase_add_test(t, test_add_bad_options_return_the_documented_errors);
	tcase_add_test(t, test_add_descriptors_that_do_not_work);
	tcase_add_test(t, test_add_with_each_step_failing_takes_nothing);
	tcase_add_test(t, test_ready_descriptor_is_reported_until_it_is_read);
	tcase_add_test(t, test_events_can_be_changed);
	tcase_add_test(t, test_without_events_not_even_hup_is_reported);
	tcase_add_test(t,
		       test_set_events_bad_arguments_return_the_documented_errors);
	tcase_add_loop_test(t, test_eventfd_is_read_before_the_call, 0, 2);
	tcase_add_loop_test(t,
			    test_eventfd_that_somebody_else_read_is_not_reported,
			    0, 2);
	tcase_add_test(t, test_caller_may_close_his_descriptor);
	tcase_add_test(t, test_remove_closes_the_duplicate_at_once);
	tcase_add_test(t, test_remove_releases_on_the_loop);
	tcase_add_test(t, test_remove_in_its_own_callback);
	tcase_add_test(t, test_what_a_callback_posts_runs_in_the_same_dispatch);
	tcase_add_test(t,
		       test_source_removed_by_a_callback_of_its_batch_is_not_called);
	tcase_add_test(t,
		       test_source_silenced_by_a_callback_of_its_batch_is_not_called);
	tcase_add_test(t, test_source_outlives_the_callers_loop_handle);
	tcase_add_test(t, test_add_while_the_loop_ends_returns_ebusy);
	tcase_add_test(t, test_many_busy_sources_all_get_their_turn);
}

int
main(void)
{
	Suite *suite = suite_create("source");
	TCase *t = tcase_create("source");

	tcase_add_checked_fixture(t, setup, teardown);
	add_tests_of_descriptors(t);
	tcase_add_test(t, test_remove_timer_in_its_own_callback);
	tcase_add_test(t, test_timer_fires_once_when_it_is_due);
	tcase_add_test(t, test_timer_in_the_past_fires_at_once);
	tcase_add_test(t, test_disarmed_or_removed_timer_does_not_fire);
	tcase_add_test(t, test_timer_far_away_does_not_fire);
	tcase_add_test(t, test_timer_that_arms_itself_lets_dispatch_return);
	tcase_add_test(t, test_set_timer_bad_arguments_return_einval);
	tcase_add_test(t,
		       test_remove_while_it_is_called_elsewhere_releases_after_the_call);
	tcase_add_test(t,
		       test_stress_removing_from_elsewhere_releases_exactly_once);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
