/* SPDX-License-Identifier: BSD-3-Clause */
/* ELF: segments, notes, and every number in them gone wrong. */
#include "boot/boot.h"

#include "boot/common.h"

static void
setup(void)
{
	boot_setup_ram();
	make_elf();
}

static void
refused(int error)
{
	ck_assert_error(boot_bytes(elf, ELF_LEN), error, "vcore_boot_linux: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "kernel in memory"));
	make_elf();
}

START_TEST(test_segments_are_loaded_and_their_rest_zeroed)
{
	ck_assert_ok(vcore_memory_fill(memory, 2 * MIB, 0xee, 3 * MIB));
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_ELF);
	ck_assert_uint_eq(info.rip, 2 * MIB + 16);
	ck_assert_uint_eq(info.rsi, 0x7000);
	ck_assert_uint_eq(info.kernel_gpa, 2 * MIB);
	ck_assert_uint_eq(info.kernel_len, 2 * MIB + 100);
	ck_assert(all_are(2 * MIB, 4096, 0x77));
	ck_assert(all_are(2 * MIB + 4096, 4096, 0));
	ck_assert(all_are(2 * MIB + 8192, 4096, 0xee));
	ck_assert(all_are(4 * MIB, 100, 0x77));
	ck_assert(all_are(4 * MIB + 100, 4096, 0xee));
}
END_TEST

START_TEST(test_initrd_and_command_line)
{
	static char line[2049];

	opts.initrd_data = elf;
	opts.initrd_len = 100;
	opts.cmdline = "a b=c";
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.initrd_gpa, 64 * MIB - PAGE);
	ck_assert_uint_eq(get(0x20000, 6), 0x633d622061);
	memset(line, 'x', 2048);
	opts.cmdline = line;
	VCORE_INIT(&info);
	refused(-EINVAL);
	line[2047] = '\0';
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_shared_objects_are_fine)
{
	elf_head->e_type = ET_DYN;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_header_refusals)
{
	elf_head->e_machine = EM_AARCH64;
	refused(-ENOEXEC);
	elf_head->e_machine = EM_386;
	refused(-ENOEXEC);
	elf_head->e_type = ET_REL;
	refused(-ENOEXEC);
	elf[EI_CLASS] = 3;
	refused(-ENOEXEC);
	elf[EI_CLASS] = ELFCLASS32;
	refused(-ENOEXEC);
	elf[EI_DATA] = ELFDATA2MSB;
	refused(-ENOEXEC);
	elf_head->e_phentsize = 0;
	refused(-ENOEXEC);
	elf_head->e_phentsize = sizeof(Elf64_Phdr) + 8;
	refused(-ENOEXEC);
}
END_TEST

START_TEST(test_program_headers_outside_of_the_file)
{
	elf_head->e_phoff = ELF_LEN;
	refused(-ENOEXEC);
	elf_head->e_phoff = ELF_LEN - 3 * sizeof(Elf64_Phdr) + 1;
	refused(-ENOEXEC);
	elf_head->e_phoff = UINT64_MAX;
	refused(-ENOEXEC);
	elf_head->e_phoff = UINT64_MAX - 3 * sizeof(Elf64_Phdr) + 1;
	refused(-ENOEXEC);
	elf_head->e_phnum = 65535;
	refused(-ENOEXEC);
	elf_head->e_phnum = 129;
	refused(-ENOEXEC);
	elf_head->e_phnum = 0;		/* nothing to enter */
	refused(-ENOEXEC);
	/* The last place that fits is fine. */
	memmove(elf + ELF_LEN - 3 * sizeof(Elf64_Phdr), elf_seg,
		3 * sizeof(Elf64_Phdr));
	elf_head->e_phoff = ELF_LEN - 3 * sizeof(Elf64_Phdr);
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_segments_that_lie_about_the_file)
{
	elf_seg[0].p_memsz = 4095;		/* less than in the file */
	refused(-ENOEXEC);
	elf_seg[0].p_filesz = UINT64_MAX;
	elf_seg[0].p_memsz = UINT64_MAX;
	refused(-ENOEXEC);
	elf_seg[0].p_offset = ELF_LEN;
	refused(-ENOEXEC);
	elf_seg[0].p_offset = ELF_LEN - 4095;
	refused(-ENOEXEC);
	elf_seg[0].p_offset = UINT64_MAX - 4094;	/* wraps */
	refused(-ENOEXEC);
	elf_seg[0].p_offset = ELF_LEN - 4096;		/* the end exactly */
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_segments_outside_of_ram)
{
	static const uint64_t bad[] = {
		0, 0x7000, 0x20000, 0xa0000, MIB - 1, MIB - PAGE,
		64 * MIB, 64 * MIB - 8191, 1ull << 32, UINT64_MAX,
		UINT64_MAX - 8191, UINT64_MAX - 4095,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		elf_seg[0].p_paddr = bad[i];
		elf_head->e_entry = bad[i];
		if (elf_head->e_entry >= 1ull << 32)
			elf_head->e_entry = 4 * MIB;
		refused(-ENOSPC);
	}
	elf_seg[1].p_memsz = UINT64_MAX;
	refused(-ENOSPC);
	elf_seg[1].p_memsz = UINT64_MAX - 4 * MIB + 1;	/* ends at 2^64 */
	refused(-ENOSPC);
	elf_seg[1].p_memsz = 60 * MIB + 1;
	refused(-ENOSPC);
	elf_seg[1].p_memsz = 60 * MIB;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_segments_over_a_hole)
{
	boot_teardown();
	boot_setup();
	add_ram(0, 3 * MIB, 0);
	add_ram(4 * MIB, 4 * MIB, 0);
	elf_seg[0].p_memsz = MIB;		/* up to the hole: fine */
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	VCORE_INIT(&info);
	elf_seg[0].p_memsz = MIB + 1;
	refused(-ENOSPC);
	elf_seg[0].p_paddr = 3 * MIB;
	refused(-ENOSPC);
}
END_TEST

START_TEST(test_segments_that_overlap)
{
	elf_seg[1].p_paddr = 2 * MIB + 8191;
	refused(-ENOSPC);
	elf_seg[1].p_paddr = 2 * MIB - 99;
	refused(-ENOSPC);
	elf_seg[1].p_paddr = 2 * MIB;
	refused(-ENOSPC);
	elf_seg[1].p_paddr = 2 * MIB + 8192;	/* touching is fine */
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_empty_segments_are_skipped)
{
	elf_seg[1].p_filesz = elf_seg[1].p_memsz = 0;
	elf_seg[1].p_paddr = UINT64_MAX;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.kernel_len, 8192);
}
END_TEST

START_TEST(test_entry_outside_of_the_segments)
{
	static const uint64_t bad[] = {
		0, 2 * MIB - 1, 2 * MIB + 8192, 3 * MIB, 4 * MIB + 100,
		0xffffffff80000000, UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		elf_head->e_entry = bad[i];
		refused(-ENOEXEC);
	}
	elf_head->e_entry = 4 * MIB + 99;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_notes_choose_pvh)
{
	elf_note("GNU", 3, 20, 0);		/* build id, before it */
	elf_note("Xen", 5, 8, 0);
	elf_note("Xen", 18, 4, 4 * MIB + 8);
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_PVH);
	ck_assert_uint_eq(info.rip, 4 * MIB + 8);
	ck_assert_uint_eq(info.kernel_gpa, 2 * MIB);

	opts.kind = VCORE_BOOT_ELF;		/* on request, the other one */
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_ELF);
	ck_assert_uint_eq(info.rip, 2 * MIB + 16);
}
END_TEST

START_TEST(test_other_notes_do_not)
{
	elf_note("Xen", 17, 4, 4 * MIB);
	elf_note("xen", 18, 4, 4 * MIB);
	elf_note("Xenon", 18, 4, 4 * MIB);
	elf_note("Xen", 18, 2, 4 * MIB);
	elf_note("Xen", 18, 12, 4 * MIB);
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_ELF);
	opts.kind = VCORE_BOOT_PVH;
	VCORE_INIT(&info);
	refused(-ENOEXEC);
}
END_TEST

START_TEST(test_notes_that_overflow)
{
	elf_note("Xen", 18, 4, 4 * MIB);
	elf_seg[2].p_filesz -= 1;		/* description cut off */
	refused(-ENOEXEC);
	elf_note("Xen", 18, 4, 4 * MIB);
	put(elf + ELF_NOTE, 4, UINT32_MAX);	/* name */
	refused(-ENOEXEC);
	elf_note("Xen", 18, 4, 4 * MIB);
	put(elf + ELF_NOTE + 4, 4, UINT32_MAX);	/* description */
	refused(-ENOEXEC);
	elf_note("Xen", 18, 4, 4 * MIB);
	put(elf + ELF_NOTE, 4, UINT32_MAX - 2);	/* rounds up to 2^32 */
	refused(-ENOEXEC);
	elf_seg[2].p_offset = ELF_LEN - 12;
	elf_seg[2].p_filesz = 13;
	refused(-ENOEXEC);
	elf_seg[2].p_filesz = UINT64_MAX;
	refused(-ENOEXEC);
	elf_seg[2].p_offset = UINT64_MAX;
	elf_seg[2].p_filesz = 16;
	refused(-ENOEXEC);
	elf_seg[2].p_filesz = 11;		/* no room for a header */
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

/* 4096 empty notes, then the one: found, in bounded work. */
START_TEST(test_many_notes)
{
	static uint8_t image[ELF_LEN + 4096 * 12 + 32];
	uint8_t *notes = image + ELF_LEN;

	elf_note("Xen", 18, 8, 2 * MIB);
	memcpy(notes + 4096 * 12, elf + ELF_NOTE, 24);
	elf_seg[2].p_offset = ELF_LEN;
	elf_seg[2].p_filesz = 4096 * 12 + 24;
	memcpy(image, elf, ELF_LEN);
	ck_assert_ok(boot_bytes(image, sizeof(image)));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_PVH);
}
END_TEST

/* As much as is looked through, and no more. */
START_TEST(test_notes_larger_than_64_kib)
{
	static uint8_t image[ELF_LEN + 65536 + 12];

	elf_seg[2].p_offset = ELF_LEN;
	elf_seg[2].p_filesz = 65536;
	memcpy(image, elf, ELF_LEN);
	ck_assert_ok(boot_bytes(image, sizeof(image)));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_ELF);
	elf_seg[2].p_filesz += 12;
	memcpy(image, elf, ELF_LEN);
	ck_assert_error(boot_bytes(image, sizeof(image)), -ENOEXEC,
			"vcore_boot_linux: ");
}
END_TEST

START_TEST(test_pvh_entry_refusals)
{
	static const uint64_t bad[] = {
		0, MIB, 2 * MIB + 8192, UINT32_MAX, 1ull << 32,
		(1ull << 32) + 2 * MIB, UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		elf_note("Xen", 18, 8, bad[i]);
		refused(-ENOEXEC);
	}
}
END_TEST

/* The same kernel, 32-bit: only its PVH entry can be used. */
static void
make_elf32(void)
{
	Elf32_Ehdr *h = (Elf32_Ehdr *)(void *)elf;
	Elf32_Phdr *p = (Elf32_Phdr *)(void *)(elf + sizeof(*h));

	memset(elf, 0, ELF_DATA);
	memcpy(elf, ELFMAG, SELFMAG);
	elf[EI_CLASS] = ELFCLASS32;
	elf[EI_DATA] = ELFDATA2LSB;
	h->e_type = ET_EXEC;
	h->e_machine = EM_386;
	h->e_entry = 2 * MIB;
	h->e_phoff = sizeof(*h);
	h->e_phentsize = sizeof(*p);
	h->e_phnum = 2;
	p[0] = (Elf32_Phdr){
		.p_type = PT_LOAD, .p_offset = ELF_DATA, .p_paddr = 2 * MIB,
		.p_filesz = 4096, .p_memsz = 4096,
	};
	p[1] = (Elf32_Phdr){
		.p_type = PT_NOTE, .p_offset = ELF_NOTE, .p_filesz = 20,
	};
	elf_seg[2].p_filesz = 0;
}

START_TEST(test_32_bit_elf_needs_the_note)
{
	elf_note("Xen", 18, 4, 2 * MIB + 4);
	make_elf32();
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_PVH);
	ck_assert_uint_eq(info.rip, 2 * MIB + 4);
	VCORE_INIT(&info);
	opts.kind = VCORE_BOOT_ELF;
	refused(-ENOEXEC);
	opts.kind = VCORE_BOOT_AUTO;
	memset(elf + ELF_NOTE, 0, 64);
	make_elf32();
	refused(-ENOEXEC);
}
END_TEST

START_TEST(test_every_truncation_is_refused)
{
	elf_note("Xen", 18, 4, 2 * MIB);
	for (uint64_t len = 0; len < ELF_NOTE + 20; len += len < 300 ? 1 : 97)
		ck_assert_error(boot_bytes(elf, len), -ENOEXEC,
				"vcore_boot_linux: ");
}
END_TEST

START_TEST(test_flipped_bits_are_survived)
{
	for (uint32_t bit = 0; bit < 240 * 8; bit++) {
		make_elf();
		elf_note("Xen", 18, 4, 2 * MIB);
		elf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		VCORE_INIT(&info);
		(void)boot_bytes(elf, ELF_LEN);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("elf");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, boot_teardown);
	tcase_add_test(tc, test_segments_are_loaded_and_their_rest_zeroed);
	tcase_add_test(tc, test_initrd_and_command_line);
	tcase_add_test(tc, test_shared_objects_are_fine);
	tcase_add_test(tc, test_header_refusals);
	tcase_add_test(tc, test_program_headers_outside_of_the_file);
	tcase_add_test(tc, test_segments_that_lie_about_the_file);
	tcase_add_test(tc, test_segments_outside_of_ram);
	tcase_add_test(tc, test_segments_over_a_hole);
	tcase_add_test(tc, test_segments_that_overlap);
	tcase_add_test(tc, test_empty_segments_are_skipped);
	tcase_add_test(tc, test_entry_outside_of_the_segments);
	tcase_add_test(tc, test_notes_choose_pvh);
	tcase_add_test(tc, test_other_notes_do_not);
	tcase_add_test(tc, test_notes_that_overflow);
	tcase_add_test(tc, test_many_notes);
	tcase_add_test(tc, test_notes_larger_than_64_kib);
	tcase_add_test(tc, test_pvh_entry_refusals);
	tcase_add_test(tc, test_32_bit_elf_needs_the_note);
	tcase_add_test(tc, test_every_truncation_is_refused);
	tcase_add_test(tc, test_flipped_bits_are_survived);
	suite_add_tcase(s, tc);
	return support_run(s);
}
