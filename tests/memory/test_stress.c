/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers and pins on two threads while regions come, move and go: nobody ever
 * sees a mapping that is gone, or half of one region and half of another.
 */
#include "memory/map.h"

#include <pthread.h>

#include "memory/common.h"

#define SLOTS 8
#define PAGES 4
#define CHANGES support_rounds(1500, 60000)

static struct vcore_memory *memory;
static _Atomic int stop;
static _Atomic uint64_t hits, holes;

/* Every word of a region holds the same number, its own. */
static struct vcore_region *
stamped(uint64_t stamp)
{
	struct vcore_region *r = make_region(PAGES * PAGE);
	uint64_t *p = (uint64_t *)(void *)r->hva;

	for (size_t i = 0; i < PAGES * PAGE / 8; i += 64)
		p[i] = stamp;
	return r;
}

static void
check(const struct iovec *iov)
{
	VCORE__GUEST_PTR *p = iov->iov_base;
	uint64_t first = vcore__guest_load64(p);

	if (first == 0 || iov->iov_len != PAGES * PAGE)
		abort();
	for (uint64_t at = 0; at < iov->iov_len; at += 512)
		if (vcore__guest_load64(vcore__guest_at(p, at)) != first)
			abort();
}

/* One thread: half of the look-ups are used inside, half after the section. */
static void *
reader(void *arg)
{
	struct vcore__memory_user user;
	uint64_t n = (uintptr_t)arg, gpa;
	struct iovec iov;
	uint32_t phase = 0;
	int rc;

	vcore__memory_user_init(&user, memory);
	while (!atomic_load(&stop)) {
		n = n * 6364136223846793005u + 1442695040888963407u;
		gpa = (n >> 33) % SLOTS * PAGES * PAGE;
		vcore__memory_enter(&user);
		rc = vcore__memory_iov(&user, gpa, PAGES * PAGE, true, &iov, 1);
		if (rc == 1 && (n >> 60 & 1))
			phase = vcore__memory_pin(&user);
		else if (rc == 1)
			check(&iov);
		vcore__memory_exit(&user);
		if (rc == 1 && (n >> 60 & 1)) {
			check(&iov);
			vcore__memory_unpin(&user, phase);
		}
		atomic_fetch_add(rc == 1 ? &hits : &holes, 1);
	}
	vcore__memory_user_fini(&user);
	return NULL;
}

static void *
visitor(void *arg)
{
	struct vcore_pin pin;
	struct iovec iov;
	uint64_t gpa, n = 1;

	(void)arg;
	while (!atomic_load(&stop)) {
		n = n * 6364136223846793005u + 1442695040888963407u;
		gpa = (n >> 33) % SLOTS * PAGES * PAGE;
		if (vcore_memory_pin(memory, gpa, PAGES * PAGE, VCORE_PIN_WRITE,
				     &iov, 1, &pin) != 1)
			continue;
		check(&iov);
		vcore_memory_unpin(memory, &pin);
	}
	return NULL;
}

/* Move the region of one slot to another place, replacing what is there. */
static void
move(uint64_t from, uint64_t to, struct vcore_region *region[SLOTS])
{
	struct vcore_memory_change *c;

	ck_assert_ok(vcore_memory_change_new(memory, &c));
	ck_assert_ok(vcore_memory_change_remove(c, from * PAGES * PAGE));
	if (region[to])
		ck_assert_ok(vcore_memory_change_remove(c, to * PAGES * PAGE));
	ck_assert_ok(vcore_memory_change_add(c, to * PAGES * PAGE, region[from],
					     0));
	ck_assert_ok(vcore_memory_change_commit(c));
	vcore_memory_change_free(c);
	vcore_region_unref(region[to]);
	region[to] = region[from];
	region[from] = NULL;
}

static void
change_all_the_time(void)
{
	struct vcore_region *region[SLOTS] = { NULL };
	uint64_t n = 7, a, b, changes = CHANGES;

	for (uint64_t i = 1; i <= changes; i++) {
		n = n * 6364136223846793005u + 1442695040888963407u;
		a = (n >> 33) % SLOTS;
		b = (n >> 40) % SLOTS;
		if (!region[a]) {
			region[a] = stamped(i);
			ck_assert_ok(vcore_memory_add(memory, a * PAGES * PAGE,
						      region[a], 0));
		} else if (a != b) {
			move(a, b, region);
		} else {
			ck_assert_ok(vcore_memory_remove(memory,
							 a * PAGES * PAGE));
			vcore_region_unref(region[a]);
			region[a] = NULL;
		}
	}
	for (a = 0; a < SLOTS; a++)
		vcore_region_unref(region[a]);
}

START_TEST(test_readers_and_pins_survive_changes)
{
	pthread_t threads[3];

	memory = make_memory(30000000000ull);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, reader, (void *)1),
			 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, reader, (void *)2),
			 0);
	ck_assert_int_eq(pthread_create(&threads[2], NULL, visitor, NULL), 0);
	change_all_the_time();
	atomic_store(&stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(atomic_load(&hits), 0);
	ck_assert_uint_gt(atomic_load(&holes), 0);
	vcore_memory_unref(memory);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stress");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_readers_and_pins_survive_changes);
	suite_add_tcase(s, tc);
	return support_run(s);
}
