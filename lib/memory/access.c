/* SPDX-License-Identifier: BSD-3-Clause */
/* Access to guest memory: users, look-ups, checked copies. */
#include "memory/access.h"

#include "base/base.h"
#include "memory/map.h"

int
vcore__memory_user_init(struct vcore__memory_user *u,
			struct vcore_memory *memory)
{
	memset(u, 0, sizeof(*u));
	u->memory = vcore_memory_ref(memory);
	u->generation = &memory->generation;
	vcore__reader_init(&u->reader, memory->domain);
	pthread_mutex_lock(&memory->users_lock);
	u->next = memory->users;
	u->prev = &memory->users;
	if (u->next)
		u->next->prev = &u->next;
	memory->users = u;
	pthread_mutex_unlock(&memory->users_lock);
	return 0;
}

void
vcore__memory_user_fini(struct vcore__memory_user *u)
{
	struct vcore_memory *m = u->memory;

	if (!m)
		return;
	pthread_mutex_lock(&m->users_lock);
	*u->prev = u->next;
	if (u->next)
		u->next->prev = u->prev;
	pthread_mutex_unlock(&m->users_lock);
	vcore__reader_fini(&u->reader);
	u->memory = NULL;
	vcore_memory_unref(m);
}

void
vcore__memory_enter(struct vcore__memory_user *u)
{
	vcore__reader_enter(&u->reader);
}

void
vcore__memory_exit(struct vcore__memory_user *u)
{
	vcore__reader_exit(&u->reader);
}

static const struct vcore__span *
find(const struct vcore_memory *m, uint64_t gpa)
{
	const struct vcore__range_entry *range;

	range = vcore__rangemap_find(&m->map, gpa);
	return range ? &((struct vcore__map_entry *)range->value)->span : NULL;
}

const struct vcore__span *
vcore__memory_find(struct vcore__memory_user *u, uint64_t gpa)
{
	uint64_t generation = vcore__memory_generation(u);
	const struct vcore__span *s = find(u->memory, gpa);

	if (s) {
		u->cached = s;
		u->cached_generation = generation;
	}
	return s;
}

/* Part of a region: not an iovec, which would forget what it points to. */
struct piece {
	VCORE__GUEST_PTR *hva;
	uint64_t len;
};

/*
 * The next piece of [*gpa, *gpa + *len) that lies in one region, and step
 * behind it. *len is not 0. 0, -EFAULT.
 */
static int
next_piece(const struct vcore_memory *m, struct vcore__memory_user *u,
	   uint64_t *gpa, uint64_t *len, struct piece *piece, bool write)
{
	const struct vcore__span *s;
	uint64_t offset, n;

	s = u ? vcore__memory_span(u, *gpa) : find(m, *gpa);
	n = vcore__span_take(s, gpa, len, write, &offset);
	if (!n)
		return -EFAULT;
	piece->hva = vcore__guest_at(s->hva, offset);
	piece->len = n;
	return 0;
}

int
vcore__map_iov(const struct vcore_memory *m, struct vcore__memory_user *u,
	       uint64_t gpa, uint64_t len, bool write, struct iovec *iov,
	       uint32_t max)
{
	struct iovec *last = NULL;
	struct piece piece;
	uint32_t n = 0;
	int rc;

	while (len) {
		rc = next_piece(m, u, &gpa, &len, &piece, write);
		if (rc < 0)
			return rc;
		if (last && (uintptr_t)last->iov_base + last->iov_len ==
			    (uintptr_t)piece.hva) {
			last->iov_len += piece.len;
			continue;
		}
		if (n == max || n == INT32_MAX)
			return -ENOSPC;
		last = &iov[n++];
		*last = vcore__guest_iov(piece.hva, piece.len);
	}
	return (int)n;
}

int
vcore__memory_iov(struct vcore__memory_user *u, uint64_t gpa, uint64_t len,
		  bool write, struct iovec *iov, uint32_t max)
{
	return vcore__map_iov(u->memory, u, gpa, len, write, iov, max);
}

static int
copy_from(const struct vcore_memory *m, struct vcore__memory_user *u,
	  uint64_t gpa, void *buf, uint64_t len)
{
	struct piece piece;
	char *to = buf;
	int rc;

	while (len) {
		rc = next_piece(m, u, &gpa, &len, &piece, false);
		if (rc < 0)
			return rc;
		vcore__guest_copy_from(to, piece.hva, piece.len);
		to += piece.len;
	}
	return 0;
}

static int
copy_to(const struct vcore_memory *m, struct vcore__memory_user *u,
	uint64_t gpa, const void *buf, uint64_t len)
{
	const char *from = buf;
	struct piece piece;
	int rc;

	while (len) {
		rc = next_piece(m, u, &gpa, &len, &piece, true);
		if (rc < 0)
			return rc;
		vcore__guest_copy_to(piece.hva, from, piece.len);
		from += piece.len;
	}
	return 0;
}

int
vcore__memory_get(struct vcore__memory_user *u, uint64_t gpa, void *buf,
		  uint64_t len)
{
	return copy_from(u->memory, u, gpa, buf, len);
}

int
vcore__memory_put(struct vcore__memory_user *u, uint64_t gpa, const void *buf,
		  uint64_t len)
{
	return copy_to(u->memory, u, gpa, buf, len);
}

/* No log: it is often the guest who chose the address. */
static int
result(const char *who, int rc, uint64_t gpa, uint64_t len)
{
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "%s: [%#llx, + %#llx) has a hole or is read-only",
				  who, (unsigned long long)gpa,
				  (unsigned long long)len);
	return rc;
}

int
vcore_memory_read(struct vcore_memory *memory, uint64_t gpa, void *buf,
		  uint64_t len)
{
	uint64_t token;
	int rc;

	if (!memory || (!buf && len))
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_read: memory %p or buf %p is NULL",
				  (void *)memory, buf);
	vcore__domain_enter(memory->domain, &token);
	rc = copy_from(memory, NULL, gpa, buf, len);
	vcore__domain_exit(memory->domain, token);
	return result("vcore_memory_read", rc, gpa, len);
}

int
vcore_memory_write(struct vcore_memory *memory, uint64_t gpa, const void *buf,
		   uint64_t len)
{
	uint64_t token;
	int rc;

	if (!memory || (!buf && len))
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_write: memory %p or buf %p is NULL",
				  (void *)memory, buf);
	vcore__domain_enter(memory->domain, &token);
	rc = copy_to(memory, NULL, gpa, buf, len);
	vcore__domain_exit(memory->domain, token);
	return result("vcore_memory_write", rc, gpa, len);
}

int
vcore_memory_fill(struct vcore_memory *memory, uint64_t gpa, uint8_t byte,
		  uint64_t len)
{
	uint64_t token, at = gpa, left = len;
	struct piece piece;
	int rc = 0;

	if (!memory)
		return vcore__err(NULL, -EINVAL,
				  "vcore_memory_fill: memory is NULL");
	vcore__domain_enter(memory->domain, &token);
	while (left && rc == 0) {
		rc = next_piece(memory, NULL, &at, &left, &piece, true);
		if (rc == 0)
			vcore__guest_fill(piece.hva, byte, piece.len);
	}
	vcore__domain_exit(memory->domain, token);
	return result("vcore_memory_fill", rc, gpa, len);
}
