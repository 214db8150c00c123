/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * One VM: memory slots, irqchip and routes, doorbells in the kernel, clock.
 *
 * A VM follows what it was given: every region of its memory becomes a KVM
 * memory slot, every doorbell on its buses an ioeventfd, every interrupt on
 * its irqchip a route and an irqfd, as they come and go. So there is little to
 * call here; memory.h, bus.h and irq.h are where things are added.
 */
#ifndef VCORE_VM_H
#define VCORE_VM_H

#include <vcore/base.h>
#include <vcore/bus.h>
#include <vcore/event.h>
#include <vcore/host.h>
#include <vcore/irq.h>
#include <vcore/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A VM. */
struct vcore_vm;

/** Which interrupt controllers KVM models. */
enum vcore_vm_irqchip_kind {
	/** None: bare guests. HLT is an exit. */
	VCORE_VM_IRQCHIP_NONE = 0,
	/** PICs, IOAPIC and local APICs; a PIT with VCORE_VM_PIT. */
	VCORE_VM_IRQCHIP_KERNEL = 1,
	/** Local APICs; the IOAPIC is in user space (platform.h). */
	VCORE_VM_IRQCHIP_SPLIT = 2
};

/** KVM models an 8254 timer; only with VCORE_VM_IRQCHIP_KERNEL. */
#define VCORE_VM_PIT (1u << 0)

/** What a VM is made of. */
struct vcore_vm_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_VM_PIT; others: -E2BIG. */
	uint32_t irqchip;	/**< VCORE_VM_IRQCHIP_*. */
	uint32_t kick_signal;	/**< Signal number that gets vCPUs out of the
				     guest; 0: SIGRTMIN. It is never delivered;
				     the process must not use it otherwise.
				     Numbers from SIGRTMIN on need room within
				     RLIMIT_SIGPENDING, lower ones do not. */
	struct vcore_bus *pio;	/**< Who answers port accesses; NULL: they are
				     exits. */
	struct vcore_bus *mmio;	/**< The same for memory accesses. */
	struct vcore_events *events; /**< Where news of the VM goes, or NULL. */
	struct vcore_log *log;	/**< Where errors are repeated, or NULL. */
	uint64_t type;		/**< KVM_CREATE_VM's argument; x86: 0. */
};

/**
 * Make a VM.
 *
 * Regions and doorbells that are there already are taken over. On Intel
 * processors the four pages from 0xfeffc000 must stay free of memory.
 *
 * @param[in]  host    The host's KVM.
 * @param[in]  memory  What the guest sees; the VM listens to it. It may serve
 *                     several VMs.
 * @param[in]  opts    What else; NULL: no irqchip, no buses. Copied.
 * @param[out] vm      The new VM. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, `irqchip` or `kick_signal` is not
 *                      one that can be used, VCORE_VM_PIT stands without
 *                      VCORE_VM_IRQCHIP_KERNEL, or `size` is not set.
 * @retval -E2BIG       @p opts sets a field or flag this library does not
 *                      know.
 * @retval -EOPNOTSUPP  KVM lacks the irqchip (the text names the capability).
 * @retval -ENOSPC      @p memory has more regions than KVM has slots.
 * @retval -ENOMEM      Out of memory.
 * @retval other        What KVM said.
 *
 * @owns   The caller owns a reference and drops it with vcore_vm_unref(). The
 *         VM holds references on all it was given; vCPUs hold one on it.
 * @thread Control.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.2 KVM_CREATE_VM.
 * @since  0.1
 */
VCORE_API int
vcore_vm_new(struct vcore_host *host, struct vcore_memory *memory,
	     const struct vcore_vm_opts *opts, struct vcore_vm **vm);

/**
 * Take another reference.
 *
 * @param[in] vm  A VM; NULL is allowed.
 *
 * @return @p vm.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_vm *
vcore_vm_ref(struct vcore_vm *vm);

/**
 * Drop a reference. With the last one, which vCPUs may hold, the guest is
 * gone; interrupts made on the VM's irqchip stay valid and reach nobody.
 *
 * @param[in] vm  A VM; NULL does nothing.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_vm_unref(struct vcore_vm *vm);

/**
 * The VM's descriptor, for ioctls that the library does not offer.
 *
 * A duplicate that outlives the VM keeps KVM's slots pointing at memory that
 * may have gone: close it first.
 *
 * @param[in] vm  The VM.
 *
 * @return A descriptor, valid as long as @p vm lives; -EINVAL: NULL.
 *
 * @owns   The VM.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vm_fd(struct vcore_vm *vm);

/**
 * What KVM can do for this VM, which may differ from what the host can.
 *
 * @param[in] vm   The VM.
 * @param[in] cap  A KVM_CAP_* number of <linux/kvm.h>.
 *
 * @return KVM_CHECK_EXTENSION's answer, 0: it can't; -EINVAL: @p vm is NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vm_capability(struct vcore_vm *vm, uint32_t cap);

/**
 * Where devices' interrupts go.
 *
 * With the kernel's chips: edge and level lines 0 to 23, and messages. With
 * the split ones: messages, and pins (VCORE_IRQ_PIN) for the IOAPIC in user
 * space, whose lines devices use. Messages have numbers from 24 up to
 * KVM_CAP_IRQ_ROUTING: vcore_irq_new() says -ENOSPC when all are used.
 *
 * A message to an address outside [0xfee00000, 0xfef00000) is kept but reaches
 * nobody.
 *
 * @param[in] vm  The VM.
 *
 * @return The chip, valid as long as @p vm lives or a reference is taken;
 *         NULL: the VM has none, or @p vm is NULL.
 *
 * @owns   The VM.
 * @thread Any thread.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.52 KVM_SET_GSI_ROUTING and
 *         4.75 KVM_IRQFD.
 * @since  0.1
 */
VCORE_API struct vcore_irqchip *
vcore_vm_irqchip(struct vcore_vm *vm);

/**
 * Hear when the guest ends a level-triggered interrupt: what an IOAPIC in user
 * space needs. There is one handler; a new one replaces it.
 *
 * @param[in] vm       A VM with VCORE_VM_IRQCHIP_SPLIT.
 * @param[in] fn       Runs on vCPU, several at a time: the vector whose
 *                     interrupt ended. NULL: none any more.
 * @param[in] opaque   First argument of @p fn and @p release.
 * @param[in] release  Runs once, when @p fn can't be called any more: the
 *                     handler was replaced, or the VM is gone. May be NULL.
 *
 * @return 0, or a negative errno value; then nothing was taken:
 * @retval -EINVAL      @p vm is NULL.
 * @retval -EOPNOTSUPP  The VM does not have the split irqchip.
 * @retval -ENOMEM      Out of memory.
 *
 * @thread Any thread, also inside @p fn: never waits.
 * @since  0.1
 */
VCORE_API int
vcore_vm_set_eoi_handler(struct vcore_vm *vm,
			 void (*fn)(void *opaque, uint32_t vector),
			 void *opaque, void (*release)(void *opaque));

/**
 * The guest's clock: nanoseconds that its paravirtual clock has counted.
 *
 * @param[in]  vm        The VM.
 * @param[out] clock_ns  The time. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL.
 * @retval -EOPNOTSUPP  KVM lacks KVM_CAP_ADJUST_CLOCK.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vm_get_clock(struct vcore_vm *vm, uint64_t *clock_ns);

/**
 * Set the guest's clock.
 *
 * @param[in] vm        The VM.
 * @param[in] clock_ns  The time it goes on from.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p vm is NULL, or KVM refuses the value.
 * @retval -EOPNOTSUPP  KVM lacks KVM_CAP_ADJUST_CLOCK.
 *
 * @thread Any thread; the guest should be paused.
 * @since  0.1
 */
VCORE_API int
vcore_vm_set_clock(struct vcore_vm *vm, uint64_t clock_ns);

/** What a VM holds in KVM now. */
struct vcore_vm_info {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t slots;		/**< Memory slots. */
	uint32_t routes;	/**< Messages with a route. */
	uint32_t bells;		/**< Doorbells in the kernel. */
	uint32_t bells_refused;	/**< Doorbells that KVM refused: they work
				     by exits. */
	uint32_t irqfds;	/**< Interrupts whose eventfd KVM watches. */
	uint32_t vcpu_max;	/**< Most vCPUs it can have. */
	uint32_t reserved0;	/**< Zero. */
};

/**
 * What a VM holds in KVM now.
 *
 * @param[in]     vm    The VM.
 * @param[in,out] info  Set up with VCORE_INIT(); filled.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or `size` is not set.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_vm_get_info(struct vcore_vm *vm, struct vcore_vm_info *info);

#ifdef __cplusplus
}
#endif
#endif
