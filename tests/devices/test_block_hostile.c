/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The block device against a driver that changes a request while it is read,
 * and against a disk that changes under it. Requests that are merely wrong are
 * in test_block_request.c.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "devices/block_bed.h"
#include "support/as_guest.h"
#include "support/trap.h"

#define PAGE 4096u

static struct bed b;
static struct trap trap;

static void
up(uint32_t flags)
{
	struct vcore_block_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	bed_init(&b, &o);
	vdriver_up(&b.d, 1, 64);
}

/* What the watched page becomes after the first access to it. */
static void
replace(struct trap *t, uint32_t off, bool write)
{
	(void)off;
	if (!write)
		memcpy(t->page, t->opaque, 64);
}

/* A request whose readable part is alone on a page that is watched. */
static struct bed_request
watched_request(uint32_t type, uint64_t sector, const void *data,
		uint32_t len, void *evil)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	struct bed_request r = bed_prepare(&b, type, sector, 512);
	bool read = type == VIRTIO_BLK_T_IN;
	uint64_t page = vdriver_alloc(&b.env, PAGE, PAGE);
	uint8_t *at = vdriver_ram(&b.env, page);
	struct vdriver_buf bufs[3] = {
		{ page, (uint32_t)(16 + (read ? 0 : len)), false },
		{ r.data, read ? len : 0, true },
		{ r.status, 1, true },
	};

	memcpy(at, &hdr, sizeof(hdr));
	if (data)
		memcpy(at + 16, data, len);
	r.head = vdriver_add(&b.d.queue[0], bufs, 3);
	trap_begin(&trap, at, replace, evil);
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	trap_end(&trap);
	return r;
}

static const struct virtio_blk_outhdr evil_headers[] = {
	{ .type = VIRTIO_BLK_T_OUT, .sector = 0 },
	{ .type = VIRTIO_BLK_T_IN, .sector = BED_SECTORS },
	{ .type = VIRTIO_BLK_T_IN, .sector = UINT64_MAX },
	{ .type = VIRTIO_BLK_T_WRITE_ZEROES, .sector = 0 },
	{ .type = 0xffffffff, .sector = UINT64_C(1) << 55 },
};

/* Case 46: the disk that checks each range sees only what was checked. */
START_TEST(test_hostile_header_changed_as_soon_as_it_was_read)
{
	struct virtio_blk_outhdr evil[4];
	struct bed_request r;
	uint32_t ops;

	for (uint32_t i = 0; i < 4; i++)
		evil[i] = evil_headers[_i];
	up(VCORE_BLOCK_READONLY);
	r = watched_request(VIRTIO_BLK_T_IN, 3, NULL, 512, evil);
	ck_assert_uint_ne(bed_status(&b, &r), BED_NO_STATUS);
	for (ops = 0; ops < b.disk.op_count; ops++)
		ck_assert_uint_eq(b.disk.ops[ops].op, VCORE_DISK_READ);
	ck_assert_uint_le(ops, 1);
	/* One copy of 16 bytes, however memcpy() makes it. */
	ck_assert_uint_ge(trap.total, 1);
	ck_assert_uint_le(trap.total, 16);
	ck_assert_uint_eq(trap_writes(&trap, 0, TRAP_BYTES), 0);
	ck_assert(vdriver_used(&b.d.queue[0], NULL, NULL));
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/* Case 53 with 46: the numbers of a segment. */
START_TEST(test_hostile_segment_changed_as_soon_as_it_was_read)
{
	static const struct virtio_blk_discard_write_zeroes seg = {
		.sector = 8, .num_sectors = 8,
	};
	uint32_t type = _i ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t evil[16];
	struct bed_request r;

	memset(evil, 0xff, sizeof(evil));
	/* The header goes on to be one. */
	evil[0] = type;
	evil[1] = evil[2] = evil[3] = 0;
	up(0);
	r = watched_request(type, 0, &seg, sizeof(seg), evil);
	ck_assert_uint_ne(bed_status(&b, &r), BED_NO_STATUS);
	/* fake_disk ends the test if a range is outside. */
	ck_assert_uint_le(b.disk.op_count, 1);
	ck_assert_uint_le(trap.total, 32);
	ck_assert(vdriver_used(&b.d.queue[0], NULL, NULL));
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

static _Atomic bool over;
static _Atomic uint32_t flips;

/* Flips what header and segment say, for ever. */
static void *
flipper(void *arg)
{
	volatile uint32_t *word = arg;
	uint32_t x = 2463534242;

	as_guest_begin();
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		atomic_fetch_add_explicit(&flips, 1, memory_order_relaxed);
		word[0] = x % 3 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
		word[2] = x >> 8;
		word[3] = x % 5 ? 0 : x;
	}
	as_guest_end();
	return NULL;
}

/*
 * Case 45, with a thread: the same header read by the device and rewritten
 * meanwhile. On a disk that can't be written nothing is; no range is outside.
 */
START_TEST(test_hostile_header_rewritten_by_a_racing_thread)
{
	uint32_t rounds = support_rounds(5000, 200000);
	uint32_t until = support_rounds(0, 10000000), done = 0;
	struct vdriver_buf bufs[3];
	struct bed_request r;
	pthread_t thread;

	up(VCORE_BLOCK_READONLY);
	r = bed_prepare(&b, VIRTIO_BLK_T_IN, 0, 512);
	bufs[0] = (struct vdriver_buf){ r.hdr, 16, false };
	bufs[1] = (struct vdriver_buf){ r.data, 512, true };
	bufs[2] = (struct vdriver_buf){ r.status, 1, true };
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, flipper,
					vdriver_ram(&b.env, r.hdr)), 0);
	for (; done < rounds || atomic_load(&flips) < until; done++) {
		vdriver_add(&b.d.queue[0], bufs, 3);
		vdriver_kick(&b.d.queue[0]);
		ck_assert(vdriver_wait(&b.d.queue[0], NULL, NULL));
		ck_assert_uint_le(bed_status(&b, &r), VIRTIO_BLK_S_UNSUPP);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < b.disk.op_count && i < FAKE_DISK_KEPT; i++)
		ck_assert_uint_eq(b.disk.ops[i].op, VCORE_DISK_READ);
	for (uint32_t i = 0; i < BED_CAPACITY; i++)
		ck_assert_uint_eq(b.disk.bytes[i],
				  (uint8_t)(i / 512 + i * 3));
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/* Case 51: as many segments as a ring can bring, more than were promised. */
START_TEST(test_hostile_more_segments_than_promised)
{
	struct bed_request r;
	struct vdriver_buf bufs[64];
	uint64_t at;

	up(0);
	r = bed_prepare(&b, VIRTIO_BLK_T_IN, 0, 512);
	at = vdriver_alloc(&b.env, 63 * 512, 512);
	bufs[0] = (struct vdriver_buf){ r.hdr, 16, false };
	for (uint32_t i = 1; i < 64; i++)
		bufs[i] = (struct vdriver_buf){ at + 512 * (i - 1), 512,
						true };
	/* The status takes a byte of the last: no whole sectors. */
	r.head = vdriver_add(&b.d.queue[0], bufs, 64);
	r.status = at + 63 * 512 - 1;
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_IOERR);
	bufs[63].len = 513 - 512;
	r.head = vdriver_add(&b.d.queue[0], bufs, 64);
	r.status = at + 62 * 512;
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(vdriver_ram(&b.env, at), b.disk.bytes, 62 * 512);
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

START_TEST(test_hostile_id_without_room_for_a_status)
{
	struct bed_request r;
	struct vdriver_buf bufs[2];
	uint32_t used;

	up(0);
	r = bed_prepare(&b, VIRTIO_BLK_T_GET_ID, 0, 20);
	bufs[0] = (struct vdriver_buf){ r.hdr, 16, false };
	bufs[1] = (struct vdriver_buf){ r.data, 0, true };
	vdriver_add(&b.d.queue[0], bufs, 2);
	vdriver_kick(&b.d.queue[0]);
	ck_assert(vdriver_wait(&b.d.queue[0], NULL, &used));
	ck_assert_uint_eq(used, 0);
	ck_assert_uint_eq(bed_data(&b, &r)[0], BED_CANARY);
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/*
 * Case 53: a discard over a write that is in flight, completed in both orders:
 * afterwards there is the one or the other, and nothing beside it.
 */
START_TEST(test_hostile_discard_over_a_write_in_flight)
{
	struct virtio_blk_discard_write_zeroes seg = { .sector = 8,
						       .num_sectors = 2 };
	struct vcore_disk_request *first;
	struct bed_request w, d;
	uint8_t data[1024];

	up(0);
	memset(data, 0x77, sizeof(data));
	b.disk.hold = true;
	w = bed_add(&b, 0, VIRTIO_BLK_T_OUT, 8, data, sizeof(data));
	d = bed_add(&b, 0, VIRTIO_BLK_T_DISCARD, 0, &seg, sizeof(seg));
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.held_count, 2);
	if (_i) {
		first = b.disk.held[0];
		b.disk.held[0] = b.disk.held[1];
		b.disk.held[1] = first;
	}
	fake_disk_release(&b.disk, 2);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_status(&b, &w), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(bed_status(&b, &d), VIRTIO_BLK_S_OK);
	for (uint32_t i = 0; i < 1024; i++)
		ck_assert_uint_eq(b.disk.bytes[8 * 512 + i], _i ? 0x77 : 0);
	ck_assert_uint_eq(b.disk.bytes[8 * 512 - 1],
			  (uint8_t)(7 + (8 * 512 - 1) * 3));
	ck_assert_uint_eq(b.disk.bytes[10 * 512],
			  (uint8_t)(10 + 10 * 512 * 3));
	while (vdriver_used(&b.d.queue[0], NULL, NULL))
		;
	b.disk.hold = false;
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/* Case 55: a flush reaches the disk behind the writes offered before it. */
START_TEST(test_hostile_flush_races_with_writes)
{
	struct bed_request r[40];
	uint8_t data[512] = { 1 };

	up(0);
	b.disk.hold = true;
	for (uint32_t i = 0; i < 20; i++)
		r[i] = i % 4 == 3 ?
			       bed_add(&b, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) :
			       bed_add(&b, 0, VIRTIO_BLK_T_OUT, i, data, 512);
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.op_count, 20);
	for (uint32_t i = 0; i < 20; i++) {
		ck_assert_uint_eq(b.disk.ops[i].op,
				  i % 4 == 3 ? VCORE_DISK_FLUSH :
					       VCORE_DISK_WRITE);
		/* None is answered before the disk has done it. */
		ck_assert_uint_eq(bed_status(&b, &r[i]), BED_NO_STATUS);
	}
	for (uint32_t i = 0; i < 20; i++) {
		fake_disk_release(&b.disk, 1);
		vdriver_run(&b.env);
		ck_assert(vdriver_used(&b.d.queue[0], NULL, NULL));
		ck_assert(!vdriver_used(&b.d.queue[0], NULL, NULL));
		ck_assert_uint_eq(bed_status(&b, &r[i]), VIRTIO_BLK_S_OK);
	}
	b.disk.hold = false;
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

/* A device on a file of 64 KiB full of 0x3c. */
static int
file_up(void)
{
	char path[] = "/tmp/vcore-hostile-XXXXXX";
	struct vcore_disk_file_opts o;
	struct vcore_disk *disk;
	uint8_t block[512];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	memset(block, 0x3c, sizeof(block));
	for (uint32_t i = 0; i < 128; i++)
		ck_assert_int_eq(pwrite(fd, block, 512, 512 * i), 512);
	VCORE_INIT(&o);
	o.path = path;
	ck_assert_ok(vcore_disk_new_file(&o, &disk));
	unlink(path);
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, BED_CAPACITY);
	ck_assert_ok(vcore_block_new(disk, NULL, &b.virtio));
	vcore_disk_unref(disk);
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 64);
	return fd;
}

/* Case 57: what the file no longer has is zero, not what was in the buffer. */
START_TEST(test_hostile_image_truncated_under_the_device)
{
	static const uint32_t lens[] = { 0, 1, 511, 512, 4097, 65535 };
	struct bed_request r;
	uint32_t written, left = lens[_i];
	int fd = file_up();

	ck_assert_int_eq(ftruncate(fd, left), 0);
	r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 0, NULL, 65536);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 65537);
	for (uint32_t i = 0; i < 65536; i++)
		ck_assert_uint_eq(bed_data(&b, &r)[i], i < left ? 0x3c : 0);
	close(fd);
	bed_fini(&b);
}
END_TEST

/* Case 58: whatever the guest writes there, sector 0 is a sector. */
START_TEST(test_hostile_format_header_in_sector_0_stays_data)
{
	static const char *const magics[] = {
		"QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\x30\0\0\0\x0b/etc/passwd",
		"vhdxfile", "KDMV", "conectix", "COWD", "<<< Oracle VM",
	};
	struct vcore_disk_file_opts o;
	struct vcore_disk_limits limits;
	struct vcore_disk *disk;
	char path[64];
	uint8_t data[512], got[512];
	int fd = file_up();

	memset(data, 0, sizeof(data));
	memcpy(data, magics[_i], _i ? strlen(magics[_i]) : 31);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, data, 512),
			  VIRTIO_BLK_S_OK);
	/* Opened again, as after a restart. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	VCORE_INIT(&o);
	o.path = path;
	ck_assert_ok(vcore_disk_new_file(&o, &disk));
	VCORE_INIT(&limits);
	ck_assert_ok(vcore_disk_get_limits(disk, &limits));
	ck_assert_uint_eq(limits.capacity, 65536);
	ck_assert_int_eq(pread(fd, got, 512, 0), 512);
	ck_assert_mem_eq(got, data, 512);
	vcore_disk_unref(disk);
	close(fd);
	bed_fini(&b);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("devices/block_hostile");
	TCase *t = tcase_create("hostile");

	tcase_add_loop_test(
		t, test_hostile_header_changed_as_soon_as_it_was_read, 0,
		(int)VCORE__ARRAY_SIZE(evil_headers));
	tcase_add_loop_test(
		t, test_hostile_segment_changed_as_soon_as_it_was_read, 0, 2);
	tcase_add_test(t, test_hostile_header_rewritten_by_a_racing_thread);
	tcase_add_test(t, test_hostile_more_segments_than_promised);
	tcase_add_test(t, test_hostile_id_without_room_for_a_status);
	tcase_add_loop_test(t, test_hostile_discard_over_a_write_in_flight, 0,
			    2);
	tcase_add_test(t, test_hostile_flush_races_with_writes);
	tcase_add_loop_test(t, test_hostile_image_truncated_under_the_device,
			    0, 6);
	tcase_add_loop_test(
		t, test_hostile_format_header_in_sector_0_stays_data, 0, 6);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
