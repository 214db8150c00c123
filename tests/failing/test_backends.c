/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: disks, links and streams of each kind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vcore/disk.h>
#include <vcore/link.h>
#include <vcore/stream.h>

#include "base/base.h"
#include "support/walk.h"

#define CAPACITY 65536

static struct vcore_loop *loop;
static struct vcore_disk *disk;
static struct vcore_link *link_;
static struct vcore_stream *stream;
static void *queue;
static char path[64];
static uint32_t released;
static int fd, pair[2];

static void
count_release(void *opaque)
{
	(void)opaque;
	released++;
}

static void
check_not_released(bool done)
{
	(void)done;
	ck_assert_uint_eq(released, 0);
}

static void
make_loop(void)
{
	ck_assert_ok(vcore_loop_new(NULL, &loop));
}

/* What was given up is released by the loop. */
static void
drop_loop(void)
{
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	vcore_loop_unref(loop);
}

static void
on_ready(void *opaque, uint32_t bits)
{
	(void)opaque;
	(void)bits;
}

/* Disks. */

static void
done_at_once(void *opaque, void *q, struct vcore_disk_request *req)
{
	(void)opaque;
	(void)q;
	vcore_disk_done(req, 0);
}

static int
no_limits(void *opaque, struct vcore_disk_limits *limits)
{
	(void)opaque;
	limits->capacity = CAPACITY;
	return 0;
}

static int
new_disk(void)
{
	static const struct vcore_disk_ops ops = {
		.size = sizeof(ops), .submit = done_at_once,
		.limits = no_limits,
	};

	released = 0;
	return vcore_disk_new(&ops, NULL, count_release, &disk);
}

static void
unref_disk(void)
{
	vcore_disk_unref(disk);
}

static void
before_file(void)
{
	snprintf(path, sizeof(path), "/tmp/vcore-walk-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_eq(ftruncate(fd, CAPACITY), 0);
}

static void
after_file(void)
{
	unlink(path);
	close(fd);
}

static int
new_file(void)
{
	struct vcore_disk_file_opts o;

	VCORE_INIT(&o);
	o.path = path;
	return vcore_disk_new_file(&o, &disk);
}

static int
new_file_fd(void)
{
	struct vcore_disk_file_opts o;

	VCORE_INIT(&o);
	o.flags = VCORE_DISK_FILE_FD;
	o.fd = fd;
	return vcore_disk_new_file(&o, &disk);
}

static int
open_file(void)
{
	struct vcore_disk_limits limits;
	struct vcore_disk_file_opts o;
	int rc;

	VCORE_INIT(&limits);
	VCORE_INIT(&o);
	o.path = path;
	rc = vcore_disk_open_file(&o, &limits);
	if (rc >= 0)
		close(rc);
	return rc;
}

static void
before_attach_disk(void)
{
	make_loop();
	before_file();
	ck_assert_ok(new_file());
}

static void
after_attach_disk(void)
{
	unref_disk();
	after_file();
	drop_loop();
}

static int
attach_disk(void)
{
	return vcore_disk_attach(disk, loop, &queue);
}

static void
detach_disk(void)
{
	vcore_disk_detach(disk, queue);
}

static int
clear_error(void)
{
	return vcore_disk_clear_error(disk);
}

/* Links. */

static int
no_send(void *opaque, void *q, const struct iovec *iov, uint32_t count)
{
	(void)opaque;
	(void)q;
	(void)iov;
	(void)count;
	return -EAGAIN;
}

static int64_t
no_receive(void *opaque, void *q, const struct iovec *iov, uint32_t count)
{
	return no_send(opaque, q, iov, count);
}

static int
ok_attach(void *opaque, uint32_t index, struct vcore_loop *l,
	  vcore_link_ready_fn ready, void *ready_opaque, void **q)
{
	(void)opaque;
	(void)index;
	(void)l;
	(void)ready;
	(void)ready_opaque;
	*q = &queue;
	return 0;
}

static void
no_detach(void *opaque, void *q)
{
	(void)opaque;
	(void)q;
}

static int
ok_want(void *opaque, void *q, uint32_t events)
{
	(void)opaque;
	(void)q;
	(void)events;
	return 0;
}

static int
new_link(void)
{
	static const struct vcore_link_ops ops = {
		.size = sizeof(ops), .send = no_send, .receive = no_receive,
		.attach = ok_attach, .detach = no_detach, .want = ok_want,
	};

	released = 0;
	return vcore_link_new(&ops, NULL, count_release, &link_);
}

static void
unref_link(void)
{
	vcore_link_unref(link_);
}

static void
before_pair(void)
{
	make_loop();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void
after_pair(void)
{
	close(pair[0]);
	close(pair[1]);
	drop_loop();
}

static int
new_socket_fd(void)
{
	return vcore_link_new_socket(NULL, pair[0], &link_);
}

static void
before_path(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	make_loop();
	snprintf(path, sizeof(path), "/tmp/vcore-walk-%d", getpid());
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 100), 0);
}

static void
after_path(void)
{
	after_file();
	drop_loop();
}

static int
new_socket(void)
{
	return vcore_link_new_socket(path, -1, &link_);
}

static void
before_attach_link(void)
{
	before_pair();
	ck_assert_ok(new_socket_fd());
}

static void
after_attach_link(void)
{
	unref_link();
	after_pair();
}

static int
attach_link(void)
{
	return vcore_link_attach(link_, 0, loop, on_ready, NULL, &queue);
}

static void
detach_link(void)
{
	vcore_link_detach(link_, queue);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
}

static void
with_link(void)
{
	before_attach_link();
	ck_assert_ok(attach_link());
}

static void
without_link(void)
{
	detach_link();
	after_attach_link();
}

static int
want_link(void)
{
	return vcore_link_want(link_, queue, VCORE_LINK_WRITABLE);
}

static int
set_offloads(void)
{
	return vcore_link_set_offloads(link_, 0);
}

/* Streams. */

static int64_t
no_read(void *opaque, void *buf, uint64_t len)
{
	(void)opaque;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static int64_t
no_write(void *opaque, const void *buf, uint64_t len)
{
	return no_read(opaque, (void *)(uintptr_t)buf, len);
}

static int
ok_stream_attach(void *opaque, struct vcore_loop *l,
		 vcore_stream_ready_fn ready, void *ready_opaque)
{
	(void)opaque;
	(void)l;
	(void)ready;
	(void)ready_opaque;
	return 0;
}

static void
no_stream_detach(void *opaque)
{
	(void)opaque;
}

static int
ok_stream_want(void *opaque, uint32_t events)
{
	(void)opaque;
	(void)events;
	return 0;
}

static int
new_stream(void)
{
	static const struct vcore_stream_ops ops = {
		.size = sizeof(ops), .read = no_read, .write = no_write,
		.attach = ok_stream_attach, .detach = no_stream_detach,
		.want = ok_stream_want,
	};

	released = 0;
	return vcore_stream_new(&ops, NULL, count_release, &stream);
}

static void
unref_stream(void)
{
	vcore_stream_unref(stream);
}

static int
new_fd(void)
{
	return vcore_stream_new_fd(pair[0], pair[1], &stream);
}

static int
new_pty(void)
{
	return vcore_stream_new_pty(&stream, NULL, 0);
}

static int
new_ring(void)
{
	return vcore_stream_new_ring(4096, &stream);
}

static void
before_name(void)
{
	make_loop();
	snprintf(path, sizeof(path), "/tmp/vcore-walk-%d", getpid());
}

static int
new_unix(void)
{
	return vcore_stream_new_unix(path, -1, &stream);
}

/* Nothing is left in the file system. */
static void
check_unix(bool done)
{
	ck_assert_int_eq(access(path, F_OK) == 0, done);
}

static int
open_stream(const char *spec)
{
	char name[64];

	return vcore_stream_open(spec, &stream, name, sizeof(name));
}

static int
open_null(void)
{
	return open_stream("null");
}

static int
open_pty(void)
{
	return open_stream("pty");
}

static int
open_named(void)
{
	char spec[80];

	snprintf(spec, sizeof(spec), "unix:%s", path);
	return open_stream(spec);
}

static int
open_fds(void)
{
	char spec[40];

	snprintf(spec, sizeof(spec), "fd:%d:%d", pair[0], pair[1]);
	return open_stream(spec);
}

static int
attach_stream(void)
{
	return vcore_stream_attach(stream, loop, on_ready, NULL);
}

static void
detach_stream(void)
{
	vcore_stream_detach(stream);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
}

static void
with_fd(void)
{
	before_pair();
	ck_assert_ok(new_fd());
}

static void
without_fd(void)
{
	unref_stream();
	after_pair();
}

static void
with_pty(void)
{
	make_loop();
	ck_assert_ok(new_pty());
}

static void
with_ring(void)
{
	make_loop();
	ck_assert_ok(new_ring());
}

static void
with_unix(void)
{
	before_name();
	ck_assert_ok(new_unix());
}

static void
without_stream(void)
{
	unref_stream();
	drop_loop();
}

static void
with_attached(void)
{
	with_fd();
	ck_assert_ok(attach_stream());
}

static void
without_attached(void)
{
	detach_stream();
	without_fd();
}

static int
want_stream(void)
{
	return vcore_stream_want(stream, VCORE_STREAM_WRITABLE);
}

static const struct walk disk_cases[] = {
	{ WALK(vcore_disk_new), .call = new_disk, .check = check_not_released,
	  .undo = unref_disk, .least = 1 },
	{ WALK(vcore_disk_new_file), .before = before_file,
	  .call = new_file, .undo = unref_disk, .after = after_file,
	  .least = 6 },
	{ WALK(vcore_disk_new_file), .before = before_file,
	  .call = new_file_fd, .undo = unref_disk, .after = after_file,
	  .least = 6 },
	{ WALK(vcore_disk_open_file), .before = before_file,
	  .call = open_file, .after = after_file, .least = 2 },
	{ WALK(vcore_disk_attach), .before = before_attach_disk,
	  .call = attach_disk, .undo = detach_disk,
	  .after = after_attach_disk, .least = 1 },
	{ WALK(vcore_disk_clear_error), .before = before_attach_disk,
	  .call = clear_error, .after = after_attach_disk },
};

static const struct walk link_cases[] = {
	{ WALK(vcore_link_new), .call = new_link, .check = check_not_released,
	  .undo = unref_link, .least = 1 },
	{ WALK(vcore_link_new_socket), .before = before_pair,
	  .call = new_socket_fd, .undo = unref_link, .after = after_pair,
	  .least = 4 },
	{ WALK(vcore_link_new_socket), .before = before_path,
	  .call = new_socket, .undo = unref_link, .after = after_path,
	  .least = 4 },
	{ WALK(vcore_link_attach), .before = before_attach_link,
	  .call = attach_link, .undo = detach_link,
	  .after = after_attach_link, .least = 3 },
	{ WALK(vcore_link_want), .before = with_link, .call = want_link,
	  .after = without_link },
	{ WALK(vcore_link_set_offloads), .before = with_link,
	  .call = set_offloads, .after = without_link },
};

static const struct walk stream_cases[] = {
	{ WALK(vcore_stream_new), .call = new_stream,
	  .check = check_not_released, .undo = unref_stream, .least = 1 },
	{ WALK(vcore_stream_new_fd), .before = before_pair, .call = new_fd,
	  .undo = unref_stream, .after = after_pair, .least = 6 },
	{ WALK(vcore_stream_new_pty), .call = new_pty,
	  .undo = unref_stream, .least = 5 },
	{ WALK(vcore_stream_new_ring), .call = new_ring,
	  .undo = unref_stream, .least = 3 },
	{ WALK(vcore_stream_new_unix), .before = before_name,
	  .call = new_unix, .check = check_unix, .undo = unref_stream,
	  .after = drop_loop, .least = 5 },
	{ WALK(vcore_stream_open), .call = open_null,
	  .undo = unref_stream, .least = 1 },
	{ WALK(vcore_stream_open), .call = open_pty,
	  .undo = unref_stream, .least = 5 },
	{ WALK(vcore_stream_open), .before = before_pair,
	  .call = open_fds, .undo = unref_stream, .after = after_pair,
	  .least = 3 },
	{ WALK(vcore_stream_open), .before = before_name,
	  .call = open_named, .check = check_unix, .undo = unref_stream,
	  .after = drop_loop, .least = 5 },
	{ WALK(vcore_stream_attach), .before = with_fd,
	  .call = attach_stream, .undo = detach_stream,
	  .after = without_fd, .least = 2 },
	{ WALK(vcore_stream_attach), .before = with_pty,
	  .call = attach_stream, .undo = detach_stream,
	  .after = without_stream, .least = 2 },
	{ WALK(vcore_stream_attach), .before = with_ring,
	  .call = attach_stream, .undo = detach_stream,
	  .after = without_stream, .least = 1 },
	{ WALK(vcore_stream_attach), .before = with_unix,
	  .call = attach_stream, .undo = detach_stream,
	  .after = without_stream, .least = 1 },
	{ WALK(vcore_stream_want), .before = with_attached,
	  .call = want_stream, .after = without_attached },
};

START_TEST(test_disks_with_each_call_failing)
{
	walk(disk_cases, VCORE__ARRAY_SIZE(disk_cases));
}
END_TEST

START_TEST(test_links_with_each_call_failing)
{
	walk(link_cases, VCORE__ARRAY_SIZE(link_cases));
}
END_TEST

START_TEST(test_streams_with_each_call_failing)
{
	walk(stream_cases, VCORE__ARRAY_SIZE(stream_cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/backends");
	TCase *t = tcase_create("backends");

	tcase_add_test(t, test_disks_with_each_call_failing);
	tcase_add_test(t, test_links_with_each_call_failing);
	tcase_add_test(t, test_streams_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
