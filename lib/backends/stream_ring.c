/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream in memory: the newest output is kept, input is put in by calls. */
#include "backends/stream.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "backends/soft.h"
#include "base/base.h"

#define LEN_MAX ((uint64_t)1 << 30)

struct fifo {
	uint8_t *bytes;
	uint64_t first, count;
};

struct ring {
	uint64_t len;			/* of both */
	pthread_mutex_t lock;		/* all below */
	struct fifo in, out;
	struct vcore__soft soft;
	uint32_t want;
	vcore_stream_ready_fn ready;
	void *opaque;
};

/* Append what fits; how much did. */
static uint64_t
fifo_put(struct fifo *f, uint64_t size, const uint8_t *buf, uint64_t len)
{
	uint64_t at, n;

	if (len > size - f->count)
		len = size - f->count;
	at = (f->first + f->count) % size;
	n = len < size - at ? len : size - at;
	memcpy(f->bytes + at, buf, n);
	memcpy(f->bytes, buf + n, len - n);
	f->count += len;
	return len;
}

static void
fifo_skip(struct fifo *f, uint64_t size, uint64_t len)
{
	f->first = (f->first + len) % size;
	f->count -= len;
}

static uint64_t
fifo_take(struct fifo *f, uint64_t size, uint8_t *buf, uint64_t len)
{
	uint64_t n;

	if (len > f->count)
		len = f->count;
	n = len < size - f->first ? len : size - f->first;
	memcpy(buf, f->bytes + f->first, n);
	memcpy(buf + n, f->bytes, len - n);
	fifo_skip(f, size, len);
	return len;
}

static int64_t
ring_read(void *opaque, void *buf, uint64_t len)
{
	struct ring *r = opaque;
	uint64_t n;

	pthread_mutex_lock(&r->lock);
	n = fifo_take(&r->in, r->len, buf, len);
	pthread_mutex_unlock(&r->lock);
	return n > 0 ? (int64_t)n : -EAGAIN;
}

static int64_t
ring_write(void *opaque, const void *buf, uint64_t len)
{
	struct ring *r = opaque;
	const uint8_t *bytes = buf;
	uint64_t n = len < r->len ? len : r->len, room;

	pthread_mutex_lock(&r->lock);
	room = r->len - r->out.count;
	if (n > room)
		fifo_skip(&r->out, r->len, n - room);
	fifo_put(&r->out, r->len, bytes + (len - n), n);
	pthread_mutex_unlock(&r->lock);
	return (int64_t)len;
}

/* What is wanted and so. Lock held. */
static uint32_t
ready_now(const struct ring *r)
{
	uint32_t ready = VCORE_STREAM_WRITABLE;

	if (r->in.count > 0)
		ready |= VCORE_STREAM_READABLE;
	return ready & r->want;
}

static void
ring_tell(void *opaque, uint32_t unused)
{
	struct ring *r = opaque;
	uint32_t ready;

	(void)unused;
	pthread_mutex_lock(&r->lock);
	ready = ready_now(r);
	if (ready != 0)
		vcore__soft_poke(&r->soft, 0);
	pthread_mutex_unlock(&r->lock);
	if (ready != 0)
		r->ready(r->opaque, ready);
}

static int
ring_attach(void *opaque, struct vcore_loop *loop, vcore_stream_ready_fn ready,
	    void *ready_opaque)
{
	struct ring *r = opaque;
	int rc;

	pthread_mutex_lock(&r->lock);
	r->ready = ready;
	r->opaque = ready_opaque;
	r->want = 0;
	rc = vcore__soft_start(&r->soft, loop, ring_tell, r);
	pthread_mutex_unlock(&r->lock);
	return rc;
}

static void
ring_detach(void *opaque)
{
	struct ring *r = opaque;

	pthread_mutex_lock(&r->lock);
	r->want = 0;
	vcore__soft_stop(&r->soft);
	pthread_mutex_unlock(&r->lock);
}

static int
ring_want(void *opaque, uint32_t events)
{
	struct ring *r = opaque;

	pthread_mutex_lock(&r->lock);
	r->want = events;
	if (ready_now(r) != 0)
		vcore__soft_poke(&r->soft, 0);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static const struct vcore_stream_ops ring_ops = {
	.size = sizeof(ring_ops),
	.read = ring_read,
	.write = ring_write,
	.attach = ring_attach,
	.detach = ring_detach,
	.want = ring_want,
};

static void
ring_release(void *opaque)
{
	struct ring *r = opaque;

	pthread_mutex_destroy(&r->lock);
	free(r->in.bytes);
	free(r->out.bytes);
	free(r);
}

int
vcore_stream_new_ring(uint64_t len, struct vcore_stream **stream)
{
	struct ring *r;
	int rc;

	if (stream == NULL || len == 0 || len > LEN_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new_ring: len %llu%s",
				  (unsigned long long)len,
				  stream == NULL ? ", stream is NULL" : "");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_stream_new_ring: no memory");
	r->len = len;
	pthread_mutex_init(&r->lock, NULL);
	r->in.bytes = malloc(len);
	r->out.bytes = malloc(len);
	if (r->in.bytes == NULL || r->out.bytes == NULL)
		rc = vcore__err(NULL, -ENOMEM,
				"vcore_stream_new_ring: no memory for 2 x %llu",
				(unsigned long long)len);
	else
		rc = vcore_stream_new(&ring_ops, r, ring_release, stream);
	if (rc < 0)
		ring_release(r);
	return vcore__err_name(rc, "vcore_stream_new_ring");
}

int64_t
vcore_stream_ring_read(struct vcore_stream *stream, void *buf, uint64_t len)
{
	struct ring *r = vcore__stream_opaque(stream, &ring_ops);
	uint64_t n;

	if (r == NULL || buf == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_ring_read: %s",
				  r == NULL ? "no ring" : "buf is NULL");
	pthread_mutex_lock(&r->lock);
	n = fifo_take(&r->out, r->len, buf, len);
	pthread_mutex_unlock(&r->lock);
	return (int64_t)n;
}

int64_t
vcore_stream_ring_write(struct vcore_stream *stream, const void *buf,
			uint64_t len)
{
	struct ring *r = vcore__stream_opaque(stream, &ring_ops);
	uint64_t n;

	if (r == NULL || buf == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_ring_write: %s",
				  r == NULL ? "no ring" : "buf is NULL");
	pthread_mutex_lock(&r->lock);
	n = fifo_put(&r->in, r->len, buf, len);
	if (n > 0 && ready_now(r) != 0)
		vcore__soft_poke(&r->soft, 0);
	pthread_mutex_unlock(&r->lock);
	return n > 0 || len == 0 ? (int64_t)n : -EAGAIN;
}
