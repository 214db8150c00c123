/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream as an embedder would write one, for tests of the console. */
#include "support/fake_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake_stream: %s: %s\n", what, vcore_error_text());
	abort();
}

/* Made when it is needed: many tests need neither. */
static uint8_t *
buffer(uint8_t **p)
{
	if (!*p)
		*p = malloc(FAKE_STREAM_LEN);
	need(*p != NULL, "memory");
	return *p;
}

static uint32_t
ready_now(const struct fake_stream *s)
{
	uint32_t ready = 0;

	if (s->in_at < s->in_len || s->ended || s->came)
		ready |= VCORE_STREAM_READABLE;
	if (s->room || s->away)
		ready |= VCORE_STREAM_WRITABLE;
	ready &= s->want;
	if (s->hangup && s->want)
		ready |= VCORE_STREAM_HANGUP;
	return ready;
}

static void
poke(struct fake_stream *s)
{
	if (s->attached && ready_now(s))
		need(vcore_source_set_timer(s->timer, 1) == 0, "timer");
}

static void
on_timer(void *opaque, uint32_t unused)
{
	struct fake_stream *s = opaque;
	uint32_t ready = ready_now(s);

	(void)unused;
	s->calls++;
	if (ready & VCORE_STREAM_HANGUP)
		s->hangup = false;
	if (ready & VCORE_STREAM_READABLE)
		s->came = false;
	poke(s);
	if (ready)
		s->ready(s->opaque, ready);
}

static int64_t
fake_read(void *opaque, void *buf, uint64_t len)
{
	struct fake_stream *s = opaque;
	uint64_t n = s->in_len - s->in_at;

	if (n == 0)
		return s->ended ? 0 : -EAGAIN;
	if (n > len)
		n = len;
	memcpy(buf, s->in + s->in_at, n);
	s->in_at += n;
	return (int64_t)n;
}

static int64_t
fake_write(void *opaque, const void *buf, uint64_t len)
{
	struct fake_stream *s = opaque;

	s->writes++;
	if (s->away)
		return -EPIPE;
	if (s->step && len > s->step)
		len = s->step;
	if (len > s->room)
		len = s->room;
	if (len > FAKE_STREAM_LEN - s->out_len)
		len = FAKE_STREAM_LEN - s->out_len;
	if (len == 0)
		return -EAGAIN;
	memcpy(buffer(&s->out) + s->out_len, buf, len);
	s->out_len += len;
	s->room -= len;
	return (int64_t)len;
}

static int
fake_attach(void *opaque, struct vcore_loop *loop, vcore_stream_ready_fn ready,
	    void *ready_opaque)
{
	struct fake_stream *s = opaque;
	struct vcore_source_opts o;

	if (s->attach_rc)
		return s->attach_rc;
	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = on_timer;
	o.opaque = s;
	need(vcore_loop_add(loop, &o, &s->timer) == 0, "timer");
	s->ready = ready;
	s->opaque = ready_opaque;
	s->want = 0;
	s->attached = true;
	s->attaches++;
	return 0;
}

static void
fake_detach(void *opaque)
{
	struct fake_stream *s = opaque;

	if (!s->attached)
		s->violations++;
	s->attached = false;
	vcore_source_remove(s->timer);
	s->timer = NULL;
}

static int
fake_want(void *opaque, uint32_t events)
{
	struct fake_stream *s = opaque;

	if (!s->attached)
		s->violations++;
	s->want = events;
	poke(s);
	return 0;
}

static void
fake_release(void *opaque)
{
	struct fake_stream *s = opaque;

	s->released++;
}

static const struct vcore_stream_ops ops = {
	.size = sizeof(ops),
	.read = fake_read,
	.write = fake_write,
	.attach = fake_attach,
	.detach = fake_detach,
	.want = fake_want,
};

void
fake_stream_init(struct fake_stream *s)
{
	memset(s, 0, sizeof(*s));
	s->room = FAKE_STREAM_LEN;
	need(vcore_stream_new(&ops, s, fake_release, &s->stream) == 0,
	     "stream");
}

void
fake_stream_fini(struct fake_stream *s)
{
	vcore_stream_unref(s->stream);
	need(s->released == 1, "still referenced");
	need(!s->attached, "still attached");
	need(s->violations == 0, "used while not attached");
	free(s->in);
	free(s->out);
}

void
fake_stream_put(struct fake_stream *s, const void *buf, uint64_t len)
{
	if (s->in_at == s->in_len)
		s->in_at = s->in_len = 0;
	need(len <= FAKE_STREAM_LEN - s->in_len, "too much input");
	memcpy(buffer(&s->in) + s->in_len, buf, len);
	s->in_len += len;
	poke(s);
}

void
fake_stream_make_room(struct fake_stream *s, uint64_t len)
{
	s->room += len;
	poke(s);
}

void
fake_stream_hang_up(struct fake_stream *s)
{
	s->hangup = true;
	poke(s);
}

void
fake_stream_come(struct fake_stream *s)
{
	s->came = true;
	poke(s);
}
