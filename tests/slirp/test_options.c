/* SPDX-License-Identifier: BSD-3-Clause */
/* How a user-mode link is made: options, recipes, and what is refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vcore/slirp.h>

#include "machine/recipe.h"
#include "support/support.h"

static int
make(const struct vcore_slirp_opts *o)
{
	struct vcore_link *l = NULL;
	int rc = vcore_slirp_new(o, &l);

	ck_assert((rc == 0) == (l != NULL));
	vcore_link_unref(l);
	return rc;
}

/* A socket on a port of 127.0.0.1. */
static int
take_port(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

START_TEST(test_new_refuses_bad_options)
{
	struct vcore_slirp_forward f[65];
	struct vcore_slirp_opts o;

	memset(f, 0, sizeof(f));
	ck_assert_error(vcore_slirp_new(NULL, NULL), -EINVAL,
			"vcore_slirp_new: link");
	VCORE_INIT(&o);
	o.size = 8;
	ck_assert_error(make(&o), -EINVAL, "vcore_slirp_new: opts");
	VCORE_INIT(&o);
	o.flags = 4;
	ck_assert_error(make(&o), -E2BIG, "vcore_slirp_new: flags");
	VCORE_INIT(&o);
	o.forward_count = 1;
	ck_assert_error(make(&o), -EINVAL, "vcore_slirp_new: 1 forwards");
	o.forwards = f;
	o.forward_count = 65;
	ck_assert_error(make(&o), -EINVAL, "vcore_slirp_new: 65 forwards");
}
END_TEST

START_TEST(test_new_refuses_malformed_forwards)
{
	static const struct vcore_slirp_forward bad[] = {
		{ NULL, 0, 1000, 22 }, { NULL, 3, 1000, 22 },
		{ NULL, VCORE_SLIRP_TCP, 0, 22 },
		{ NULL, VCORE_SLIRP_TCP, 1000, 0 },
		{ "nowhere", VCORE_SLIRP_TCP, 1000, 22 },
		{ "::1", VCORE_SLIRP_TCP, 1000, 22 },
	};
	struct vcore_slirp_opts o;

	VCORE_INIT(&o);
	o.forwards = &bad[_i];
	o.forward_count = 1;
	ck_assert_error(make(&o), -EINVAL, "vcore_slirp_new: forward");
}
END_TEST

START_TEST(test_new_with_a_port_in_use_returns_eaddrinuse)
{
	struct vcore_slirp_forward f = { .protocol = VCORE_SLIRP_TCP,
					 .guest_port = 22 };
	struct vcore_slirp_opts o;
	int fd = take_port(&f.host_port);

	VCORE_INIT(&o);
	o.forwards = &f;
	o.forward_count = 1;
	ck_assert_error(make(&o), -EADDRINUSE,
			"vcore_slirp_new: can't listen");
	close(fd);
	ck_assert_ok(make(&o));
}
END_TEST

START_TEST(test_new_returns_enomem_when_memory_is_short)
{
	struct vcore_link *l;
	bool failed = true;
	int rc;

	for (unsigned int n = 1; failed; n++) {
		l = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_slirp_new(NULL, &l);
		failed = fail_stop();
		/* Without its timer libslirp only sends no IPv6 adverts. */
		ck_assert(rc == 0 || (failed && rc == -ENOMEM));
		vcore_link_unref(l);
	}
}
END_TEST

START_TEST(test_options_of_a_newer_caller)
{
	struct {
		struct vcore_slirp_opts o;
		uint64_t more;
	} newer;

	memset(&newer, 0, sizeof(newer));
	newer.o.size = sizeof(newer);
	ck_assert_ok(make(&newer.o));
	newer.more = 1;
	ck_assert_error(make(&newer.o), -E2BIG, "vcore_slirp_new: opts");
}
END_TEST

static int
from_recipe(const char *text)
{
	struct vcore_recipe *r;
	struct vcore_link *l = NULL;
	int rc;

	ck_assert_ok(vcore__recipe_parse(text, &r));
	ck_assert_ptr_nonnull(vcore_recipe_get(r, "link"));
	rc = vcore_slirp_make(NULL, r, &l);
	ck_assert((rc == 0) == (l != NULL));
	if (rc == 0)
		ck_assert_ok(vcore__recipe_check(r));
	vcore_link_unref(l);
	free(r);
	return rc;
}

START_TEST(test_make_understands_its_keys)
{
	char text[200];
	uint16_t port[3];

	for (int i = 0; i < 3; i++)
		close(take_port(&port[i]));
	ck_assert_ok(from_recipe("net,link=user"));
	ck_assert_ok(from_recipe("net,link=user,restrict,noloopback"));
	snprintf(text, sizeof(text),
		 "net,link=user,hostfwd=tcp:%u:22+udp:%u:53+tcp:127.0.0.1:%u:80",
		 port[0], port[1], port[2]);
	ck_assert_ok(from_recipe(text));
}
END_TEST

START_TEST(test_make_refuses_malformed_ports)
{
	static const char *const bad[] = {
		"tcp", "tcp:1", "tcp:1:", "tcp::1", "tcp:x:1", "tcp:1:x",
		"sctp:1:1", "tcp:0:1", "tcp:1:65536", "tcp:-1:1", "tcp:+1:1",
		"tcp: 1:1", ":1:1", "tcp:1:1:1:1", "tcp:65535:1+x",
	};
	char text[100];

	snprintf(text, sizeof(text), "net,link=user,hostfwd=%s", bad[_i]);
	ck_assert_int_eq(from_recipe(text), -EINVAL);
	ck_assert_int_eq(strncmp(vcore_error_text(), "vcore_slirp_", 12), 0);
}
END_TEST

START_TEST(test_make_refuses_too_many_ports)
{
	char text[2000] = "net,link=user,hostfwd=tcp:1:1";

	for (int i = 0; i < 64; i++)
		strcat(text, "+tcp:1:1");
	ck_assert_error(from_recipe(text), -EINVAL,
			"vcore_slirp_make: hostfwd: more");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("slirp_options");
	TCase *t = tcase_create("options");

	tcase_add_test(t, test_new_refuses_bad_options);
	tcase_add_loop_test(t, test_new_refuses_malformed_forwards, 0, 6);
	tcase_add_test(t, test_new_with_a_port_in_use_returns_eaddrinuse);
	tcase_add_test(t, test_new_returns_enomem_when_memory_is_short);
	tcase_add_test(t, test_options_of_a_newer_caller);
	tcase_add_test(t, test_make_understands_its_keys);
	tcase_add_loop_test(t, test_make_refuses_malformed_ports, 0, 15);
	tcase_add_test(t, test_make_refuses_too_many_ports);
	suite_add_tcase(s, t);
	return support_run(s);
}
