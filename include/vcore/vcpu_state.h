/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What a vCPU is in: registers, MSRs, multiprocessing state.
 *
 * The state *idle* is explained in vcore/vcpu.h, which includes this header.
 */
#ifndef VCORE_VCPU_STATE_H
#define VCORE_VCPU_STATE_H

#include <vcore/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vcore_vcpu;

/** General registers. */
struct vcore_regs {
	uint64_t rax;		/**< RAX */
	uint64_t rbx;		/**< RBX */
	uint64_t rcx;		/**< RCX */
	uint64_t rdx;		/**< RDX */
	uint64_t rsi;		/**< RSI */
	uint64_t rdi;		/**< RDI */
	uint64_t rsp;		/**< RSP */
	uint64_t rbp;		/**< RBP */
	uint64_t r8;		/**< R8 */
	uint64_t r9;		/**< R9 */
	uint64_t r10;		/**< R10 */
	uint64_t r11;		/**< R11 */
	uint64_t r12;		/**< R12 */
	uint64_t r13;		/**< R13 */
	uint64_t r14;		/**< R14 */
	uint64_t r15;		/**< R15 */
	uint64_t rip;		/**< Instruction pointer. */
	uint64_t rflags;	/**< Flags. */
};

/** A segment register with its hidden part. */
struct vcore_segment {
	uint64_t base;		/**< Linear address. */
	uint32_t limit;		/**< In bytes, also with `g`. */
	uint16_t selector;	/**< What MOV reads. */
	uint8_t type;		/**< Type of the descriptor. */
	uint8_t present;	/**< Bit P. */
	uint8_t dpl;		/**< Privilege level. */
	uint8_t db;		/**< 32 bit. */
	uint8_t s;		/**< Code or data, not system. */
	uint8_t l;		/**< 64-bit code. */
	uint8_t g;		/**< Granularity bit. */
	uint8_t avl;		/**< Bit AVL. */
	uint8_t unusable;	/**< Holds no descriptor. */
	uint8_t reserved;	/**< Zero. */
};

/** GDTR or IDTR. */
struct vcore_table {
	uint64_t base;		/**< Linear address. */
	uint16_t limit;		/**< Size - 1. */
	uint16_t reserved[3];	/**< Zero. */
};

/** System registers. */
struct vcore_sregs {
	struct vcore_segment cs;	/**< CS */
	struct vcore_segment ds;	/**< DS */
	struct vcore_segment es;	/**< ES */
	struct vcore_segment fs;	/**< FS */
	struct vcore_segment gs;	/**< GS */
	struct vcore_segment ss;	/**< SS */
	struct vcore_segment tr;	/**< Task register. */
	struct vcore_segment ldt;	/**< LDTR */
	struct vcore_table gdt;		/**< GDTR */
	struct vcore_table idt;		/**< IDTR */
	uint64_t cr0;			/**< CR0 */
	uint64_t cr2;			/**< CR2 */
	uint64_t cr3;			/**< CR3 */
	uint64_t cr4;			/**< CR4 */
	uint64_t cr8;			/**< Task priority. */
	uint64_t efer;			/**< EFER */
	uint64_t apic_base;		/**< IA32_APIC_BASE */
	uint64_t interrupt_bitmap[4];	/**< Vector about to be injected. */
};

/**
 * Read the general registers.
 *
 * @param[in]  vcpu  The vCPU.
 * @param[out] regs  The registers. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_get_regs(struct vcore_vcpu *vcpu, struct vcore_regs *regs);

/**
 * Write the general registers.
 *
 * @param[in] vcpu  The vCPU.
 * @param[in] regs  All of them.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_set_regs(struct vcore_vcpu *vcpu, const struct vcore_regs *regs);

/**
 * Read the system registers.
 *
 * @param[in]  vcpu   The vCPU.
 * @param[out] sregs  The registers. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_get_sregs(struct vcore_vcpu *vcpu, struct vcore_sregs *sregs);

/**
 * Write the system registers.
 *
 * @param[in] vcpu   The vCPU.
 * @param[in] sregs  All of them; read them first.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or KVM finds that they do not agree.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_set_sregs(struct vcore_vcpu *vcpu, const struct vcore_sregs *sregs);

/** A model-specific register. */
struct vcore_msr {
	uint32_t index;		/**< Which one. */
	uint32_t reserved;	/**< Zero. */
	uint64_t value;		/**< Its value. */
};

/**
 * Read MSRs.
 *
 * KVM may refuse some that it lists. If fewer than @p count come back,
 * `msrs[n]` was refused: skip it and go on behind it.
 *
 * @param[in]     vcpu   The vCPU.
 * @param[in,out] msrs   `index` of each; the values are filled.
 * @param[in]     count  Number of them.
 *
 * @return Number read, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p count is above INT32_MAX.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_get_msrs(struct vcore_vcpu *vcpu, struct vcore_msr *msrs,
		    uint32_t count);

/**
 * Write MSRs, in order, until one is refused.
 *
 * @param[in] vcpu   The vCPU.
 * @param[in] msrs   What to write.
 * @param[in] count  Number of them.
 *
 * @return Number written (fewer than @p count: `msrs[n]` was refused, those
 *         behind it were not tried), or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p count is above INT32_MAX.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_set_msrs(struct vcore_vcpu *vcpu, const struct vcore_msr *msrs,
		    uint32_t count);

/** What vcore_vcpu_get_state() and vcore_vcpu_set_state() transfer: each a
 *  struct of <linux/kvm.h>, in the host's byte order. */
enum vcore_vcpu_state {
	VCORE_VCPU_STATE_FPU = 1,	/**< `struct kvm_fpu`: x87 and SSE, where
					     the processor has no XSAVE; else
					     they are set with that. */
	VCORE_VCPU_STATE_XSAVE = 2,	/**< `struct kvm_xsave`, longer where
					     the processor has more: ask. */
	VCORE_VCPU_STATE_XCRS = 3,	/**< `struct kvm_xcrs`: XCR0. */
	VCORE_VCPU_STATE_EVENTS = 4,	/**< `struct kvm_vcpu_events`: what is
					     being injected; NMI, SMI. */
	VCORE_VCPU_STATE_DEBUGREGS = 5,	/**< `struct kvm_debugregs` */
	VCORE_VCPU_STATE_LAPIC = 6,	/**< `struct kvm_lapic_state`; not with
					     VCORE_VM_IRQCHIP_NONE. */
	VCORE_VCPU_STATE_SREGS2 = 7,	/**< `struct kvm_sregs2`: as struct
					     vcore_sregs, with the PDPTRs of
					     PAE paging for the bitmap. */
	VCORE_VCPU_STATE_NESTED = 8	/**< `struct kvm_nested_state`: of a
					     guest that runs guests. */
};

/**
 * Read what KVM keeps in a struct of its own.
 *
 * After an exit that was returned, KVM may still have its instruction to
 * complete, and the state is that of before or amid it; it is a whole number
 * of instructions after VCORE_EXIT_KICKED.
 *
 * @param[in]  vcpu  The vCPU.
 * @param[in]  what  VCORE_VCPU_STATE_*.
 * @param[out] buf   Where it goes; may be NULL if @p len is 0. Unchanged if
 *                   KVM was not asked.
 * @param[in]  len   Bytes there; 0: only say how many are needed.
 *
 * @return Bytes written (needed, if @p len is 0), or a negative errno value:
 * @retval -EINVAL      @p vcpu or @p buf is NULL, or there is no such state.
 * @retval -EOPNOTSUPP  KVM lacks it, or the VM has no local APICs.
 * @retval -ENOSPC      @p len is too small.
 * @retval -EBUSY       It is running.
 * @retval other        What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @spec   Linux Documentation/virt/kvm/api.rst: KVM_GET_FPU, KVM_GET_XSAVE,
 *         KVM_GET_XSAVE2, KVM_GET_XCRS, KVM_GET_VCPU_EVENTS,
 *         KVM_GET_DEBUGREGS, KVM_GET_LAPIC, KVM_GET_SREGS2,
 *         KVM_GET_NESTED_STATE.
 * @since  0.1
 */
VCORE_API int64_t
vcore_vcpu_get_state(struct vcore_vcpu *vcpu, uint32_t what, void *buf,
		     uint64_t len);

/**
 * Write what KVM keeps in a struct of its own.
 *
 * KVM takes all of it or refuses it; what it makes of a state that no
 * processor can be in is KVM's to say.
 *
 * @param[in] vcpu  The vCPU.
 * @param[in] what  VCORE_VCPU_STATE_*.
 * @param[in] buf   The state, as vcore_vcpu_get_state() gave it.
 * @param[in] len   Bytes: as many as vcore_vcpu_get_state() gave.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p vcpu or @p buf is NULL, there is no such state,
 *                      @p len is not its length here, or KVM refuses it.
 * @retval -EOPNOTSUPP  KVM lacks it, or the VM has no local APICs.
 * @retval -EBUSY       It is running.
 * @retval other        What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @spec   As vcore_vcpu_get_state().
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_set_state(struct vcore_vcpu *vcpu, uint32_t what, const void *buf,
		     uint64_t len);

/**
 * Whether it runs, is halted, or waits to be started.
 *
 * @param[in]  vcpu   The vCPU.
 * @param[out] state  KVM_MP_STATE_*. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_get_mp_state(struct vcore_vcpu *vcpu, uint32_t *state);

/**
 * Say whether it runs, is halted, or waits to be started.
 *
 * @param[in] vcpu   The vCPU.
 * @param[in] state  KVM_MP_STATE_*.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p vcpu is NULL, or KVM refuses the state.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_set_mp_state(struct vcore_vcpu *vcpu, uint32_t state);

#ifdef __cplusplus
}
#endif

#endif
