/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disk errors seen by a guest, with both engines on a file that fails on
 * command: the request that failed has an I/O error, the others have none.
 */
#include <vcore/uring.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "devices/block_bed.h"
#include "support/nbd.h"

#define SKIPPED 77
#define PATIENCE 12		/* times 10 seconds */
#define LONG    (2u << 20)	/* half before NBD_LATE, half behind */

enum engine { ENGINE_FILE, ENGINE_URING };

/* What each test is run with. */
static const struct {
	enum engine engine;
	uint32_t flags;
	const char *name;
} ways[] = {
	{ ENGINE_FILE, 0, "file" },
	{ ENGINE_FILE, VCORE_DISK_FILE_DIRECT, "file, direct" },
	{ ENGINE_URING, 0, "uring" },
	{ ENGINE_URING, VCORE_DISK_FILE_DIRECT, "uring, direct" },
};
#define WAYS ((int)VCORE__ARRAY_SIZE(ways))

static struct nbd nbd;
static struct bed b;
static struct vcore_disk *disk;
static int behind;			/* the file behind the one that fails */
static uint8_t *pattern;

static int
open_disk(int way)
{
	struct vcore_disk_file_opts file;
	struct vcore_uring_opts ring;

	if (ways[way].engine == ENGINE_FILE) {
		VCORE_INIT(&file);
		file.flags = ways[way].flags;
		file.path = nbd.file;
		return vcore_disk_new_file(&file, &disk);
	}
	VCORE_INIT(&ring);
	ring.flags = ways[way].flags;
	ring.path = nbd.file;
	return vcore_uring_new(&ring, &disk);
}

static bool
is_direct(int way)
{
	return (ways[way].flags & VCORE_DISK_FILE_DIRECT) != 0;
}

static void
forget_cache(void)
{
	int fd = open(nbd.file, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

/* The guest's block device on a file whose bytes are known. */
static void
setup(int way)
{
	printf("%s\n", ways[way].name);
	for (int i = 0; i < NBD_FAILURES; i++)
		nbd_switch(&nbd, (enum nbd_failure)i, 0);
	behind = open(nbd.disk, O_RDWR | O_CLOEXEC);
	pattern = malloc(NBD_CAPACITY);
	ck_assert_ptr_nonnull(pattern);
	for (uint32_t i = 0; i < NBD_CAPACITY; i++)
		pattern[i] = (uint8_t)(i / 4096 + i % 251);
	ck_assert_int_eq(pwrite(behind, pattern, NBD_CAPACITY, 0),
			 NBD_CAPACITY);
	forget_cache();
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_disk_init(&b.disk, 512);
	ck_assert_ok(open_disk(way));
	ck_assert_ok(vcore_block_new(disk, NULL, &b.virtio));
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	vdriver_up(&b.d, 1, 64);
}

/* Each of the ways in one process: sanitizers are slow at starting them. */
#define FOR_EACH_WAY(way) for (int way = 0; way < WAYS; way++)

static void
teardown(void)
{
	bed_fini(&b);
	vcore_disk_unref(disk);
	free(pattern);
	close(behind);
}

/*
 * Kick and take the answer: its status. Each request starts programs, for which
 * a busy machine takes longer than the driver usually waits.
 */
static uint8_t
finish(const struct bed_request *r, uint32_t *written)
{
	uint32_t id = 0, len = 0;
	bool done = false;

	vdriver_kick(&b.d.queue[0]);
	for (int i = 0; i < PATIENCE && !done; i++)
		done = vdriver_wait(&b.d.queue[0], &id, &len);
	ck_assert(done);
	ck_assert_uint_eq(id, r->head);
	if (written != NULL)
		*written = len;
	return bed_status(&b, r);
}

static uint8_t
request(uint32_t type, uint64_t sector, const void *data, uint32_t len)
{
	struct bed_request r = bed_add(&b, 0, type, sector, data, len);

	return finish(&r, NULL);
}

static uint8_t
read_sector(uint64_t sector)
{
	struct bed_request r = bed_add(&b, 0, VIRTIO_BLK_T_IN, sector, NULL,
				       4096);
	uint8_t status = finish(&r, NULL);

	if (status == VIRTIO_BLK_S_OK)
		ck_assert_mem_eq(bed_data(&b, &r), pattern + sector * 512,
				 4096);
	return status;
}

static uint8_t
write_sector(uint64_t sector, uint8_t byte)
{
	uint8_t data[4096];

	memset(data, byte, sizeof(data));
	if (byte != 0)
		memcpy(pattern + sector * 512, data, sizeof(data));
	return request(VIRTIO_BLK_T_OUT, sector, data, sizeof(data));
}

static uint8_t
flush(void)
{
	return request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
}

static void
check_behind(uint64_t at, uint8_t byte)
{
	uint8_t got = 0;

	ck_assert_int_eq(pread(behind, &got, 1, (off_t)at), 1);
	ck_assert_uint_eq(got, byte);
}

static void
failing_reads_are_the_guests_errors(int way)
{
	struct bed_request r;
	uint32_t written = 1;

	setup(way);
	ck_assert_uint_eq(read_sector(0), VIRTIO_BLK_S_OK);
	nbd_switch(&nbd, NBD_READ, 1);
	for (uint64_t i = 0; i < 3; i++) {
		r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 2048 + 64 * i, NULL, 4096);
		ck_assert_uint_eq(finish(&r, &written),
				  VIRTIO_BLK_S_IOERR);
		/* Nothing is said to be there, and nothing is. */
		ck_assert_uint_eq(written, 0);
		ck_assert_uint_eq(bed_data(&b, &r)[0], BED_CANARY);
	}
	ck_assert_uint_eq(vdriver_events(&b.env, VCORE_EVENT_DISK_ERROR), 3);
	ck_assert_uint_eq(bed_info(&b).errors, 3);
	/* Others are not concerned, nor is the same one later. */
	ck_assert_uint_eq(write_sector(8, 0x11), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(flush(), VIRTIO_BLK_S_OK);
	nbd_switch(&nbd, NBD_READ, 0);
	ck_assert_uint_eq(read_sector(2048), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(read_sector(8), VIRTIO_BLK_S_OK);
	teardown();
}

START_TEST(test_failing_reads_are_the_guests_errors)
{
	FOR_EACH_WAY(way)
		failing_reads_are_the_guests_errors(way);
}
END_TEST

static void
failing_writes_are_the_guests_errors(int way)
{
	setup(way);
	nbd_switch(&nbd, NBD_WRITE, 1);
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_uint_eq(write_sector(16 * i, 0),
				  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(bed_info(&b).errors, 3);
	check_behind(0, pattern[0]);
	ck_assert_uint_eq(read_sector(4096), VIRTIO_BLK_S_OK);
	nbd_switch(&nbd, NBD_WRITE, 0);
	ck_assert_uint_eq(write_sector(16, 0x22), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(read_sector(16), VIRTIO_BLK_S_OK);
	check_behind(16 * 512, 0x22);
	teardown();
}

START_TEST(test_failing_writes_are_the_guests_errors)
{
	FOR_EACH_WAY(way)
		failing_writes_are_the_guests_errors(way);
}
END_TEST

static void
failed_flush_stays_failed_until_it_is_cleared(int way)
{
	setup(way);
	ck_assert_uint_eq(write_sector(0, 0x33), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(flush(), VIRTIO_BLK_S_OK);
	nbd_switch(&nbd, NBD_FLUSH, 1);
	ck_assert_uint_eq(flush(), VIRTIO_BLK_S_IOERR);
	nbd_switch(&nbd, NBD_FLUSH, 0);
	/* The kernel would say by now that all is well. */
	ck_assert_uint_eq(flush(), VIRTIO_BLK_S_IOERR);
	vdriver_reset(&b.d);
	vdriver_free_all(&b.env);
	vdriver_up(&b.d, 1, 64);
	ck_assert_uint_eq(flush(), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(read_sector(0), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(write_sector(0, 0x44), VIRTIO_BLK_S_OK);
	ck_assert_ok(vcore_disk_clear_error(disk));
	ck_assert_uint_eq(flush(), VIRTIO_BLK_S_OK);
	check_behind(0, 0x44);
	teardown();
}

START_TEST(test_failed_flush_stays_failed_until_it_is_cleared)
{
	FOR_EACH_WAY(way)
		failed_flush_stays_failed_until_it_is_cleared(way);
}
END_TEST

/* Half of it is there when the rest fails: an error, of no length. */
static void
read_that_fails_half_way_is_an_error(int way)
{
	struct bed_request r;
	uint32_t written = 1;

	setup(way);
	nbd_switch(&nbd, NBD_LATE_READ, 1);
	r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 0, NULL, LONG);
	ck_assert_uint_eq(finish(&r, &written), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(written, 0);
	/* Through the page cache, the first half was a short read. */
	if (!is_direct(way))
		ck_assert_mem_eq(bed_data(&b, &r), pattern, 4096);
	ck_assert_uint_eq(read_sector(64), VIRTIO_BLK_S_OK);
	nbd_switch(&nbd, NBD_LATE_READ, 0);
	vdriver_free_all(&b.env);
	vdriver_reset(&b.d);
	vdriver_up(&b.d, 1, 64);
	r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 0, NULL, LONG);
	ck_assert_uint_eq(finish(&r, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, LONG + 1);
	ck_assert_mem_eq(bed_data(&b, &r), pattern, LONG);
	teardown();
}

START_TEST(test_read_that_fails_half_way_is_an_error)
{
	FOR_EACH_WAY(way)
		read_that_fails_half_way_is_an_error(way);
}
END_TEST

/* The second half fails once: a short write goes on, and is whole. */
static void
short_write_goes_on(int way)
{
	struct bed_request r;
	uint8_t *data = malloc(LONG), *got = malloc(LONG);
	uint8_t status;

	setup(way);
	memset(data, 0x5a, LONG);
	nbd_switch(&nbd, NBD_LATE_WRITE_ONCE, 1);
	r = bed_add(&b, 0, VIRTIO_BLK_T_OUT, 0, data, LONG);
	status = finish(&r, NULL);
	/* Direct writes are sent in parallel: one that failed fails all. */
	ck_assert_uint_eq(status, is_direct(way) ? VIRTIO_BLK_S_IOERR :
						  VIRTIO_BLK_S_OK);
	if (status == VIRTIO_BLK_S_OK) {
		ck_assert_int_eq(pread(behind, got, LONG, 0), LONG);
		ck_assert_mem_eq(got, data, LONG);
	}
	teardown();
	free(data);
	free(got);
}

START_TEST(test_short_write_goes_on)
{
	FOR_EACH_WAY(way)
		short_write_goes_on(way);
}
END_TEST

static void
write_that_fails_half_way_is_an_error(int way)
{
	uint8_t *data = malloc(LONG);
	struct bed_request r;

	setup(way);
	memset(data, 0x77, LONG);
	nbd_switch(&nbd, NBD_LATE_WRITE, 1);
	r = bed_add(&b, 0, VIRTIO_BLK_T_OUT, 0, data, LONG);
	ck_assert_uint_eq(finish(&r, NULL), VIRTIO_BLK_S_IOERR);
	check_behind(LONG - 1, pattern[LONG - 1]);
	/* What is before it, and what comes later, is written. */
	ck_assert_uint_eq(write_sector(0, 0x78), VIRTIO_BLK_S_OK);
	check_behind(0, 0x78);
	nbd_switch(&nbd, NBD_LATE_WRITE, 0);
	ck_assert_uint_eq(write_sector(NBD_LATE / 512, 0x79),
			  VIRTIO_BLK_S_OK);
	check_behind(NBD_LATE, 0x79);
	teardown();
	free(data);
}

START_TEST(test_write_that_fails_half_way_is_an_error)
{
	FOR_EACH_WAY(way)
		write_that_fails_half_way_is_an_error(way);
}
END_TEST

/* Of many in flight, those fail that the disk fails, and no other. */
static void
errors_belong_to_their_requests(int way)
{
	struct bed_request r[16];
	uint8_t data[4096];
	uint32_t id, len;

	setup(way);
	nbd_switch(&nbd, NBD_LATE_WRITE, 1);
	memset(data, 0x66, sizeof(data));
	for (uint32_t i = 0; i < 16; i++)
		r[i] = bed_add(&b, 0, VIRTIO_BLK_T_OUT,
			       i * 8 + (i % 2) * (NBD_LATE / 512), data,
			       sizeof(data));
	vdriver_kick(&b.d.queue[0]);
	for (uint32_t i = 0; i < 16; i++)
		for (int t = 0; !vdriver_wait(&b.d.queue[0], &id, &len); t++)
			ck_assert_int_lt(t, PATIENCE);
	for (uint32_t i = 0; i < 16; i++)
		ck_assert_uint_eq(bed_status(&b, &r[i]),
				  i % 2 ? VIRTIO_BLK_S_IOERR :
					  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(bed_info(&b).errors, 8);
	teardown();
}

START_TEST(test_errors_belong_to_their_requests)
{
	FOR_EACH_WAY(way)
		errors_belong_to_their_requests(way);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/errors");
	TCase *t = tcase_create("errors");
	int status;

	if (nbd_start(&nbd) < 0)
		return SKIPPED;
	tcase_add_test(t, test_failing_reads_are_the_guests_errors);
	tcase_add_test(t, test_failing_writes_are_the_guests_errors);
	tcase_add_test(t, test_failed_flush_stays_failed_until_it_is_cleared);
	tcase_add_test(t, test_read_that_fails_half_way_is_an_error);
	tcase_add_test(t, test_short_write_goes_on);
	tcase_add_test(t, test_write_that_fails_half_way_is_an_error);
	tcase_add_test(t, test_errors_belong_to_their_requests);
	suite_add_tcase(suite, t);
	status = support_run(suite);
	nbd_stop(&nbd);
	return status;
}
