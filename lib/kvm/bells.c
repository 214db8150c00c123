/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells moved into the kernel: KVM_IOEVENTFD. A listener of a bus. */
#include <stdlib.h>

#include "base/base.h"
#include "kvm/compat.h"
#include "kvm/vm.h"

static int
ioeventfd(struct vcore__bells *b, const struct vcore__bell *bell,
	  uint32_t flags)
{
	struct kvm_ioeventfd arg = {
		.addr = bell->addr,
		.len = bell->len,
		.fd = bell->efd,
		.flags = flags,
	};

	if (bell->kind == VCORE_BUS_PIO)
		arg.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (bell->flags & VCORE_DOORBELL_MATCH) {
		arg.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		arg.datamatch = bell->value;
	}
	return vcore__vm_ioctl(b->vm, KVM_IOEVENTFD, &arg);
}

/* Without KVM_CAP_IOEVENTFD_ANY_LENGTH a length of 0 is refused by KVM. */
static int
bell_add(void *opaque, const struct vcore__bell *bell)
{
	struct vcore__bells *b = opaque;
	const struct vcore__bell **more;
	uint32_t n = atomic_load(&b->refusals);
	int rc;

	/* Room to remember a refusal first, so that the count stays right. */
	if (n == b->refused_cap) {
		more = realloc(b->refused, (n + 8) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		b->refused = more;
		b->refused_cap = n + 8;
	}
	rc = ioeventfd(b, bell, 0);
	if (rc >= 0) {
		atomic_fetch_add(&b->count, 1);
		return 0;
	}
	b->refused[n] = bell;
	atomic_store(&b->refusals, n + 1);
	vcore__log(b->vm->log, VCORE_LOG_INFO,
		   "doorbell at %#llx is served by exits: KVM_IOEVENTFD: %s",
		   (unsigned long long)bell->addr, vcore__strerror(rc));
	return rc;
}

static bool
forget_refused(struct vcore__bells *b, const struct vcore__bell *bell)
{
	uint32_t i, n = atomic_load(&b->refusals);

	for (i = 0; i < n; i++) {
		if (b->refused[i] != bell)
			continue;
		b->refused[i] = b->refused[n - 1];
		atomic_store(&b->refusals, n - 1);
		return true;
	}
	return false;
}

static void
bell_del(void *opaque, const struct vcore__bell *bell)
{
	struct vcore__bells *b = opaque;

	if (forget_refused(b, bell))
		return;
	if (!b->vm->slots.closed)
		(void)ioeventfd(b, bell, KVM_IOEVENTFD_FLAG_DEASSIGN);
	atomic_fetch_sub(&b->count, 1);
}

int
vcore__bells_init(struct vcore__bells *b, struct vcore_vm *vm,
		  struct vcore_bus *bus)
{
	int rc;

	b->vm = vm;
	if (!bus)
		return 0;
	b->listener.bell_add = bell_add;
	b->listener.bell_del = bell_del;
	b->listener.opaque = b;
	rc = vcore__bus_listen(bus, &b->listener);
	if (rc == 0)
		b->bus = vcore_bus_ref(bus);
	return rc;
}

void
vcore__bells_fini(struct vcore__bells *b)
{
	if (!b->bus)
		return;
	vcore__bus_unlisten(b->bus, &b->listener);
	vcore_bus_unref(b->bus);
	free(b->refused);
}
