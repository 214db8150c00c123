/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: logs, events, loops and their sources, pools. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/event.h>
#include <vcore/log.h>
#include <vcore/loop.h>
#include <vcore/pool.h>

#include "base/base.h"
#include "support/walk.h"

static struct vcore_log *logger;
static struct vcore_events *events;
static struct vcore_loop *loop;
static struct vcore_source *source;
static struct vcore_pool *pool;
static uint32_t released, called;
static int fd;

static void
count_release(void *opaque)
{
	(void)opaque;
	released++;
}

static void
on_message(void *opaque, uint32_t level, const char *text)
{
	(void)opaque;
	(void)level;
	(void)text;
}

static int
new_log(void)
{
	struct vcore_log_opts o;

	VCORE_INIT(&o);
	o.message = on_message;
	o.release = count_release;
	released = 0;
	return vcore_log_new(&o, &logger);
}

/* A call that failed took nothing: nothing is released. */
static void
check_not_released(bool done)
{
	(void)done;
	ck_assert_uint_eq(released, 0);
}

static void
unref_log(void)
{
	vcore_log_unref(logger);
	ck_assert_uint_eq(released, 1);
}

static void
before_log(void)
{
	ck_assert_ok(new_log());
}

static int
set_level(void)
{
	return vcore_log_set_level(logger, 3);
}

static int
new_events(void)
{
	return vcore_events_new(NULL, &events);
}

static void
unref_events(void)
{
	vcore_events_unref(events);
}

static void
before_events(void)
{
	ck_assert_ok(new_events());
}

static int
post(void)
{
	struct vcore_event e;

	VCORE_INIT(&e);
	e.kind = VCORE_EVENT_USER;
	return vcore_events_post(events, &e);
}

static int
new_loop(void)
{
	return vcore_loop_new(NULL, &loop);
}

static void
unref_loop(void)
{
	vcore_loop_unref(loop);
}

static void
before_loop(void)
{
	ck_assert_ok(new_loop());
	called = 0;
}

static void
count_call(void *opaque)
{
	(void)opaque;
	__atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);
}

static int
loop_call(void)
{
	return vcore_loop_call(loop, count_call, NULL);
}

static void
check_called(bool done)
{
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	ck_assert_uint_eq(called, done);
	called = 0;
}

static void
on_ready(void *opaque, uint32_t ready)
{
	(void)opaque;
	(void)ready;
	called++;
}

static int
add_fd(void)
{
	struct vcore_source_opts o;

	VCORE_INIT(&o);
	o.fd = fd;
	o.events = VCORE_LOOP_READ;
	o.fn = on_ready;
	o.release = count_release;
	released = 0;
	return vcore_loop_add(loop, &o, &source);
}

static void
before_source(void)
{
	before_loop();
	fd = eventfd(1, EFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void
after_source(void)
{
	unref_loop();
	close(fd);
}

static void
check_source(bool done)
{
	check_called(done);
	ck_assert_uint_eq(released, 0);
}

static void
remove_source(void)
{
	vcore_source_remove(source);
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	ck_assert_uint_eq(released, 1);
}

static void
before_added(void)
{
	before_source();
	ck_assert_ok(add_fd());
}

static void
after_added(void)
{
	remove_source();
	after_source();
}

static int
set_events(void)
{
	return vcore_source_set_events(source, 0);
}

/* What was asked for before goes on. */
static void
check_events(bool done)
{
	check_called(!done);
}

static int
add_timer(void)
{
	struct vcore_source_opts o;

	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = on_ready;
	o.release = count_release;
	released = 0;
	return vcore_loop_add(loop, &o, &source);
}

static void
before_timer(void)
{
	before_source();
	ck_assert_ok(add_timer());
}

static int
set_timer(void)
{
	return vcore_source_set_timer(source, 1);
}

static int
new_pool(void)
{
	struct vcore_pool_opts o;

	VCORE_INIT(&o);
	o.threads = 3;
	return vcore_pool_new(&o, &pool);
}

static void
unref_pool(void)
{
	vcore_pool_unref(pool);
}

static void
before_pool(void)
{
	ck_assert_ok(new_pool());
	called = 0;
}

static int
pool_call(void)
{
	return vcore_pool_call(pool, count_call, NULL);
}

static void
after_pool(void)
{
	unref_pool();
}

static const struct walk cases[] = {
	{ WALK(vcore_log_new), .call = new_log, .check = check_not_released,
	  .undo = unref_log, .least = 1 },
	{ WALK(vcore_log_set_level), .before = before_log, .call = set_level,
	  .after = unref_log },
	{ WALK(vcore_events_new), .call = new_events, .undo = unref_events,
	  .least = 2 },
	{ WALK(vcore_events_post), .before = before_events, .call = post,
	  .after = unref_events },
	{ WALK(vcore_loop_new), .call = new_loop, .undo = unref_loop,
	  .least = 5 },
	{ WALK(vcore_loop_call), .before = before_loop, .call = loop_call,
	  .check = check_called, .after = unref_loop, .least = 1 },
	{ WALK(vcore_loop_add), .before = before_source, .call = add_fd,
	  .check = check_source, .undo = remove_source,
	  .after = after_source, .least = 2 },
	{ WALK(vcore_loop_add), .before = before_source, .call = add_timer,
	  .undo = remove_source, .after = after_source, .least = 1 },
	{ WALK(vcore_source_set_events), .before = before_added,
	  .call = set_events, .check = check_events, .after = after_added,
	  .least = 1 },
	{ WALK(vcore_source_set_timer), .before = before_timer,
	  .call = set_timer, .check = check_called, .after = after_added },
	{ WALK(vcore_pool_new), .call = new_pool, .undo = unref_pool,
	  .least = 6 },
	{ WALK(vcore_pool_call), .before = before_pool, .call = pool_call,
	  .after = after_pool, .least = 1 },
};

START_TEST(test_base_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/base");
	TCase *t = tcase_create("base");

	tcase_add_test(t, test_base_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
