/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine's life through the shared library, from public headers only. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vcore/machine.h>
#include <vcore/recipe.h>
#include <vcore/rng.h>

#include "support/machine.h"

#define DISK_BYTES (1u << 20)

static struct vcore_stream *serial;

/* A maker of disks as an embedder writes one: disk=given,number=FD. */
static int
make_given(void *opaque, struct vcore_recipe *recipe, struct vcore_disk **disk)
{
	struct vcore_disk_file_opts opts;
	uint64_t fd = 0;
	int rc;

	rc = vcore_recipe_number(recipe, "number", INT32_MAX, &fd);
	if (rc < 0)
		return rc;
	*(uint32_t *)opaque += 1;
	VCORE_INIT(&opts);
	opts.flags = VCORE_DISK_FILE_FD;
	opts.fd = (int32_t)fd;
	return vcore_disk_new_file(&opts, disk);
}

static void
add_devices(struct vcore_machine *m)
{
	int disk = memfd_create("disk", MFD_CLOEXEC);
	struct vcore_virtio *rng = NULL;
	uint32_t made = 0;
	char recipe[80];

	ck_assert_int_eq(ftruncate(disk, DISK_BYTES), 0);
	snprintf(recipe, sizeof(recipe), "block,fd=%d,serial=one", disk);
	ck_assert_ok(vcore_machine_add(m, recipe));
	ck_assert_ok(vcore_machine_add_disk_kind(m, "given", make_given,
						 &made));
	snprintf(recipe, sizeof(recipe), "block,disk=given,number=%d,id=two",
		 disk);
	ck_assert_ok(vcore_machine_add(m, recipe));
	ck_assert_uint_eq(made, 1);
	ck_assert_ok(vcore_machine_add(m, "console,stream=null"));
	ck_assert_ok(vcore_rng_new(NULL, &rng));
	ck_assert_ok(vcore_machine_attach(m, rng, NULL));
	vcore_virtio_unref(rng);
	ck_assert_error(vcore_machine_add(m, "floppy"), -EINVAL,
			"vcore_machine_add: there is no device kind");
	ck_assert_str_eq(vcore_virtio_name(vcore_machine_device(m, 0)),
			 "block0");
	ck_assert_str_eq(vcore_virtio_name(vcore_machine_device(m, 1)), "two");
	ck_assert_ptr_eq(vcore_machine_device(m, 3), rng);
	close(disk);
}

static struct vcore_machine *
new_machine(struct machine_guest *guest, uint32_t transport)
{
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, guest);
	opts.cpus = 2;
	opts.loops = 2;
	opts.transport = transport;
	opts.serial = serial;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	return m;
}

/* Of a machine, and of it only as long as it lives. */
static void
life(uint32_t transport)
{
	static const uint16_t says_x[] = { POKE_SERIAL, 'x', POKE_END };
	static const uint16_t goes_off[] = { POKE_SERIAL, 'y', POKE_SLEEP,
					     POKE_S5, POKE_END };
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = says_x,
				       .pokes_again = goes_off };
	struct vcore_machine *m;

	ck_assert_ok(vcore_stream_new_ring(4096, &serial));
	m = new_machine(&guest, transport);
	add_devices(m);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	ck_assert_ok(vcore_machine_start(m));
	machine_wait_text(serial, "x");
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_PAUSED);
	ck_assert_error(vcore_machine_pause(m), -EBUSY,
			"vcore_machine_pause: ");
	ck_assert_ok(vcore_machine_resume(m));
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	machine_wait_text(serial, "y");
	ck_assert_uint_eq(guest.boots, 2);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
	vcore_stream_unref(serial);
}

START_TEST(test_life_with_pci_devices_leaves_nothing)
{
	int fds = support_open_fds(), threads = machine_threads();

	life(VCORE_TRANSPORT_PCI);
	ck_assert_int_eq(support_open_fds(), fds);
	machine_wait_threads(threads);
}
END_TEST

START_TEST(test_life_with_mmio_devices_leaves_nothing)
{
	int fds = support_open_fds(), threads = machine_threads();

	life(VCORE_TRANSPORT_MMIO);
	ck_assert_int_eq(support_open_fds(), fds);
	machine_wait_threads(threads);
}
END_TEST

START_TEST(test_quit_ends_a_guest_that_runs_for_ever)
{
	struct machine_guest guest = { MACHINE_GUEST(count) };
	struct vcore_machine *m = machine_new(&guest, 0);

	ck_assert_ok(vcore_machine_start(m));
	machine_wait_data(m, 0);
	vcore_machine_quit(m);
	machine_wait_event(m, VCORE_EVENT_STOP);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

/* The program has no copy of the library's inside: it is the shared one. */
START_TEST(test_it_is_the_shared_library)
{
	Dl_info info;

	ck_assert_int_ne(dladdr((void *)(uintptr_t)vcore_machine_new, &info),
			 0);
	ck_assert_ptr_nonnull(strstr(info.dli_fname, "libvirtcore.so"));
	/* What isn't public can't be found in it. */
	ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "vcore__err"));
	ck_assert_ptr_nonnull(dlsym(RTLD_DEFAULT, "vcore_machine_new"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("api_machine");
	TCase *t = tcase_create("machine");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_test(t, test_life_with_pci_devices_leaves_nothing);
	tcase_add_test(t, test_life_with_mmio_devices_leaves_nothing);
	tcase_add_test(t, test_quit_ends_a_guest_that_runs_for_ever);
	tcase_add_test(t, test_it_is_the_shared_library);
	suite_add_tcase(suite, t);
	return machine_tests_run(suite);
}
