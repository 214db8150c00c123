/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is lost while a device's thread touches it, to a truncated
 * file or to an I/O error of a disk: with vcore_memory_recover() in the
 * process's handler there is an event, the process lives, and the device works
 * on what is left. Where the kernel touches it instead, the request fails.
 */
#include <vcore/machine.h>
#include <vcore/rng.h>
#include <vcore/uring.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "devices/block_bed.h"
#include "support/fake_kvm.h"
#include "support/nbd.h"

#define SKIPPED 77
#define PAGE    4096u
#define LEN     (VDRIVER_RAM - VDRIVER_SEAM)

static struct nbd nbd;
static bool have_nbd;
static struct bed b;
static struct vcore_memory *memory;	/* whose pages are recovered */
static int file;
static pid_t tester;
static _Atomic uint32_t recovered, by_others;

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
	if (!vcore_memory_recover(memory, info, context)) {
		signal(number, SIG_DFL);
		return;
	}
	recovered++;
	if (gettid() != tester)
		by_others++;
}

static void
handle_sigbus(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO,
	};

	tester = gettid();
	recovered = by_others = 0;
	ck_assert_int_eq(sigaction(SIGBUS, &action, NULL), 0);
}

static struct vcore_region *
file_region(uint64_t len)
{
	struct vcore_region *region = NULL;
	struct vcore_region_opts o;

	VCORE_INIT(&o);
	o.backing = VCORE_BACKING_FILE;
	o.flags = VCORE_REGION_SHARED | VCORE_REGION_UNSEALED_OK;
	o.fd = file;
	o.len = len;
	ck_assert_ok(vcore_region_new(&o, &region));
	return region;
}

/* The upper half of the driver's memory becomes a file's. */
static void
take_file(int fd)
{
	struct vcore_region_info info;

	file = fd;
	ck_assert_int_ge(fd, 0);
	ck_assert_ok(vcore_memory_remove(b.env.memory, VDRIVER_SEAM));
	vcore_region_unref(b.env.high);
	b.env.high = file_region(LEN);
	ck_assert_ok(vcore_memory_add(b.env.memory, VDRIVER_SEAM, b.env.high,
				      0));
	VCORE_INIT(&info);
	ck_assert_ok(vcore_region_get_info(b.env.high, &info));
	b.env.ram_high = (uint8_t *)(uintptr_t)info.hva;
	memory = b.env.memory;
}

static void
setup(void)
{
	int fd;

	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, BED_CAPACITY);
	fd = memfd_create("lost", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, LEN), 0);
	take_file(fd);
	handle_sigbus();
}

static void
teardown(void)
{
	bed_fini(&b);
	close(file);
}

/* All of the upper half is gone; what is allocated next is there. */
static void
lose(void)
{
	ck_assert_int_eq(ftruncate(file, 0), 0);
}

static void
allocate_above(void)
{
	b.env.heap = VDRIVER_SEAM;
}

static void
allocate_below(void)
{
	b.env.heap = VDRIVER_HEAP + (1u << 20);
}

static void
check_recovered(void)
{
	ck_assert_uint_ge(by_others, 1);
	ck_assert_uint_eq(vdriver_events(&b.env, VCORE_EVENT_MEMORY_FAULT),
			  recovered);
}

/* The ring itself is lost: it reads as zeroes from then on. */
START_TEST(test_lost_ring_is_an_event_and_the_device_works_after_reset)
{
	setup();
	bed_device(&b, NULL);
	allocate_above();
	vdriver_up(&b.d, 1, 64);
	allocate_below();
	bed_check_alive(&b);
	lose();
	/* Not through the driver: it would touch the ring first. */
	vdriver_bus_write(&b.env, VDRIVER_MMIO_BASE + 0x50, 4, 0);
	vdriver_run(&b.env);
	check_recovered();
	vdriver_reset(&b.d);
	allocate_below();
	vdriver_up(&b.d, 1, 64);
	bed_check_alive(&b);
	teardown();
}
END_TEST

/* A header that is lost is one of zeroes: a read of sector 0. */
START_TEST(test_lost_header_is_an_event_and_the_device_goes_on)
{
	struct bed_request r;

	setup();
	bed_device(&b, NULL);
	vdriver_up(&b.d, 1, 64);
	allocate_above();
	r = bed_prepare(&b, VIRTIO_BLK_T_IN, 1, 512);
	allocate_below();
	r.data = vdriver_alloc(&b.env, 512, 16);
	r.status = vdriver_alloc(&b.env, 1, 1);
	r.head = vdriver_add(&b.d.queue[0],
			     (struct vdriver_buf[]){ { r.hdr, 16, false },
						     { r.data, 512, true },
						     { r.status, 1, true } },
			     3);
	lose();
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes, 512);
	check_recovered();
	bed_check_alive(&b);
	teardown();
}
END_TEST

/* Entropy is copied by the loop's thread. */
static void
serve_entropy(uint64_t at)
{
	struct vdriver_buf buf = { at, 64, true };
	uint32_t id, len;

	(void)vdriver_add(&b.d.queue[0], &buf, 1);
	vdriver_kick(&b.d.queue[0]);
	ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	ck_assert_uint_eq(len, 64);
}

START_TEST(test_lost_buffer_is_an_event_and_is_written)
{
	static const uint8_t zero[64];

	setup();
	ck_assert_ok(vcore_rng_new(NULL, &b.virtio));
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 64);
	lose();
	serve_entropy(VDRIVER_SEAM + PAGE);
	check_recovered();
	ck_assert_uint_eq(recovered, 1);
	ck_assert_mem_ne(vdriver_ram(&b.env, VDRIVER_SEAM + PAGE), zero, 64);
	ck_assert_uint_eq(recovered, 1);
	teardown();
}
END_TEST

/* The same with a disk that can't be read, on which guest memory lies. */
START_TEST(test_memory_with_an_io_error_is_an_event)
{
	if (!have_nbd)
		return;
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, BED_CAPACITY);
	nbd_switch(&nbd, NBD_READ, 1);
	take_file(open(nbd.file, O_RDWR | O_CLOEXEC));
	handle_sigbus();
	ck_assert_ok(vcore_rng_new(NULL, &b.virtio));
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 64);
	serve_entropy(VDRIVER_SEAM + 8 * PAGE);
	check_recovered();
	ck_assert_uint_eq(recovered, 1);
	nbd_switch(&nbd, NBD_READ, 0);
	serve_entropy(VDRIVER_SEAM + 512 * PAGE);
	ck_assert_uint_eq(recovered, 1);
	teardown();
}
END_TEST

/*
 * The kernel reads into and writes from a lost page: -EFAULT, no signal. The
 * request fails with an event, others do not.
 */
START_TEST(test_lost_data_of_real_io_is_the_guests_error)
{
	struct vcore_disk_file_opts f;
	struct vcore_disk *disk = NULL;
	struct vcore_uring_opts u;
	struct bed_request in, out;
	char path[] = "/tmp/vcore-lost-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_eq(ftruncate(fd, BED_CAPACITY), 0);
	setup();
	VCORE_INIT(&f);
	VCORE_INIT(&u);
	f.path = u.path = path;
	if (_i == 0)
		ck_assert_ok(vcore_disk_new_file(&f, &disk));
	else
		ck_assert_ok(vcore_uring_new(&u, &disk));
	ck_assert_ok(vcore_block_new(disk, NULL, &b.virtio));
	vcore_disk_unref(disk);
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 64);
	allocate_above();
	in.data = vdriver_alloc(&b.env, PAGE, PAGE);
	out.data = vdriver_alloc(&b.env, PAGE, PAGE);
	allocate_below();
	lose();
	for (int i = 0; i < 2; i++) {
		struct bed_request r = bed_prepare(
			&b, i ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, 512);

		r.data = i ? out.data : in.data;
		r.head = vdriver_add(
			&b.d.queue[0],
			(struct vdriver_buf[]){ { r.hdr, 16, false },
						{ r.data, 512, i == 0 },
						{ r.status, 1, true } },
			3);
		ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL),
				  VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(vdriver_events(&b.env, VCORE_EVENT_DISK_ERROR), 2);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, 0, NULL, 512),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(recovered, 0);
	teardown();
	unlink(path);
	close(fd);
}
END_TEST

/* A whole machine: its own loop's thread, its own event queue. */
static int
run_idle(struct fake_kvm *f, struct kvm_run *run)
{
	(void)f;
	(void)run;
	sched_yield();
	return -EINTR;
}

static uint8_t *
machine_ram(struct vcore_machine *m)
{
	struct vcore_pin pin;
	struct iovec iov;

	ck_assert_int_eq(vcore_memory_pin(vcore_machine_memory(m), 0,
					  VDRIVER_RAM, VCORE_PIN_WRITE, &iov, 1,
					  &pin), 1);
	vcore_memory_unpin(vcore_machine_memory(m), &pin);
	return iov.iov_base;
}

START_TEST(test_lost_buffer_in_a_machine_is_its_event)
{
	static struct fake_kvm fake;
	const uint64_t at = 0x20000000;
	struct vcore_region *region;
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts o;
	struct vcore_event event;
	uint32_t faults = 0;

	fake_kvm_init(&fake);
	fake.run = run_idle;
	VCORE_INIT(&o);
	o.memory = VDRIVER_RAM;
	o.host = fake_kvm_host(&fake);
	ck_assert_ok(vcore_machine_new(&o, &m));
	ck_assert_ok(vcore_machine_add(m, "rng,transport=mmio"));
	memory = vcore_machine_memory(m);
	file = memfd_create("lost", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(file, 16 * PAGE), 0);
	region = file_region(16 * PAGE);
	ck_assert_ok(vcore_memory_add(memory, at, region, 0));
	handle_sigbus();
	ck_assert_ok(vcore_machine_start(m));
	/* The test is the driver, through the machine's bus. */
	memset(&b, 0, sizeof(b));
	b.env.memory = memory;
	b.env.bus = vcore_machine_bus(m, VCORE_BUS_MMIO);
	b.env.loop = vcore_machine_loop(m, 0);
	b.env.ram = machine_ram(m);
	b.env.ram_high = b.env.ram + VDRIVER_SEAM;
	b.env.heap = VDRIVER_HEAP;
	b.env.threaded = true;
	b.d.env = &b.env;
	b.d.virtio = vcore_machine_device(m, 0);
	b.d.kind = VDRIVER_MMIO;
	b.d.base = 0xd0000000;
	vdriver_up(&b.d, 1, 64);
	lose();
	serve_entropy(at + PAGE);
	ck_assert_uint_eq(by_others, 1);
	VCORE_INIT(&event);
	while (vcore_machine_next(m, &event) == 1)
		faults += event.kind == VCORE_EVENT_MEMORY_FAULT;
	ck_assert_uint_eq(faults, 1);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	serve_entropy(at + 2 * PAGE);
	ck_assert_uint_eq(by_others, 2);
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(m);
	vcore_region_unref(region);
	vcore_host_unref(o.host);
	close(file);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/lost");
	TCase *t = tcase_create("lost");
	int status;

	have_nbd = nbd_start(&nbd) == 0;
	tcase_add_test(
		t, test_lost_ring_is_an_event_and_the_device_works_after_reset);
	tcase_add_test(t,
		       test_lost_header_is_an_event_and_the_device_goes_on);
	tcase_add_test(t, test_lost_buffer_is_an_event_and_is_written);
	tcase_add_test(t, test_memory_with_an_io_error_is_an_event);
	tcase_add_loop_test(t, test_lost_data_of_real_io_is_the_guests_error,
			    0, 2);
	tcase_add_test(t, test_lost_buffer_in_a_machine_is_its_event);
	suite_add_tcase(suite, t);
	status = support_run(suite);
	if (have_nbd)
		nbd_stop(&nbd);
	return status != 0 || have_nbd ? status : SKIPPED;
}
