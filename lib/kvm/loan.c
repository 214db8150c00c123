/* SPDX-License-Identifier: BSD-3-Clause */
/* vCPU descriptors: made once per id, kept, loaned. */
#include <stdlib.h>

#include "base/base.h"
#include "kvm/compat.h"
#include "kvm/vm.h"

static struct vcore__loan *
find(struct vcore_vm *vm, uint32_t id)
{
	struct vcore__loan *loan;

	for (loan = vm->loans; loan; loan = loan->next)
		if (loan->id == id)
			return loan;
	return NULL;
}

static int
make(struct vcore_vm *vm, uint32_t id, struct vcore__loan **out)
{
	const struct vcore__kvm *kvm = &vm->host->kvm;
	struct vcore__loan *loan;
	void *area;
	int rc;

	if (id >= vm->vcpu_id_max)
		return vcore__err(vm->log, -EINVAL,
				  "vcore_vcpu_new: id %u: KVM's ids are below %u",
				  id, vm->vcpu_id_max);
	loan = calloc(1, sizeof(*loan));
	if (!loan)
		return vcore__err(vm->log, -ENOMEM,
				  "vcore_vcpu_new: out of memory");
	rc = vcore__kvm_ioctl_n(kvm, vm->vmfd->fd, KVM_CREATE_VCPU, id);
	if (rc < 0) {
		/* EINVAL is also KVM's word for too many. */
		vcore__err(vm->log, rc,
			   "vcore_vcpu_new: KVM refuses vCPU %u of at most %u: %s",
			   id, vm->vcpu_max, vcore__strerror(rc));
		goto err_free;
	}
	loan->fd = rc;
	loan->id = id;
	loan->fresh = true;
	rc = kvm->ops->mmap(kvm->opaque, loan->fd, vm->host->run_len, &area);
	if (rc < 0) {
		vcore__err(vm->log, rc,
			   "vcore_vcpu_new: run area of vCPU %u: %s", id,
			   vcore__strerror(rc));
		goto err_close;
	}
	loan->run = area;
	*out = loan;
	return 0;

err_close:
	/* KVM remembers the id: only a new VM can have it again. */
	kvm->ops->close(kvm->opaque, loan->fd);
err_free:
	free(loan);
	return rc;
}

int
vcore__vm_loan(struct vcore_vm *vm, uint32_t id, struct vcore__loan **out)
{
	struct vcore__loan *loan;
	int rc = 0;

	pthread_mutex_lock(&vm->lock);
	loan = find(vm, id);
	if (loan && loan->out) {
		rc = vcore__err(vm->log, -EEXIST,
				"vcore_vcpu_new: vCPU %u exists", id);
	} else if (!loan) {
		rc = make(vm, id, &loan);
		if (rc == 0) {
			loan->next = vm->loans;
			vm->loans = loan;
		}
	}
	if (rc == 0) {
		loan->out = true;
		*out = loan;
	}
	pthread_mutex_unlock(&vm->lock);
	return rc;
}

void
vcore__vm_return(struct vcore_vm *vm, struct vcore__loan *loan)
{
	pthread_mutex_lock(&vm->lock);
	loan->out = false;
	pthread_mutex_unlock(&vm->lock);
}

void
vcore__vm_loans_fini(struct vcore_vm *vm)
{
	const struct vcore__kvm *kvm = &vm->host->kvm;
	struct vcore__loan *loan;

	while ((loan = vm->loans)) {
		vm->loans = loan->next;
		if (loan->keep_free)
			loan->keep_free(loan->keep);
		kvm->ops->munmap(kvm->opaque, loan->run, vm->host->run_len);
		kvm->ops->close(kvm->opaque, loan->fd);
		free(loan);
	}
}
