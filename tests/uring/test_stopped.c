/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stopped means stopped (case 37): with 256 requests in flight a device is
 * reset, powered off, detached, freed, or one of its queues is reset. As soon
 * as that is done no request is submitted, none is started, and nothing of the
 * guest's memory is touched, which is why it is made inaccessible then; both
 * engines, and a disk that completes late, on other threads.
 */
#include <vcore/uring.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "devices/block_bed.h"

#define DEPTH    256u
#define LEN      4096u
#define CAPACITY (DEPTH * LEN)

enum engine { ENGINE_LATE, ENGINE_FILE, ENGINE_URING, ENGINES };
enum stop { STOP_RESET, STOP_QUEUE, STOP_OFF, STOP_DETACH, STOP_FREE, STOPS };

/* How many are done when it is stopped; a plain run takes every other one. */
static const uint32_t moments[] = { 0, 1, 2, 7, 33, 64, 128, 192, 255, 256 };
#define MOMENTS VCORE__ARRAY_SIZE(moments)

/* The disk the device has: it looks, and passes on to one of an engine. */
struct watch {
	struct vcore_disk *disk, *inner;
	_Atomic bool stopped;		/* no request may come any more */
	_Atomic uint32_t late;		/* how many did */
	_Atomic uint32_t released;
};

static struct bed b;
static struct watch watch;
static struct bed_request request[DEPTH];
static char path[64];
static int file;
static pthread_t releaser;
static _Atomic bool releasing;
static uint8_t *ram, *before;		/* what was there at the stop */

static void
watch_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	struct watch *w = opaque;

	if (w->stopped)
		w->late++;
	vcore_disk_submit(w->inner, queue, req);
}

static int
watch_limits(void *opaque, struct vcore_disk_limits *limits)
{
	return vcore_disk_get_limits(((struct watch *)opaque)->inner, limits);
}

static void
watch_commit(void *opaque, void *queue)
{
	vcore_disk_commit(((struct watch *)opaque)->inner, queue);
}

static int
watch_attach(void *opaque, struct vcore_loop *loop, void **queue)
{
	return vcore_disk_attach(((struct watch *)opaque)->inner, loop, queue);
}

static void
watch_detach(void *opaque, void *queue)
{
	vcore_disk_detach(((struct watch *)opaque)->inner, queue);
}

static void
watch_cancel(void *opaque, void *queue)
{
	vcore_disk_cancel(((struct watch *)opaque)->inner, queue);
}

static void
watch_released(void *opaque)
{
	((struct watch *)opaque)->released = 1;
}

static void
make_disk(enum engine engine)
{
	static const struct vcore_disk_ops ops = {
		.size = sizeof(ops), .submit = watch_submit,
		.limits = watch_limits, .commit = watch_commit,
		.attach = watch_attach, .detach = watch_detach,
		.cancel = watch_cancel,
	};
	struct vcore_disk_file_opts o;
	struct vcore_uring_opts u;

	memset(&watch, 0, sizeof(watch));
	fake_disk_init(&b.disk, CAPACITY);
	b.disk.hold = true;
	VCORE_INIT(&o);
	VCORE_INIT(&u);
	o.path = u.path = path;
	if (engine == ENGINE_LATE)
		watch.inner = vcore_disk_ref(b.disk.disk);
	else if (engine == ENGINE_FILE)
		ck_assert_ok(vcore_disk_new_file(&o, &watch.inner));
	else
		ck_assert_ok(vcore_uring_new(&u, &watch.inner));
	ck_assert_ok(vcore_disk_new(&ops, &watch, watch_released,
				    &watch.disk));
}

/* Completes what the kernel has begun, one after the other, late. */
static void *
release_all(void *arg)
{
	(void)arg;
	while (releasing) {
		(void)fake_disk_release(&b.disk, 1);
		sched_yield();
	}
	return NULL;
}

/* Reads and writes in turn, each of a page of its own. */
static void
fill(void)
{
	uint8_t data[LEN];

	memset(data, 0x5a, sizeof(data));
	for (uint32_t i = 0; i < DEPTH; i++)
		request[i] = bed_add(&b, 0,
				     i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
				     i * (LEN / 512), i % 2 ? data : NULL, LEN);
	vdriver_kick(&b.d.queue[0]);
}

static uint32_t
submitted(void)
{
	uint32_t count;

	pthread_mutex_lock(&b.disk.lock);
	count = b.disk.op_count;
	pthread_mutex_unlock(&b.disk.lock);
	return count;
}

static void
wait_for(enum engine engine, uint32_t done)
{
	uint32_t id, len;

	if (engine == ENGINE_LATE) {
		while (submitted() < DEPTH)
			vdriver_run(&b.env);
		ck_assert_uint_eq(fake_disk_release(&b.disk, done), done);
		pthread_mutex_lock(&b.disk.lock);
		b.disk.begun = (DEPTH - done) / 2;
		pthread_mutex_unlock(&b.disk.lock);
		releasing = true;
		ck_assert_int_eq(pthread_create(&releaser, NULL, release_all,
						NULL), 0);
	}
	while (done-- > 0)
		ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
}

static void
stop(enum stop how)
{
	const uint64_t deadline = vcore__now_ns() + 20000000000u;

	switch (how) {
	case STOP_RESET:
		vdriver_reset(&b.d);
		break;
	case STOP_QUEUE:
		vdriver_queue_reset(&b.d, 0);
		while (vdriver_queue_enabled(&b.d, 0))
			vdriver_run(&b.env);
		break;
	case STOP_OFF:
		ck_assert_ok(vcore_virtio_stop(b.virtio,
					       VCORE_VIRTIO_STOP_DROP,
					       deadline));
		break;
	case STOP_DETACH:
		ck_assert_ok(vcore_virtio_detach(b.virtio, deadline));
		break;
	case STOP_FREE:
	default:
		vcore_virtio_unref(b.virtio);
		b.virtio = NULL;
		while (!watch.released)
			vdriver_run(&b.env);
	}
}

static uint8_t *
disk_bytes(enum engine engine)
{
	uint8_t *bytes = malloc(CAPACITY);

	if (engine == ENGINE_LATE)
		memcpy(bytes, b.disk.bytes, CAPACITY);
	else
		ck_assert_int_eq(pread(file, bytes, CAPACITY, 0), CAPACITY);
	return bytes;
}

/* From now on who touches guest memory is found out. */
static void
close_memory(enum engine engine)
{
	watch.stopped = true;
	ram = malloc(VDRIVER_SEAM);
	memcpy(ram, b.env.ram, VDRIVER_SEAM);
	before = disk_bytes(engine);
	ck_assert_int_eq(mprotect(b.env.ram, VDRIVER_SEAM, PROT_NONE), 0);
}

static void
check_memory(enum engine engine)
{
	uint8_t *after = disk_bytes(engine);

	ck_assert_int_eq(mprotect(b.env.ram, VDRIVER_SEAM,
				  PROT_READ | PROT_WRITE), 0);
	ck_assert_mem_eq(b.env.ram, ram, VDRIVER_SEAM);
	ck_assert_mem_eq(after, before, CAPACITY);
	ck_assert_uint_eq(watch.late, 0);
	free(after);
	free(before);
	free(ram);
}

static void
stop_at(enum engine engine, enum stop how, uint32_t done)
{
	struct vcore_block_opts o;

	memset(&b, 0, sizeof(b));
	VCORE_INIT(&o);
	o.queue_size = 1024;
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	make_disk(engine);
	ck_assert_ok(vcore_block_new(watch.disk, &o, &b.virtio));
	vcore_disk_unref(watch.disk);
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 1024);
	fill();
	wait_for(engine, done);
	stop(how);
	close_memory(engine);
	/* All who could be late are waited for: threads, rings, the loop. */
	if (engine == ENGINE_LATE) {
		releasing = false;
		pthread_join(releaser, NULL);
		ck_assert_uint_eq(b.disk.held_count, 0);
	}
	vdriver_run(&b.env);
	if (how != STOP_FREE && how != STOP_DETACH)
		vdriver_detach(&b.d);
	vcore_virtio_unref(b.virtio);
	while (!watch.released)
		vdriver_run(&b.env);
	vcore_disk_unref(watch.inner);
	check_memory(engine);
	fake_disk_fini(&b.disk);
	vdriver_env_fini(&b.env);
}

/* Sanitizers are slow at starting processes and at watching so much memory. */
START_TEST(test_stopped_means_stopped)
{
	uint32_t step = getenv("VCORE_SOAK") != NULL ? 1 : 2;

	snprintf(path, sizeof(path), "/tmp/vcore-stopped-XXXXXX");
	file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, CAPACITY), 0);
	for (uint32_t how = 0; how < STOPS; how++)
		for (uint32_t i = how % step; i < MOMENTS; i += step)
			stop_at((enum engine)_i, (enum stop)how, moments[i]);
	unlink(path);
	close(file);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/stopped");
	TCase *t = tcase_create("stopped");

	tcase_add_loop_test(t, test_stopped_means_stopped, 0, ENGINES);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
