/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a VM: what the vcpu layer and the files of this one share. */
#ifndef VCORE_LIB_KVM_VM_H
#define VCORE_LIB_KVM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/vm.h>

#include "base/part.h"
#include "bus/bus.h"
#include "kvm/chip.h"
#include "kvm/host.h"
#include "kvm/slots.h"
#include "kvm/vmfd.h"
#include "memory/memory.h"

/*
 * A vCPU's descriptor. KVM refuses to make an id twice, so it stays with the
 * VM and is loaned to one vcore_vcpu after the other.
 */
struct vcore__loan {
	struct vcore__loan *next;
	struct kvm_run *run;
	int fd;
	uint32_t id;
	bool out;			/* a vcore_vcpu has it */
	bool fresh;			/* as KVM made it; borrower's to clear */
	bool masked;			/* KVM_SET_SIGNAL_MASK was called */
	void *keep;			/* the borrower's, from loan to loan */
	void (*keep_free)(void *keep);
};

/* Doorbells of one bus that KVM serves. */
struct vcore__bells {
	struct vcore__bus_listener listener;
	struct vcore_vm *vm;
	struct vcore_bus *bus;		/* counted; NULL: none */
	const struct vcore__bell **refused;	/* those KVM did not take */
	uint32_t refused_cap;
	_Atomic uint32_t count;		/* in the kernel */
	_Atomic uint32_t refusals;	/* now standing */
};

/* Who hears of EOIs; counted so that it outlives a call under way. */
struct vcore__eoi {
	void (*fn)(void *opaque, uint32_t vector);
	void *opaque;
	void (*release)(void *opaque);
	_Atomic uint32_t refs;
};

struct vcore_vm {
	_Atomic uint32_t refs;
	uint32_t flags;			/* VCORE_VM_* */
	uint32_t irqchip_kind;
	uint32_t kick_signal;
	uint32_t vcpu_max;		/* count */
	uint32_t vcpu_id_max;		/* ids are below it */
	struct vcore_host *host;	/* counted */
	struct vcore__vmfd *vmfd;	/* counted */
	struct vcore_memory *memory;	/* counted */
	struct vcore_events *events;	/* counted; or NULL */
	struct vcore_log *log;		/* counted; or NULL */
	struct vcore__slots slots;
	struct vcore__bells bells[2];	/* PIO, MMIO */
	struct vcore_irqchip *irqchip;	/* counted; NULL: none */
	struct vcore__chip *chip;	/* irqchip's opaque */
	struct vcore__chip_state *chip_reset;	/* at power-on; or NULL */
	pthread_mutex_t lock;		/* loans, eoi */
	struct vcore__loan *loans;
	struct vcore__eoi *eoi;
};

static inline int
vcore__vm_ioctl(struct vcore_vm *vm, unsigned long request, void *arg)
{
	return vcore__kvm_ioctl(&vm->host->kvm, vm->vmfd->fd, request, arg);
}

/* A bus of the VM, or NULL. */
static inline struct vcore_bus *
vcore__vm_bus(struct vcore_vm *vm, uint32_t kind)
{
	return vm->bells[kind == VCORE_BUS_MMIO].bus;
}

/*
 * Borrow the descriptor of a vCPU, made now if the id is new.
 * -EEXIST: somebody has it; -EINVAL: id is too large; -ENOSPC: KVM has no
 * more. The text begins with vcore_vcpu_new. The VM must outlive the loan.
 */
int
vcore__vm_loan(struct vcore_vm *vm, uint32_t id, struct vcore__loan **loan);

void
vcore__vm_return(struct vcore_vm *vm, struct vcore__loan *loan);

/* vm_free: unmap and close all. */
void
vcore__vm_loans_fini(struct vcore_vm *vm);

/* A vCPU's KVM_EXIT_IOAPIC_EOI. */
void
vcore__vm_eoi(struct vcore_vm *vm, uint32_t vector);

/* Listen to a bus's doorbells, or not any more (quiet: without ioctls). */
int
vcore__bells_init(struct vcore__bells *b, struct vcore_vm *vm,
		  struct vcore_bus *bus);
void
vcore__bells_fini(struct vcore__bells *b);

/* The in-kernel chips as a part: rank IRQCHIP, reset to power-on. */
void
vcore__vm_part(struct vcore_vm *vm, struct vcore__part *part);

/* vcore_vm_new() with nothing but what the architecture decides. */
int
vcore__vm_arch_init(struct vcore_vm *vm);

/* Make the in-kernel chips, remember their power-on state in chip_reset. */
int
vcore__vm_arch_irqchip(struct vcore_vm *vm);
void
vcore__vm_arch_irqchip_reset(struct vcore_vm *vm);

#endif
