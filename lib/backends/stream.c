/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: the object, its checks and dispatch to the implementation. */
#include "backends/stream.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"

#define EVENTS (VCORE_STREAM_READABLE | VCORE_STREAM_WRITABLE)

struct vcore_stream {
	_Atomic uint32_t refs;
	_Atomic uint32_t attached;
	struct vcore_stream_ops ops;
	const struct vcore_stream_ops *identity;	/* the caller's table */
	void *opaque;
	void (*release)(void *opaque);
};

int
vcore_stream_new(const struct vcore_stream_ops *ops, void *opaque,
		 void (*release)(void *opaque), struct vcore_stream **stream)
{
	struct vcore_stream_ops o;
	struct vcore_stream *s;
	int rc;

	if (stream == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new: stream is NULL");
	rc = VCORE__SIZED("vcore_stream_new: ops", &o, want, ops);
	if (rc < 0)
		return rc;
	if (o.flags != 0)
		return vcore__err(NULL, -E2BIG, "vcore_stream_new: flags %#x",
				  o.flags);
	if (o.read == NULL || o.write == NULL || o.attach == NULL ||
	    o.detach == NULL || o.want == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new: a method is missing");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return vcore__err(NULL, -ENOMEM, "vcore_stream_new: no memory");
	atomic_init(&s->refs, 1);
	atomic_init(&s->attached, 0);
	s->ops = o;
	s->identity = ops;
	s->opaque = opaque;
	s->release = release;
	*stream = s;
	return 0;
}

struct vcore_stream *
vcore_stream_ref(struct vcore_stream *stream)
{
	if (stream != NULL)
		atomic_fetch_add(&stream->refs, 1);
	return stream;
}

void
vcore_stream_unref(struct vcore_stream *stream)
{
	if (stream == NULL || atomic_fetch_sub(&stream->refs, 1) != 1)
		return;
	if (stream->release != NULL)
		stream->release(stream->opaque);
	free(stream);
}

void *
vcore__stream_opaque(struct vcore_stream *stream,
		     const struct vcore_stream_ops *ops)
{
	return stream != NULL && stream->identity == ops ? stream->opaque
							 : NULL;
}

int64_t
vcore_stream_read(struct vcore_stream *stream, void *buf, uint64_t len)
{
	if (stream == NULL || buf == NULL || len == 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_read: a pointer is NULL or len is 0");
	return stream->ops.read(stream->opaque, buf, len);
}

int64_t
vcore_stream_write(struct vcore_stream *stream, const void *buf, uint64_t len)
{
	if (stream == NULL || buf == NULL || len == 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_write: a pointer is NULL or len is 0");
	return stream->ops.write(stream->opaque, buf, len);
}

int
vcore_stream_attach(struct vcore_stream *stream, struct vcore_loop *loop,
		    vcore_stream_ready_fn ready, void *opaque)
{
	uint32_t since = vcore__err_count();
	int rc;

	if (stream == NULL || loop == NULL || ready == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_attach: a pointer is NULL");
	if (atomic_exchange(&stream->attached, 1) != 0)
		return vcore__err(NULL, -EBUSY,
				  "vcore_stream_attach: the stream has a user");
	rc = stream->ops.attach(stream->opaque, loop, ready, opaque);
	if (rc < 0)
		atomic_store(&stream->attached, 0);
	return vcore__err_from(rc, "vcore_stream_attach", since);
}

void
vcore_stream_detach(struct vcore_stream *stream)
{
	if (stream == NULL || atomic_load(&stream->attached) == 0)
		return;
	stream->ops.detach(stream->opaque);
	atomic_store(&stream->attached, 0);
}

int
vcore_stream_want(struct vcore_stream *stream, uint32_t events)
{
	uint32_t since = vcore__err_count();

	if (stream == NULL || (events & ~EVENTS) != 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_want: %s, events %#x",
				  stream == NULL ? "stream is NULL" :
						   "unknown bit",
				  events);
	if (atomic_load(&stream->attached) == 0)
		return vcore__err(NULL, -EBUSY,
				  "vcore_stream_want: the stream is not attached");
	return vcore__err_from(stream->ops.want(stream->opaque, events),
			       "vcore_stream_want", since);
}

int
vcore__stream_watch(struct vcore_loop *loop, int fd, vcore_loop_fn fn,
		    void *opaque, struct vcore_source **source)
{
	struct vcore_source_opts opts;

	VCORE_INIT(&opts);
	opts.fd = fd;
	opts.fn = fn;
	opts.opaque = opaque;
	return vcore_loop_add(loop, &opts, source);
}

uint32_t
vcore__stream_to_loop(uint32_t events)
{
	uint32_t e = 0;

	if (events & VCORE_STREAM_READABLE)
		e |= VCORE_LOOP_READ;
	if (events & VCORE_STREAM_WRITABLE)
		e |= VCORE_LOOP_WRITE;
	return e;
}

uint32_t
vcore__stream_from_loop(uint32_t ready)
{
	uint32_t e = 0;

	if (ready & VCORE_LOOP_READ)
		e |= VCORE_STREAM_READABLE;
	if (ready & VCORE_LOOP_WRITE)
		e |= VCORE_STREAM_WRITABLE;
	if (ready & VCORE_LOOP_HUP)
		e |= VCORE_STREAM_HANGUP;
	return e;
}
