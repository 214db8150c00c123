/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What the guest's CPUID says: what KVM supports, minus what is masked.
 *
 *     vcore_cpuid_new(host, &cpuid);
 *     vcore_cpuid_mask_feature(cpuid, "avx512f");
 *     for (i = 0; i < cpus; i++)
 *             vcore_vcpu_set_cpuid(vcpu[i], cpuid, cpus);
 *     vcore_cpuid_free(cpuid);
 */
#ifndef VCORE_CPUID_H
#define VCORE_CPUID_H

#include <vcore/base.h>
#include <vcore/host.h>
#include <vcore/vcpu.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A table of CPUID leaves. One owner, one thread at a time. */
struct vcore_cpuid;

/** The leaf has several entries, told apart by `index` (ECX). */
#define VCORE_CPUID_INDEXED (1u << 0)

/** One leaf, or one index of one. */
struct vcore_cpuid_entry {
	uint32_t function;	/**< EAX of the question. */
	uint32_t index;		/**< ECX of the question. */
	uint32_t flags;		/**< VCORE_CPUID_INDEXED. */
	uint32_t eax;		/**< Answer. */
	uint32_t ebx;		/**< Answer. */
	uint32_t ecx;		/**< Answer. */
	uint32_t edx;		/**< Answer. */
	uint32_t reserved;	/**< Zero. */
};

/** A register of an answer. */
enum vcore_cpuid_register {
	VCORE_CPUID_EAX = 1,	/**< EAX. */
	VCORE_CPUID_EBX = 2,	/**< EBX. */
	VCORE_CPUID_ECX = 3,	/**< ECX. */
	VCORE_CPUID_EDX = 4	/**< EDX. */
};

/**
 * Make a table of all that KVM supports on this host.
 *
 * Bits that KVM has but may not list are added: the hypervisor bit, and the
 * APIC timer's TSC deadline mode.
 *
 * @param[in]  host   The host's KVM.
 * @param[out] cpuid  The new table. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -ENOMEM  Out of memory.
 * @retval other    What KVM said.
 *
 * @owns   The caller owns the table and releases it with vcore_cpuid_free().
 * @thread Any thread.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.46 KVM_GET_SUPPORTED_CPUID.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_new(struct vcore_host *host, struct vcore_cpuid **cpuid);

/**
 * Release a table. vCPUs that were given it have copies.
 *
 * @param[in] cpuid  A table; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_cpuid_free(struct vcore_cpuid *cpuid);

/**
 * Number of entries.
 *
 * @param[in] cpuid  A table.
 *
 * @return The number; 0: @p cpuid is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_cpuid_count(const struct vcore_cpuid *cpuid);

/**
 * The entry that answers a question.
 *
 * @param[in]  cpuid     A table.
 * @param[in]  function  EAX of the question.
 * @param[in]  index     ECX; ignored by leaves without VCORE_CPUID_INDEXED.
 * @param[out] entry     The entry. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -ENOENT  There is none.
 * @retval -EINVAL  A pointer is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_get(const struct vcore_cpuid *cpuid, uint32_t function,
		uint32_t index, struct vcore_cpuid_entry *entry);

/**
 * An entry by its place in the table, for walking over it.
 *
 * @param[in]  cpuid  A table.
 * @param[in]  at     0 to vcore_cpuid_count() - 1.
 * @param[out] entry  The entry. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -ENOENT  @p at is behind the end.
 * @retval -EINVAL  A pointer is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_at(const struct vcore_cpuid *cpuid, uint32_t at,
	       struct vcore_cpuid_entry *entry);

/**
 * Replace or add an entry. Bits that KVM does not support may be refused, or
 * promise the guest what it does not get.
 *
 * @param[in] cpuid  A table.
 * @param[in] entry  The entry. Copied.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or the leaf is there with indices and
 *                  the entry has none, or the other way round.
 * @retval -E2BIG   `flags` or `reserved` has unknown bits.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_set(struct vcore_cpuid *cpuid,
		const struct vcore_cpuid_entry *entry);

/**
 * Remove an entry.
 *
 * @param[in] cpuid     A table.
 * @param[in] function  EAX of the question.
 * @param[in] index     ECX of the question.
 *
 * @return 0, or a negative errno value:
 * @retval -ENOENT  There is none.
 * @retval -EINVAL  @p cpuid is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_remove(struct vcore_cpuid *cpuid, uint32_t function,
		   uint32_t index);

/**
 * Clear bits of an answer.
 *
 * @param[in] cpuid     A table.
 * @param[in] function  EAX of the question.
 * @param[in] index     ECX of the question.
 * @param[in] reg       VCORE_CPUID_EAX to VCORE_CPUID_EDX.
 * @param[in] bits      What becomes 0.
 *
 * @return 0, or a negative errno value:
 * @retval -ENOENT  There is no such entry.
 * @retval -EINVAL  @p cpuid is NULL or @p reg is none.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_mask(struct vcore_cpuid *cpuid, uint32_t function, uint32_t index,
		 uint32_t reg, uint32_t bits);

/**
 * Take a feature away, by the name Linux shows in /proc/cpuinfo.
 *
 * What depends on it is not taken away with it. A few bits can't be hidden
 * from a guest that does not look: their instructions go on working.
 *
 * @param[in] cpuid  A table.
 * @param[in] name   "avx512f", "x2apic", "kvmclock", ...
 *
 * @return 0, also if KVM does not have the feature; or a negative errno
 *         value:
 * @retval -ENOENT  The name is not known.
 * @retval -EINVAL  A pointer is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_cpuid_mask_feature(struct vcore_cpuid *cpuid, const char *name);

/**
 * Give a vCPU a table.
 *
 * The APIC id (the vCPU's id) and the topology are filled in for it: one
 * package of @p cpus cores with one thread each, in leaves 1, 4, 0xb, 0x1f,
 * 0x80000001, 0x80000008, 0x8000001d and 0x8000001e where the table has them.
 * Without an irqchip x2APIC and the TSC deadline timer are hidden.
 *
 * @param[in] vcpu   The vCPU.
 * @param[in] cpuid  The table. Copied.
 * @param[in] cpus   How many there are, or may be plugged in.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, @p cpus is 0 or more than KVM can, or
 *                  KVM refuses the table; it does after the vCPU's first run,
 *                  unless it is the same again.
 * @retval -EBUSY   The vCPU runs.
 * @retval -ENOMEM  Out of memory.
 * @retval other    What KVM said.
 *
 * @thread Control; before the first run.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.20 KVM_SET_CPUID.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_set_cpuid(struct vcore_vcpu *vcpu, const struct vcore_cpuid *cpuid,
		     uint32_t cpus);

#ifdef __cplusplus
}
#endif
#endif
