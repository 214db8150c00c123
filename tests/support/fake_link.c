/* SPDX-License-Identifier: BSD-3-Clause */
/* A link as an embedder would write one, for tests of the network device. */
#include "support/fake_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake_link: %s: %s\n", what, vcore_error_text());
	abort();
}

/* What is true and wanted. Lock held. */
static uint32_t
ready_now(const struct fake_queue *q)
{
	uint32_t ready = 0;

	if (q->in_count > 0)
		ready |= VCORE_LINK_READABLE;
	if (!q->link->full)
		ready |= VCORE_LINK_WRITABLE;
	ready &= q->want;
	if (q->link->down && q->want != 0)
		ready |= VCORE_LINK_DOWN;
	return ready;
}

/* Lock held. */
static void
poke(struct fake_queue *q)
{
	if (q->attached && ready_now(q) != 0)
		need(vcore_source_set_timer(q->timer, 1) == 0, "timer");
}

static void
on_timer(void *opaque, uint32_t unused)
{
	struct fake_queue *q = opaque;
	uint32_t ready;

	(void)unused;
	pthread_mutex_lock(&q->link->lock);
	ready = ready_now(q);
	if (ready & VCORE_LINK_DOWN)
		q->link->down = false;
	q->calls++;
	poke(q);
	pthread_mutex_unlock(&q->link->lock);
	if (ready != 0)
		q->ready(q->opaque, ready);
}

static struct fake_frame
copy_frame(const struct iovec *iov, uint32_t count)
{
	struct fake_frame f = { .len = 0 };
	uint32_t at = 0;

	for (uint32_t i = 0; i < count; i++)
		f.len += (uint32_t)iov[i].iov_len;
	/* Exactly this long, so that a sanitizer sees one byte more. */
	f.bytes = malloc(f.len ? f.len : 1);
	need(f.bytes != NULL, "memory");
	for (uint32_t i = 0; i < count; i++) {
		memcpy(f.bytes + at, iov[i].iov_base, iov[i].iov_len);
		at += (uint32_t)iov[i].iov_len;
	}
	return f;
}

static int
fake_send(void *opaque, void *queue, const struct iovec *iov, uint32_t count)
{
	struct fake_link *l = opaque;
	struct fake_queue *q = queue;
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	if (!q->attached)
		l->violations++;
	if (l->full)
		rc = -EAGAIN;
	else if (l->send_rc)
		rc = l->send_rc;
	else if (q->sent_count == FAKE_LINK_KEPT)
		rc = -ENOBUFS;
	else
		q->sent[q->sent_count++] = copy_frame(iov, count);
	q->sent_iovs = count;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static int64_t
take_frame(struct fake_queue *q, const struct iovec *iov, uint32_t count)
{
	struct fake_frame f = q->in[q->in_first];
	uint32_t at = 0, n;

	q->in_first = (q->in_first + 1) % FAKE_LINK_KEPT;
	q->in_count--;
	for (uint32_t i = 0; i < count && at < f.len; i++) {
		n = f.len - at;
		if (n > iov[i].iov_len)
			n = (uint32_t)iov[i].iov_len;
		memcpy(iov[i].iov_base, f.bytes + at, n);
		at += n;
	}
	free(f.bytes);
	return at < f.len ? (int64_t)-EMSGSIZE : (int64_t)at;
}

static int64_t
fake_receive(void *opaque, void *queue, const struct iovec *iov,
	     uint32_t count)
{
	struct fake_link *l = opaque;
	struct fake_queue *q = queue;
	int64_t rc;

	pthread_mutex_lock(&l->lock);
	if (!q->attached)
		l->violations++;
	if (l->receive_rc)
		rc = l->receive_rc;
	else if (q->in_count == 0)
		rc = -EAGAIN;
	else
		rc = take_frame(q, iov, count);
	if (rc > 0) {
		rc += l->claim;
		l->claim = 0;
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static int
fake_attach(void *opaque, uint32_t index, struct vcore_loop *loop,
	    vcore_link_ready_fn ready, void *ready_opaque, void **queue)
{
	struct fake_link *l = opaque;
	struct fake_queue *q = &l->q[index];
	struct vcore_source_opts o;
	int rc = l->attach_rc;

	if (rc < 0)
		return rc;
	need(index < l->queues && !q->attached, "attach");
	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = on_timer;
	o.opaque = q;
	rc = vcore_loop_add(loop, &o, &q->timer);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&l->lock);
	q->ready = ready;
	q->opaque = ready_opaque;
	q->loop = loop;
	q->want = 0;
	q->attached = true;
	q->attaches++;
	pthread_mutex_unlock(&l->lock);
	*queue = q;
	return 0;
}

static void
fake_detach(void *opaque, void *queue)
{
	struct fake_link *l = opaque;
	struct fake_queue *q = queue;

	pthread_mutex_lock(&l->lock);
	if (!q->attached)
		l->violations++;
	q->attached = false;
	vcore_source_remove(q->timer);
	q->timer = NULL;
	pthread_mutex_unlock(&l->lock);
}

static int
fake_want(void *opaque, void *queue, uint32_t events)
{
	struct fake_link *l = opaque;
	struct fake_queue *q = queue;

	pthread_mutex_lock(&l->lock);
	if (!q->attached)
		l->violations++;
	q->want = events;
	q->wants++;
	poke(q);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

static uint32_t
fake_offloads(void *opaque)
{
	struct fake_link *l = opaque;

	return l->offloads;
}

static int
fake_set_offloads(void *opaque, uint32_t rx_offloads)
{
	struct fake_link *l = opaque;
	int rc;

	pthread_mutex_lock(&l->lock);
	l->sets++;
	rc = l->set_rc;
	if (rc == 0)
		l->rx_offloads = rx_offloads;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static uint32_t
fake_queues(void *opaque)
{
	struct fake_link *l = opaque;

	return l->queues;
}

static void
fake_release(void *opaque)
{
	struct fake_link *l = opaque;

	l->released++;
}

static const struct vcore_link_ops ops = {
	.size = sizeof(ops),
	.send = fake_send,
	.receive = fake_receive,
	.attach = fake_attach,
	.detach = fake_detach,
	.want = fake_want,
	.offloads = fake_offloads,
	.set_offloads = fake_set_offloads,
	.queues = fake_queues,
};

void
fake_link_init(struct fake_link *l, uint32_t offloads, uint32_t queues)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	l->offloads = offloads;
	l->queues = queues;
	for (uint32_t i = 0; i < FAKE_LINK_QUEUES; i++)
		l->q[i].link = l;
	need(vcore_link_new(&ops, l, fake_release, &l->link) == 0, "link");
}

void
fake_link_clear(struct fake_link *l)
{
	struct fake_queue *q;

	for (uint32_t i = 0; i < FAKE_LINK_QUEUES; i++) {
		q = &l->q[i];
		while (q->sent_count > 0)
			free(q->sent[--q->sent_count].bytes);
	}
}

void
fake_link_fini(struct fake_link *l)
{
	struct fake_queue *q;

	vcore_link_unref(l->link);
	need(l->released == 1, "still referenced");
	need(l->violations == 0, "used while not attached");
	fake_link_clear(l);
	for (uint32_t i = 0; i < FAKE_LINK_QUEUES; i++) {
		q = &l->q[i];
		need(!q->attached, "still attached");
		for (; q->in_count > 0; q->in_count--) {
			free(q->in[q->in_first].bytes);
			q->in_first = (q->in_first + 1) % FAKE_LINK_KEPT;
		}
	}
	pthread_mutex_destroy(&l->lock);
}

void
fake_link_put(struct fake_link *l, uint32_t queue,
	      const struct virtio_net_hdr_v1 *hdr, const void *payload,
	      uint32_t len)
{
	static const struct virtio_net_hdr_v1 zero;
	struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)(hdr ? hdr : &zero),
		  .iov_len = FAKE_LINK_HDR },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = len },
	};
	struct fake_queue *q = &l->q[queue];

	pthread_mutex_lock(&l->lock);
	need(q->in_count < FAKE_LINK_KEPT, "too many frames");
	q->in[(q->in_first + q->in_count++) % FAKE_LINK_KEPT] =
		copy_frame(iov, len ? 2 : 1);
	poke(q);
	pthread_mutex_unlock(&l->lock);
}

void
fake_link_set_full(struct fake_link *l, bool on)
{
	pthread_mutex_lock(&l->lock);
	l->full = on;
	for (uint32_t i = 0; i < FAKE_LINK_QUEUES; i++)
		poke(&l->q[i]);
	pthread_mutex_unlock(&l->lock);
}

void
fake_link_go_down(struct fake_link *l)
{
	pthread_mutex_lock(&l->lock);
	l->down = true;
	for (uint32_t i = 0; i < FAKE_LINK_QUEUES; i++)
		poke(&l->q[i]);
	pthread_mutex_unlock(&l->lock);
}

const struct fake_frame *
fake_link_sent(struct fake_link *l, uint32_t queue, uint32_t i)
{
	const struct fake_frame *f = NULL;

	pthread_mutex_lock(&l->lock);
	if (i < l->q[queue].sent_count)
		f = &l->q[queue].sent[i];
	pthread_mutex_unlock(&l->lock);
	return f;
}
