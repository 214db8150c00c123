/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor chains: reading them, checking them, and where they are kept. */
#include "virtio/chain.h"

#include <sys/mman.h>

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

/* A chain being read, beyond what vcore__chain_plain() can do. */
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

/*
 * Every byte of guest memory that describes a chain is read once, also where it
 * is not aligned, which an indirect table need not be.
 */
static bool
read_desc(struct walk *w, uint32_t i, struct vcore__desc *d)
{
	struct vring_desc raw;

	if (w->t.hva) {
		*d = vcore__desc_load(w->t.hva, i);
		return true;
	}
	if (vcore__memory_get(&w->q->user, w->t.gpa + sizeof(raw) * (uint64_t)i,
			      &raw, sizeof(raw)) < 0)
		return false;
	*d = (struct vcore__desc){
		.addr = le64toh(raw.addr), .len = le32toh(raw.len),
		.flags = le16toh(raw.flags), .next = le16toh(raw.next),
	};
	return true;
}

/* virtio 1.2, 2.7.5.3: the flag WRITE of such a descriptor is ignored. */
static const char *
enter_table(struct walk *w, const struct vcore__desc *d)
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
add_iov(struct walk *w, const struct vcore__desc *d, uint32_t *n)
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
add_desc(struct walk *w, const struct vcore__desc *d)
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
walk(struct walk *w, struct vcore__desc d)
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

const char *
vcore__chain_parse_rest(struct vcore_virtqueue *q, struct vcore__chain *c,
			struct vcore__desc d)
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
