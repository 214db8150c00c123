/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block requests: from a chain to what the disk does, and back to a status.
 * VIRTIO 1.2, 5.2.6. A chain is cut into header, data and status by bytes,
 * not by descriptors.
 */
#include "devices/block.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <stdio.h>

#include "base/base.h"

#define HEADER sizeof(struct virtio_blk_outhdr)
#define ID_BYTES 20u
#define SEGMENT sizeof(struct virtio_blk_discard_write_zeroes)

static bool
finish(struct vcore__block_request *req, uint8_t status)
{
	req->status = status;
	return false;
}

/* Cut `front` bytes off an entry's start and `back` off its end. */
static void
trim(struct vcore__block_request *req, struct iovec *entry, size_t front,
     size_t back)
{
	req->trimmed = entry;
	req->saved = *entry;
	entry->iov_base = (char *)entry->iov_base + front;
	entry->iov_len -= front + back;
}

void
vcore__block_restore(struct vcore__block_request *req)
{
	if (req->trimmed != NULL)
		*req->trimmed = req->saved;
	req->trimmed = NULL;
}

/* What follows the header in the readable part. */
static void
take_readable(struct vcore__block_request *req)
{
	struct vcore_chain *c = req->chain;
	struct iovec *v = c->iov;
	uint32_t count = c->readable;
	size_t skip = HEADER;

	while (skip > 0 && skip >= v->iov_len) {
		skip -= v->iov_len;
		v++;
		count--;
	}
	if (skip > 0)
		trim(req, v, skip, 0);
	req->disk.iov = v;
	req->disk.iov_count = count;
	req->disk.len = c->readable_len - HEADER;
}

/* The writable part without the status, its last byte. */
static void
take_writable(struct vcore__block_request *req)
{
	struct vcore_chain *c = req->chain;
	struct iovec *v = c->iov + c->readable;
	uint32_t count = c->writable;

	while (v[count - 1].iov_len == 0)
		count--;
	trim(req, &v[count - 1], 0, 1);
	if (v[count - 1].iov_len == 0)
		count--;
	req->disk.iov = v;
	req->disk.iov_count = count;
	req->disk.len = c->writable_len - 1;
}

/* sector and len are the guest's: do they name whole blocks of the disk? */
static bool
set_range(struct vcore__block *b, struct vcore__block_request *req,
	  uint64_t sector, uint64_t len)
{
	uint64_t offset;

	if (vcore__mul_overflow(sector, (uint64_t)VCORE__BLOCK_SECTOR, &offset))
		return false;
	if (!vcore__range_fits(offset, len, b->limits.capacity))
		return false;
	req->disk.offset = offset;
	req->disk.len = len;
	return (offset | len) % b->limits.logical_block == 0;
}

static bool
parse_data(struct vcore__block *b, struct vcore__block_request *req,
	   uint64_t sector, uint32_t op)
{
	if (op == VCORE_DISK_WRITE && vcore__block_is_readonly(b))
		return finish(req, VIRTIO_BLK_S_IOERR);
	if (op == VCORE_DISK_WRITE)
		take_readable(req);
	else
		take_writable(req);
	if (req->disk.len == 0 || req->disk.len > VCORE__BLOCK_DATA_MAX ||
	    !set_range(b, req, sector, req->disk.len))
		return finish(req, VIRTIO_BLK_S_IOERR);
	req->disk.op = op;
	return true;
}

static bool
parse_flush(struct vcore__block *b, struct vcore__block_request *req)
{
	uint64_t features = atomic_load(&b->features);

	if (!(features & UINT64_C(1) << VIRTIO_BLK_F_FLUSH))
		return finish(req, VIRTIO_BLK_S_UNSUPP);
	req->disk.op = VCORE_DISK_FLUSH;
	return true;
}

static bool
parse_id(struct vcore__block *b, struct vcore__block_request *req)
{
	uint64_t len = req->chain->writable_len - 1;

	if (len > ID_BYTES)
		len = ID_BYTES;
	req->filled = vcore_chain_write(req->chain, 0, b->serial, len);
	return finish(req, VIRTIO_BLK_S_OK);
}

/* DISCARD and WRITE_ZEROES: one segment, as max_*_seg says. */
static bool
parse_segment(struct vcore__block *b, struct vcore__block_request *req,
	      uint32_t op)
{
	bool discard = op == VCORE_DISK_DISCARD;
	struct virtio_blk_discard_write_zeroes seg;
	uint64_t max, len;
	uint32_t flags;
	unsigned bit = discard ? VIRTIO_BLK_F_DISCARD :
				 VIRTIO_BLK_F_WRITE_ZEROES;

	if (!(atomic_load(&b->features) & UINT64_C(1) << bit))
		return finish(req, VIRTIO_BLK_S_UNSUPP);
	if (req->chain->readable_len != HEADER + SEGMENT ||
	    vcore_chain_read(req->chain, HEADER, &seg, SEGMENT) != SEGMENT)
		return finish(req, VIRTIO_BLK_S_IOERR);
	flags = le32toh(seg.flags);
	if (flags & ~(discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return finish(req, VIRTIO_BLK_S_UNSUPP);
	max = discard ? b->limits.max_discard : b->limits.max_write_zeroes;
	len = (uint64_t)le32toh(seg.num_sectors) * VCORE__BLOCK_SECTOR;
	if (vcore__block_is_readonly(b) || (max != 0 && len > max) ||
	    !set_range(b, req, le64toh(seg.sector), len))
		return finish(req, VIRTIO_BLK_S_IOERR);
	if (len == 0)
		return finish(req, VIRTIO_BLK_S_OK);
	req->disk.op = op;
	if (flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
		req->disk.flags = VCORE_DISK_MAY_UNMAP;
	return true;
}

bool
vcore__block_parse(struct vcore__block *b, struct vcore__block_request *req)
{
	struct virtio_blk_outhdr hdr;

	req->disk = (struct vcore_disk_request){ .done = req->disk.done };
	req->trimmed = NULL;
	req->filled = 0;
	req->flushing = false;
	req->status = VIRTIO_BLK_S_OK;
	if (vcore_chain_read(req->chain, 0, &hdr, HEADER) != HEADER)
		return finish(req, VIRTIO_BLK_S_IOERR);
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		return parse_data(b, req, le64toh(hdr.sector), VCORE_DISK_READ);
	case VIRTIO_BLK_T_OUT:
		return parse_data(b, req, le64toh(hdr.sector),
				  VCORE_DISK_WRITE);
	case VIRTIO_BLK_T_FLUSH:
		return parse_flush(b, req);
	case VIRTIO_BLK_T_GET_ID:
		return parse_id(b, req);
	case VIRTIO_BLK_T_DISCARD:
		return parse_segment(b, req, VCORE_DISK_DISCARD);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return parse_segment(b, req, VCORE_DISK_WRITE_ZEROES);
	default:
		return finish(req, VIRTIO_BLK_S_UNSUPP);
	}
}

static void
post_error(struct vcore__block *b, const struct vcore_disk_request *disk)
{
	static const char *const ops[] = { "?", "read", "write", "flush",
					   "discard", "write zeroes" };
	struct vcore_events *events = vcore_virtio_events(b->virtio);
	struct vcore_event ev;

	if (events == NULL)
		return;
	VCORE_INIT(&ev);
	ev.kind = VCORE_EVENT_DISK_ERROR;
	ev.value[0] = (uint64_t)(int64_t)disk->rc;
	ev.value[1] = disk->offset;
	snprintf(ev.object, sizeof(ev.object), "%s",
		 vcore_virtio_name(b->virtio));
	snprintf(ev.text, sizeof(ev.text), "%s of %llu bytes at %llu: %s",
		 ops[disk->op], (unsigned long long)disk->len,
		 (unsigned long long)disk->offset,
		 vcore__strerror(disk->rc));
	(void)vcore_events_post(events, &ev);
}

static void
count_done(struct vcore__block_counters *n, const struct vcore_disk_request *d)
{
	switch (d->op) {
	case VCORE_DISK_READ:
		vcore__block_count(&n->reads, 1);
		vcore__block_count(&n->bytes_read, d->len);
		break;
	case VCORE_DISK_WRITE:
		vcore__block_count(&n->writes, 1);
		vcore__block_count(&n->bytes_written, d->len);
		break;
	case VCORE_DISK_FLUSH:
		vcore__block_count(&n->flushes, 1);
		break;
	case VCORE_DISK_DISCARD:
		vcore__block_count(&n->discards, 1);
		break;
	default:
		vcore__block_count(&n->zeroes, 1);
		break;
	}
}

void
vcore__block_result(struct vcore__block_queue *q,
		    struct vcore__block_request *req)
{
	if (req->disk.rc == 0) {
		count_done(&q->n, &req->disk);
		if (req->disk.op == VCORE_DISK_READ)
			req->filled = req->disk.len;
		return;
	}
	req->status = VIRTIO_BLK_S_IOERR;
	if (req->disk.rc != -ECANCELED)
		post_error(q->block, &req->disk);
}
