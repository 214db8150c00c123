/* SPDX-License-Identifier: BSD-3-Clause */
/* ELF kernels: headers, notes, segments; every number in them is hostile. */
#include "boot/boot.h"

#include <elf.h>
#include <stdlib.h>

#include "base/base.h"

/* xen/include/public/elfnote.h */
#define XEN_ELFNOTE_PHYS32_ENTRY 18u

#define MAX_NOTES (64u << 10)
#define FAIL VCORE__BOOT_ERR

/* The fields of a header that both widths have. */
#define CHECK_HEADER(b, h, machine, phdr)                                    \
	((h).e_machine == (machine) &&                                       \
	 ((h).e_type == ET_EXEC || (h).e_type == ET_DYN) &&                  \
	 (h).e_phentsize == sizeof(phdr) &&                                  \
	 (h).e_phnum <= VCORE__ELF_SEGMENTS &&                               \
	 vcore__range_fits((h).e_phoff, (h).e_phnum * sizeof(phdr),          \
			   (b)->kernel.len))

static int
read_header(const struct vcore__boot *b, struct vcore__elf *elf)
{
	uint8_t ident[EI_NIDENT];
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;
	bool good;
	int rc;

	rc = vcore__image_read(&b->kernel, 0, ident, sizeof(ident));
	if (rc < 0)
		return rc;
	elf->wide = ident[EI_CLASS] == ELFCLASS64;
	if (elf->wide) {
		rc = vcore__image_read(&b->kernel, 0, &wide, sizeof(wide));
		if (rc < 0)
			return rc;
		good = CHECK_HEADER(b, wide, EM_X86_64, Elf64_Phdr);
		elf->entry = wide.e_entry;
		elf->phoff = wide.e_phoff;
		elf->phnum = wide.e_phnum;
	} else {
		rc = vcore__image_read(&b->kernel, 0, &narrow, sizeof(narrow));
		if (rc < 0)
			return rc;
		good = CHECK_HEADER(b, narrow, EM_386, Elf32_Phdr);
		elf->entry = narrow.e_entry;
		elf->phoff = narrow.e_phoff;
		elf->phnum = narrow.e_phnum;
	}
	if (memcmp(ident, ELFMAG, SELFMAG) != 0 || !good ||
	    (!elf->wide && ident[EI_CLASS] != ELFCLASS32) ||
	    ident[EI_DATA] != ELFDATA2LSB)
		return FAIL(-ENOEXEC,
			    "%s: no x86 ELF executable, or its %u program headers at %#llx are not all in the file's %#llx bytes",
			    b->kernel.name, elf->phnum, VCORE__ULL(elf->phoff),
			    VCORE__ULL(b->kernel.len));
	return 0;
}

static int
read_segment(const struct vcore__boot *b, struct vcore__elf *elf, uint32_t i)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;
	int rc;

	if (elf->wide) {
		rc = vcore__image_read(&b->kernel, elf->phoff +
				       i * sizeof(wide), &wide, sizeof(wide));
		if (rc < 0)
			return rc;
		elf->segment[i] = (struct vcore__segment){
			wide.p_offset, wide.p_paddr, wide.p_filesz,
			wide.p_memsz, wide.p_type, 0,
		};
		return 0;
	}
	rc = vcore__image_read(&b->kernel, elf->phoff + i * sizeof(narrow),
			       &narrow, sizeof(narrow));
	if (rc < 0)
		return rc;
	elf->segment[i] = (struct vcore__segment){
		narrow.p_offset, narrow.p_paddr, narrow.p_filesz,
		narrow.p_memsz, narrow.p_type, 0,
	};
	return 0;
}

/* One note: 1 if it was the PVH entry, 0 if another one; *off moves on. */
static int
read_note(const struct vcore__boot *b, uint64_t *off, uint64_t end,
	  struct vcore__elf *elf)
{
	uint64_t name, desc, value = 0;
	Elf64_Nhdr n;
	char xen[4];
	int rc;

	rc = vcore__image_read(&b->kernel, *off, &n, sizeof(n));
	if (rc < 0)
		return rc;
	name = *off + sizeof(n);
	desc = name + ((n.n_namesz + 3ull) & ~3ull);
	*off = desc + ((n.n_descsz + 3ull) & ~3ull);
	if (desc > end || n.n_descsz > end - desc)
		return FAIL(-ENOEXEC,
			    "%s: a note at %#llx of %u + %u bytes passes its segment's end at %#llx",
			    b->kernel.name, VCORE__ULL(name), n.n_namesz,
			    n.n_descsz, VCORE__ULL(end));
	if (n.n_type != XEN_ELFNOTE_PHYS32_ENTRY || n.n_namesz != sizeof(xen) ||
	    (n.n_descsz != 4 && n.n_descsz != 8))
		return 0;
	rc = vcore__image_read(&b->kernel, name, xen, sizeof(xen));
	if (rc == 0)
		rc = vcore__image_read(&b->kernel, desc, &value, n.n_descsz);
	if (rc < 0 || memcmp(xen, "Xen", sizeof(xen)) != 0)
		return rc;
	if (value == 0 || value > UINT32_MAX)
		return FAIL(-ENOEXEC, "%s: PVH entry %#llx is no 32-bit address",
			    b->kernel.name, VCORE__ULL(value));
	elf->pvh_entry = value;
	return 1;
}

static int
read_notes(const struct vcore__boot *b, const struct vcore__segment *s,
	   struct vcore__elf *elf)
{
	uint64_t off = s->offset, end;
	int rc = 0;

	if (s->filesz > MAX_NOTES ||
	    !vcore__range_fits(s->offset, s->filesz, b->kernel.len))
		return FAIL(-ENOEXEC,
			    "%s: notes [%#llx, + %#llx) are too large or outside of its %#llx bytes",
			    b->kernel.name, VCORE__ULL(s->offset),
			    VCORE__ULL(s->filesz), VCORE__ULL(b->kernel.len));
	end = s->offset + s->filesz;
	while (rc == 0 && off < end && end - off >= sizeof(Elf64_Nhdr))
		rc = read_note(b, &off, end, elf);
	return rc < 0 ? rc : 0;
}

int
vcore__elf_read(const struct vcore__boot *b, struct vcore__elf *elf)
{
	uint32_t i;
	int rc;

	memset(elf, 0, sizeof(*elf));
	rc = read_header(b, elf);
	for (i = 0; rc == 0 && i < elf->phnum; i++)
		rc = read_segment(b, elf, i);
	for (i = 0; rc == 0 && i < elf->phnum && !elf->pvh_entry; i++)
		if (elf->segment[i].type == PT_NOTE)
			rc = read_notes(b, &elf->segment[i], elf);
	return rc;
}

/* In the file, in free RAM, and overlapping no other. */
static int
take_segment(struct vcore__boot *b, const struct vcore__segment *s)
{
	if (s->filesz > s->memsz ||
	    !vcore__range_fits(s->offset, s->filesz, b->kernel.len))
		return FAIL(-ENOEXEC,
			    "%s: segment of %#llx bytes at %#llx has %#llx in memory, or is outside of the file's %#llx",
			    b->kernel.name, VCORE__ULL(s->filesz),
			    VCORE__ULL(s->offset), VCORE__ULL(s->memsz),
			    VCORE__ULL(b->kernel.len));
	return vcore__boot_take(b, "segment", s->paddr, s->memsz);
}

static int
load_segment(struct vcore__boot *b, const struct vcore__segment *s)
{
	int rc;

	rc = vcore__image_load(&b->kernel, s->offset, b->memory, s->paddr,
			       s->filesz);
	/* A second boot finds the first one's data there. */
	if (rc == 0 && vcore_memory_fill(b->memory, s->paddr + s->filesz, 0,
					 s->memsz - s->filesz) < 0)
		rc = FAIL(-ENOSPC, "%s: %s", b->kernel.name,
			  vcore_error_text());
	return rc;
}

int
vcore__elf_load(struct vcore__boot *b, const struct vcore__elf *elf,
		uint64_t entry)
{
	uint64_t low = UINT64_MAX, high = 0;
	const struct vcore__segment *s;
	bool entered = false;
	uint32_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < elf->phnum; i++) {
		s = &elf->segment[i];
		if (s->type != PT_LOAD || s->memsz == 0)
			continue;
		rc = take_segment(b, s);
		if (rc < 0)
			return rc;
		if (s->paddr < low)
			low = s->paddr;
		if (s->paddr + s->memsz > high)
			high = s->paddr + s->memsz;
		entered |= entry >= s->paddr && entry - s->paddr < s->memsz;
	}
	if (!entered)
		return FAIL(-ENOEXEC, "%s: entry %#llx is in none of its segments",
			    b->kernel.name, VCORE__ULL(entry));
	for (i = 0; rc == 0 && i < elf->phnum; i++) {
		s = &elf->segment[i];
		if (s->type == PT_LOAD && s->memsz)
			rc = load_segment(b, s);
	}
	b->info.kernel_gpa = low;
	b->info.kernel_len = high - low;
	return rc;
}
