/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For Frama-C, before everything else: what its C lacks. One thread is looked
 * at, so atomics are plain; what the guest may change is volatile.
 */
#define _Atomic
#define _Noreturn
#define le16toh(x) ((uint16_t)(x))
#define le32toh(x) ((uint32_t)(x))
#define le64toh(x) ((uint64_t)(x))
#define htole16(x) ((uint16_t)(x))
#define htole32(x) ((uint32_t)(x))
#define htole64(x) ((uint64_t)(x))
#define __atomic_load_n(p, order) (*(volatile __typeof__(*(p)) *)(p))
#define __atomic_store_n(p, x, order) \
	((void)(*(volatile __typeof__(*(p)) *)(p) = (x)))
