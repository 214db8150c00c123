/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks: the object, its checks and dispatch to the implementation. */
#include <vcore/disk.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/base.h"

#define BLOCK_MIN 512u
#define BLOCK_MAX (1u << 30)

struct vcore_disk {
	_Atomic uint32_t refs;
	uint32_t reserved0;
	struct vcore_disk_ops ops;
	void *opaque;
	void (*release)(void *opaque);
};

int
vcore_disk_new(const struct vcore_disk_ops *ops, void *opaque,
	       void (*release)(void *opaque), struct vcore_disk **disk)
{
	struct vcore_disk_ops o;
	struct vcore_disk *d;
	int rc;

	if (disk == NULL)
		return vcore__err(NULL, -EINVAL, "vcore_disk_new: disk is NULL");
	rc = VCORE__SIZED("vcore_disk_new: ops", &o, clear_error, ops);
	if (rc < 0)
		return rc;
	if (o.flags != 0)
		return vcore__err(NULL, -E2BIG, "vcore_disk_new: flags %#x",
				  o.flags);
	if (o.submit == NULL || o.limits == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_new: submit or limits is missing");
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return vcore__err(NULL, -ENOMEM, "vcore_disk_new: no memory");
	atomic_init(&d->refs, 1);
	d->ops = o;
	d->opaque = opaque;
	d->release = release;
	*disk = d;
	return 0;
}

struct vcore_disk *
vcore_disk_ref(struct vcore_disk *disk)
{
	if (disk != NULL)
		atomic_fetch_add(&disk->refs, 1);
	return disk;
}

void
vcore_disk_unref(struct vcore_disk *disk)
{
	if (disk == NULL || atomic_fetch_sub(&disk->refs, 1) != 1)
		return;
	if (disk->release != NULL)
		disk->release(disk->opaque);
	free(disk);
}

void
vcore_disk_done(struct vcore_disk_request *req, int rc)
{
	if (req == NULL || req->done == NULL)
		return;
	req->rc = rc;
	req->done(req);
}

static bool
is_block_size(uint32_t n)
{
	return n >= BLOCK_MIN && n <= BLOCK_MAX && (n & (n - 1)) == 0;
}

int
vcore_disk_get_limits(struct vcore_disk *disk, struct vcore_disk_limits *limits)
{
	struct vcore_disk_limits l;
	int rc;

	if (disk == NULL || limits == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_get_limits: a pointer is NULL");
	VCORE_INIT(&l);
	rc = disk->ops.limits(disk->opaque, &l);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_disk_get_limits: the disk says %s",
				  vcore__strerror(rc));
	if (l.logical_block == 0)
		l.logical_block = BLOCK_MIN;
	if (l.physical_block == 0)
		l.physical_block = l.logical_block;
	if (!is_block_size(l.logical_block) ||
	    !is_block_size(l.physical_block) ||
	    l.physical_block < l.logical_block)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_get_limits: the disk says blocks of %u and %u bytes",
				  l.logical_block, l.physical_block);
	l.capacity -= l.capacity % l.logical_block;
	rc = vcore__sized_return(limits,
				 VCORE__SIZE_TO(struct vcore_disk_limits,
						max_write_zeroes),
				 &l, sizeof(l));
	if (rc < 0)
		vcore__err(NULL, rc, "vcore_disk_get_limits: size %u",
			   limits->size);
	return rc;
}

int
vcore_disk_attach(struct vcore_disk *disk, struct vcore_loop *loop,
		  void **queue)
{
	uint32_t since = vcore__err_count();
	void *q = NULL;
	int rc = 0;

	if (disk == NULL || loop == NULL || queue == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_attach: a pointer is NULL");
	if (disk->ops.attach != NULL)
		rc = disk->ops.attach(disk->opaque, loop, &q);
	if (rc == 0)
		*queue = q;
	return vcore__err_from(rc, "vcore_disk_attach", since);
}

void
vcore_disk_detach(struct vcore_disk *disk, void *queue)
{
	if (disk != NULL && disk->ops.detach != NULL)
		disk->ops.detach(disk->opaque, queue);
}

void
vcore_disk_submit(struct vcore_disk *disk, void *queue,
		  struct vcore_disk_request *req)
{
	if (req == NULL)
		return;
	if (disk == NULL)
		vcore_disk_done(req, -EINVAL);
	else if (req->op < VCORE_DISK_READ ||
		 req->op > VCORE_DISK_WRITE_ZEROES)
		vcore_disk_done(req, -EOPNOTSUPP);
	else
		disk->ops.submit(disk->opaque, queue, req);
}

void
vcore_disk_commit(struct vcore_disk *disk, void *queue)
{
	if (disk != NULL && disk->ops.commit != NULL)
		disk->ops.commit(disk->opaque, queue);
}

void
vcore_disk_cancel(struct vcore_disk *disk, void *queue)
{
	if (disk != NULL && disk->ops.cancel != NULL)
		disk->ops.cancel(disk->opaque, queue);
}

int
vcore_disk_clear_error(struct vcore_disk *disk)
{
	if (disk == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_clear_error: disk is NULL");
	if (disk->ops.clear_error == NULL)
		return vcore__err(NULL, -EOPNOTSUPP,
				  "vcore_disk_clear_error: this disk remembers no error");
	disk->ops.clear_error(disk->opaque);
	return 0;
}
