/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery: pages that are lost under a thread that touches them. */
#include "memory/map.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/common.h"

#define PAGES 4

static struct vcore_memory *memory;
static struct vcore_region *region;
static struct vcore_events *events;
static int file;
static _Atomic int recovered, refused;

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
	int before = errno = 12345;

	if (!vcore_memory_recover(memory, info, context)) {
		atomic_fetch_add(&refused, 1);
		signal(number, SIG_DFL);
	} else {
		atomic_fetch_add(&recovered, 1);
	}
	if (errno != before)
		_exit(99);
}

static void
setup(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO,
	};
	struct vcore_region_opts opts;
	struct vcore_memory_opts mopts;
	char ones[PAGES * PAGE];

	memset(ones, 1, sizeof(ones));
	file = memfd_create("test", MFD_CLOEXEC);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(write(file, ones, sizeof(ones)), sizeof(ones));
	VCORE_INIT(&opts);
	opts.backing = VCORE_BACKING_FILE;
	opts.flags = VCORE_REGION_SHARED | VCORE_REGION_UNSEALED_OK;
	opts.fd = file;
	opts.len = sizeof(ones);
	ck_assert_ok(vcore_region_new(&opts, &region));
	ck_assert_ok(vcore_events_new(NULL, &events));
	VCORE_INIT(&mopts);
	mopts.events = events;
	ck_assert_ok(vcore_memory_new(&mopts, &memory));
	ck_assert_ok(vcore_memory_add(memory, 16 * PAGE, region, 0));
	ck_assert_int_eq(sigaction(SIGBUS, &action, NULL), 0);
}

static void
teardown(void)
{
	signal(SIGBUS, SIG_DFL);
	vcore_memory_unref(memory);
	vcore_events_unref(events);
	vcore_region_unref(region);
	close(file);
}

static uint32_t
failed(void)
{
	struct vcore_region_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_region_get_info(region, &info));
	return info.failed;
}

static int
next_event(struct vcore_event *e)
{
	VCORE_INIT(e);
	return vcore_events_next(events, e);
}

START_TEST(test_truncated_page_becomes_zero_with_an_event)
{
	struct vcore_event event;
	char bytes[16];

	ck_assert_uint_eq(failed(), 0);
	ck_assert_int_eq(ftruncate(file, (off_t)(2 * PAGE)), 0);
	ck_assert_ok(vcore_memory_read(memory, 19 * PAGE - 8, bytes, 16));
	/* Two pages of it are gone: each is zero now. */
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(bytes[i], 0);
	ck_assert_int_eq(atomic_load(&recovered), 2);
	ck_assert_uint_eq(failed(), 1);
	ck_assert_int_eq(next_event(&event), 1);
	ck_assert_uint_eq(event.kind, VCORE_EVENT_MEMORY_FAULT);
	ck_assert_uint_eq(event.count, 2);
	ck_assert_uint_eq(event.value[0], 19 * PAGE);
	ck_assert_uint_eq(event.value[1], PAGE);
	ck_assert_str_eq(event.object, "memory");
	ck_assert_int_eq(next_event(&event), 0);
	/* What is left of the file is untouched. */
	ck_assert_ok(vcore_memory_read(memory, 17 * PAGE, bytes, 1));
	ck_assert_int_eq(bytes[0], 1);
}
END_TEST

START_TEST(test_replaced_page_can_be_used)
{
	uint64_t value = 0x1122334455667788;

	ck_assert_int_eq(ftruncate(file, 0), 0);
	ck_assert_ok(vcore_memory_write(memory, 16 * PAGE + 8, &value, 8));
	value = 0;
	ck_assert_ok(vcore_memory_read(memory, 16 * PAGE + 8, &value, 8));
	ck_assert_uint_eq(value, 0x1122334455667788);
	ck_assert_int_eq(atomic_load(&recovered), 1);
}
END_TEST

START_TEST(test_pinned_pointer_recovers_too)
{
	struct vcore_pin pin;
	struct iovec iov;

	ck_assert_int_eq(vcore_memory_pin(memory, 16 * PAGE, PAGE,
					  VCORE_PIN_WRITE, &iov, 1, &pin), 1);
	ck_assert_int_eq(ftruncate(file, 0), 0);
	memset(iov.iov_base, 5, PAGE);
	vcore_memory_unpin(memory, &pin);
	ck_assert_int_eq(atomic_load(&recovered), 1);
	ck_assert_ok(vcore_memory_remove(memory, 16 * PAGE));
}
END_TEST

START_TEST(test_read_only_region_recovers_read_only)
{
	struct vcore_region_opts opts;
	struct vcore_region *ro;
	char byte = 1;

	VCORE_INIT(&opts);
	opts.backing = VCORE_BACKING_FILE;
	opts.flags = VCORE_REGION_UNSEALED_OK | VCORE_REGION_READONLY;
	opts.fd = file;
	opts.len = PAGE;
	ck_assert_ok(vcore_region_new(&opts, &ro));
	ck_assert_ok(vcore_memory_add(memory, 0, ro, 0));
	ck_assert_int_eq(ftruncate(file, 0), 0);
	ck_assert_ok(vcore_memory_read(memory, 0, &byte, 1));
	ck_assert_int_eq(byte, 0);
	vcore_region_unref(ro);
}
END_TEST

static pthread_barrier_t barrier;

static void *
touch(void *arg)
{
	uint64_t gpa = 16 * PAGE + 64 * (uintptr_t)arg, value = gpa;

	pthread_barrier_wait(&barrier);
	if (vcore_memory_write(memory, gpa, &value, 8) < 0)
		_exit(98);
	return NULL;
}

/* What the first of two wrote must survive the second's handler. */
START_TEST(test_threads_that_fault_together_lose_nothing)
{
	pthread_t threads[4];
	uint64_t value;
	uintptr_t i;

	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, 4), 0);
	ck_assert_int_eq(ftruncate(file, 0), 0);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, touch,
						(void *)i), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 4; i++) {
		ck_assert_ok(vcore_memory_read(memory, 16 * PAGE + 64 * i,
					       &value, 8));
		ck_assert_uint_eq(value, 16 * PAGE + 64 * i);
	}
	ck_assert_int_ge(atomic_load(&recovered), 1);
	pthread_barrier_destroy(&barrier);
}
END_TEST

static int
recover_at(void *address, int number, int code)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = number;
	info.si_code = code;
	info.si_addr = address;
	return vcore_memory_recover(memory, &info, NULL);
}

START_TEST(test_what_is_not_ours_is_refused)
{
	char *hva = region->hva, *end = hva + PAGES * PAGE;

	ck_assert_int_eq(vcore_memory_recover(NULL, NULL, NULL), 0);
	ck_assert_int_eq(vcore_memory_recover(memory, NULL, NULL), 0);
	ck_assert_int_eq(recover_at(hva, SIGSEGV, BUS_ADRERR), 0);
	ck_assert_int_eq(recover_at(hva, SIGBUS, BUS_ADRALN), 0);
	ck_assert_int_eq(recover_at(hva, SIGBUS, BUS_MCEERR_AO), 0);
	ck_assert_int_eq(recover_at(hva, SIGBUS, SI_USER), 0);
	ck_assert_int_eq(recover_at(hva - 1, SIGBUS, BUS_ADRERR), 0);
	ck_assert_int_eq(recover_at(end, SIGBUS, BUS_ADRERR), 0);
	ck_assert_int_eq(recover_at(NULL, SIGBUS, BUS_ADRERR), 0);
	ck_assert_uint_eq(failed(), 0);
	ck_assert_int_eq(recover_at(end - 1, SIGBUS, BUS_MCEERR_AR), 1);
	ck_assert_uint_eq(failed(), 1);
	ck_assert_ok(vcore_memory_remove(memory, 16 * PAGE));
	ck_assert_int_eq(recover_at(hva, SIGBUS, BUS_ADRERR), 0);
}
END_TEST

/* More ranges than one table has slots; slots are reused. */
START_TEST(test_many_ranges_are_found)
{
	const uint64_t n = 3 * VCORE__FAULT_SLOTS + 1;
	struct vcore_region *r;
	uint64_t i;

	for (int round = 0; round < 3; round++) {
		for (i = 0; i < n; i++)
			add(memory, (100 + i) * PAGE, PAGE, 0);
		r = make_region(PAGE);
		ck_assert_ok(vcore_memory_add(memory, 0, r, 0));
		ck_assert_int_eq(recover_at(r->hva, SIGBUS, BUS_ADRERR), 1);
		ck_assert_int_eq(recover_at(region->hva, SIGBUS, BUS_ADRERR),
				 1);
		for (i = 0; i < n; i++)
			ck_assert_ok(vcore_memory_remove(memory,
							 (100 + i) * PAGE));
		ck_assert_ok(vcore_memory_remove(memory, 0));
		ck_assert_int_eq(recover_at(r->hva, SIGBUS, BUS_ADRERR), 0);
		vcore_region_unref(r);
	}
}
END_TEST

START_TEST(test_works_without_events)
{
	struct vcore_memory *with = memory;
	char byte = 1;

	memory = make_memory(0);
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	ck_assert_int_eq(ftruncate(file, 0), 0);
	ck_assert_ok(vcore_memory_read(memory, 0, &byte, 1));
	ck_assert_int_eq(byte, 0);
	vcore_memory_unref(memory);
	memory = with;
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("recover");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_truncated_page_becomes_zero_with_an_event);
	tcase_add_test(tc, test_replaced_page_can_be_used);
	tcase_add_test(tc, test_pinned_pointer_recovers_too);
	tcase_add_test(tc, test_read_only_region_recovers_read_only);
	tcase_add_test(tc, test_threads_that_fault_together_lose_nothing);
	tcase_add_test(tc, test_what_is_not_ours_is_refused);
	tcase_add_test(tc, test_many_ranges_are_found);
	tcase_add_test(tc, test_works_without_events);
	suite_add_tcase(s, tc);
	return support_run(s);
}
