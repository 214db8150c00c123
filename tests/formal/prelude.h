/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For Frama-C, before everything else: what its C lacks. One thread is looked
 * at, so atomics are plain; what the guest may change is volatile.
 */
#ifdef PLAIN_ATOMIC
#define _Atomic
#else
#define _Atomic(type) type	/* eva.sh deletes the other form */
#endif

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef PLAIN_ATOMIC
void formal_copy(void *to, const void *from, size_t n);
#define memcpy(to, from, n) formal_copy(to, from, n)
#endif

/* What mmap() gives can be compared with NULL only. */
#undef MAP_FAILED
#define MAP_FAILED ((void *)0)
#define MAP_NORESERVE 0x4000
#define _Alignas(n)

#define __FC_STDATOMIC		/* not Frama-C's <stdatomic.h> */
enum memory_order {
	memory_order_relaxed, memory_order_acquire, memory_order_release,
	memory_order_seq_cst
};
#define atomic_init(p, x) ((void)(*(p) = (x)))
#define atomic_load(p) (*(p))
#define atomic_load_explicit(p, order) (*(p))
#define atomic_store(p, x) ((void)(*(p) = (x)))
#define atomic_store_explicit(p, x, order) ((void)(*(p) = (x)))
#define atomic_exchange(p, x) \
	({ __typeof__(*(p)) was_ = *(p); *(p) = (x); was_; })
#define atomic_thread_fence(order) ((void)0)

#define __builtin_add_overflow(a, b, r) (*(r) = (a) + (b), *(r) < (a))
#define le16toh(x) ((uint16_t)(x))
#define le32toh(x) ((uint32_t)(x))
#define le64toh(x) ((uint64_t)(x))
#define htole16(x) ((uint16_t)(x))
#define htole32(x) ((uint32_t)(x))
#define htole64(x) ((uint64_t)(x))

#ifdef INDIRECT
/* Where tables are is wp.sh's to say: a read gives anything, here. */
uint64_t formal_any(void);
#define __atomic_load_n(p, order) ((__typeof__(*(p)))formal_any())
#else
#define __atomic_load_n(p, order) (*(volatile __typeof__(*(p)) *)(p))
#endif
#define __atomic_store_n(p, x, order) \
	((void)(*(volatile __typeof__(*(p)) *)(p) = (x)))
