/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bzImage by its 64-bit entry. Linux Documentation/arch/x86/boot.rst: "The
 * Real-Mode Kernel Header" and "64-bit Boot Protocol".
 */
#include "boot/arch/x86_64/x86.h"

#include "base/base.h"

#define FAIL VCORE__BOOT_ERR

/* Offsets in the file, which are those in the zero page. */
#define SETUP_SECTS	0x1f1
#define SYSSIZE		0x1f4
#define BOOT_FLAG	0x1fe
#define JUMP_LEN	0x201	/* the header ends at 0x202 + this */
#define MAGIC		0x202
#define VERSION		0x206
#define LOADFLAGS	0x211
#define CODE32_START	0x214
#define INITRD_MAX	0x22c
#define ALIGNMENT	0x230
#define RELOCATABLE	0x234
#define XLOADFLAGS	0x236
#define CMDLINE_SIZE	0x238
#define PAYLOAD_OFFSET	0x248
#define PAYLOAD_LENGTH	0x24c
#define PREF_ADDRESS	0x258
#define INIT_SIZE	0x260
#define HEADER_MIN_END	0x264	/* with init_size: protocol 2.10 */

#define PROTOCOL_MIN	0x020c
#define LOADED_HIGH	0x01u
#define XLF_KERNEL_64	0x01u
#define SECTOR		512u
#define ENTRY_64	0x200u

/* What is used of a header, checked. */
struct bzimage {
	uint8_t header[X86_SETUP_MAX];	/* the file's beginning */
	uint64_t offset, len;		/* the protected-mode part */
	uint64_t align, preferred, need, initrd_end;
	uint32_t cmdline_max;
	bool relocatable;
};

int
vcore__bzimage_probe(const struct vcore__boot *b)
{
	uint8_t p[8];
	int rc;

	if (b->kernel.len < MAGIC + 4)
		return 0;
	rc = vcore__image_read(&b->kernel, BOOT_FLAG, p, sizeof(p));
	if (rc < 0)
		return rc;
	return x86_get(p, 2) == 0xaa55 && memcmp(p + 4, "HdrS", 4) == 0;
}

static int
read_header(const struct vcore__boot *b, struct bzimage *z)
{
	uint8_t *h = z->header;
	uint64_t version, end;
	int rc;

	rc = vcore__image_read(&b->kernel, 0, h, sizeof(z->header));
	if (rc < 0)
		return rc;
	version = x86_get(h + VERSION, 2);
	end = MAGIC + (uint64_t)h[JUMP_LEN];
	if (version < PROTOCOL_MIN || end < HEADER_MIN_END)
		return FAIL(-ENOEXEC,
			    "%s: boot protocol %#llx, header end %#llx; %#x and %#x are needed",
			    b->kernel.name, VCORE__ULL(version),
			    VCORE__ULL(end), PROTOCOL_MIN, HEADER_MIN_END);
	if (!(h[LOADFLAGS] & LOADED_HIGH) ||
	    !(x86_get(h + XLOADFLAGS, 2) & XLF_KERNEL_64))
		return FAIL(-ENOEXEC,
			    "%s: no 64-bit entry: loadflags %#x, xloadflags %#llx",
			    b->kernel.name, h[LOADFLAGS],
			    VCORE__ULL(x86_get(h + XLOADFLAGS, 2)));
	/* Later protocols may have more than there is room for. */
	if (end < X86_SETUP_MAX)
		memset(h + end, 0, X86_SETUP_MAX - end);
	return 0;
}

/* Where in the file the protected-mode part is. */
static int
check_payload(const struct vcore__boot *b, struct bzimage *z)
{
	const uint8_t *h = z->header;
	uint64_t sects, size, payload, left;

	sects = h[SETUP_SECTS] ? h[SETUP_SECTS] : 4;
	size = x86_get(h + SYSSIZE, 4) * 16;
	z->offset = (sects + 1) * SECTOR;
	left = z->offset < b->kernel.len ? b->kernel.len - z->offset : 0;
	/* syssize counts paragraphs: the last may not be a whole one. */
	z->len = size < left ? size : left;
	payload = x86_get(h + PAYLOAD_OFFSET, 4) +
		  x86_get(h + PAYLOAD_LENGTH, 4);
	if (size > left + 15 || z->len <= ENTRY_64 || payload > z->len)
		return FAIL(-ENOEXEC,
			    "%s: %llu + 1 setup sectors, syssize %#llx and payload end %#llx do not go with %#llx bytes",
			    b->kernel.name, VCORE__ULL(sects),
			    VCORE__ULL(size / 16), VCORE__ULL(payload),
			    VCORE__ULL(b->kernel.len));
	return 0;
}

static int
check_place(const struct vcore__boot *b, struct bzimage *z)
{
	const uint8_t *h = z->header;

	z->relocatable = h[RELOCATABLE];
	z->align = x86_get(h + ALIGNMENT, 4);
	z->preferred = x86_get(h + PREF_ADDRESS, 8);
	z->need = x86_get(h + INIT_SIZE, 4);
	z->initrd_end = x86_get(h + INITRD_MAX, 4) + 1;
	z->cmdline_max = (uint32_t)x86_get(h + CMDLINE_SIZE, 4);
	if (z->cmdline_max > X86_CMDLINE_MAX)
		z->cmdline_max = X86_CMDLINE_MAX;
	if (z->need < z->len)
		z->need = z->len;
	if (z->align < 4096 || z->align & (z->align - 1) ||
	    z->preferred & 4095)
		return FAIL(-ENOEXEC,
			    "%s: alignment %#llx, preferred address %#llx",
			    b->kernel.name, VCORE__ULL(z->align),
			    VCORE__ULL(z->preferred));
	return 0;
}

/* Where it wants to be, or the lowest other place if it can be moved. */
static int
place(struct vcore__boot *b, struct bzimage *z, uint64_t *gpa)
{
	*gpa = z->preferred;
	if (vcore__range_fits(*gpa, z->need, X86_4G) &&
	    vcore__extents_holds(&b->free, *gpa, z->need, VCORE_BOOT_RANGE_RAM))
		return vcore__boot_take(b, "kernel", *gpa, z->need);
	if (!z->relocatable ||
	    !vcore__extents_lowest(&b->free, X86_HIGH, X86_4G, z->need,
				   z->align, gpa))
		return FAIL(-ENOSPC,
			    "%s: needs %#llx bytes of free RAM at %#llx%s",
			    b->kernel.name, VCORE__ULL(z->need),
			    VCORE__ULL(z->preferred), z->relocatable ?
			    " or elsewhere below 4 GiB" : "");
	return vcore__boot_take(b, "kernel", *gpa, z->need);
}

int
vcore__bzimage_load(struct vcore__boot *b)
{
	uint64_t gpa = 0;
	struct bzimage z;
	int rc;

	memset(&z, 0, sizeof(z));
	rc = read_header(b, &z);
	if (rc == 0)
		rc = check_payload(b, &z);
	if (rc == 0)
		rc = check_place(b, &z);
	if (rc == 0)
		rc = vcore__boot_cmdline(b, z.cmdline_max);
	if (rc == 0)
		rc = place(b, &z, &gpa);
	if (rc == 0)
		rc = vcore__image_load(&b->kernel, z.offset, b->memory, gpa,
				       z.len);
	if (rc == 0)
		rc = vcore__boot_initrd(b, z.initrd_end);
	if (rc < 0)
		return rc;
	x86_put(z.header + CODE32_START, 4, gpa);
	b->info.kind = VCORE_BOOT_BZIMAGE;
	b->info.kernel_gpa = gpa;
	b->info.kernel_len = z.need;
	rc = vcore__params_write(b, z.header);
	return rc < 0 ? rc : vcore__entry_long(b, gpa + ENTRY_64);
}
