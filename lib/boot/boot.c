/* SPDX-License-Identifier: BSD-3-Clause */
/* Boot: check the options, lay out memory, hand over to the loader. */
#include "boot/boot.h"

#include <stdlib.h>

#include "base/base.h"

#define BOOT_FLAGS (VCORE_BOOT_KERNEL_FD | VCORE_BOOT_INITRD_FD)
#define BOOT_INFO_V1 VCORE__SIZE_TO(struct vcore_boot_info, initrd_len)
#define MAX_RANGES 128u
#define FAIL VCORE__BOOT_ERR

static int
check_opts(const struct vcore_boot_opts *o)
{
	int kernels, initrds;

	if (o->flags & ~BOOT_FLAGS)
		return FAIL(-E2BIG, "flags %#x are unknown",
			    o->flags & ~BOOT_FLAGS);
	/* With a descriptor a path is but its name. */
	kernels = (o->kernel || (o->flags & VCORE_BOOT_KERNEL_FD)) +
		  !!o->kernel_data;
	initrds = (o->initrd || (o->flags & VCORE_BOOT_INITRD_FD)) +
		  !!o->initrd_data;
	if (kernels != 1 || initrds > 1)
		return FAIL(-EINVAL, "%d kernels and %d initrds are given",
			    kernels, initrds);
	if ((o->flags & VCORE_BOOT_KERNEL_FD && o->kernel_fd < 0) ||
	    (o->flags & VCORE_BOOT_INITRD_FD && o->initrd_fd < 0))
		return FAIL(-EBADF, "kernel_fd %d or initrd_fd %d is negative",
			    o->kernel_fd, o->initrd_fd);
	if ((o->kernel_len && !o->kernel_data) ||
	    (o->initrd_len && !o->initrd_data))
		return FAIL(-EINVAL, "a length is given without data");
	if (o->kind > VCORE_BOOT_PVH)
		return FAIL(-EINVAL, "kind %u is unknown", o->kind);
	if (o->range_count && !o->ranges)
		return FAIL(-EINVAL, "%u ranges at NULL", o->range_count);
	if (o->range_count > MAX_RANGES)
		return FAIL(-ENOSPC, "%u ranges, more than %u", o->range_count,
			    MAX_RANGES);
	return 0;
}

/* The caller's ranges replace what is there. */
static int
add_range(struct vcore__boot *b, const struct vcore_boot_range *range)
{
	struct vcore_boot_range r = *range;
	uint64_t end;

	if (r.len == 0 || vcore__add_overflow(r.gpa, r.len, &end))
		return FAIL(-EINVAL, "range [%#llx, + %#llx) is empty or wraps",
			    VCORE__ULL(r.gpa), VCORE__ULL(r.len));
	if (r.reserved0)
		return FAIL(-E2BIG, "reserved0 of range %#llx is set",
			    VCORE__ULL(r.gpa));
	switch (r.kind) {
	case VCORE_BOOT_RANGE_RESERVED:
	case VCORE_BOOT_RANGE_ACPI:
	case VCORE_BOOT_RANGE_NVS:
	case VCORE_BOOT_RANGE_PMEM:
		return vcore__extents_set(&b->map, r.gpa, end, r.kind);
	default:
		return FAIL(-EINVAL, "range %#llx has the unknown kind %u",
			    VCORE__ULL(r.gpa), r.kind);
	}
}

static int
lay_out(struct vcore__boot *b)
{
	uint64_t gpa, len;
	uint32_t i, flags;
	int rc = 0;

	for (i = 0; rc == 0 && vcore_memory_get_range(b->memory, i, &gpa, &len,
						      &flags) == 0; i++)
		rc = vcore__extents_set(&b->map, gpa, gpa + len,
					flags & VCORE_MEMORY_READONLY ?
					VCORE_BOOT_RANGE_RESERVED :
					VCORE_BOOT_RANGE_RAM);
	if (rc == 0)
		rc = vcore__arch_map(b);
	for (i = 0; rc == 0 && i < b->opts.range_count; i++)
		rc = add_range(b, &b->opts.ranges[i]);
	if (rc == 0 && b->map.count > MAX_RANGES)
		rc = FAIL(-ENOSPC, "memory has %u ranges, more than %u",
			  b->map.count, MAX_RANGES);
	if (rc == 0)
		rc = vcore__extents_only(&b->map, VCORE_BOOT_RANGE_RAM,
					 &b->free);
	return rc < 0 ? rc : vcore__arch_keep_out(b);
}

int
vcore__boot_take(struct vcore__boot *b, const char *what, uint64_t start,
		 uint64_t len)
{
	if (len == 0)
		return 0;
	if (!vcore__extents_holds(&b->free, start, len, VCORE_BOOT_RANGE_RAM))
		return FAIL(-ENOSPC, "%s: %s [%#llx, + %#llx) is not in free RAM",
			    b->kernel.name, what, VCORE__ULL(start),
			    VCORE__ULL(len));
	return vcore__extents_set(&b->free, start, start + len, 0);
}

int
vcore__boot_initrd(struct vcore__boot *b, uint64_t limit)
{
	uint64_t gpa, len = b->initrd.len;
	int rc;

	if (len == 0)
		return 0;
	if (!vcore__extents_highest(&b->free, 0, limit, len, 4096, &gpa))
		return FAIL(-ENOSPC,
			    "%s: no free RAM for its %#llx bytes below %#llx",
			    b->initrd.name, VCORE__ULL(len), VCORE__ULL(limit));
	rc = vcore__boot_take(b, "initrd", gpa, len);
	if (rc == 0)
		rc = vcore__image_load(&b->initrd, 0, b->memory, gpa, len);
	if (rc < 0)
		return rc;
	b->info.initrd_gpa = gpa;
	b->info.initrd_len = len;
	return 0;
}

int
vcore__boot_cmdline(const struct vcore__boot *b, uint64_t max)
{
	if (b->cmdline_len <= max)
		return 0;
	return FAIL(-EINVAL, "the command line has %llu bytes, %s takes %llu",
		    VCORE__ULL(b->cmdline_len), b->kernel.name,
		    VCORE__ULL(max));
}

static int
open_images(struct vcore__boot *b)
{
	const struct vcore_boot_opts *o = &b->opts;
	int kernel = o->flags & VCORE_BOOT_KERNEL_FD ? o->kernel_fd : -1;
	int initrd = o->flags & VCORE_BOOT_INITRD_FD ? o->initrd_fd : -1;
	bool fd = o->flags & VCORE_BOOT_INITRD_FD;
	int rc;

	rc = vcore__image_open(&b->kernel, "kernel", o->kernel, kernel,
			       o->kernel_data, o->kernel_len);
	if (rc == 0 && (fd || o->initrd || o->initrd_data))
		rc = vcore__image_open(&b->initrd, "initrd", o->initrd, initrd,
				       o->initrd_data, o->initrd_len);
	return rc;
}

static int
boot(struct vcore__boot *b)
{
	int rc;

	b->cmdline = b->opts.cmdline ? b->opts.cmdline : "";
	b->cmdline_len = strlen(b->cmdline);
	rc = lay_out(b);
	if (rc == 0)
		rc = open_images(b);
	if (rc == 0)
		rc = vcore__arch_load(b);
	vcore__image_close(&b->kernel);
	vcore__image_close(&b->initrd);
	vcore__extents_fini(&b->map);
	vcore__extents_fini(&b->free);
	return rc;
}

int
vcore_boot_linux(struct vcore_memory *memory,
		 const struct vcore_boot_opts *opts,
		 struct vcore_boot_info *info)
{
	struct vcore__boot b;
	int rc;

	memset(&b, 0, sizeof(b));
	if (!memory || !info)
		return FAIL(-EINVAL, "memory %p or info %p is NULL",
			    (void *)memory, (void *)info);
	if (info->size < BOOT_INFO_V1 || info->size > VCORE__SIZE_LIMIT)
		return FAIL(-EINVAL, "info has size %u, see VCORE_INIT()",
			    info->size);
	rc = VCORE__SIZED("vcore_boot_linux: opts", &b.opts, kind, opts);
	if (rc == 0)
		rc = check_opts(&b.opts);
	if (rc < 0)
		return rc;
	b.memory = memory;
	b.info.size = (uint32_t)sizeof(b.info);
	rc = boot(&b);
	if (rc < 0)
		return rc;
	return vcore__sized_return(info, BOOT_INFO_V1, &b.info, sizeof(b.info));
}
