/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor chains: reading them, checking them, and where they are kept. */
#include "virtio/virtqueue.h"

#include <linux/virtio_ring.h>
#include <sys/mman.h>

/* A descriptor, read once from guest memory. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* The table that is walked: the queue's, or an indirect one. */
struct table {
	VCORE__GUEST_PTR *hva;		/* NULL: read by copying */
	uint64_t gpa;
	uint32_t count;
	uint32_t limit;			/* descriptors a chain may have */
	bool indirect;
};

int
vcore__chain_pool_init(struct vcore__chain_pool *pool, uint32_t max)
{
	uint32_t cap = max + VCORE__CHAIN_SPLITS;
	uint32_t large = VCORE__CHAIN_LARGE_BYTES /
			 (cap * (uint32_t)sizeof(struct iovec));
	size_t chains = max * sizeof(struct vcore__chain);
	void *map;

	if (large < VCORE__CHAIN_LARGE_MIN)
		large = VCORE__CHAIN_LARGE_MIN;
	if (large > max)
		large = max;
	pool->bytes = chains + (size_t)large * cap * sizeof(struct iovec);
	map = mmap(NULL, pool->bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	pool->chain = map;
	pool->large = (char *)map + chains;
	pool->max = max;
	pool->large_max = large;
	pool->large_cap = cap;
	return 0;
}

void
vcore__chain_pool_fini(struct vcore__chain_pool *pool)
{
	if (pool->chain)
		munmap(pool->chain, pool->bytes);
	pool->chain = NULL;
}

static struct iovec *
large_take(struct vcore__chain_pool *pool)
{
	struct iovec *iov = pool->large_free;
	size_t step = pool->large_cap * sizeof(*iov);

	if (iov)
		pool->large_free = iov->iov_base;
	else if (pool->large_fresh < pool->large_max)
		iov = (struct iovec *)(void *)(pool->large +
					       step * pool->large_fresh++);
	return iov;
}

bool
vcore__chain_has_large(const struct vcore__chain_pool *pool)
{
	return pool->large_free || pool->large_fresh < pool->large_max;
}

void
vcore__chain_give_large(struct vcore__chain_pool *pool, struct vcore__chain *c)
{
	c->large->iov_base = pool->large_free;
	pool->large_free = c->large;
	c->large = NULL;
}

const char vcore__chain_full[] = "no large array is free";

/* A chain being read, beyond what parse_plain() can do. */
struct walk {
	struct vcore_virtqueue *q;
	struct vcore__chain *c;
	struct table t;
	uint32_t count;			/* descriptors so far */
	uint32_t iovs, room;		/* entries of pub.iov: used, there */
	uint32_t left;			/* bytes that the chain may still get */
	bool writable;			/* a writable one was seen */
	bool full;			/* no large array is free */
};

/* Both words of a descriptor are read once; this is what they say. */
static inline struct desc
decode(uint64_t word0, uint64_t word1)
{
	return (struct desc){
		.addr = word0, .len = (uint32_t)word1,
		.flags = (uint16_t)(word1 >> 32),
		.next = (uint16_t)(word1 >> 48),
	};
}

static inline struct desc
load_desc(VCORE__GUEST_PTR *table, uint32_t i)
{
	VCORE__GUEST_PTR *at = vcore__guest_at(table, 16ull * i);

	return decode(vcore__guest_load64(at),
		      vcore__guest_load64(vcore__guest_at(at, 8)));
}

/*
 * Every byte of guest memory that describes a chain is read once: as two words
 * where it is aligned, which an indirect table need not be.
 */
static bool
read_desc(struct walk *w, uint32_t i, struct desc *d)
{
	uint64_t raw[2];

	if (w->t.hva) {
		*d = load_desc(w->t.hva, i);
		return true;
	}
	if (vcore__memory_get(&w->q->user, w->t.gpa + sizeof(raw) * (uint64_t)i,
			      raw, sizeof(raw)) < 0)
		return false;
	*d = decode(le64toh(raw[0]), le64toh(raw[1]));
	return true;
}

/* virtio 1.2, 2.7.5.3: the flag WRITE of such a descriptor is ignored. */
static const char *
enter_table(struct walk *w, const struct desc *d)
{
	struct vcore_virtqueue *q = w->q;
	uint64_t end;

	if (!q->ring.indirect)
		return "indirect descriptor without the feature";
	if (w->t.indirect)
		return "indirect descriptor in an indirect table";
	if (d->flags & VRING_DESC_F_NEXT)
		return "indirect descriptor with a next one";
	if (d->len == 0 || d->len % sizeof(struct vring_desc))
		return "indirect table of a bad length";
	if (d->len / sizeof(struct vring_desc) > q->max)
		return "indirect table longer than the queue";
	if (vcore__add_overflow(d->addr, (uint64_t)d->len, &end))
		return "indirect table passes the end of memory";
	w->t.gpa = d->addr;
	w->t.count = d->len / (uint32_t)sizeof(struct vring_desc);
	/*
	 * Inside an indirect table the device's queue size counts, not a
	 * smaller one that the driver chose: Linux exceeds the latter.
	 */
	w->t.limit = q->max;
	w->t.hva = NULL;
	if (d->addr % 8 == 0)
		w->t.hva = vcore__memory_hva(&q->user, d->addr, d->len, false);
	w->t.indirect = true;
	return NULL;
}

/* The iovecs of a chain move to a larger array. */
static bool
enlarge(struct walk *w)
{
	struct iovec *iov = large_take(&w->q->pool);

	if (!iov)
		return false;
	memcpy(iov, w->c->small, w->iovs * sizeof(*iov));
	w->c->large = iov;
	w->c->pub.iov = iov;
	w->room = w->q->pool.large_cap;
	return true;
}

/* The iovecs of one buffer. */
static const char *
add_iov(struct walk *w, const struct desc *d, uint32_t *n)
{
	bool write = (d->flags & VRING_DESC_F_WRITE) != 0;
	int rc;

	for (;;) {
		rc = vcore__memory_iov(&w->q->user, d->addr, d->len, write,
				       &w->c->pub.iov[w->iovs],
				       w->room - w->iovs);
		if (rc >= 0) {
			*n = (uint32_t)rc;
			return NULL;
		}
		if (rc != -ENOSPC)
			return write ? "buffer not in writable memory" :
				       "buffer not in memory";
		if (w->c->large)
			return "chain crosses too many borders";
		if (!enlarge(w)) {
			w->full = true;
			return NULL;
		}
	}
}

static const char *
add_desc(struct walk *w, const struct desc *d)
{
	bool write = (d->flags & VRING_DESC_F_WRITE) != 0;
	struct vcore_chain *pub = &w->c->pub;
	const char *why;
	uint32_t n = 0;

	if (!write && w->writable)
		return "readable descriptor after a writable one";
	if (d->len > w->left)
		return "chain longer than 4 GiB";
	why = add_iov(w, d, &n);
	if (why || w->full)
		return why;
	w->left -= d->len;
	w->iovs += n;
	if (write) {
		w->writable = true;
		pub->writable += n;
		pub->writable_len += d->len;
	} else {
		pub->readable += n;
		pub->readable_len += d->len;
	}
	return NULL;
}

/*
 * From a descriptor that was read already. A loop ends where it has as many
 * descriptors as the queue: 2.7.5.3.1.
 */
static const char *
walk(struct walk *w, struct desc d)
{
	const char *why;
	uint32_t i;

	for (;;) {
		if (d.flags & VRING_DESC_F_INDIRECT) {
			why = enter_table(w, &d);
			i = 0;
		} else {
			w->count++;
			why = add_desc(w, &d);
			if (w->full || !(d.flags & VRING_DESC_F_NEXT))
				return why;
			i = d.next;
		}
		if (why)
			return why;
		if (i >= w->t.count)
			return "next descriptor beyond the table";
		if (w->count == w->t.limit)
			return "chain longer than the queue";
		if (!read_desc(w, i, &d))
			return "indirect table not in memory";
	}
}

/*
 * A chain as most are: descriptors of the queue's own table, each of them one
 * iovec and in the span hit last. Registers only, for this is most of what a
 * request costs. true: that was all, or *why is set. Else walk() goes on with
 * *d, which was read here and is not read again.
 */
static inline bool
parse_plain(struct vcore_virtqueue *q, struct vcore__chain *c, struct desc *d,
	    const char **why)
{
	const struct vcore__span *s = vcore__memory_span(&q->user, d->addr);
	uint32_t size = q->ring.size;
	struct iovec *iov = c->small, *split = NULL;
	struct iovec *end = iov + (size < VCORE__CHAIN_SMALL ?
				   size : VCORE__CHAIN_SMALL);
	uint64_t offset, len = 0, readable_len = 0;
	bool done = false;

	while (s && iov < end && !(d->flags & VRING_DESC_F_INDIRECT)) {
		if (!vcore__span_holds(s, d->addr) || !d->len ||
		    !vcore__span_covers(s, d->addr, d->len, &offset))
			break;
		if (d->flags & VRING_DESC_F_WRITE) {
			if (s->flags & VCORE_MEMORY_READONLY)
				break;
			if (!split) {
				split = iov;
				readable_len = len;
			}
		} else if (split) {
			break;
		}
		*iov++ = vcore__guest_iov(vcore__guest_at(s->hva, offset),
					  d->len);
		len += d->len;
		done = !(d->flags & VRING_DESC_F_NEXT);
		if (done)
			break;
		if (d->next >= size) {
			*why = "next descriptor beyond the table";
			return true;
		}
		*d = load_desc(q->desc, d->next);
	}
	if (!split) {
		split = iov;
		readable_len = len;
	}
	if (len > UINT32_MAX)
		*why = "chain longer than 4 GiB";
	c->pub.readable = (uint32_t)(split - c->small);
	c->pub.writable = (uint32_t)(iov - split);
	c->pub.readable_len = readable_len;
	c->pub.writable_len = len - readable_len;
	return done || *why;
}

/* The rest of it, with everything that a chain may have. */
static __attribute__((noinline)) const char *
parse_rest(struct vcore_virtqueue *q, struct vcore__chain *c, struct desc d)
{
	struct vcore_chain *pub = &c->pub;
	struct walk w = {
		.q = q, .c = c,
		.t = { .hva = q->desc, .gpa = q->ring.desc,
		       .count = q->ring.size, .limit = q->ring.size },
		.count = pub->readable + pub->writable,
		.iovs = pub->readable + pub->writable,
		.room = VCORE__CHAIN_SMALL,
		.left = (uint32_t)(UINT32_MAX - pub->readable_len -
				   pub->writable_len),
		.writable = pub->writable > 0,
	};
	const char *why;

	if (w.count == w.t.limit)
		return "chain longer than the queue";
	why = walk(&w, d);
	c->count = w.count;
	return w.full ? vcore__chain_full : why;
}

const char *
vcore__chain_parse(struct vcore_virtqueue *q, struct vcore__chain *c,
		   uint32_t head)
{
	struct desc d = load_desc(q->desc, head);
	const char *why = NULL;

	c->pub.iov = c->small;
	c->pub.head = (uint16_t)head;
	c->pub.opaque = NULL;
	if (!parse_plain(q, c, &d, &why))
		return parse_rest(q, c, d);
	c->count = c->pub.readable + c->pub.writable;
	return why;
}

static inline VCORE__GUEST_PTR *
piece_at(const struct iovec *iov, uint64_t off)
{
	return vcore__guest_at(vcore__guest_ptr(iov->iov_base), off);
}

/* The part [off, off + len) of some iovecs; copied one after the other. */
static uint64_t
copy(const struct iovec *iov, uint32_t n, uint64_t off, char *buf,
     const char *from, uint64_t len)
{
	uint64_t done = 0, piece;
	VCORE__GUEST_PTR *at;

	for (; n && done < len; n--, iov++) {
		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		piece = iov->iov_len - off;
		if (piece > len - done)
			piece = len - done;
		at = piece_at(iov, off);
		if (buf)
			vcore__guest_copy_from(buf + done, at, piece);
		else
			vcore__guest_copy_to(at, from + done, piece);
		done += piece;
		off = 0;
	}
	return done;
}

uint64_t
vcore_chain_read(const struct vcore_chain *chain, uint64_t off, void *buf,
		 uint64_t len)
{
	const struct iovec *v;

	if (!chain || !buf)
		return 0;
	v = chain->iov;
	if (chain->readable != 1 || off > v->iov_len)
		return copy(v, chain->readable, off, buf, NULL, len);
	/* Mostly it is one piece. */
	if (len > v->iov_len - off)
		len = v->iov_len - off;
	vcore__guest_copy_from(buf, piece_at(v, off), len);
	return len;
}

uint64_t
vcore_chain_write(const struct vcore_chain *chain, uint64_t off,
		  const void *buf, uint64_t len)
{
	const struct iovec *v;

	if (!chain || !buf)
		return 0;
	v = chain->iov + chain->readable;
	if (chain->writable != 1 || off > v->iov_len)
		return copy(v, chain->writable, off, NULL, buf, len);
	if (len > v->iov_len - off)
		len = v->iov_len - off;
	vcore__guest_copy_to(piece_at(v, off), buf, len);
	return len;
}
