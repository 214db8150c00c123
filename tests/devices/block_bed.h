/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the block device stand on: a driver, a device, a disk. */
#ifndef VCORE_TESTS_DEVICES_BLOCK_BED_H
#define VCORE_TESTS_DEVICES_BLOCK_BED_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include <vcore/block.h>

#include "support/fake_disk.h"
#include "support/support.h"
#include "support/vdriver.h"

#define BED_CAPACITY (1u << 20)
#define BED_SECTORS  (BED_CAPACITY / 512)
#define BED_CANARY   0xa5		/* in buffers before the device writes */
#define BED_NO_STATUS 0xee		/* in the status byte likewise */
#define BIT(n) (UINT64_C(1) << (n))

struct bed {
	struct vdriver_env env;
	struct vdriver d;
	struct fake_disk disk;
	struct vcore_virtio *virtio;
};

/* One request as a driver lays it out. */
struct bed_request {
	uint64_t hdr, data, status;	/* guest addresses */
	uint32_t len;			/* of data */
	uint16_t head;
};

static inline void
bed_device(struct bed *b, const struct vcore_block_opts *opts)
{
	ck_assert_ok(vcore_block_new(b->disk.disk, opts, &b->virtio));
	vdriver_attach(&b->d, &b->env, b->virtio, VDRIVER_MMIO);
}

/* A device with all features on a disk of 1 MiB; the driver has not begun. */
static inline void
bed_init(struct bed *b, const struct vcore_block_opts *opts)
{
	memset(b, 0, sizeof(*b));
	vdriver_env_init(&b->env, 0);
	fake_disk_init(&b->disk, BED_CAPACITY);
	for (uint32_t i = 0; i < BED_CAPACITY; i++)
		b->disk.bytes[i] = (uint8_t)(i / 512 + i * 3);
	bed_device(b, opts);
}

static inline void
bed_fini(struct bed *b)
{
	vdriver_detach(&b->d);
	vcore_virtio_unref(b->virtio);
	fake_disk_fini(&b->disk);
	vdriver_env_fini(&b->env);
}

/* Memory and header of a request; nothing is made available yet. */
static inline struct bed_request
bed_prepare(struct bed *b, uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	struct bed_request r = { .len = len };

	r.hdr = vdriver_alloc(&b->env, sizeof(hdr), 16);
	r.data = vdriver_alloc(&b->env, len + 16, 16);
	r.status = vdriver_alloc(&b->env, 1, 1);
	memcpy(vdriver_ram(&b->env, r.hdr), &hdr, sizeof(hdr));
	memset(vdriver_ram(&b->env, r.data), BED_CANARY, len + 16);
	*(uint8_t *)vdriver_ram(&b->env, r.status) = BED_NO_STATUS;
	return r;
}

static inline bool
bed_is_read(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

/* Header, data, status in three descriptors (two without data); no kick. */
static inline struct bed_request
bed_add(struct bed *b, uint32_t q, uint32_t type, uint64_t sector,
	const void *data, uint32_t len)
{
	struct bed_request r = bed_prepare(b, type, sector, len);
	struct vdriver_buf bufs[3] = {
		{ r.hdr, 16, false },
		{ r.data, len, bed_is_read(type) },
		{ r.status, 1, true },
	};

	if (data != NULL)
		memcpy(vdriver_ram(&b->env, r.data), data, len);
	if (len == 0)
		bufs[1] = bufs[2];
	r.head = vdriver_add(&b->d.queue[q], bufs, len == 0 ? 2 : 3);
	return r;
}

static inline uint8_t
bed_status(struct bed *b, const struct bed_request *r)
{
	return *(uint8_t *)vdriver_ram(&b->env, r->status);
}

static inline uint8_t *
bed_data(struct bed *b, const struct bed_request *r)
{
	return vdriver_ram(&b->env, r->data);
}

/* Kick and take the answer to r, the only request: its status; *written. */
static inline uint8_t
bed_finish(struct bed *b, uint32_t q, const struct bed_request *r,
	   uint32_t *written)
{
	uint32_t id = 0, len = 0;

	vdriver_kick(&b->d.queue[q]);
	ck_assert(vdriver_wait(&b->d.queue[q], &id, &len));
	ck_assert_uint_eq(id, r->head);
	if (written != NULL)
		*written = len;
	return bed_status(b, r);
}

/* One whole request on queue 0: its status. */
static inline uint8_t
bed_do(struct bed *b, uint32_t type, uint64_t sector, const void *data,
       uint32_t len)
{
	struct bed_request r = bed_add(b, 0, type, sector, data, len);

	return bed_finish(b, 0, &r, NULL);
}

/* The device still does its work: what every hostile case ends with. */
static inline void
bed_check_alive(struct bed *b)
{
	struct bed_request r = bed_add(b, 0, VIRTIO_BLK_T_IN, 3, NULL, 512);

	ck_assert_uint_eq(bed_finish(b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(bed_data(b, &r), b->disk.bytes + 3 * 512, 512);
	ck_assert_uint_eq(vdriver_status(&b->d) &
				  VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static inline struct vcore_block_info
bed_info(struct bed *b)
{
	struct vcore_block_info i;

	VCORE_INIT(&i);
	ck_assert_ok(vcore_block_get_info(b->virtio, &i));
	return i;
}

#endif
