/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: links into user-mode networking. */
#include <vcore/slirp.h>

#include <errno.h>

#include "base/base.h"
#include "support/walk.h"

static struct fake_kvm fake;
static struct vcore_machine *machine;
static struct vcore_host *host;
static struct vcore_link *link_;
static struct vcore_loop *loop;
static void *queue;

static int
new_link(void)
{
	return vcore_slirp_new(NULL, &link_);
}

static void
unref_link(void)
{
	vcore_link_unref(link_);
}

static void
on_ready(void *opaque, uint32_t bits)
{
	(void)opaque;
	(void)bits;
}

static void
with_link(void)
{
	ck_assert_ok(new_link());
	ck_assert_ok(vcore_loop_new(NULL, &loop));
}

static void
without_link(void)
{
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	vcore_loop_unref(loop);
	unref_link();
}

static int
attach(void)
{
	return vcore_link_attach(link_, 0, loop, on_ready, NULL, &queue);
}

static void
detach(void)
{
	vcore_link_detach(link_, queue);
}

static void
with_machine(void)
{
	struct vcore_machine_opts o;

	host = fake_kvm_host(&fake);
	VCORE_INIT(&o);
	o.memory = 1 << 20;
	o.host = host;
	ck_assert_ok(vcore_machine_new(&o, &machine));
	ck_assert_ok(vcore_machine_add_link_kind(machine, "user",
						 vcore_slirp_make, NULL));
}

static void
without_machine(void)
{
	vcore_machine_unref(machine);
	vcore_host_unref(host);
}

static int
add(void)
{
	return vcore_machine_add(machine, "net,link=user,restrict");
}

static const struct walk cases[] = {
	{ WALK(vcore_slirp_new), .call = new_link, .undo = unref_link,
	  .least = 2, .also = { -ENOMEM } },
	{ WALK(vcore_link_attach), .before = with_link, .call = attach,
	  .undo = detach, .after = without_link, .least = 1 },
	{ WALK(vcore_machine_add), .before = with_machine, .call = add,
	  .after = without_machine, .least = 20 },
};

START_TEST(test_slirp_with_each_call_failing)
{
	fake_kvm_init(&fake);
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("slirp/failing");
	TCase *t = tcase_create("slirp");

	tcase_add_test(t, test_slirp_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
