/* SPDX-License-Identifier: BSD-3-Clause */
/* The entropy device: fills the driver's buffers with random bytes. */
#include <vcore/rng.h>

#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/base.h"
#include "virtio/virtqueue.h"

/* Bytes that one chain, and one call, gets at most. */
#define CHAIN_BYTES    (64u << 10)
#define CALL_BYTES     (256u << 10)
/* How long a request waits for a source that had nothing. */
#define RETRY_NS       UINT64_C(100000000)

struct rng {
	int64_t (*read)(void *opaque, void *buf, uint64_t len);
	void *opaque;
	void (*release)(void *opaque);
	/* On the queue's loop, while it is started. */
	struct vcore_virtqueue *q;
	struct vcore_source *timer;
	bool waiting;			/* the timer runs */
	uint8_t buf[4096];
};

static int64_t
read_host(void *opaque, void *buf, uint64_t len)
{
	ssize_t n = getrandom(buf, len, GRND_NONBLOCK);

	(void)opaque;
	return n < 0 ? -errno : n;
}

/* Fill a chain: how many bytes it got. */
static uint32_t
fill(struct rng *rng, const struct vcore_chain *chain)
{
	uint64_t want = chain->writable_len, done = 0, piece;
	int64_t n;

	if (want > CHAIN_BYTES)
		want = CHAIN_BYTES;
	while (done < want) {
		piece = want - done;
		if (piece > sizeof(rng->buf))
			piece = sizeof(rng->buf);
		n = rng->read(rng->opaque, rng->buf, piece);
		if (n <= 0 || (uint64_t)n > piece)
			break;
		vcore_chain_write(chain, done, rng->buf, (uint64_t)n);
		done += (uint64_t)n;
	}
	return (uint32_t)done;
}

static void
wait_for_source(struct rng *rng)
{
	rng->waiting = true;
	(void)vcore_source_set_timer(rng->timer, vcore__now_ns() + RETRY_NS);
}

static void
serve(struct rng *rng)
{
	struct vcore_virtqueue *q = rng->q;
	struct vcore_chain *chain;
	uint32_t total = 0, n;

	while (!rng->waiting && vcore_virtqueue_pop(q, &chain)) {
		if (chain->writable_len == 0) {
			vcore_virtqueue_break(q, "entropy request without room");
			break;
		}
		n = fill(rng, chain);
		if (n == 0) {
			vcore_virtqueue_unpop(q, chain);
			wait_for_source(rng);
			break;
		}
		vcore_virtqueue_push(q, chain, n);
		total += n;
		if (total >= CALL_BYTES) {
			vcore__virtqueue_again(q);
			break;
		}
	}
	vcore_virtqueue_flush(q);
}

static void
on_timer(void *opaque, uint32_t ready)
{
	struct rng *rng = opaque;

	(void)ready;
	rng->waiting = false;
	serve(rng);
}

static int
rng_queue_start(void *opaque, struct vcore_virtqueue *q)
{
	struct rng *rng = opaque;
	struct vcore_source_opts o;

	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = on_timer;
	o.opaque = rng;
	rng->q = q;
	rng->waiting = false;
	return vcore_loop_add(vcore_virtqueue_loop(q), &o, &rng->timer);
}

static void
rng_queue_kick(void *opaque, struct vcore_virtqueue *q)
{
	(void)q;
	serve(opaque);
}

static void
rng_queue_stop(void *opaque, struct vcore_virtqueue *q, uint32_t how,
	       struct vcore_done *done)
{
	struct rng *rng = opaque;

	(void)q;
	(void)how;
	vcore_source_remove(rng->timer);
	rng->timer = NULL;
	rng->q = NULL;
	vcore_done_call(done, 0);
}

static uint64_t
rng_features(void *opaque)
{
	(void)opaque;
	return 0;
}

static const struct vcore_virtio_ops rng_ops = {
	.size = sizeof(rng_ops),
	.type = VIRTIO_ID_RNG,
	.queues = 1,
	.features = rng_features,
	.queue_start = rng_queue_start,
	.queue_kick = rng_queue_kick,
	.queue_stop = rng_queue_stop,
};

static void
rng_release(void *opaque)
{
	struct rng *rng = opaque;

	if (rng->release)
		rng->release(rng->opaque);
	free(rng);
}

int
vcore_rng_new(const struct vcore_rng_opts *opts, struct vcore_virtio **virtio)
{
	struct vcore_virtio_opts vo;
	struct vcore_rng_opts o;
	struct rng *rng;
	int rc;

	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_rng_new: virtio is NULL");
	VCORE_INIT(&o);
	rc = opts ? VCORE__SIZED("vcore_rng_new: opts", &o, name, opts) : 0;
	if (rc < 0)
		return rc;
	if (o.flags)
		return vcore__err(NULL, -E2BIG, "vcore_rng_new: flags %#x",
				  o.flags);
	rng = calloc(1, sizeof(*rng));
	if (!rng)
		return vcore__err(NULL, -ENOMEM, "vcore_rng_new: no memory");
	rng->read = o.read ? o.read : read_host;
	rng->opaque = o.opaque;
	rng->release = o.release;
	VCORE_INIT(&vo);
	vo.ops = &rng_ops;
	vo.opaque = rng;
	vo.release = rng_release;
	vo.queue_size = 64;
	o.name[sizeof(o.name) - 1] = '\0';
	snprintf(vo.name, sizeof(vo.name), "%s", o.name[0] ? o.name : "rng");
	rc = vcore_virtio_new(&vo, virtio);
	if (rc < 0) {
		free(rng);
		return vcore__err(NULL, rc, "vcore_rng_new: %s",
				  vcore_error_text());
	}
	return 0;
}
