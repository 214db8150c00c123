/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How bytes that the guest can change at any moment are read and written:
 * each exactly once, little endian, through these functions only.
 */
#ifndef VCORE_LIB_MEMORY_ACCESS_H
#define VCORE_LIB_MEMORY_ACCESS_H

#include <endian.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "base/defined.h"

/*
 * What a pointer into guest memory points to: void, except that clang with
 * -DVCORE__CHECK_GUEST refuses to dereference such a pointer, and to make a
 * plain one of it: silently, as memcpy() would, by noderef; by a cast, which
 * noderef lets pass, by -Wcast-qual.
 */
#if defined(__clang__) && defined(VCORE__CHECK_GUEST)
#define VCORE__GUEST_PTR volatile void __attribute__((noderef))
#else
#define VCORE__GUEST_PTR void
#endif

/*
 * The host's plain pointer: for this file, for system calls on the mapping as
 * such, and for nothing else. The only place that takes the mark away.
 */
static inline void *
vcore__guest_force(VCORE__GUEST_PTR *hva)
{
	return (void *)(uintptr_t)hva;
}

/* Guest memory at a host address that mmap() gave, or that an iovec has. */
static inline VCORE__GUEST_PTR *
vcore__guest_ptr(const void *host)
{
	return (VCORE__GUEST_PTR *)(uintptr_t)host;
}

/* What devices and system calls are given. */
static inline struct iovec
vcore__guest_iov(VCORE__GUEST_PTR *hva, uint64_t len)
{
	return (struct iovec){ vcore__guest_force(hva), len };
}

/* hva + offset */
static inline VCORE__GUEST_PTR *
vcore__guest_at(VCORE__GUEST_PTR *hva, uint64_t offset)
{
	return (VCORE__GUEST_PTR *)((uintptr_t)hva + offset);
}

static inline uint8_t
vcore__guest_load8(VCORE__GUEST_PTR *hva)
{
	return __atomic_load_n((uint8_t *)vcore__guest_force(hva),
			       __ATOMIC_RELAXED);
}

/*
 * One load, naturally aligned: a ring field read once and whole. The acquire
 * forms order later loads behind it (an index, before what it covers).
 */
#define VCORE__GUEST_ACCESS(bits)                                             \
static inline uint##bits##_t                                                  \
vcore__guest_load##bits(VCORE__GUEST_PTR *hva)                                \
{                                                                             \
	uint##bits##_t *p = vcore__guest_force(hva);                          \
	return le##bits##toh(__atomic_load_n(p, __ATOMIC_RELAXED));           \
}                                                                             \
static inline uint##bits##_t                                                  \
vcore__guest_load##bits##_acquire(VCORE__GUEST_PTR *hva)                      \
{                                                                             \
	uint##bits##_t *p = vcore__guest_force(hva);                          \
	return le##bits##toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));           \
}                                                                             \
static inline void                                                            \
vcore__guest_store##bits(VCORE__GUEST_PTR *hva, uint##bits##_t value)         \
{                                                                             \
	uint##bits##_t *p = vcore__guest_force(hva);                          \
	VCORE__DEFINED(&value, sizeof(value));                                \
	__atomic_store_n(p, htole##bits(value), __ATOMIC_RELAXED);            \
}                                                                             \
static inline void                                                            \
vcore__guest_store##bits##_release(VCORE__GUEST_PTR *hva,                     \
				   uint##bits##_t value)                      \
{                                                                             \
	uint##bits##_t *p = vcore__guest_force(hva);                          \
	VCORE__DEFINED(&value, sizeof(value));                                \
	__atomic_store_n(p, htole##bits(value), __ATOMIC_RELEASE);            \
}

VCORE__GUEST_ACCESS(16)
VCORE__GUEST_ACCESS(32)
VCORE__GUEST_ACCESS(64)
#undef VCORE__GUEST_ACCESS

/*
 * Copies of what has no required alignment (descriptors, headers). The
 * barriers keep the compiler from reading guest memory again where buf is
 * used: what was checked is what is used.
 */
static inline void
vcore__guest_copy_from(void *buf, VCORE__GUEST_PTR *hva, size_t len)
{
	memcpy(buf, vcore__guest_force(hva), len);
	__asm__ volatile("" : : "r"(buf) : "memory");
}

static inline void
vcore__guest_copy_to(VCORE__GUEST_PTR *hva, const void *buf, size_t len)
{
	VCORE__DEFINED(buf, len);
	memcpy(vcore__guest_force(hva), buf, len);
	__asm__ volatile("" : : : "memory");
}

static inline void
vcore__guest_fill(VCORE__GUEST_PTR *hva, uint8_t byte, size_t len)
{
	memset(vcore__guest_force(hva), byte, len);
	__asm__ volatile("" : : : "memory");
}

#endif
