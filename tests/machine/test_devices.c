/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices of a machine: what recipes make and refuse, and attaching. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vcore/rng.h>

#include "machine/machine.h"
#include "support/machine.h"
#include "virtio/virtio.h"

static struct vcore_machine *m;

static void
setup(void)
{
	m = machine_new(NULL, 0);
}

static void
teardown(void)
{
	vcore_machine_unref(m);
}

static const char *
name_of(uint32_t index)
{
	return vcore_virtio_name(vcore_machine_device(m, index));
}

/* What is refused: number, what the text says, and nothing is added. */
static const struct {
	const char *recipe;
	int error;
	const char *text;
} refused[] = {
	{ NULL, -EINVAL, "NULL" },
	{ "", -EINVAL, "kind" },
	{ "floppy", -EINVAL, "device kind 'floppy'" },
	{ "rng,path=x", -EINVAL, "'path' means nothing" },
	{ "rng,id=", -EINVAL, "id=" },
	{ "rng,id=0123456789012345678901234567890x", -EINVAL, "31 bytes" },
	{ "rng,transport=isa", -EINVAL, "transport=isa" },
	{ "rng,loop=1", -EINVAL, "loop" },
	{ "rng,loop=x", -EINVAL, "loop" },
	{ "block", -EINVAL, "path= or fd=" },
	{ "block,path=/nonexistent/disk", -ENOENT, "/nonexistent/disk" },
	{ "block,path=/proc", -EISDIR, "/proc" },
	{ "block,path=a,fd=0", -EINVAL, "path= or fd=" },
	{ "block,fd=99999", -EBADF, "99999" },
	{ "block,fd=-1", -EINVAL, "fd" },
	{ "block,path=/dev/null,disk=floppy", -EINVAL, "disk kind 'floppy'" },
	{ "block,path=/dev/null,ro=1", -EINVAL, "'ro'" },
	{ "block,path=/proc/self/exe,ro,queues=257", -EINVAL, "queues" },
	{ "block,path=/proc/self/exe,ro,queue_size=3", -EINVAL, "queue_size" },
	{ "block,path=/proc/self/exe,ro,cache=none", -EINVAL, "cache=none" },
	{ "block,path=/proc/self/exe,ro,serial=123456789012345678901",
	  -EINVAL, "serial=" },
	{ "block,path=/proc/self/exe,ro,extra", -EINVAL, "'extra'" },
	{ "net", -EINVAL, "link=" },
	{ "net,link=pigeon", -EINVAL, "link kind 'pigeon'" },
	{ "net,link=socket", -EINVAL, "path= or fd=" },
	{ "net,link=socket,path=/nonexistent/socket", -ENOENT,
	  "/nonexistent/socket" },
	{ "net,link=socket,fd=99999", -EBADF, "99999" },
	{ "net,link=tap,fd=1:x", -EINVAL, "fd" },
	{ "net,link=tap,fd=1::2", -EINVAL, "fd" },
	{ "net,link=tap,name=muchtoolongforaninterface", -EINVAL, "name" },
	{ "net,link=socket,path=x,mac=52:54:00:12:34", -EINVAL, "mac=" },
	{ "net,link=socket,path=x,mac=52:54:00:12:34:5g", -EINVAL, "mac=" },
	{ "net,link=socket,path=x,mac= 2:54:00:12:34:56", -EINVAL, "mac=" },
	{ "net,link=socket,path=x,mac=52-54-00-12-34-56", -EINVAL, "mac=" },
	{ "net,link=socket,path=x,mtu=70000", -EINVAL, "mtu" },
	{ "net,link=socket,path=x,queues=0x81", -EINVAL, "queues" },
	{ "console", -EINVAL, "stream=" },
	{ "console,stream=x", -EINVAL, "'x' is not" },
	{ "console,stream=fd:99999", -EBADF, "" },
	{ "console,stream=null,port2=null", -EINVAL, "'port2'" },
	{ "console,stream=null,cols=65536", -EINVAL, "cols" },
};

START_TEST(test_add_refuses_and_says_what)
{
	int fds = support_open_fds();

	ck_assert_error(vcore_machine_add(m, refused[_i].recipe),
			refused[_i].error, "vcore_machine_add: ");
	ck_assert_msg(strstr(vcore_error_text(), refused[_i].text) != NULL,
		      "%s", vcore_error_text());
	ck_assert_ptr_null(vcore_machine_device(m, 0));
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

START_TEST(test_add_null_machine_returns_einval)
{
	ck_assert_error(vcore_machine_add(NULL, "rng"), -EINVAL,
			"vcore_machine_add");
	ck_assert_error(vcore_machine_attach(NULL, NULL, NULL), -EINVAL,
			"vcore_machine_attach");
}
END_TEST

START_TEST(test_add_makes_one_of_each_kind)
{
	char recipe[64];
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_ok(vcore_machine_add(
		m, "block,path=/proc/self/exe,ro,queues=2,queue_size=64,"
		   "serial=12345678901234567890,cache=writethrough"));
	snprintf(recipe, sizeof(recipe),
		 "net,link=socket,fd=%d,mac=52:54:00:12:34:Ff,mtu=1400", fds[0]);
	ck_assert_ok(vcore_machine_add(m, recipe));
	ck_assert_ok(vcore_machine_add(
		m, "console,stream=null,port1=null,name1=log,cols=80,rows=25"));
	ck_assert_ok(vcore_machine_add(m, "rng,transport=mmio,loop=0"));
	ck_assert_str_eq(name_of(0), "block0");
	ck_assert_str_eq(name_of(1), "net0");
	ck_assert_str_eq(name_of(2), "console0");
	ck_assert_str_eq(name_of(3), "rng0");
	ck_assert_ptr_null(vcore_machine_device(m, 4));
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(test_add_block_by_descriptor)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	char recipe[64];

	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	snprintf(recipe, sizeof(recipe), "block,fd=%d", fd);
	ck_assert_ok(vcore_machine_add(m, recipe));
	close(fd);
}
END_TEST

START_TEST(test_add_names_are_free_or_refused)
{
	ck_assert_ok(vcore_machine_add(m, "rng,id=rng0"));
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_str_eq(name_of(1), "rng1");
	ck_assert_error(vcore_machine_add(m, "rng,id=rng1"), -EEXIST,
			"vcore_machine_add: id=rng1");
	/* A failure takes no number. */
	ck_assert_int_eq(vcore_machine_add(m, "rng,bad"), -EINVAL);
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_str_eq(name_of(2), "rng2");
}
END_TEST

static void
log_line(void *opaque, uint32_t level, const char *text)
{
	(void)level;
	snprintf(opaque, 128, "%s", text);
}

START_TEST(test_add_console_on_a_pty_tells_its_name_to_the_log)
{
	struct vcore_machine *logged = NULL;
	struct vcore_machine_opts opts;
	struct vcore_log_opts log;
	char line[128] = "";

	machine_opts(&opts, NULL);
	VCORE_INIT(&log);
	log.level = VCORE_LOG_INFO;
	log.message = log_line;
	log.opaque = line;
	ck_assert_ok(vcore_log_new(&log, &opts.log));
	ck_assert_ok(vcore_machine_new(&opts, &logged));
	vcore_log_unref(opts.log);
	ck_assert_ok(vcore_machine_add(logged, "console,stream=pty,id=tty"));
	ck_assert_msg(strncmp(line, "tty: port 0 is /dev/pts/", 24) == 0, "%s",
		      line);
	vcore_machine_unref(logged);
}
END_TEST

/* Number of devices that can be added with this recipe. */
static uint32_t
fill(const char *recipe)
{
	uint32_t n = 0;
	int rc;

	while ((rc = vcore_machine_add(m, recipe)) == 0)
		n++;
	ck_assert_error(rc, -ENOSPC, "vcore_machine_add: ");
	/* And again: a failure takes nothing. */
	ck_assert_int_eq(vcore_machine_add(m, recipe), -ENOSPC);
	return n;
}

START_TEST(test_add_until_lines_and_slots_are_used_up)
{
	ck_assert_uint_eq(fill("rng,transport=mmio"), 18);
	ck_assert_uint_eq(fill("rng"), 31);
	ck_assert_ptr_nonnull(vcore_machine_device(m, 48));
	ck_assert_ptr_null(vcore_machine_device(m, 49));
}
END_TEST

static int
no_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

static int
no_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	 struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	return 0;
}

START_TEST(test_two_devices_at_one_address_return_eexist)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = no_read, .write = no_write,
	};
	struct vcore_range_opts opts;
	struct vcore_range *range = NULL;
	struct vcore_virtio *virtio = NULL;
	struct vcore_attach_opts attach;

	VCORE_INIT(&opts);
	opts.base = VCORE__LAYOUT_VIRTIO;
	opts.len = 8;
	opts.ops = &ops;
	ck_assert_ok(vcore_bus_add(vcore_machine_bus(m, VCORE_BUS_MMIO), &opts,
				   &range));
	ck_assert_error(vcore_machine_add(m, "rng,transport=mmio"), -EEXIST,
			"vcore_machine_add: ");
	VCORE_INIT(&attach);
	attach.transport = VCORE_TRANSPORT_MMIO;
	ck_assert_ok(vcore_rng_new(NULL, &virtio));
	ck_assert_error(vcore_machine_attach(m, virtio, &attach), -EEXIST,
			"vcore_machine_attach: ");
	/* The place is free: the same device now fits. */
	vcore_range_remove(range);
	ck_assert_ok(vcore_machine_attach(m, virtio, &attach));
	ck_assert_ptr_eq(vcore_machine_device(m, 0), virtio);
	vcore_virtio_unref(virtio);
	ck_assert_uint_eq(fill("rng,transport=mmio"), 17);
}
END_TEST

START_TEST(test_attach_bad_options_return_errors)
{
	struct vcore_virtio *virtio = NULL;
	struct vcore_attach_opts attach;

	ck_assert_ok(vcore_rng_new(NULL, &virtio));
	ck_assert_error(vcore_machine_attach(m, NULL, NULL), -EINVAL,
			"vcore_machine_attach");
	memset(&attach, 0, sizeof(attach));
	ck_assert_error(vcore_machine_attach(m, virtio, &attach), -EINVAL,
			"vcore_machine_attach");
	VCORE_INIT(&attach);
	attach.flags = 1;
	ck_assert_error(vcore_machine_attach(m, virtio, &attach), -E2BIG,
			"vcore_machine_attach");
	VCORE_INIT(&attach);
	attach.transport = 3;
	ck_assert_error(vcore_machine_attach(m, virtio, &attach), -EINVAL,
			"vcore_machine_attach");
	VCORE_INIT(&attach);
	attach.loop = 1;
	ck_assert_error(vcore_machine_attach(m, virtio, &attach), -EINVAL,
			"vcore_machine_attach");
	vcore_virtio_unref(virtio);
}
END_TEST

START_TEST(test_attach_twice_or_elsewhere_returns_ebusy)
{
	struct vcore_machine *other = machine_new(NULL, 0);
	struct vcore_virtio *virtio = NULL;

	ck_assert_ok(vcore_rng_new(NULL, &virtio));
	ck_assert_ok(vcore_machine_attach(m, virtio, NULL));
	ck_assert_error(vcore_machine_attach(m, virtio, NULL), -EBUSY,
			"vcore_machine_attach: ");
	ck_assert_error(vcore_machine_attach(other, virtio, NULL), -EBUSY,
			"vcore_machine_attach: ");
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(other);
	/* It is detached with its machine, and lives as long as its owner. */
	vcore_machine_unref(m);
	m = NULL;
	ck_assert_str_ne(vcore_virtio_name(virtio), "");
	vcore_virtio_unref(virtio);
}
END_TEST

START_TEST(test_attach_after_the_start_returns_ebusy)
{
	struct vcore_virtio *virtio = NULL;

	ck_assert_ok(vcore_rng_new(NULL, &virtio));
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_error(vcore_machine_attach(m, virtio, NULL), -EBUSY,
			"vcore_machine_attach");
	vcore_virtio_unref(virtio);
}
END_TEST

START_TEST(test_queues_take_the_loops_in_a_circle)
{
	struct vcore_machine *four = NULL;
	struct vcore_machine_opts opts;
	struct vcore_virtio *v;

	machine_opts(&opts, NULL);
	opts.loops = 3;
	ck_assert_ok(vcore_machine_new(&opts, &four));
	ck_assert_ok(vcore_machine_add(four, "rng"));
	ck_assert_ok(vcore_machine_add(four, "rng"));
	ck_assert_ok(vcore_machine_add(
		four, "block,path=/proc/self/exe,ro,queues=3,loop=2"));
	v = vcore_machine_device(four, 0);
	ck_assert_ptr_eq(v->queues[0].vq.loop, vcore_machine_loop(four, 0));
	v = vcore_machine_device(four, 1);
	ck_assert_ptr_eq(v->queues[0].vq.loop, vcore_machine_loop(four, 1));
	v = vcore_machine_device(four, 2);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_ptr_eq(v->queues[i].vq.loop,
				 vcore_machine_loop(four, (2 + i) % 3));
	vcore_machine_unref(four);
}
END_TEST

static struct vcore_virtio *other_device;

static int
make_link(void *opaque, struct vcore_recipe *recipe, struct vcore_link **link)
{
	(void)opaque;
	(void)recipe;
	(void)link;
	return -ENODEV;
}

/* A kind of disk of the embedder's: a ring of its own, or an error. */
static int
make_disk(void *opaque, struct vcore_recipe *recipe, struct vcore_disk **disk)
{
	struct vcore_disk_file_opts opts;
	uint64_t number = 5;

	ck_assert_ptr_eq(opaque, &m);
	ck_assert_error(vcore_machine_add(m, "rng"), -EDEADLK,
			"vcore_machine_add");
	ck_assert_error(vcore_machine_attach(m, other_device, NULL), -EDEADLK,
			"vcore_machine_attach");
	ck_assert_error(vcore_machine_add_disk_kind(m, "x", make_disk, NULL),
			-EDEADLK, "vcore_machine_add_disk_kind");
	ck_assert_error(vcore_machine_add_link_kind(m, "x", make_link, NULL),
			-EDEADLK, "vcore_machine_add_link_kind");
	ck_assert_int_eq(vcore_recipe_number(recipe, "number", 10, &number), 1);
	ck_assert_uint_eq(number, 7);
	if (vcore_recipe_get(recipe, "fail") != NULL)
		return -ENODEV;
	VCORE_INIT(&opts);
	opts.path = "/proc/self/exe";
	opts.flags = VCORE_DISK_FILE_READONLY;
	return vcore_disk_new_file(&opts, disk);
}

START_TEST(test_kinds_of_the_embedder_are_used)
{
	ck_assert_ok(vcore_rng_new(NULL, &other_device));
	ck_assert_ok(vcore_machine_add_disk_kind(m, "mine", make_disk, &m));
	ck_assert_ok(vcore_machine_add_link_kind(m, "mine", make_link, NULL));
	ck_assert_ok(vcore_machine_add(m, "block,disk=mine,number=7"));
	ck_assert_int_eq(vcore_machine_add(m, "block,disk=mine,number=7,fail"),
			 -ENODEV);
	ck_assert_int_eq(vcore_machine_add(m, "net,link=mine"), -ENODEV);
	/* Keys that the maker did not ask for are still refused. */
	ck_assert_error(vcore_machine_add(m, "block,disk=mine,number=7,path=x"),
			-EINVAL, "vcore_machine_add: 'path'");
	vcore_virtio_unref(other_device);
}
END_TEST

START_TEST(test_add_what_is_not_there_returns_enoent)
{
	ck_assert_error(vcore_machine_add(m, "block,path=/nonexistent/disk"),
			-ENOENT, "vcore_machine_add: ");
	ck_assert_error(vcore_machine_add(m,
					  "net,link=socket,path=/nonexistent"),
			-ENOENT, "vcore_machine_add: ");
}
END_TEST

START_TEST(test_kinds_that_are_known_or_bad_are_refused)
{
	ck_assert_ok(vcore_machine_add_disk_kind(m, "x", make_disk, NULL));
	ck_assert_error(vcore_machine_add_disk_kind(m, "x", make_disk, NULL),
			-EEXIST, "vcore_machine_add_disk_kind");
	ck_assert_error(vcore_machine_add_disk_kind(m, "file", make_disk, NULL),
			-EEXIST, "vcore_machine_add_disk_kind");
	ck_assert_error(vcore_machine_add_link_kind(m, "tap", make_link, NULL),
			-EEXIST, "vcore_machine_add_link_kind");
	ck_assert_error(vcore_machine_add_link_kind(m, "socket", make_link,
						    NULL),
			-EEXIST, "vcore_machine_add_link_kind");
	ck_assert_error(vcore_machine_add_disk_kind(NULL, "y", make_disk, NULL),
			-EINVAL, "vcore_machine_add_disk_kind");
	ck_assert_error(vcore_machine_add_disk_kind(m, NULL, make_disk, NULL),
			-EINVAL, "vcore_machine_add_disk_kind");
	ck_assert_error(vcore_machine_add_link_kind(m, "y", NULL, NULL),
			-EINVAL, "vcore_machine_add_link_kind");
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_error(vcore_machine_add_disk_kind(m, "y", make_disk, NULL),
			-EBUSY, "vcore_machine_add_disk_kind");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("devices");
	TCase *tc = tcase_create("devices");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_add_refuses_and_says_what, 0,
			    (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(tc, test_add_null_machine_returns_einval);
	tcase_add_test(tc, test_add_makes_one_of_each_kind);
	tcase_add_test(tc, test_add_block_by_descriptor);
	tcase_add_test(tc, test_add_names_are_free_or_refused);
	tcase_add_test(tc,
		       test_add_console_on_a_pty_tells_its_name_to_the_log);
	tcase_add_test(tc, test_add_until_lines_and_slots_are_used_up);
	tcase_add_test(tc, test_two_devices_at_one_address_return_eexist);
	tcase_add_test(tc, test_attach_bad_options_return_errors);
	tcase_add_test(tc, test_attach_twice_or_elsewhere_returns_ebusy);
	tcase_add_test(tc, test_attach_after_the_start_returns_ebusy);
	tcase_add_test(tc, test_queues_take_the_loops_in_a_circle);
	tcase_add_test(tc, test_add_what_is_not_there_returns_enoent);
	tcase_add_test(tc, test_kinds_of_the_embedder_are_used);
	tcase_add_test(tc, test_kinds_that_are_known_or_bad_are_refused);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
