/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of lib/devices/block_queue.c: many requests, several queues, and
 * stopping in the middle of it (class D of the catalogue).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "devices/block_bed.h"

#define DEPTH 256u

static struct bed b;

static void
setup_queues(uint32_t queues)
{
	struct vcore_block_opts o;

	VCORE_INIT(&o);
	o.queues = queues;
	o.queue_size = 1024;
	bed_init(&b, &o);
	vdriver_up(&b.d, queues, 1024);
}

/* DEPTH requests are with the disk; r: what they are. */
static void
fill(uint32_t type, struct bed_request r[DEPTH])
{
	uint8_t data[512];

	for (uint32_t i = 0; i < DEPTH; i++) {
		memset(data, (int)(i + 1), sizeof(data));
		r[i] = bed_add(&b, 0, type, i,
			       type == VIRTIO_BLK_T_OUT ? data : NULL, 512);
	}
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
}

START_TEST(test_a_batch_is_committed_and_answered_together)
{
	struct bed_request r[DEPTH];
	uint32_t id, len, n = 0;
	uint64_t irqs;

	setup_queues(1);
	irqs = vdriver_interrupts(&b.d, 0);
	fill(VIRTIO_BLK_T_IN, r);
	while (vdriver_used(&b.d.queue[0], &id, &len))
		n++;
	ck_assert_uint_eq(n, DEPTH);
	ck_assert_uint_eq(vdriver_interrupts(&b.d, 0) - irqs, 1);
	for (uint32_t i = 0; i < DEPTH; i++) {
		ck_assert_uint_eq(bed_status(&b, &r[i]), VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(bed_data(&b, &r[i]), b.disk.bytes + i * 512,
				 512);
	}
	bed_fini(&b);
}
END_TEST

START_TEST(test_answers_come_in_the_disks_order)
{
	struct bed_request r[DEPTH];
	struct vcore_disk_request *first;
	uint32_t id, len;

	setup_queues(1);
	b.disk.hold = true;
	fill(VIRTIO_BLK_T_IN, r);
	ck_assert_uint_eq(b.disk.held_count, DEPTH);
	first = b.disk.held[0];
	b.disk.held[0] = b.disk.held[DEPTH - 1];
	b.disk.held[DEPTH - 1] = first;
	fake_disk_release(&b.disk, 1);
	ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	ck_assert_uint_eq(id, r[DEPTH - 1].head);
	ck_assert(!vdriver_used(&b.d.queue[0], &id, &len));
	fake_disk_release(&b.disk, DEPTH);
	for (uint32_t i = 1; i < DEPTH; i++)
		ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	ck_assert_uint_eq(id, r[0].head);
	b.disk.hold = false;
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/* Case 55: a flush is asked for after the writes done before it. */
START_TEST(test_flushes_queue_behind_each_other)
{
	struct bed_request r[DEPTH];
	uint32_t id, len;

	setup_queues(1);
	for (uint32_t i = 0; i < DEPTH; i++)
		r[i] = bed_add(&b, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	vdriver_kick(&b.d.queue[0]);
	for (uint32_t i = 0; i < DEPTH; i++)
		ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	for (uint32_t i = 0; i < DEPTH; i++)
		ck_assert_uint_eq(bed_status(&b, &r[i]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(b.disk.op_count, DEPTH);
	bed_fini(&b);
}
END_TEST

/* Case 56: the write is in flight while the cache is switched off. */
START_TEST(test_cache_switched_off_in_flight_flushes)
{
	struct bed_request r[DEPTH];
	uint32_t id, len;

	setup_queues(1);
	b.disk.hold = true;
	fill(VIRTIO_BLK_T_OUT, r);
	vdriver_config_write(&b.d, 32, 1, 0);
	fake_disk_release(&b.disk, DEPTH);
	vdriver_run(&b.env);
	ck_assert(!vdriver_used(&b.d.queue[0], &id, &len));
	ck_assert_uint_eq(b.disk.held_count, DEPTH);
	ck_assert_uint_eq(b.disk.held[0]->op, VCORE_DISK_FLUSH);
	fake_disk_release(&b.disk, DEPTH);
	for (uint32_t i = 0; i < DEPTH; i++)
		ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	b.disk.hold = false;
	bed_fini(&b);
}
END_TEST

/*
 * On the loop, while the driver's write of 0 waits: the reset has cancelled and
 * is not done. Then the kernel is ready.
 */
static void
release_after_cancel(void *opaque)
{
	uint32_t begun = b.disk.begun;

	if (b.disk.cancels == 0) {
		ck_assert_ok(vcore_loop_call(b.env.loop, release_after_cancel,
					     opaque));
		return;
	}
	ck_assert_uint_eq(b.disk.held_count, begun);
	if (begun > 0)
		ck_assert_uint_eq(b.disk.detaches, 0);
	ck_assert_uint_eq(fake_disk_release(&b.disk, begun), begun);
}

static void
reset_and_release(void)
{
	b.disk.cancels = 0;
	ck_assert_ok(vcore_loop_call(b.env.loop, release_after_cancel, NULL));
	vdriver_set_status(&b.d, 0);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_status(&b.d), 0);
}

/*
 * Case 37: reset with 256 requests in flight, of which the kernel has some.
 * The reset ends only after those; no other starts; nothing is written to the
 * guest afterwards.
 */
static void
reset_in_flight(uint32_t type, uint32_t begun)
{
	static uint8_t before[VDRIVER_SEAM];
	static uint8_t disk_before[BED_CAPACITY];
	struct bed_request r[DEPTH];

	setup_queues(1);
	b.disk.hold = true;
	b.disk.begun = begun;
	fill(type, r);
	ck_assert_uint_eq(b.disk.held_count, DEPTH);
	memcpy(disk_before, b.disk.bytes, BED_CAPACITY);
	reset_and_release();
	ck_assert_uint_eq(b.disk.cancels, 1);
	ck_assert_uint_eq(b.disk.detaches, 1);
	memcpy(before, b.env.ram, sizeof(before));
	vdriver_run(&b.env);
	ck_assert_mem_eq(before, b.env.ram, sizeof(before));
	for (uint32_t i = 0; i < DEPTH; i++)
		ck_assert_uint_eq(bed_status(&b, &r[i]), BED_NO_STATUS);
	for (uint32_t i = begun; i < DEPTH; i++) {
		ck_assert_mem_eq(b.disk.bytes + i * 512, disk_before + i * 512,
				 512);
		if (type == VIRTIO_BLK_T_IN)
			ck_assert_uint_eq(bed_data(&b, &r[i])[0], BED_CANARY);
	}
	b.disk.hold = false;
	vdriver_up(&b.d, 1, 64);
	bed_check_alive(&b);
	bed_fini(&b);
}

START_TEST(test_reset_cancels_reads_and_waits_for_the_kernels)
{
	reset_in_flight(VIRTIO_BLK_T_IN, 10);
}
END_TEST

START_TEST(test_reset_cancels_writes_and_waits_for_the_kernels)
{
	reset_in_flight(VIRTIO_BLK_T_OUT, 10);
}
END_TEST

START_TEST(test_reset_with_all_cancelled_ends_at_once)
{
	reset_in_flight(VIRTIO_BLK_T_OUT, 0);
}
END_TEST

START_TEST(test_reset_with_all_in_the_kernel_waits_for_all)
{
	reset_in_flight(VIRTIO_BLK_T_IN, DEPTH);
}
END_TEST

/* With the cache off, a write whose flush never starts after a reset. */
START_TEST(test_reset_starts_no_flush)
{
	struct bed_request r[DEPTH];
	uint32_t ops;

	setup_queues(1);
	vdriver_config_write(&b.d, 32, 1, 0);
	b.disk.hold = true;
	b.disk.begun = DEPTH;
	fill(VIRTIO_BLK_T_OUT, r);
	ops = b.disk.op_count;
	reset_and_release();
	ck_assert_uint_eq(b.disk.op_count, ops);
	ck_assert_uint_eq(b.disk.detaches, 1);
	b.disk.hold = false;
	bed_fini(&b);
}
END_TEST

/* Pausing waits for what is in flight, answers it, and goes on afterwards. */
START_TEST(test_drain_answers_everything_and_starts_again)
{
	struct bed_request r[DEPTH];
	uint32_t id, len, n = 0;

	setup_queues(1);
	b.disk.hold = true;
	b.disk.begun = DEPTH;
	fill(VIRTIO_BLK_T_IN, r);
	ck_assert_int_eq(vcore_virtio_stop(b.virtio, VCORE_VIRTIO_STOP_DRAIN,
					   vcore__now_ns() + 1),
			 -ETIMEDOUT);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.cancels, 0);
	fake_disk_release(&b.disk, DEPTH);
	vdriver_run(&b.env);
	while (vdriver_used(&b.d.queue[0], &id, &len))
		n++;
	ck_assert_uint_eq(n, DEPTH);
	b.disk.hold = false;
	(void)vcore_virtio_stop(b.virtio, VCORE_VIRTIO_STOP_DRAIN,
				vcore__now_ns() + 1);
	vdriver_run(&b.env);
	(void)vcore_virtio_start(b.virtio);
	vdriver_run(&b.env);
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

START_TEST(test_unplug_in_flight_leaves_nothing)
{
	struct bed_request r[DEPTH];

	setup_queues(1);
	b.disk.hold = true;
	fill(VIRTIO_BLK_T_OUT, r);
	vdriver_detach(&b.d);
	ck_assert_uint_eq(b.disk.held_count, 0);
	ck_assert_uint_eq(b.disk.attaches, b.disk.detaches);
	for (uint32_t i = 0; i < DEPTH; i++)
		ck_assert_uint_eq(bed_status(&b, &r[i]), BED_NO_STATUS);
	b.disk.hold = false;
	bed_fini(&b);
}
END_TEST

/* Case 38: one queue is reset, the others do not notice. */
START_TEST(test_queue_reset_spares_the_others)
{
	struct bed_request r, other;
	uint32_t id, len;

	setup_queues(4);
	ck_assert_uint_eq(b.disk.attaches, 4);
	b.disk.hold = true;
	other = bed_add(&b, 1, VIRTIO_BLK_T_IN, 1, NULL, 512);
	vdriver_kick(&b.d.queue[1]);
	vdriver_run(&b.env);
	b.disk.begun = 1;
	r = bed_add(&b, 2, VIRTIO_BLK_T_IN, 2, NULL, 512);
	vdriver_kick(&b.d.queue[2]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.held_count, 2);
	vdriver_queue_reset(&b.d, 2);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.held_count, 1);
	ck_assert_uint_eq(b.disk.detaches, 1);
	ck_assert_uint_eq(bed_status(&b, &r), BED_NO_STATUS);
	fake_disk_release(&b.disk, 1);
	ck_assert(vdriver_wait(&b.d.queue[1], &id, &len));
	ck_assert_uint_eq(bed_status(&b, &other), VIRTIO_BLK_S_OK);
	b.disk.hold = false;
	ck_assert(vdriver_queue(&b.d, 2, 64));
	r = bed_add(&b, 2, VIRTIO_BLK_T_IN, 2, NULL, 512);
	ck_assert_uint_eq(bed_finish(&b, 2, &r, NULL), VIRTIO_BLK_S_OK);
	bed_fini(&b);
}
END_TEST

START_TEST(test_queues_count_and_serve_by_themselves)
{
	setup_queues(4);
	for (uint32_t q = 0; q < 4; q++) {
		struct bed_request r =
			bed_add(&b, q, VIRTIO_BLK_T_IN, q, NULL, 512);

		ck_assert_uint_eq(bed_finish(&b, q, &r, NULL),
				  VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes + q * 512,
				 512);
	}
	ck_assert_uint_eq(bed_info(&b).reads, 4);
	bed_fini(&b);
}
END_TEST

/* Case 38: 1,000 resets, each with a request in flight. */
START_TEST(test_reset_storm_keeps_counts_even)
{
	setup_queues(1);
	for (int i = 0; i < 1000; i++) {
		b.disk.hold = true;
		b.disk.begun = (uint32_t)i % 2;
		bed_add(&b, 0, VIRTIO_BLK_T_IN, 0, NULL, 512);
		vdriver_kick(&b.d.queue[0]);
		vdriver_run(&b.env);
		b.disk.detaches = 0;
		reset_and_release();
		ck_assert_uint_eq(b.disk.detaches, 1);
		b.disk.attaches = 0;
		b.disk.detaches = 0;
		b.disk.hold = false;
		vdriver_free_all(&b.env);
		vdriver_up(&b.d, 1, 8);
	}
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/* Two threads complete what the device's own thread submits. */
static _Atomic int releasing;

static void *
release_all(void *arg)
{
	struct fake_disk *f = arg;

	while (atomic_load(&releasing))
		if (fake_disk_release(f, 3) == 0)
			sched_yield();
	return NULL;
}

/* Of requests that are answered in any order: how far all of them are. */
struct window {
	uint16_t head[16];
	bool waits[64];			/* by head */
	uint32_t first, next;
};

static void
window_sent(struct window *w, uint16_t head)
{
	w->waits[head] = true;
	w->head[w->next++ % 16] = head;
}

static void
window_done(struct window *w, uint32_t id)
{
	ck_assert(w->waits[id]);
	w->waits[id] = false;
	while (w->first < w->next && !w->waits[w->head[w->first % 16]])
		w->first++;
}

START_TEST(test_completion_on_other_threads_loses_nothing)
{
	uint32_t id, len, rounds = 3000;
	struct window w = { .next = 0 };
	struct bed_request r;
	pthread_t thread[2];

	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.hold = true;
	bed_device(&b, NULL);
	vdriver_up(&b.d, 1, 64);
	atomic_store(&releasing, 1);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, release_all, &b.disk);
	while (w.first < rounds) {
		/* One that is late keeps its descriptors: 16 take 48 of 64. */
		while (w.next < rounds && w.next - w.first < 16) {
			if (w.next % 64 == 0 && w.next == w.first)
				vdriver_free_all(&b.env), vdriver_up(&b.d, 1, 64);
			r = bed_add(&b, 0, VIRTIO_BLK_T_IN, w.next % 100, NULL,
				    512);
			window_sent(&w, r.head);
		}
		vdriver_kick(&b.d.queue[0]);
		ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
		ck_assert_uint_eq(len, 513);
		window_done(&w, id);
	}
	atomic_store(&releasing, 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	bed_fini(&b);
}
END_TEST

/* Resets while other threads complete: nobody touches a queue that is gone. */
START_TEST(test_resets_race_with_completion)
{
	pthread_t thread[2];

	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.hold = true;
	b.disk.begun = FAKE_DISK_KEPT;
	bed_device(&b, NULL);
	atomic_store(&releasing, 1);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, release_all, &b.disk);
	for (int round = 0; round < 200; round++) {
		vdriver_free_all(&b.env);
		vdriver_up(&b.d, 1, 64);
		for (int i = 0; i < 16; i++)
			bed_add(&b, 0, VIRTIO_BLK_T_IN, 0, NULL, 512);
		vdriver_kick(&b.d.queue[0]);
		vdriver_reset(&b.d);
	}
	atomic_store(&releasing, 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	bed_fini(&b);
}
END_TEST

/* The real disk on a pool under the real device: what goes in comes out. */
START_TEST(test_file_disk_keeps_every_sector)
{
	struct vcore_disk_file_opts o;
	struct vcore_disk *disk;
	char path[] = "/tmp/vcore-block-XXXXXX";
	int fd = mkstemp(path);
	uint8_t data[4096];
	uint32_t id, len;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, BED_CAPACITY), 0);
	VCORE_INIT(&o);
	o.path = path;
	ck_assert_ok(vcore_disk_new_file(&o, &disk));
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, BED_CAPACITY);
	ck_assert_ok(vcore_block_new(disk, NULL, &b.virtio));
	vcore_disk_unref(disk);
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 256);
	for (uint32_t i = 0; i < 64; i++) {
		memset(data, (int)(i ^ 0x55), sizeof(data));
		bed_add(&b, 0, VIRTIO_BLK_T_OUT, ((i * 37) % 256) * 8, data,
			sizeof(data));
		vdriver_kick(&b.d.queue[0]);
	}
	for (uint32_t i = 0; i < 64; i++)
		ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	for (uint32_t i = 0; i < 64; i++) {
		ck_assert_int_eq(pread(fd, data, 4096,
				       (off_t)((i * 37) % 256) * 4096),
				 4096);
		ck_assert_uint_eq(data[0], i ^ 0x55);
		ck_assert_uint_eq(data[4095], i ^ 0x55);
	}
	bed_fini(&b);
	unlink(path);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("devices/block_queue");
	TCase *t = tcase_create("queue");

	tcase_add_test(t, test_a_batch_is_committed_and_answered_together);
	tcase_add_test(t, test_answers_come_in_the_disks_order);
	tcase_add_test(t, test_flushes_queue_behind_each_other);
	tcase_add_test(t, test_cache_switched_off_in_flight_flushes);
	tcase_add_test(t, test_reset_cancels_reads_and_waits_for_the_kernels);
	tcase_add_test(t, test_reset_cancels_writes_and_waits_for_the_kernels);
	tcase_add_test(t, test_reset_with_all_cancelled_ends_at_once);
	tcase_add_test(t, test_reset_with_all_in_the_kernel_waits_for_all);
	tcase_add_test(t, test_reset_starts_no_flush);
	tcase_add_test(t, test_drain_answers_everything_and_starts_again);
	tcase_add_test(t, test_unplug_in_flight_leaves_nothing);
	tcase_add_test(t, test_queue_reset_spares_the_others);
	tcase_add_test(t, test_queues_count_and_serve_by_themselves);
	tcase_add_test(t, test_reset_storm_keeps_counts_even);
	tcase_add_test(t, test_completion_on_other_threads_loses_nothing);
	tcase_add_test(t, test_resets_race_with_completion);
	tcase_add_test(t, test_file_disk_keeps_every_sector);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
