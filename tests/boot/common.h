/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of boot share: guest memory, and images made by hand. */
#ifndef VCORE_TESTS_BOOT_COMMON_H
#define VCORE_TESTS_BOOT_COMMON_H

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vcore/boot.h>

#include "support/support.h"

#define MIB (1ull << 20)
#define PAGE 4096ull

static struct vcore_memory *memory;
static struct vcore_boot_opts opts;
static struct vcore_boot_info info;

static inline void
add_ram(uint64_t gpa, uint64_t len, uint32_t flags)
{
	struct vcore_region_opts ropts;
	struct vcore_region *region;

	VCORE_INIT(&ropts);
	ropts.len = len;
	ck_assert_ok(vcore_region_new(&ropts, &region));
	ck_assert_ok(vcore_memory_add(memory, gpa, region, flags));
	vcore_region_unref(region);
}

static inline void
boot_setup(void)
{
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	VCORE_INIT(&opts);
	VCORE_INIT(&info);
}

/* 64 MiB at 0 */
static inline void
boot_setup_ram(void)
{
	boot_setup();
	add_ram(0, 64 * MIB, 0);
}

static inline void
boot_teardown(void)
{
	vcore_memory_unref(memory);
}

/* Boot an image from memory; a wrong one must leave info alone. */
static inline int
boot_bytes(const void *image, uint64_t len)
{
	struct vcore_boot_info before = info;
	int rc;

	opts.kernel_data = image;
	opts.kernel_len = len;
	rc = vcore_boot_linux(memory, &opts, &info);
	if (rc < 0)
		ck_assert_mem_eq(&before, &info, sizeof(info));
	return rc;
}

static inline uint64_t
get(uint64_t gpa, uint32_t bytes)
{
	uint64_t value = 0;

	ck_assert_ok(vcore_memory_read(memory, gpa, &value, bytes));
	return value;
}

static inline void
put(void *at, uint32_t bytes, uint64_t value)
{
	memcpy(at, &value, bytes);
}

/* Is every byte of the range this one? */
static inline bool
all_are(uint64_t gpa, uint64_t len, uint8_t byte)
{
	uint8_t *buf = malloc(len);
	uint64_t i;
	bool same;

	ck_assert_ptr_nonnull(buf);
	ck_assert_ok(vcore_memory_read(memory, gpa, buf, len));
	for (i = 0; i < len && buf[i] == byte; i++)
		;
	same = i == len;
	free(buf);
	return same;
}

/* A bzImage: 2 setup sectors, 8 KiB of 0x5a, wants 1 MiB at 16 MiB. */
#define BZ_SETUP 2u
#define BZ_OFFSET ((BZ_SETUP + 1) * 512u)
#define BZ_BODY 8192u
#define BZ_LEN (BZ_OFFSET + BZ_BODY)

static uint8_t bz[BZ_LEN];

static inline void
make_bzimage(void)
{
	memset(bz, 0x11, BZ_OFFSET);
	memset(bz + BZ_OFFSET, 0x5a, BZ_BODY);
	bz[0x1f1] = BZ_SETUP;
	put(bz + 0x1f4, 4, BZ_BODY / 16);	/* syssize */
	put(bz + 0x1fe, 2, 0xaa55);
	put(bz + 0x200, 2, 0x6aeb);		/* jmp: ends at 0x26c */
	memcpy(bz + 0x202, "HdrS", 4);
	put(bz + 0x206, 2, 0x020f);
	put(bz + 0x211, 1, 1);			/* loadflags */
	put(bz + 0x214, 4, 0x100000);		/* code32_start */
	put(bz + 0x22c, 4, 0x7fffffff);		/* initrd_addr_max */
	put(bz + 0x230, 4, 2 * MIB);		/* kernel_alignment */
	put(bz + 0x234, 1, 1);			/* relocatable */
	put(bz + 0x236, 2, 1);			/* xloadflags */
	put(bz + 0x238, 4, 2047);		/* cmdline_size */
	put(bz + 0x248, 4, 0x400);		/* payload_offset */
	put(bz + 0x24c, 4, 0x1000);		/* payload_length */
	put(bz + 0x258, 8, 16 * MIB);		/* pref_address */
	put(bz + 0x260, 4, MIB);		/* init_size */
}

/*
 * A 64-bit ELF: two segments at 2 MiB (4 KiB of file, 8 KiB of memory) and at
 * 4 MiB, and a note segment, empty to begin with.
 */
#define ELF_DATA 4096u
#define ELF_NOTE 8192u
#define ELF_LEN  12288u

static uint8_t elf[ELF_LEN];
static Elf64_Ehdr *const elf_head = (Elf64_Ehdr *)(void *)elf;
static Elf64_Phdr *const elf_seg =
	(Elf64_Phdr *)(void *)(elf + sizeof(Elf64_Ehdr));

static inline void
make_elf(void)
{
	memset(elf, 0, sizeof(elf));
	memcpy(elf, ELFMAG, SELFMAG);
	elf[EI_CLASS] = ELFCLASS64;
	elf[EI_DATA] = ELFDATA2LSB;
	elf_head->e_type = ET_EXEC;
	elf_head->e_machine = EM_X86_64;
	elf_head->e_entry = 2 * MIB + 16;
	elf_head->e_phoff = sizeof(Elf64_Ehdr);
	elf_head->e_phentsize = sizeof(Elf64_Phdr);
	elf_head->e_phnum = 3;
	elf_seg[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = ELF_DATA, .p_paddr = 2 * MIB,
		.p_vaddr = 0xffffffff80000000, .p_filesz = 4096,
		.p_memsz = 8192,
	};
	elf_seg[1] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = ELF_DATA, .p_paddr = 4 * MIB,
		.p_filesz = 100, .p_memsz = 100,
	};
	elf_seg[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = ELF_NOTE };
	memset(elf + ELF_DATA, 0x77, 4096);
}

/* Append a note of a given name; returns where its description is. */
static inline uint8_t *
elf_note(const char *name, uint32_t type, uint32_t size, uint64_t value)
{
	uint8_t *p = elf + ELF_NOTE + elf_seg[2].p_filesz;
	uint32_t namesz = (uint32_t)strlen(name) + 1;

	put(p, 4, namesz);
	put(p + 4, 4, size);
	put(p + 8, 4, type);
	memcpy(p + 12, name, namesz);
	p += 12 + ((namesz + 3) & ~3u);
	put(p, 8, value);
	elf_seg[2].p_filesz = (uint64_t)(p - elf) + ((size + 3) & ~3u) -
			      ELF_NOTE;
	return p;
}

static inline int
file_with(const void *bytes, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

#endif
