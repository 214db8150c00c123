/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM: made, taken apart, asked, its clock and its EOI handler. */
#include "kvm/vm.h"

#include <signal.h>
#include <stdlib.h>

#include "base/base.h"
#include "kvm/compat.h"

#define KNOWN_FLAGS VCORE_VM_PIT
/* What KVM can if it does not tell. */
#define DEFAULT_VCPUS 4u

static bool
signal_is_usable(uint32_t sig)
{
	switch (sig) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
		return false;
	default:
		/* Between 32 and SIGRTMIN: the C library's own. */
		return (sig > 0 && sig < 32) ||
		       (sig >= (uint32_t)SIGRTMIN && sig <= (uint32_t)SIGRTMAX);
	}
}

static int
check_opts(const struct vcore_vm_opts *o)
{
	if (o->flags & ~KNOWN_FLAGS)
		return vcore__err(o->log, -E2BIG,
				  "vcore_vm_new: flags %#x: unknown bits",
				  o->flags);
	if (o->irqchip > VCORE_VM_IRQCHIP_SPLIT)
		return vcore__err(o->log, -EINVAL,
				  "vcore_vm_new: irqchip %u: unknown",
				  o->irqchip);
	if ((o->flags & VCORE_VM_PIT) &&
	    o->irqchip != VCORE_VM_IRQCHIP_KERNEL)
		return vcore__err(o->log, -EINVAL,
				  "vcore_vm_new: VCORE_VM_PIT without VCORE_VM_IRQCHIP_KERNEL");
	if (o->kick_signal && !signal_is_usable(o->kick_signal))
		return vcore__err(o->log, -EINVAL,
				  "vcore_vm_new: kick_signal %u can't be used",
				  o->kick_signal);
	return 0;
}

static int
create(struct vcore_vm *vm, uint64_t type)
{
	const struct vcore__kvm *kvm = &vm->host->kvm;
	int fd, rc;

	fd = vcore__kvm_ioctl_n(kvm, vm->host->fd, KVM_CREATE_VM, type);
	if (fd < 0)
		return vcore__err(vm->log, fd,
				  "vcore_vm_new: KVM_CREATE_VM with type %#llx: %s",
				  (unsigned long long)type,
				  vcore__strerror(fd));
	vm->vmfd = vcore__vmfd_new(vm->host, fd);
	if (!vm->vmfd) {
		kvm->ops->close(kvm->opaque, fd);
		return vcore__err(vm->log, -ENOMEM,
				  "vcore_vm_new: out of memory");
	}
	rc = vcore__vm_arch_init(vm);
	if (rc == 0 && vm->irqchip_kind != VCORE_VM_IRQCHIP_NONE)
		rc = vcore__vm_arch_irqchip(vm);
	if (rc == 0 && vm->irqchip_kind != VCORE_VM_IRQCHIP_NONE)
		rc = vcore__chip_new(vm->vmfd,
				     vm->irqchip_kind == VCORE_VM_IRQCHIP_SPLIT,
				     vm->log, &vm->irqchip, &vm->chip);
	return rc;
}

static void
limits(struct vcore_vm *vm)
{
	struct vcore_host *host = vm->host;

	vm->vcpu_max = vcore__host_cap(host, KVM_CAP_MAX_VCPUS);
	if (!vm->vcpu_max)
		vm->vcpu_max = vcore__host_cap(host, KVM_CAP_NR_VCPUS);
	if (!vm->vcpu_max)
		vm->vcpu_max = DEFAULT_VCPUS;
	vm->vcpu_id_max = vcore__host_cap(host, KVM_CAP_MAX_VCPU_ID);
	if (!vm->vcpu_id_max)
		vm->vcpu_id_max = vm->vcpu_max;
}

static void
eoi_unref(struct vcore__eoi *eoi)
{
	if (!eoi || atomic_fetch_sub(&eoi->refs, 1) > 1)
		return;
	if (eoi->release)
		eoi->release(eoi->opaque);
	free(eoi);
}

/*
 * Frees what there is of a VM. If nobody else has the VM descriptor it is
 * closed first: then the slots and doorbells are gone without one call each.
 */
static void
vm_free(struct vcore_vm *vm)
{
	eoi_unref(vm->eoi);
	vcore_irqchip_unref(vm->irqchip);
	vcore__vm_loans_fini(vm);
	if (vm->vmfd && vcore__vmfd_is_last(vm->vmfd)) {
		vm->slots.closed = true;
		vcore__vmfd_unref(vm->vmfd);
		vm->vmfd = NULL;
	}
	vcore__bells_fini(&vm->bells[1]);
	vcore__bells_fini(&vm->bells[0]);
	if (vm->memory) {
		vcore__slots_fini(&vm->slots, vm->memory);
		vcore_memory_unref(vm->memory);
	}
	vcore__vmfd_unref(vm->vmfd);
	free(vm->chip_reset);
	vcore_events_unref(vm->events);
	vcore_log_unref(vm->log);
	vcore_host_unref(vm->host);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

static int
connect(struct vcore_vm *vm, struct vcore_memory *memory,
	const struct vcore_vm_opts *o)
{
	int rc;

	rc = vcore__slots_init(&vm->slots, vm->vmfd, memory, vm->log);
	if (rc)
		return vcore__err(vm->log, rc,
				  "vcore_vm_new: memory can't be followed: %s",
				  vcore_error_text());
	vm->memory = vcore_memory_ref(memory);
	rc = vcore__bells_init(&vm->bells[0], vm, o->pio);
	if (rc == 0)
		rc = vcore__bells_init(&vm->bells[1], vm, o->mmio);
	if (rc)
		vcore__err(vm->log, rc,
			   "vcore_vm_new: buses can't be listened to: %s",
			   vcore__strerror(rc));
	return rc;
}

int
vcore_vm_new(struct vcore_host *host, struct vcore_memory *memory,
	     const struct vcore_vm_opts *opts, struct vcore_vm **out)
{
	struct vcore_vm_opts o;
	struct vcore_vm *vm;
	int rc;

	VCORE_INIT(&o);
	if (!host || !memory || !out)
		return vcore__err(NULL, -EINVAL, "vcore_vm_new: %s is NULL",
				  !host ? "host" : !memory ? "memory" : "vm");
	if (opts) {
		rc = VCORE__SIZED("vcore_vm_new: opts", &o, type, opts);
		if (rc)
			return rc;
	}
	rc = check_opts(&o);
	if (rc)
		return rc;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return vcore__err(o.log, -ENOMEM,
				  "vcore_vm_new: out of memory");
	pthread_mutex_init(&vm->lock, NULL);
	vm->refs = 1;
	vm->flags = o.flags;
	vm->irqchip_kind = o.irqchip;
	vm->kick_signal = o.kick_signal ? o.kick_signal : (uint32_t)SIGRTMIN;
	vm->host = vcore_host_ref(host);
	vm->events = vcore_events_ref(o.events);
	vm->log = vcore_log_ref(o.log);
	limits(vm);
	rc = create(vm, o.type);
	if (rc == 0)
		rc = connect(vm, memory, &o);
	if (rc) {
		vm_free(vm);
		return rc;
	}
	*out = vm;
	return 0;
}

struct vcore_vm *
vcore_vm_ref(struct vcore_vm *vm)
{
	if (vm)
		atomic_fetch_add(&vm->refs, 1);
	return vm;
}

void
vcore_vm_unref(struct vcore_vm *vm)
{
	if (vm && atomic_fetch_sub(&vm->refs, 1) == 1)
		vm_free(vm);
}

int
vcore_vm_fd(struct vcore_vm *vm)
{
	if (!vm)
		return vcore__err(NULL, -EINVAL, "vcore_vm_fd: vm is NULL");
	return vm->vmfd->fd;
}

int
vcore_vm_capability(struct vcore_vm *vm, uint32_t cap)
{
	int rc;

	if (!vm)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vm_capability: vm is NULL");
	if (!vcore__host_cap(vm->host, KVM_CAP_CHECK_EXTENSION_VM))
		return (int)vcore__host_cap(vm->host, cap);
	rc = vcore__vm_ioctl(vm, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);
	return rc < 0 ? 0 : rc;
}

struct vcore_irqchip *
vcore_vm_irqchip(struct vcore_vm *vm)
{
	return vm ? vm->irqchip : NULL;
}

int
vcore_vm_set_eoi_handler(struct vcore_vm *vm,
			 void (*fn)(void *opaque, uint32_t vector),
			 void *opaque, void (*release)(void *opaque))
{
	struct vcore__eoi *new = NULL, *old;

	if (!vm)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vm_set_eoi_handler: vm is NULL");
	if (fn && vm->irqchip_kind != VCORE_VM_IRQCHIP_SPLIT)
		return vcore__err(vm->log, -EOPNOTSUPP,
				  "vcore_vm_set_eoi_handler: only the split irqchip tells of EOIs");
	if (fn) {
		new = calloc(1, sizeof(*new));
		if (!new)
			return vcore__err(vm->log, -ENOMEM,
					  "vcore_vm_set_eoi_handler: out of memory");
		new->fn = fn;
		new->opaque = opaque;
		new->release = release;
		new->refs = 1;
	}
	pthread_mutex_lock(&vm->lock);
	old = vm->eoi;
	vm->eoi = new;
	pthread_mutex_unlock(&vm->lock);
	eoi_unref(old);
	return 0;
}

void
vcore__vm_eoi(struct vcore_vm *vm, uint32_t vector)
{
	struct vcore__eoi *eoi;

	pthread_mutex_lock(&vm->lock);
	eoi = vm->eoi;
	if (eoi)
		atomic_fetch_add(&eoi->refs, 1);
	pthread_mutex_unlock(&vm->lock);
	if (!eoi)
		return;
	eoi->fn(eoi->opaque, vector);
	eoi_unref(eoi);
}

int
vcore_vm_get_clock(struct vcore_vm *vm, uint64_t *clock_ns)
{
	struct kvm_clock_data data = { 0 };
	int rc;

	if (!vm || !clock_ns)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vm_get_clock: %s is NULL",
				  vm ? "clock_ns" : "vm");
	rc = vcore__vm_ioctl(vm, KVM_GET_CLOCK, &data);
	if (rc < 0)
		return vcore__err(vm->log, rc == -ENOTTY ? -EOPNOTSUPP : rc,
				  "vcore_vm_get_clock: KVM_GET_CLOCK (KVM_CAP_ADJUST_CLOCK): %s",
				  vcore__strerror(rc));
	*clock_ns = data.clock;
	return 0;
}

int
vcore_vm_set_clock(struct vcore_vm *vm, uint64_t clock_ns)
{
	struct kvm_clock_data data = { .clock = clock_ns };
	int rc;

	if (!vm)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vm_set_clock: vm is NULL");
	rc = vcore__vm_ioctl(vm, KVM_SET_CLOCK, &data);
	if (rc < 0)
		return vcore__err(vm->log, rc == -ENOTTY ? -EOPNOTSUPP : rc,
				  "vcore_vm_set_clock: KVM_SET_CLOCK with %llu ns (KVM_CAP_ADJUST_CLOCK): %s",
				  (unsigned long long)clock_ns,
				  vcore__strerror(rc));
	return 0;
}

int
vcore_vm_get_info(struct vcore_vm *vm, struct vcore_vm_info *info)
{
	struct vcore_vm_info i = { .size = sizeof(i) };
	int rc;

	if (!vm || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vm_get_info: %s is NULL",
				  vm ? "info" : "vm");
	i.slots = atomic_load(&vm->slots.count);
	i.bells = atomic_load(&vm->bells[0].count) +
		  atomic_load(&vm->bells[1].count);
	i.bells_refused = atomic_load(&vm->bells[0].refusals) +
			  atomic_load(&vm->bells[1].refusals);
	i.vcpu_max = vm->vcpu_max;
	if (vm->chip) {
		i.routes = atomic_load(&vm->chip->routes);
		i.irqfds = atomic_load(&vm->chip->irqfds);
	}
	rc = vcore__sized_return(info, sizeof(i), &i, sizeof(i));
	if (rc)
		return vcore__err(vm->log, rc,
				  "vcore_vm_get_info: size %u: see VCORE_INIT()",
				  info->size);
	return 0;
}

static void
part_stop(void *p, enum vcore__stop how, struct vcore__call *done)
{
	(void)p;
	(void)how;
	/* Nothing raises an interrupt by itself but the PIT: vCPUs are out. */
	vcore__call_done(done, 0);
}

static int
part_start(void *p)
{
	(void)p;
	return 0;
}

static void
part_reset(void *p)
{
	vcore__vm_arch_irqchip_reset(p);
}

void
vcore__vm_part(struct vcore_vm *vm, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "irqchip",
		.version = 1,
		.rank = VCORE__RANK_IRQCHIP,
		.stop = part_stop,
		.start = part_start,
		.reset = part_reset,
	};

	memset(part, 0, sizeof(*part));
	part->ops = &ops;
	part->p = vm;
	memcpy(part->name, "irqchip", sizeof("irqchip"));
}
