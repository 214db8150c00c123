/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * One vCPU: run, exits, kick, pause, reset. Its registers: vcore/vcpu_state.h.
 *
 * A thread of the embedder calls vcore_vcpu_run() in a loop. Accesses that the
 * VM's buses answer do not return; everything else does:
 *
 *     do {
 *             VCORE_INIT(&exit);
 *             rc = vcore_vcpu_run(vcpu, &exit);
 *     } while (rc == 0 && handle(&exit));
 *
 * Functions with state *idle* may be called while no thread runs the vCPU, by the
 * thread that runs it (in a handler), and by anybody while it is paused;
 * otherwise they say -EBUSY instead of waiting for the guest.
 *
 * After VCORE_EXIT_KICKED, and while it is paused, the vCPU is between two
 * instructions; unless an access still waits for its answer, or an exit was
 * returned whose answer KVM gets with the next run.
 */
#ifndef VCORE_VCPU_H
#define VCORE_VCPU_H

#include <vcore/base.h>
#include <vcore/vcpu_state.h>
#include <vcore/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A vCPU. */
struct vcore_vcpu;

/** Why vcore_vcpu_run() returned. */
enum vcore_exit_kind {
	VCORE_EXIT_NONE = 0,		/**< Nothing yet. */
	VCORE_EXIT_KICKED = 1,		/**< vcore_vcpu_kick(). */
	VCORE_EXIT_IO = 2,		/**< Port access for the embedder:
					     `u.io`. */
	VCORE_EXIT_MMIO = 3,		/**< Memory access for the embedder:
					     `u.mmio`. */
	VCORE_EXIT_HALT = 4,		/**< HLT, without an irqchip. */
	VCORE_EXIT_SHUTDOWN = 5,	/**< Triple fault. */
	VCORE_EXIT_INTERNAL_ERROR = 6,	/**< KVM gave up: `u.internal`. */
	VCORE_EXIT_FAIL_ENTRY = 7,	/**< The processor refused the guest's
					     state: `u.fail`. */
	VCORE_EXIT_MEMORY_FAULT = 8,	/**< Memory could not be had:
					     `u.fault`. */
	VCORE_EXIT_SYSTEM_EVENT = 9,	/**< `u.system`. */
	VCORE_EXIT_HYPERCALL = 10,	/**< `u.hypercall`. */
	VCORE_EXIT_DEBUG = 11,		/**< `u.debug`. */
	VCORE_EXIT_MSR = 12,		/**< MSR access that was asked to be
					     returned: `u.msr`. */
	VCORE_EXIT_PAUSED = 13,		/**< VCORE_VCPU_RETURN_PAUSED. */
	VCORE_EXIT_OTHER = 64		/**< Raw: `reason`, and
					     vcore_vcpu_run_area(). */
};

/** VCORE_EXIT_IO */
struct vcore_exit_io {
	uint16_t port;		/**< Port. */
	uint8_t len;		/**< 1, 2 or 4 bytes each. */
	uint8_t write;		/**< 1: the guest writes. */
	uint32_t count;		/**< Accesses of this instruction. */
	uint8_t *data;		/**< `count * len` bytes: what is written, or
				     where the answer of a read goes. Valid
				     until the next run, which takes it. */
};

/** VCORE_EXIT_MMIO */
struct vcore_exit_mmio {
	uint64_t gpa;		/**< Address. */
	uint32_t len;		/**< 1 to 8 bytes. */
	uint32_t write;		/**< 1: the guest writes. */
	uint8_t *data;		/**< `len` bytes, as in struct
				     vcore_exit_io. */
};

/** VCORE_EXIT_INTERNAL_ERROR */
struct vcore_exit_internal {
	uint32_t suberror;	/**< KVM_INTERNAL_ERROR_*. */
	uint32_t ndata;		/**< Words in `data`. */
	uint64_t data[16];	/**< What KVM adds. */
	uint8_t insn[16];	/**< The instruction's bytes, if KVM tells. */
	uint32_t ninsn;		/**< Number of them; they may go beyond the
				     instruction. */
	uint32_t reserved;	/**< Zero. */
};

/** VCORE_EXIT_FAIL_ENTRY */
struct vcore_exit_fail {
	uint64_t hardware_reason; /**< The processor's code. */
	uint32_t cpu;		/**< Host CPU it happened on. */
	uint32_t reserved;	/**< Zero. */
};

/** VCORE_EXIT_MEMORY_FAULT: KVM_RUN failed with EFAULT. */
struct vcore_exit_fault {
	uint64_t gpa;		/**< Where; UINT64_MAX: KVM does not tell. */
	uint64_t len;		/**< Bytes; 0: unknown. */
	uint64_t flags;		/**< KVM_MEMORY_EXIT_FLAG_*. */
};

/** VCORE_EXIT_SYSTEM_EVENT */
struct vcore_exit_system {
	uint32_t type;		/**< KVM_SYSTEM_EVENT_*. */
	uint32_t ndata;		/**< Words in `data`. */
	uint64_t data[16];	/**< What KVM adds. */
};

/** VCORE_EXIT_HYPERCALL */
struct vcore_exit_hypercall {
	uint64_t nr;		/**< Number. */
	uint64_t args[6];	/**< Arguments. */
	uint64_t *ret;		/**< Where the answer goes; valid until the
				     next run. */
};

/** VCORE_EXIT_DEBUG */
struct vcore_exit_debug {
	uint32_t exception;	/**< Vector. */
	uint32_t reserved;	/**< Zero. */
	uint64_t pc;		/**< Linear address of the instruction. */
	uint64_t dr6;		/**< Debug status. */
	uint64_t dr7;		/**< Debug control. */
};

/** VCORE_EXIT_MSR */
struct vcore_exit_msr {
	uint32_t index;		/**< Which one. */
	uint32_t write;		/**< 1: the guest writes. */
	uint64_t *data;		/**< The value, or where it goes; valid until
				     the next run. */
	uint8_t *error;		/**< Not 0: the guest gets a fault. */
};

/** An exit. */
struct vcore_exit {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t kind;		/**< VCORE_EXIT_*. */
	uint32_t reason;	/**< KVM_EXIT_*; 0: it did not come from KVM. */
	uint32_t flags;		/**< None yet: 0. */
	union {
		struct vcore_exit_io io;	/**< VCORE_EXIT_IO */
		struct vcore_exit_mmio mmio;	/**< VCORE_EXIT_MMIO */
		struct vcore_exit_internal internal;
						/**< _INTERNAL_ERROR */
		struct vcore_exit_fail fail;	/**< _FAIL_ENTRY */
		struct vcore_exit_fault fault;	/**< _MEMORY_FAULT */
		struct vcore_exit_system system; /**< _SYSTEM_EVENT */
		struct vcore_exit_hypercall hypercall; /**< _HYPERCALL */
		struct vcore_exit_debug debug;	/**< VCORE_EXIT_DEBUG */
		struct vcore_exit_msr msr;	/**< VCORE_EXIT_MSR */
		uint64_t raw[32];		/**< Fixes the size. */
	} u;			/**< By `kind`. */
};

/** @name Flags of struct vcore_vcpu_opts
 *  @{ */
/** Accesses that nobody on a bus answers are exits, one element each. Without
 *  it they read as all ones, or are dropped, and are counted. */
#define VCORE_VCPU_RETURN_UNCLAIMED (1u << 0)
/** A run returns VCORE_EXIT_PAUSED while the vCPU is paused. Without it the
 *  thread waits inside vcore_vcpu_run(). */
#define VCORE_VCPU_RETURN_PAUSED (1u << 1)
/** Threads that run the vCPU keep the kick signal blocked for good, so a run
 *  need not block it: two system calls less for each. */
#define VCORE_VCPU_SIGNAL_BLOCKED (1u << 2)
/** The power-on state is not kept: vcore_vcpu_reset() is -EOPNOTSUPP, the
 *  creation is quicker. */
#define VCORE_VCPU_NO_RESET (1u << 3)
/** The process has a handler for the kick signal that calls, or is,
 *  vcore_vcpu_kick_handler(), and threads that run the vCPU do not block the
 *  signal. Then KVM need not change the thread's signal mask in each KVM_RUN,
 *  which is a part of what an exit costs. System calls that
 *  SA_RESTART does not restart may fail with EINTR in what the embedder does on
 *  the vCPU's thread. Not with VCORE_VCPU_SIGNAL_BLOCKED. */
#define VCORE_VCPU_SIGNAL_HANDLED (1u << 4)
/** @} */

/** What a vCPU is. */
struct vcore_vcpu_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_VCPU_*; others: -E2BIG. */
};

/**
 * Make a vCPU.
 *
 * KVM can't unmake one: its descriptor stays with the VM, and an id whose vCPU
 * is gone may be made again; it is then at power-on state, as a new one.
 *
 * @param[in]  vm    The VM.
 * @param[in]  id    Its number, which is its APIC id. 0 starts first.
 * @param[in]  opts  What it is; NULL: defaults. Copied.
 * @param[out] vcpu  The new vCPU. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EEXIST      There is one with this id.
 * @retval -EINVAL      A pointer is NULL, @p id is above KVM's limit,
 *                      `size` is not set, or the signal is said to be both
 *                      blocked and handled.
 * @retval -E2BIG       @p opts sets a field or flag this library does not
 *                      know.
 * @retval -EOPNOTSUPP  The id was made with VCORE_VCPU_NO_RESET before.
 * @retval -ENOMEM      Out of memory.
 * @retval other        What KVM said.
 *
 * @owns   The caller owns a reference and drops it with vcore_vcpu_unref().
 *         The vCPU holds one on @p vm.
 * @thread Control.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.7 KVM_CREATE_VCPU.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_new(struct vcore_vm *vm, uint32_t id,
	       const struct vcore_vcpu_opts *opts, struct vcore_vcpu **vcpu);

/**
 * Take another reference.
 *
 * @param[in] vcpu  A vCPU; NULL is allowed.
 *
 * @return @p vcpu.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_vcpu *
vcore_vcpu_ref(struct vcore_vcpu *vcpu);

/**
 * Drop a reference. A run under way holds one of its own.
 *
 * @param[in] vcpu  A vCPU; NULL does nothing.
 *
 * @thread Control, or a handler of this vCPU.
 * @since  0.1
 */
VCORE_API void
vcore_vcpu_unref(struct vcore_vcpu *vcpu);

/**
 * Its number.
 *
 * @param[in] vcpu  A vCPU.
 *
 * @return The id; UINT32_MAX: @p vcpu is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_vcpu_id(const struct vcore_vcpu *vcpu);

/**
 * The vCPU's descriptor, for ioctls that the library does not offer.
 *
 * KVM_RUN and KVM_SET_SIGNAL_MASK are the library's.
 *
 * @param[in] vcpu  A vCPU.
 *
 * @return A descriptor, valid as long as @p vcpu lives; -EINVAL: NULL.
 *
 * @owns   The VM.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_fd(struct vcore_vcpu *vcpu);

/**
 * The memory shared with KVM: struct kvm_run of <linux/kvm.h>.
 *
 * @param[in]  vcpu  A vCPU.
 * @param[out] len   Its size in bytes; may be NULL.
 *
 * @return The area, valid as long as @p vcpu lives; NULL: @p vcpu is NULL.
 *
 * @owns   The VM.
 * @thread Owner.
 * @since  0.1
 */
VCORE_API void *
vcore_vcpu_run_area(struct vcore_vcpu *vcpu, uint64_t *len);

/**
 * Run the guest until something is for the embedder.
 *
 * The calling thread is the vCPU's owner until the call returns. Meanwhile
 * the kick signal is blocked in it (not with VCORE_VCPU_SIGNAL_HANDLED); other
 * signals are as the thread has them and do not make the call return.
 *
 * What a handler of a bus did not answer yet (-EINPROGRESS) is waited for
 * outside the guest. A kick returns from that wait; the next run goes on with
 * it.
 *
 * @param[in]     vcpu  The vCPU.
 * @param[in,out] exit  Set up with VCORE_INIT(); filled when 0 is returned.
 *
 * @return 0, or a negative errno value:
 * @retval -EBUSY    Another thread runs it, or this one does (the call comes
 *                   from a handler).
 * @retval -EDEADLK  The call comes from a handler of another vCPU.
 * @retval -EINVAL   A pointer is NULL, `size` is not set; the vCPU has
 *                   VCORE_VCPU_SIGNAL_BLOCKED and the signal is not blocked;
 *                   or it has VCORE_VCPU_SIGNAL_HANDLED and the signal is
 *                   blocked or has no handler. Looked at when the thread is
 *                   another one than last time.
 * @retval -EAGAIN   KVM_RUN said so again and again without reason.
 * @retval other     What KVM_RUN said: -ENOMEM, -EIO, ... The guest can't go
 *                   on, unless the embedder removes the cause.
 *
 * @thread Any thread, which becomes owner; not inside a callback.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.10 KVM_RUN and 5.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_run(struct vcore_vcpu *vcpu, struct vcore_exit *exit);

/**
 * Make the run under way, or else the next one, return VCORE_EXIT_KICKED.
 *
 * Never lost: docs/threading.md says why. Kicks that no run has returned yet
 * are one.
 *
 * @param[in] vcpu  The vCPU.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p vcpu is NULL.
 * @retval -EAGAIN  The signal can't be queued (RLIMIT_SIGPENDING). The kick
 *                  stands, but is seen at the guest's next exit only.
 *
 * @thread Any thread, also a handler of the vCPU; also a signal handler.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_kick(struct vcore_vcpu *vcpu);

/**
 * The handler of the kick signal, for VCORE_VCPU_SIGNAL_HANDLED.
 *
 * The library installs none; the embedder does, once, before the first run:
 *
 *     struct sigaction sa = { .sa_handler = vcore_vcpu_kick_handler,
 *                             .sa_flags = SA_RESTART };
 *
 *     sigaction(SIGRTMIN, &sa, NULL);
 *
 * or calls it from a handler of its own. If the thread that was interrupted
 * runs a vCPU, a KVM_RUN that is about to begin returns at once; otherwise
 * nothing happens. (In a process under ThreadSanitizer, which delays handlers,
 * the flag is ignored.)
 *
 * @param[in] signal  The signal's number; not looked at.
 *
 * @thread Any thread, in a signal handler.
 * @spec   Linux Documentation/virt/kvm/api.rst, 5, immediate_exit.
 * @since  0.1
 */
VCORE_API void
vcore_vcpu_kick_handler(int signal);

/**
 * Keep the vCPU out of the guest.
 *
 * When the call returns, no handler of it runs and it does not touch guest
 * memory, until it is resumed as often as it was paused. Kicks still come
 * through.
 *
 * @param[in] vcpu         The vCPU; it need not run.
 * @param[in] deadline_ns  CLOCK_MONOTONIC; 0: wait for ever. A handler that
 *                         does not return, or a page that does not come, can
 *                         delay a vCPU without bound.
 *
 * @return 0, or a negative errno value; then it is not paused by this call:
 * @retval -EINVAL     @p vcpu is NULL.
 * @retval -ETIMEDOUT  It did not stop in time.
 * @retval -EDEADLK    The call comes from a handler of a vCPU.
 * @retval -ENOSPC     It is paused 16,777,215 times.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_pause(struct vcore_vcpu *vcpu, uint64_t deadline_ns);

/**
 * Take one vcore_vcpu_pause() back.
 *
 * @param[in] vcpu  The vCPU.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p vcpu is NULL.
 * @retval -EBUSY   It is not paused.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_resume(struct vcore_vcpu *vcpu);

/**
 * Inject an interrupt, in a VM without an irqchip.
 *
 * @param[in] vcpu    The vCPU.
 * @param[in] vector  0 to 255.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p vcpu is NULL or @p vector is above 255.
 * @retval -EOPNOTSUPP  The VM has an irqchip.
 * @retval -EEXIST      One is there already.
 * @retval -EBUSY       It is running.
 * @retval other        What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_interrupt(struct vcore_vcpu *vcpu, uint32_t vector);

/**
 * Send a non-maskable interrupt.
 *
 * @param[in] vcpu  The vCPU.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p vcpu is NULL.
 * @retval -EBUSY   It is running.
 * @retval other    What KVM said.
 *
 * @thread Any thread.
 * @state  Idle.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_nmi(struct vcore_vcpu *vcpu);

/**
 * Back to power-on state: registers, FPU, MSRs, local APIC, pending events;
 * processors other than 0 wait to be started.
 *
 * CPUID and the time stamp counter stay. An exit that is not completed, and
 * an access that waits for its answer, are forgotten; kicks and pauses are
 * not. MSRs that KVM refuses are passed over, and logged.
 *
 * @param[in] vcpu  The vCPU.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p vcpu is NULL.
 * @retval -EBUSY       A thread is inside vcore_vcpu_run().
 * @retval -EOPNOTSUPP  It was made with VCORE_VCPU_NO_RESET.
 * @retval -ENOMEM      Out of memory; nothing has changed.
 * @retval other        What KVM said; the state is partly reset.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_reset(struct vcore_vcpu *vcpu);

/** Numbers of a vCPU, since it was made. */
struct vcore_vcpu_info {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t id;		/**< Its number. */
	uint64_t exits;		/**< Returns from KVM_RUN. */
	uint64_t handled;	/**< Accesses that a bus answered. */
	uint64_t unclaimed;	/**< Accesses that nobody answered. */
	uint64_t kicks;		/**< VCORE_EXIT_KICKED returned. */
};

/**
 * Numbers of a vCPU.
 *
 * @param[in]     vcpu  The vCPU.
 * @param[in,out] info  Set up with VCORE_INIT(); filled.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or `size` is not set.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vcpu_get_info(struct vcore_vcpu *vcpu, struct vcore_vcpu_info *info);

#ifdef __cplusplus
}
#endif
#endif
