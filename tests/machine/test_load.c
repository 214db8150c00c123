/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines with a kernel: files, boot parameters, tables, booting again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/machine.h"
#include "support/machine.h"

#define KERNEL_GPA MACHINE_KERNEL_GPA
#define MIB        (1ull << 20)

static struct vcore_stream *serial;
static struct vcore_machine_opts opts;

/* A descriptor of a new file with these bytes. */
static int
file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

static void
setup(void)
{
	ck_assert_ok(vcore_stream_new_ring(4096, &serial));
	machine_opts(&opts, NULL);
	opts.memory = 32 * MIB;
	opts.serial = serial;
	opts.flags = VCORE_MACHINE_KERNEL_FD;
	opts.kernel_fd = machine_kernel(guest_kernel, guest_kernel_end);
}

static void
teardown(void)
{
	close(opts.kernel_fd);
	vcore_stream_unref(serial);
}

static struct vcore_machine *
new_machine(void)
{
	struct vcore_machine *m = NULL;

	ck_assert_ok(vcore_machine_new(&opts, &m));
	return m;
}

/* Three boots that say the same, then power-off. */
static void
assert_says_thrice(struct vcore_machine *m, const char *text)
{
	char all[256];

	snprintf(all, sizeof(all), "%s%s%s", text, text, text);
	ck_assert_msg(vcore_machine_run(m) == 0, "%s", vcore_error_text());
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	machine_wait_text(serial, all);
}

START_TEST(test_kernel_boots_thrice_and_finds_its_command_line)
{
	struct vcore_machine *m;

	opts.cmdline = "quiet";
	m = new_machine();
	assert_says_thrice(m, "quietR");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_kernel_finds_its_initrd)
{
	struct vcore_machine *m;

	opts.flags |= VCORE_MACHINE_INITRD_FD | VCORE_MACHINE_SHARED_MEMORY;
	opts.initrd_fd = file_of("initrd", 6);
	m = new_machine();
	close(opts.initrd_fd);
	assert_says_thrice(m, "Ri");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_kernel_on_the_split_irqchip_with_devices)
{
	struct vcore_machine *m;

	opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
	opts.cpus = 2;
	m = new_machine();
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_ok(vcore_machine_add(m, "rng,transport=mmio"));
	assert_says_thrice(m, "R");
	vcore_machine_unref(m);
}
END_TEST

/* The kernel is there, and vCPU 0 at its entry; makes this its third boot. */
static int
boot_after_kernel(void *opaque, struct vcore_machine *m)
{
	const uint32_t boots = 2;
	struct vcore_regs regs;
	uint8_t byte;

	ck_assert_ok(vcore_memory_read(vcore_machine_memory(m), KERNEL_GPA,
				       &byte, 1));
	ck_assert_uint_eq(byte, guest_kernel[0]);
	ck_assert_ok(vcore_vcpu_get_regs(vcore_machine_vcpu(m, 0), &regs));
	ck_assert_uint_eq(regs.rip, KERNEL_GPA);
	ck_assert_ok(vcore_memory_write(vcore_machine_memory(m), GUEST_BOOTS,
					&boots, sizeof(boots)));
	++*(int *)opaque;
	return 0;
}

START_TEST(test_boot_method_runs_after_the_kernel_was_loaded)
{
	struct vcore_machine *m;
	int calls = 0;

	opts.boot = boot_after_kernel;
	opts.boot_opaque = &calls;
	m = new_machine();
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_int_eq(calls, 1);
	machine_wait_text(serial, "R");
	vcore_machine_unref(m);
}
END_TEST

/*
 * The first time vCPU 0 does what Linux does to reboot where it finds no other
 * way: it is in real mode at F000:FFF0, where a PC has its firmware.
 */
static int
boot_at_reset_vector(void *opaque, struct vcore_machine *m)
{
	struct vcore_vcpu *vcpu = vcore_machine_vcpu(m, 0);
	struct vcore_sregs sregs;

	if (++*(int *)opaque > 1)
		return 0;
	ck_assert_ok(vcore_vcpu_reset(vcpu));
	ck_assert_ok(vcore_vcpu_get_sregs(vcpu, &sregs));
	sregs.cs.base = 0xf0000;
	sregs.cs.selector = 0xf000;
	return vcore_vcpu_set_sregs(vcpu, &sregs);
}

START_TEST(test_jump_to_the_reset_vector_boots_again)
{
	struct vcore_machine *m;
	int calls = 0;

	opts.boot = boot_at_reset_vector;
	opts.boot_opaque = &calls;
	m = new_machine();
	assert_says_thrice(m, "R");
	ck_assert_int_eq(calls, 4);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_kernel_by_path_is_kept_open)
{
	char path[] = "/tmp/vcore-kernel-XXXXXX";
	int fd = mkstemp(path);
	struct vcore_machine *m;
	char bytes[MACHINE_KERNEL_LEN];

	ck_assert_int_eq(pread(opts.kernel_fd, bytes, sizeof(bytes), 0),
			 sizeof(bytes));
	ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	opts.flags = 0;
	opts.kernel = path;
	m = new_machine();
	ck_assert_int_eq(unlink(path), 0);
	assert_says_thrice(m, "R");
	vcore_machine_unref(m);
}
END_TEST

static void
assert_start_fails(int error, const char *prefix)
{
	struct vcore_machine *m = new_machine();

	ck_assert_error(vcore_machine_start(m), error, prefix);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	vcore_machine_unref(m);
}

START_TEST(test_start_with_what_is_no_kernel_returns_enoexec)
{
	close(opts.kernel_fd);
	opts.kernel_fd = file_of("hello", 5);
	assert_start_fails(-ENOEXEC,
			   "vcore_machine_start: vcore_boot_linux: kernel: ");
}
END_TEST

START_TEST(test_start_with_an_empty_kernel_returns_enoexec)
{
	close(opts.kernel_fd);
	opts.kernel_fd = memfd_create("empty", MFD_CLOEXEC);
	opts.kernel = "empty file";
	assert_start_fails(-ENOEXEC,
			   "vcore_machine_start: vcore_boot_linux: empty file: ");
}
END_TEST

START_TEST(test_start_with_a_directory_as_kernel_returns_einval)
{
	opts.flags = 0;
	opts.kernel = "/proc";
	assert_start_fails(-EINVAL,
			   "vcore_machine_start: vcore_boot_linux: /proc is neither");
}
END_TEST

START_TEST(test_start_with_too_little_memory_returns_enospc)
{
	opts.memory = 512 << 10;
	assert_start_fails(-ENOSPC, "vcore_machine_start: 524288");
	opts.memory = MIB;
	assert_start_fails(-ENOSPC,
			   "vcore_machine_start: vcore_boot_linux: kernel: ");
}
END_TEST

START_TEST(test_start_with_an_initrd_too_large_returns_enospc)
{
	opts.flags |= VCORE_MACHINE_INITRD_FD;
	opts.initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(opts.initrd_fd, 64 * MIB), 0);
	assert_start_fails(-ENOSPC,
			   "vcore_machine_start: vcore_boot_linux: initrd: ");
	opts.initrd = "/boot/initrd";
	assert_start_fails(
		-ENOSPC,
		"vcore_machine_start: vcore_boot_linux: /boot/initrd: ");
	close(opts.initrd_fd);
}
END_TEST

START_TEST(test_start_with_a_command_line_too_long_returns_einval)
{
	char line[4096];

	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	opts.cmdline = line;
	assert_start_fails(
		-EINVAL,
		"vcore_machine_start: vcore_boot_linux: the command line");
}
END_TEST

/* The file is cut off between two boots. */
START_TEST(test_kernel_that_is_gone_at_the_reset_returns_eio)
{
	struct vcore_machine *m = new_machine();

	ck_assert_ok(vcore_machine_start(m));
	ck_assert_int_eq(ftruncate(opts.kernel_fd, 10), 0);
	ck_assert_error(vcore_machine_reset(m), -EIO, "vcore_machine_reset");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("load");
	TCase *tc = tcase_create("load");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc,
		       test_kernel_boots_thrice_and_finds_its_command_line);
	tcase_add_test(tc, test_kernel_finds_its_initrd);
	tcase_add_test(tc, test_kernel_on_the_split_irqchip_with_devices);
	tcase_add_test(tc, test_boot_method_runs_after_the_kernel_was_loaded);
	tcase_add_test(tc, test_jump_to_the_reset_vector_boots_again);
	tcase_add_test(tc, test_kernel_by_path_is_kept_open);
	tcase_add_test(tc, test_start_with_what_is_no_kernel_returns_enoexec);
	tcase_add_test(tc, test_start_with_an_empty_kernel_returns_enoexec);
	tcase_add_test(tc,
		       test_start_with_a_directory_as_kernel_returns_einval);
	tcase_add_test(tc, test_start_with_too_little_memory_returns_enospc);
	tcase_add_test(tc, test_start_with_an_initrd_too_large_returns_enospc);
	tcase_add_test(tc,
		       test_start_with_a_command_line_too_long_returns_einval);
	tcase_add_test(tc, test_kernel_that_is_gone_at_the_reset_returns_eio);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
