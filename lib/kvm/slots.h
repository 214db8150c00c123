/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM memory slots: a listener of the map. */
#ifndef VCORE_LIB_KVM_SLOTS_H
#define VCORE_LIB_KVM_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/vmfd.h"
#include "memory/memory.h"

struct vcore__slot {
	uint64_t gpa;
	uint64_t len;
	uint32_t id;
	uint32_t flags;		/* KVM_MEM_* */
};

/* Fields after max are changed under the map's lock only. */
struct vcore__slots {
	struct vcore__map_listener listener;
	struct vcore__vmfd *vmfd;	/* the VM's */
	struct vcore_log *log;		/* the VM's */
	uint32_t max;			/* ids are below it */
	bool closed;			/* the VM is gone: no ioctls any more */
	struct vcore__slot *slot;	/* in GPA order */
	uint32_t cap;
	_Atomic uint32_t count;
	uint64_t *used;			/* bitmap of ids */
	uint32_t words;
};

/* Reports what is mapped already. */
int
vcore__slots_init(struct vcore__slots *s, struct vcore__vmfd *vmfd,
		  struct vcore_memory *memory, struct vcore_log *log);

void
vcore__slots_fini(struct vcore__slots *s, struct vcore_memory *memory);

#endif
