/* SPDX-License-Identifier: BSD-3-Clause */
/* x86: the memory map, and which loader an image needs. */
#include "boot/arch/x86_64/x86.h"

#include "base/base.h"

#define FAIL VCORE__BOOT_ERR

int
vcore__arch_map(struct vcore__boot *b)
{
	return vcore__extents_set(&b->map, X86_EBDA, X86_HIGH,
				  VCORE_BOOT_RANGE_RESERVED);
}

int
vcore__arch_keep_out(struct vcore__boot *b)
{
	if (!vcore__extents_holds(&b->map, 0, X86_LOW_END,
				  VCORE_BOOT_RANGE_RAM))
		return FAIL(-ENOSPC,
			    "[0, %#x) is not all RAM: boot data stand there",
			    X86_LOW_END);
	return vcore__extents_set(&b->free, 0, X86_HIGH, 0);
}

int
vcore__boot_put(struct vcore__boot *b, uint64_t gpa, const void *buf,
		uint64_t len)
{
	if (vcore_memory_write(b->memory, gpa, buf, len) < 0)
		return FAIL(-ENOSPC, "boot data: %s", vcore_error_text());
	return 0;
}

int
vcore__cmdline_write(struct vcore__boot *b)
{
	int rc;

	rc = vcore__boot_cmdline(b, X86_CMDLINE_MAX);
	if (rc < 0)
		return rc;
	return vcore__boot_put(b, X86_CMDLINE, b->cmdline, b->cmdline_len + 1);
}

static int
load_linux_elf(struct vcore__boot *b, const struct vcore__elf *elf)
{
	int rc;

	if (!elf->wide)
		return FAIL(-ENOEXEC, "%s: 32-bit ELF without a PVH note",
			    b->kernel.name);
	rc = vcore__boot_cmdline(b, X86_LINUX_CMDLINE_MAX);
	if (rc == 0 && elf->entry >= X86_4G)
		rc = FAIL(-ENOEXEC, "%s: entry %#llx is not below 4 GiB",
			  b->kernel.name, VCORE__ULL(elf->entry));
	if (rc == 0)
		rc = vcore__elf_load(b, elf, elf->entry);
	if (rc == 0)
		rc = vcore__boot_initrd(b, X86_4G);
	if (rc == 0)
		rc = vcore__params_write(b, NULL);
	if (rc == 0)
		rc = vcore__entry_long(b, elf->entry);
	b->info.kind = VCORE_BOOT_ELF;
	return rc;
}

static int
load_pvh(struct vcore__boot *b, const struct vcore__elf *elf)
{
	int rc;

	if (!elf->pvh_entry)
		return FAIL(-ENOEXEC, "%s: no PVH note", b->kernel.name);
	rc = vcore__boot_cmdline(b, X86_CMDLINE_MAX);
	if (rc == 0)
		rc = vcore__elf_load(b, elf, elf->pvh_entry);
	if (rc == 0)
		rc = vcore__boot_initrd(b, X86_4G);
	if (rc == 0)
		rc = vcore__pvh_write(b);
	if (rc == 0)
		rc = vcore__entry_protected(b, elf->pvh_entry);
	b->info.kind = VCORE_BOOT_PVH;
	return rc;
}

static int
load_elf(struct vcore__boot *b)
{
	struct vcore__elf elf;
	int rc;

	rc = vcore__elf_read(b, &elf);
	if (rc < 0)
		return rc;
	if (b->opts.kind == VCORE_BOOT_PVH ||
	    (b->opts.kind == VCORE_BOOT_AUTO && elf.pvh_entry))
		return load_pvh(b, &elf);
	return load_linux_elf(b, &elf);
}

int
vcore__arch_load(struct vcore__boot *b)
{
	uint32_t kind = b->opts.kind;
	char magic[4] = { 0 };
	int rc;

	if (b->kernel.len < sizeof(magic))
		return FAIL(-ENOEXEC, "%s: %llu bytes are no kernel",
			    b->kernel.name, VCORE__ULL(b->kernel.len));
	rc = vcore__image_read(&b->kernel, 0, magic, sizeof(magic));
	if (rc < 0)
		return rc;
	if (memcmp(magic, VCORE__ELF_MAGIC, sizeof(magic)) == 0)
		return kind == VCORE_BOOT_BZIMAGE ?
			FAIL(-ENOEXEC, "%s: is ELF, not a bzImage",
			     b->kernel.name) : load_elf(b);
	rc = vcore__bzimage_probe(b);
	if (rc < 0)
		return rc;
	if (!rc || kind == VCORE_BOOT_ELF || kind == VCORE_BOOT_PVH)
		return FAIL(-ENOEXEC, "%s: is %s", b->kernel.name, rc ?
			    "a bzImage, not ELF" : "neither bzImage nor ELF");
	return vcore__bzimage_load(b);
}
