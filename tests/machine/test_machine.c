/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and freeing machines: options, errors, nothing left behind. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/machine.h"
#include "support/machine.h"

static struct vcore_machine_opts opts;

static void
setup(void)
{
	machine_opts(&opts, NULL);
}

static void
assert_refused(int error, const char *text)
{
	struct vcore_machine *m = (void *)&opts;

	ck_assert_error(vcore_machine_new(&opts, &m), error,
			"vcore_machine_new: ");
	ck_assert_msg(strstr(vcore_error_text(), text) != NULL, "%s",
		      vcore_error_text());
	ck_assert_ptr_eq(m, (void *)&opts);
}

START_TEST(test_new_null_returns_einval)
{
	struct vcore_machine *m = NULL;

	ck_assert_error(vcore_machine_new(NULL, &m), -EINVAL,
			"vcore_machine_new");
	ck_assert_error(vcore_machine_new(&opts, NULL), -EINVAL,
			"vcore_machine_new");
}
END_TEST

START_TEST(test_new_bad_size_returns_einval)
{
	opts.size = 0;
	assert_refused(-EINVAL, "size");
	opts.size = 8;
	assert_refused(-EINVAL, "size");
}
END_TEST

START_TEST(test_new_unknown_field_or_flag_returns_e2big)
{
	struct {
		struct vcore_machine_opts opts;
		uint64_t newer;
	} longer = { opts, 1 };
	struct vcore_machine *m = NULL;

	opts.flags = 1u << 31;
	assert_refused(-E2BIG, "0x80000000");
	longer.opts.size = sizeof(longer);
	ck_assert_error(vcore_machine_new(&longer.opts, &m), -E2BIG,
			"vcore_machine_new");
	longer.newer = 0;
	ck_assert_ok(vcore_machine_new(&longer.opts, &m));
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_new_out_of_range_returns_einval)
{
	opts.memory = 4097;
	assert_refused(-EINVAL, "memory 0x1001");
	opts.memory = 1ull << 47;
	assert_refused(-EINVAL, "memory");
	opts.memory = MACHINE_MEMORY;
	opts.cpus = 256;
	assert_refused(-EINVAL, "256 vCPUs, at most 255");
	opts.cpus = 1;
	opts.loops = 65;
	assert_refused(-EINVAL, "65 loops");
	opts.loops = 1;
	opts.irqchip = 3;
	assert_refused(-EINVAL, "irqchip 3");
	opts.irqchip = 0;
	opts.transport = 3;
	assert_refused(-EINVAL, "transport 3");
}
END_TEST

START_TEST(test_new_initrd_or_command_line_without_kernel_returns_einval)
{
	opts.initrd = "/dev/null";
	assert_refused(-EINVAL, "no kernel");
	opts.initrd = NULL;
	opts.cmdline = "quiet";
	assert_refused(-EINVAL, "no kernel");
	opts.cmdline = NULL;
	opts.flags = VCORE_MACHINE_INITRD_FD;
	assert_refused(-EINVAL, "no kernel");
}
END_TEST

START_TEST(test_new_missing_files_return_enoent)
{
	opts.kernel = "/nonexistent/kernel";
	assert_refused(-ENOENT, "kernel '/nonexistent/kernel'");
	opts.kernel = "/dev/null";
	opts.initrd = "/nonexistent/initrd";
	assert_refused(-ENOENT, "initrd '/nonexistent/initrd'");
}
END_TEST

START_TEST(test_new_without_permission_returns_eacces)
{
	char path[] = "/tmp/vcore-kernel-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(chmod(path, 0), 0);
	/* Root may read it, so it gives that up (in a process of its own). */
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	opts.kernel = path;
	assert_refused(-EACCES, path);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	unlink(path);
}
END_TEST

START_TEST(test_new_closed_descriptor_returns_ebadf)
{
	opts.flags = VCORE_MACHINE_KERNEL_FD;
	opts.kernel_fd = 12345;
	assert_refused(-EBADF, "kernel_fd 12345");
	opts.flags |= VCORE_MACHINE_INITRD_FD;
	opts.kernel_fd = 0;
	opts.initrd_fd = -1;
	assert_refused(-EBADF, "initrd_fd -1");
}
END_TEST

START_TEST(test_new_serial_in_use_returns_ebusy)
{
	struct vcore_machine *m = NULL;

	ck_assert_ok(vcore_stream_new_ring(64, &opts.serial));
	ck_assert_ok(vcore_machine_new(&opts, &m));
	assert_refused(-EBUSY, "stream");
	vcore_machine_unref(m);
	m = NULL;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	vcore_machine_unref(m);
	vcore_stream_unref(opts.serial);
}
END_TEST

START_TEST(test_new_bad_spawn_ops_return_errors)
{
	struct vcore_spawn_ops spawn = { .size = sizeof(spawn) };

	opts.spawn = &spawn;
	assert_refused(-EINVAL, "spawn");
	spawn.flags = 1;
	assert_refused(-E2BIG, "spawn");
	spawn.size = 0;
	assert_refused(-EINVAL, "spawn");
}
END_TEST

START_TEST(test_new_more_memory_than_there_is_returns_enomem)
{
	const size_t half = (size_t)1 << 46;
	void *taken = mmap(NULL, half, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	/* Half of the address space; so much again there is not. */
	opts.memory = half;
	assert_refused(-ENOMEM, "");
	if (taken != MAP_FAILED)
		munmap(taken, half);
}
END_TEST

START_TEST(test_getters_of_null_and_out_of_range_are_null)
{
	struct vcore_machine *m = NULL;

	ck_assert_ptr_null(vcore_machine_memory(NULL));
	ck_assert_ptr_null(vcore_machine_vm(NULL));
	ck_assert_ptr_null(vcore_machine_vcpu(NULL, 0));
	ck_assert_ptr_null(vcore_machine_bus(NULL, VCORE_BUS_PIO));
	ck_assert_ptr_null(vcore_machine_pci(NULL));
	ck_assert_ptr_null(vcore_machine_loop(NULL, 0));
	ck_assert_ptr_null(vcore_machine_irqchip(NULL));
	ck_assert_ptr_null(vcore_machine_events(NULL));
	ck_assert_ptr_null(vcore_machine_device(NULL, 0));
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ptr_nonnull(vcore_machine_memory(m));
	ck_assert_ptr_nonnull(vcore_machine_vm(m));
	ck_assert_ptr_nonnull(vcore_machine_vcpu(m, 0));
	ck_assert_ptr_null(vcore_machine_vcpu(m, 1));
	ck_assert_ptr_nonnull(vcore_machine_bus(m, VCORE_BUS_PIO));
	ck_assert_ptr_nonnull(vcore_machine_bus(m, VCORE_BUS_MMIO));
	ck_assert_ptr_null(vcore_machine_bus(m, 9));
	ck_assert_ptr_nonnull(vcore_machine_pci(m));
	ck_assert_ptr_nonnull(vcore_machine_loop(m, 0));
	ck_assert_ptr_null(vcore_machine_loop(m, 1));
	ck_assert_ptr_nonnull(vcore_machine_irqchip(m));
	ck_assert_ptr_nonnull(vcore_machine_events(m));
	ck_assert_ptr_null(vcore_machine_device(m, 0));
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_memory_above_the_hole_is_at_4_gib)
{
	struct vcore_machine *m = NULL;
	uint64_t hole = VCORE__LAYOUT_HOLE;
	uint32_t value = 0;

	opts.memory = hole + (16 << 20);
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ok(vcore_memory_read(vcore_machine_memory(m), hole - 4,
				       &value, 4));
	ck_assert_int_eq(vcore_memory_read(vcore_machine_memory(m), hole - 3,
					   &value, 4), -EFAULT);
	ck_assert_ok(vcore_memory_read(vcore_machine_memory(m),
				       VCORE__LAYOUT_HIGH, &value, 4));
	vcore_machine_unref(m);
}
END_TEST

static const uint16_t pokes[] = { POKE_SERIAL, 'x', POKE_SLEEP, POKE_S5,
				  POKE_END };

/* Everything a machine can have, made, run and freed. */
static void
round_trip(uint32_t n)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = pokes };
	struct vcore_machine *m = NULL;

	machine_opts(&opts, &guest);
	opts.cpus = 1 + n % 3;
	opts.loops = 1 + n % 2;
	opts.irqchip = 1 + n % 2;
	ck_assert_ok(vcore_stream_new_ring(64, &opts.serial));
	ck_assert_ok(vcore_machine_new(&opts, &m));
	vcore_stream_unref(opts.serial);
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_ok(vcore_machine_add(m, "rng,transport=mmio"));
	ck_assert_ok(vcore_machine_add(m, "block,path=/proc/self/exe,ro"));
	ck_assert_ok(vcore_machine_add(m, "console,stream=null,port1=null"));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
}

static size_t
heap_in_use(void)
{
	return mallinfo2().uordblks;
}

/* On a thread of its own: what the allocator caches for it goes with it. */
static void *
rounds(void *opaque)
{
	for (uint32_t n = 0; n < 24; n++)
		round_trip(n);
	return opaque;
}

static void
many_rounds(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, rounds, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(test_many_rounds_leave_descriptors_threads_and_memory_flat)
{
	int fds, threads;
	size_t heap;

	/* Before: buffers of the C library, sanitizers' threads. */
	many_rounds();
	fds = support_open_fds();
	threads = machine_threads();
	heap = heap_in_use();
	many_rounds();
	ck_assert_int_eq(support_open_fds(), fds);
	machine_wait_threads(threads);
	ck_assert_uint_le(heap_in_use(), heap + 4096);
}
END_TEST

/* Each allocation and system call of the library fails once. */
START_TEST(test_new_with_each_step_failing_leaks_nothing)
{
	struct vcore_machine *m;
	bool failed = true;
	int fds, rc;

	opts.kernel = "/dev/null";
	ck_assert_ok(vcore_stream_new_ring(64, &opts.serial));
	fds = support_open_fds();
	for (unsigned n = 1; failed; n++) {
		m = NULL;
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_machine_new(&opts, &m);
		failed = fail_stop();
		if (rc < 0) {
			ck_assert(failed);
			ck_assert_ptr_null(m);
			ck_assert_int_eq(strncmp(vcore_error_text(),
						 "vcore_machine_new: ", 19),
					 0);
		}
		vcore_machine_unref(m);
		ck_assert_int_eq(support_open_fds(), fds);
	}
	vcore_stream_unref(opts.serial);
}
END_TEST

START_TEST(test_start_with_each_step_failing_leaves_it_new)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = pokes };
	struct vcore_machine *m = NULL;
	unsigned failures = 0;
	bool failed = true;
	int rc;

	/* No boot(): an assertion in it might be what fails. */
	opts.cpus = 2;
	for (unsigned n = 1; failed; n++) {
		ck_assert_ok(vcore_machine_new(&opts, &m));
		ck_assert_ok(machine_boot(&guest, m));
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_machine_start(m);
		failed = fail_stop();
		if (rc < 0) {
			failures++;
			ck_assert_int_eq(vcore_machine_state(m),
					 VCORE_MACHINE_NEW);
		}
		/* In any case it can go on from there. */
		ck_assert_int_eq(vcore_machine_run(m), 0);
		vcore_machine_unref(m);
	}
	/* Two for each of three threads. */
	ck_assert_uint_ge(failures, 6);
}
END_TEST

START_TEST(test_add_with_each_step_failing_changes_nothing)
{
	static const char *const recipes[] = {
		"rng", "rng,transport=mmio", "console,stream=null",
		"block,path=/proc/self/exe,ro",
		"net,link=socket,path=/nonexistent",
	};
	struct vcore_machine *m = NULL;
	const char *recipe = recipes[_i];
	bool failed = true;
	int fds, rc = -1;

	ck_assert_ok(vcore_machine_new(&opts, &m));
	for (unsigned n = 1; failed; n++) {
		fds = support_open_fds();
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_machine_add(m, recipe);
		failed = fail_stop();
		if (rc == 0)
			break;
		ck_assert_int_eq(support_open_fds(), fds);
		ck_assert_ptr_null(vcore_machine_device(m, 0));
		ck_assert_int_eq(strncmp(vcore_error_text(),
					 "vcore_machine_add: ", 19), 0);
	}
	if (rc == 0)
		ck_assert_ptr_nonnull(vcore_machine_device(m, 0));
	vcore_machine_unref(m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("machine");
	TCase *tc = tcase_create("machine");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_new_null_returns_einval);
	tcase_add_test(tc, test_new_bad_size_returns_einval);
	tcase_add_test(tc, test_new_unknown_field_or_flag_returns_e2big);
	tcase_add_test(tc, test_new_out_of_range_returns_einval);
	tcase_add_test(
		tc,
		test_new_initrd_or_command_line_without_kernel_returns_einval);
	tcase_add_test(tc, test_new_missing_files_return_enoent);
	tcase_add_test(tc, test_new_without_permission_returns_eacces);
	tcase_add_test(tc, test_new_closed_descriptor_returns_ebadf);
	tcase_add_test(tc, test_new_serial_in_use_returns_ebusy);
	tcase_add_test(tc, test_new_bad_spawn_ops_return_errors);
	tcase_add_test(tc, test_new_more_memory_than_there_is_returns_enomem);
	tcase_add_test(tc, test_getters_of_null_and_out_of_range_are_null);
	tcase_add_test(tc, test_memory_above_the_hole_is_at_4_gib);
	tcase_add_test(
		tc,
		test_many_rounds_leave_descriptors_threads_and_memory_flat);
	tcase_add_test(tc, test_new_with_each_step_failing_leaks_nothing);
	tcase_add_test(tc, test_start_with_each_step_failing_leaves_it_new);
	tcase_add_loop_test(tc, test_add_with_each_step_failing_changes_nothing,
			    0, 5);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
