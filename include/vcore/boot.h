/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Boot: put a kernel, an initrd and what they need to know into guest memory,
 * and say in which state the first vCPU has to begin.
 *
 * Needs a map of guest memory and nothing else: the registers come out as plain
 * data. An image is read as hostile bytes: whatever is wrong with it is an
 * error with a text that names the image and the numbers.
 *
 * What is written where (x86-64): below 0x30000 the GDT (0x500), PVH start
 * information (0x6000), boot parameters (0x7000), page tables (0x9000 to
 * 0xf000) and the command line (0x20000); the kernel where it wants to be, at
 * 1 MiB or above; the initrd as high as possible below 4 GiB. [0x9fc00,
 * 0x100000) is reported to the guest as reserved: ACPI tables may stand there.
 */
#ifndef VCORE_BOOT_H
#define VCORE_BOOT_H

#include <vcore/base.h>
#include <vcore/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a kernel is started. */
enum vcore_boot_kind {
	/** What the image is: PVH if an ELF image has its note. */
	VCORE_BOOT_AUTO = 0,
	/** bzImage by its 64-bit entry; protocol 2.12 or newer. */
	VCORE_BOOT_BZIMAGE = 1,
	/** 64-bit ELF (vmlinux) by its entry, with Linux boot parameters. */
	VCORE_BOOT_ELF = 2,
	/** ELF by its PVH entry, 32-bit protected mode. */
	VCORE_BOOT_PVH = 3
};

/** Kinds of memory ranges that a guest is told of, numbered as in E820. */
enum vcore_boot_range_kind {
	VCORE_BOOT_RANGE_RAM = 1,	/**< Usable. */
	VCORE_BOOT_RANGE_RESERVED = 2,	/**< Not usable. */
	VCORE_BOOT_RANGE_ACPI = 3,	/**< ACPI tables, usable once read. */
	VCORE_BOOT_RANGE_NVS = 4,	/**< ACPI, not usable. */
	VCORE_BOOT_RANGE_PMEM = 7	/**< Persistent memory. */
};

/** One range that is not ordinary RAM. */
struct vcore_boot_range {
	uint64_t gpa;		/**< Where it begins. */
	uint64_t len;		/**< Bytes, > 0. */
	uint32_t kind;		/**< enum vcore_boot_range_kind, not RAM. */
	uint32_t reserved0;	/**< Zero. */
};

/** The kernel is kernel_fd; `kernel` only names it in texts. */
#define VCORE_BOOT_KERNEL_FD (1u << 0)
/** The initrd is initrd_fd; `initrd` only names it in texts. */
#define VCORE_BOOT_INITRD_FD (1u << 1)

/**
 * What to boot; zeroes are defaults, see VCORE_INIT().
 *
 * The kernel is exactly one of a path, a descriptor, or bytes in memory; the
 * initrd at most one.
 */
struct vcore_boot_opts {
	uint32_t size;			/**< Set by VCORE_INIT(). */
	uint32_t flags;			/**< VCORE_BOOT_*_FD. */
	const char *kernel;		/**< Path, or NULL. */
	const void *kernel_data;	/**< kernel_len bytes, or NULL. */
	uint64_t kernel_len;		/**< Bytes at kernel_data. */
	const char *initrd;		/**< Path, or NULL. */
	const void *initrd_data;	/**< initrd_len bytes, or NULL. */
	uint64_t initrd_len;		/**< Bytes at initrd_data. */
	int32_t kernel_fd;		/**< With VCORE_BOOT_KERNEL_FD. */
	int32_t initrd_fd;		/**< With VCORE_BOOT_INITRD_FD. */
	const char *cmdline;		/**< Command line; NULL: empty. */
	uint64_t rsdp;			/**< GPA of the ACPI RSDP; 0: none. */
	/** Ranges that the guest must not use as RAM, in any order. */
	const struct vcore_boot_range *ranges;
	uint32_t range_count;		/**< Entries at ranges. */
	uint32_t kind;			/**< enum vcore_boot_kind. */
};

/** A segment register, with its hidden part. */
struct vcore_boot_segment {
	uint64_t base;		/**< Linear address. */
	uint32_t limit;		/**< In bytes, the last one that is in. */
	uint16_t selector;	/**< Of the GDT in guest memory. */
	uint8_t type;		/**< Descriptor type, 4 bits. */
	uint8_t present;	/**< 1. */
	uint8_t dpl;		/**< Privilege level. */
	uint8_t db;		/**< Default size: 1 is 32 bits. */
	uint8_t s;		/**< 1: code or data, 0: system. */
	uint8_t l;		/**< 1: 64-bit code. */
	uint8_t g;		/**< 1: limit counts pages. */
	uint8_t avl;		/**< 0. */
	uint8_t unusable;	/**< 0. */
	uint8_t reserved;	/**< 0. */
};

/** In which state the first vCPU begins, and what stands where. */
struct vcore_boot_info {
	uint32_t size;		/**< Set by VCORE_INIT(); then bytes filled. */
	uint32_t kind;		/**< enum vcore_boot_kind that was used. */
	uint64_t rip;		/**< Entry point. */
	uint64_t rsp;		/**< 0: the kernel has a stack of its own. */
	uint64_t rbx;		/**< PVH: GPA of the start information. */
	uint64_t rsi;		/**< Linux: GPA of the boot parameters. */
	uint64_t rflags;	/**< 2: interrupts off. Others: 0. */
	uint64_t cr0;		/**< Control registers and EFER. */
	uint64_t cr3;		/**< Page tables; 0 without paging. */
	uint64_t cr4;		/**< As cr0. */
	uint64_t efer;		/**< As cr0. */
	uint64_t gdt_base;	/**< The GDT in guest memory. */
	uint64_t gdt_limit;	/**< Its last byte. The IDT is empty. */
	struct vcore_boot_segment cs;	/**< Code. */
	struct vcore_boot_segment ds;	/**< For ds, es, fs, gs and ss. */
	struct vcore_boot_segment tr;	/**< A task state segment, busy. */
	uint64_t kernel_gpa;	/**< Lowest byte of the kernel. */
	uint64_t kernel_len;	/**< To the end of its highest byte. */
	uint64_t initrd_gpa;	/**< 0 without an initrd. */
	uint64_t initrd_len;	/**< Bytes; 0 without. */
};

/**
 * Load a kernel into guest memory and prepare its start.
 *
 * Guest memory that the call has written before it fails stays written.
 * May be called again, to boot again.
 *
 * @param[in]     memory  Guest memory; RAM at [0, 0x30000) at least.
 * @param[in]     opts    What to boot, set up with VCORE_INIT(). Copied; what
 *                        it points to is used during the call only. Command
 *                        lines longer than the kernel accepts are refused
 *                        (bzImage: as its header says; ELF: 2047 bytes; PVH:
 *                        65535, of which Linux uses 2047).
 * @param[in,out] info    Set up with VCORE_INIT(); filled. Unchanged on
 *                        failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   A pointer is NULL, a `size` is not initialised, the kernel
 *                   or the initrd is given twice or the kernel not at all, a
 *                   file is neither a regular file nor a block device, `kind`
 *                   is unknown, a range is empty, wraps or is of an unknown
 *                   kind, or the command line is too long.
 * @retval -E2BIG    A flag or field that this library does not know is set.
 * @retval -ENOEXEC  The image is no kernel of the wanted kind, or malformed.
 * @retval -ENOSPC   Kernel or initrd do not fit into the guest's RAM, RAM is
 *                   missing at [0, 0x30000), or there are more than 128 ranges.
 * @retval -EIO      A file became shorter while it was read.
 * @retval -ENOMEM   Out of memory.
 *
 * Errors of open(2) and pread(2) are passed through.
 *
 * @thread Control; vCPUs that may touch the memory are stopped.
 * @spec   Linux Documentation/arch/x86/boot.rst; Xen docs/misc/pvh.pandoc.
 * @since  0.1
 */
VCORE_API int
vcore_boot_linux(struct vcore_memory *memory,
		 const struct vcore_boot_opts *opts,
		 struct vcore_boot_info *info);

#ifdef __cplusplus
}
#endif
#endif
