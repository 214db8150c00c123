/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device: its features, configuration and life. VIRTIO 1.2, 5.2. */
#include "devices/block.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "virtio/virtio.h"

#define BIT(n) (UINT64_C(1) << (n))
#define QUEUES_MAX 256u
#define QUEUE_SIZE 256u
#define FLAGS (VCORE_BLOCK_READONLY | VCORE_BLOCK_WRITETHROUGH)
#define WCE offsetof(struct virtio_blk_config, wce)
/* Later fields belong to features we do not have. */
#define CONFIG_SIZE (offsetof(struct virtio_blk_config, \
			      write_zeroes_may_unmap) + 4)

bool
vcore__block_is_readonly(const struct vcore__block *b)
{
	return (b->flags & VCORE_BLOCK_READONLY) != 0 ||
	       (b->limits.flags & VCORE_DISK_READONLY) != 0;
}

/*
 * A driver that knows of no flush relies on each write. One that knows the
 * setting decides itself, if it can also flush; else we do.
 */
bool
vcore__block_is_writethrough(struct vcore__block *b)
{
	uint64_t features = atomic_load(&b->features);

	if (!(b->limits.flags & VCORE_DISK_CAN_FLUSH))
		return false;
	if (!(features & BIT(VIRTIO_BLK_F_FLUSH)))
		return true;
	if (features & BIT(VIRTIO_BLK_F_CONFIG_WCE))
		return atomic_load(&b->wce) == 0;
	return (b->flags & VCORE_BLOCK_WRITETHROUGH) != 0;
}

static uint64_t
block_features(void *opaque)
{
	const struct vcore__block *b = opaque;
	uint64_t f = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		     BIT(VIRTIO_BLK_F_TOPOLOGY);

	if (b->queues > 1)
		f |= BIT(VIRTIO_BLK_F_MQ);
	if (vcore__block_is_readonly(b))
		return f | BIT(VIRTIO_BLK_F_RO);
	if (b->limits.flags & VCORE_DISK_CAN_FLUSH)
		f |= BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE);
	if (b->limits.flags & VCORE_DISK_CAN_DISCARD)
		f |= BIT(VIRTIO_BLK_F_DISCARD);
	if (b->limits.flags & VCORE_DISK_CAN_ZERO)
		f |= BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	return f;
}

static uint32_t
sectors(uint64_t bytes)
{
	uint64_t n = bytes / VCORE__BLOCK_SECTOR;

	return n == 0 || n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void
fill_config(struct vcore__block *b, struct virtio_blk_config *c)
{
	const struct vcore_disk_limits *l = &b->limits;
	uint32_t ratio = l->physical_block / l->logical_block;

	memset(c, 0, sizeof(*c));
	c->capacity = htole64(l->capacity / VCORE__BLOCK_SECTOR);
	/* Header and status take a descriptor each. */
	c->seg_max = htole32(b->queue_size > 3 ? b->queue_size - 2 : 1);
	c->blk_size = htole32(l->logical_block);
	c->physical_block_exp = (uint8_t)__builtin_ctz(ratio);
	c->min_io_size = htole16(ratio > UINT16_MAX ? UINT16_MAX :
						      (uint16_t)ratio);
	c->wce = (uint8_t)atomic_load(&b->wce);
	c->num_queues = htole16((uint16_t)b->queues);
	c->max_discard_sectors = htole32(sectors(l->max_discard));
	c->max_discard_seg = htole32(1);
	c->discard_sector_alignment =
		htole32(l->logical_block / VCORE__BLOCK_SECTOR);
	c->max_write_zeroes_sectors = htole32(sectors(l->max_write_zeroes));
	c->max_write_zeroes_seg = htole32(1);
	c->write_zeroes_may_unmap = 1;
}

static int
block_config(void *opaque, uint32_t off, void *buf, uint32_t len, int write)
{
	struct vcore__block *b = opaque;
	struct virtio_blk_config c;

	if (!vcore__range_fits(off, len, CONFIG_SIZE))
		return -EINVAL;
	if (!write) {
		fill_config(b, &c);
		memcpy(buf, (const char *)&c + off, len);
		return 0;
	}
	/* The only field a driver may write. */
	if (!(atomic_load(&b->features) & BIT(VIRTIO_BLK_F_CONFIG_WCE)) ||
	    off > WCE || WCE - off >= len)
		return 0;
	atomic_store(&b->wce, ((const uint8_t *)buf)[WCE - off] != 0);
	return 0;
}

static int
block_set_features(void *opaque, uint64_t features)
{
	struct vcore__block *b = opaque;

	atomic_store(&b->features, features);
	return 0;
}

static void
block_reset(void *opaque)
{
	struct vcore__block *b = opaque;

	atomic_store(&b->features, 0);
	atomic_store(&b->wce, (b->limits.flags & VCORE_DISK_CAN_FLUSH) &&
				      !(b->flags & VCORE_BLOCK_WRITETHROUGH));
}

static void
block_release(void *opaque)
{
	struct vcore__block *b = opaque;

	for (uint32_t i = 0; i < b->queues; i++)
		pthread_mutex_destroy(&b->queue[i].lock);
	vcore_disk_unref(b->disk);
	free(b);
}

static const struct vcore_virtio_ops block_ops = {
	.size = sizeof(block_ops),
	.type = 2,
	.queues = 1,			/* replaced by each device's number */
	.features = block_features,
	.config = block_config,
	.set_features = block_set_features,
	.queue_start = vcore__block_queue_start,
	.queue_kick = vcore__block_queue_kick,
	.queue_stop = vcore__block_queue_stop,
	.config_size = CONFIG_SIZE,
	.reset = block_reset,
};

static int
check_opts(struct vcore_block_opts *o)
{
	if ((o->flags & ~FLAGS) != 0 || o->reserved0 != 0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_block_new: flags %#x, reserved0 %#x",
				  o->flags, o->reserved0);
	if (o->queues > QUEUES_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_block_new: %u queues, at most %u",
				  o->queues, QUEUES_MAX);
	if (o->queue_size > 32768u ||
	    (o->queue_size & (o->queue_size - 1)) != 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_block_new: queue_size %u is no power of two up to 32768",
				  o->queue_size);
	if (o->queues == 0)
		o->queues = 1;
	if (o->queue_size == 0)
		o->queue_size = QUEUE_SIZE;
	return 0;
}

static int
init_block(struct vcore__block *b, struct vcore_disk *disk,
	   const struct vcore_block_opts *o)
{
	int rc;

	VCORE_INIT(&b->limits);
	rc = vcore_disk_get_limits(disk, &b->limits);
	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_block_new: %s",
				  vcore_error_text());
	if (b->limits.capacity < VCORE__BLOCK_SECTOR)
		return vcore__err(NULL, -EINVAL,
				  "vcore_block_new: the disk has %llu bytes",
				  (unsigned long long)b->limits.capacity);
	b->flags = o->flags;
	b->queue_size = o->queue_size;
	b->queues = o->queues;
	memcpy(b->serial, o->serial, sizeof(b->serial));
	block_reset(b);
	for (uint32_t i = 0; i < b->queues; i++) {
		b->queue[i].block = b;
		b->queue[i].done_end = &b->queue[i].done;
		pthread_mutex_init(&b->queue[i].lock, NULL);
	}
	b->disk = vcore_disk_ref(disk);
	return 0;
}

static int
make_virtio(struct vcore__block *b, const struct vcore_block_opts *o)
{
	struct vcore_virtio_ops ops = block_ops;
	struct vcore_virtio_opts v;

	ops.queues = b->queues;
	VCORE_INIT(&v);
	v.ops = &ops;
	v.opaque = b;
	v.release = block_release;
	v.queue_size = b->queue_size;
	memcpy(v.name, o->name[0] != '\0' ? o->name : "block",
	       o->name[0] != '\0' ? sizeof(v.name) : sizeof("block"));
	v.name[sizeof(v.name) - 1] = '\0';
	return vcore_virtio_new(&v, &b->virtio);
}

int
vcore_block_new(struct vcore_disk *disk, const struct vcore_block_opts *opts,
		struct vcore_virtio **virtio)
{
	struct vcore_block_opts o;
	struct vcore__block *b;
	int rc = 0;

	if (disk == NULL || virtio == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_block_new: a pointer is NULL");
	VCORE_INIT(&o);
	if (opts != NULL)
		rc = VCORE__SIZED("vcore_block_new: opts", &o, name, opts);
	if (rc == 0)
		rc = check_opts(&o);
	if (rc < 0)
		return rc;
	b = calloc(1, sizeof(*b) + o.queues * sizeof(b->queue[0]));
	if (b == NULL)
		return vcore__err(NULL, -ENOMEM, "vcore_block_new: no memory");
	rc = init_block(b, disk, &o);
	if (rc < 0) {
		free(b);
		return rc;
	}
	rc = make_virtio(b, &o);
	if (rc < 0) {
		block_release(b);
		return vcore__err_name(rc, "vcore_block_new");
	}
	*virtio = b->virtio;
	return 0;
}

/* NULL: not one of ours. The table differs by the number of queues alone. */
static struct vcore__block *
block_of(struct vcore_virtio *virtio)
{
	return virtio != NULL &&
			       virtio->ops.queue_kick == vcore__block_queue_kick ?
		       virtio->opaque :
		       NULL;
}

int
vcore_block_get_info(struct vcore_virtio *virtio, struct vcore_block_info *info)
{
	struct vcore_block_info i = { .size = sizeof(i) };
	struct vcore__block *b = block_of(virtio);
	int rc;

	if (b == NULL || info == NULL)
		return vcore__err(NULL, -EINVAL, "vcore_block_get_info: %s",
				  b == NULL ? "no block device" :
					      "info is NULL");
	i.write_cache = !vcore__block_is_writethrough(b) &&
			(b->limits.flags & VCORE_DISK_CAN_FLUSH);
	for (uint32_t q = 0; q < b->queues; q++) {
		struct vcore__block_counters *n = &b->queue[q].n;

		i.reads += atomic_load(&n->reads);
		i.writes += atomic_load(&n->writes);
		i.flushes += atomic_load(&n->flushes);
		i.discards += atomic_load(&n->discards);
		i.zeroes += atomic_load(&n->zeroes);
		i.errors += atomic_load(&n->errors);
		i.bytes_read += atomic_load(&n->bytes_read);
		i.bytes_written += atomic_load(&n->bytes_written);
	}
	rc = vcore__sized_return(info,
				 VCORE__SIZE_TO(struct vcore_block_info,
						bytes_written),
				 &i, sizeof(i));
	if (rc < 0)
		vcore__err(NULL, rc, "vcore_block_get_info: size %u",
			   info->size);
	return rc;
}
