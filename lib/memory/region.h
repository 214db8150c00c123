/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a region: what the files of this layer share. */
#ifndef VCORE_LIB_MEMORY_REGION_H
#define VCORE_LIB_MEMORY_REGION_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <vcore/memory.h>

#include "memory/access.h"

/* Constant after vcore_region_new(), except refs and failed. */
struct vcore_region {
	_Atomic uint64_t refs;
	_Atomic uint32_t failed;	/* pages were lost: recover.c */
	uint32_t backing;		/* never AUTO */
	uint32_t flags;
	int32_t fd;			/* own duplicate, or -1 */
	uint64_t fd_offset;
	uint64_t len;
	uint64_t page_size;
	VCORE__GUEST_PTR *hva;
	char *guard;			/* what to unmap; NULL: caller's */
	size_t guard_len;
	void (*release)(void *opaque);
	void *opaque;
};

/* Size of an ordinary page of this host. */
uint64_t vcore__page_size(void);

#endif
