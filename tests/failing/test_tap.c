/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: tap interfaces, in a network of this program's own. */
#include <vcore/link.h>

#include <errno.h>
#include <net/if.h>

#include "base/base.h"
#include "support/own_network.h"
#include "support/walk.h"

#define SKIPPED 77
#define NAME "vtap0"

static struct vcore_link *link_;
static struct vcore_loop *loop;
static void *queue;

static int
new_tap(void)
{
	struct vcore_link_tap_opts o;

	VCORE_INIT(&o);
	o.flags = VCORE_LINK_TAP_CREATE;
	o.name = NAME;
	o.queues = 2;
	return vcore_link_new_tap(&o, &link_);
}

/* An interface that could not be set up is gone. */
static void
check_tap(bool done)
{
	ck_assert_int_eq(if_nametoindex(NAME) != 0, done);
}

static void
unref_link(void)
{
	vcore_link_unref(link_);
}

static void
with_link(void)
{
	ck_assert_ok(new_tap());
	ck_assert_ok(vcore_loop_new(NULL, &loop));
}

static void
without_link(void)
{
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	vcore_loop_unref(loop);
	unref_link();
}

static void
on_ready(void *opaque, uint32_t bits)
{
	(void)opaque;
	(void)bits;
}

static int
attach(void)
{
	return vcore_link_attach(link_, 1, loop, on_ready, NULL, &queue);
}

static void
detach(void)
{
	vcore_link_detach(link_, queue);
}

static void
with_attached(void)
{
	with_link();
	ck_assert_ok(attach());
}

static void
without_attached(void)
{
	detach();
	without_link();
}

static int
set_offloads(void)
{
	return vcore_link_set_offloads(link_, vcore_link_offloads(link_));
}

static int
want(void)
{
	return vcore_link_want(link_, queue, VCORE_LINK_WRITABLE);
}

static const struct walk cases[] = {
	{ WALK(vcore_link_new_tap), .call = new_tap, .check = check_tap,
	  .undo = unref_link, .least = 6 },
	{ WALK(vcore_link_attach), .before = with_link, .call = attach,
	  .undo = detach, .after = without_link, .least = 3 },
	{ WALK(vcore_link_set_offloads), .before = with_attached,
	  .call = set_offloads, .after = without_attached, .least = 1 },
	{ WALK(vcore_link_want), .before = with_attached, .call = want,
	  .after = without_attached, .least = 1 },
};

START_TEST(test_tap_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/tap");
	TCase *t = tcase_create("tap");

	if (enter_own_network() < 0) {
		printf("skipped: no network namespace or no /dev/net/tun\n");
		return SKIPPED;
	}
	tcase_add_test(t, test_tap_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
