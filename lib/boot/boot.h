/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of boot: images, extents of memory, and the loaders behind them. */
#ifndef VCORE_LIB_BOOT_BOOT_H
#define VCORE_LIB_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include <vcore/boot.h>

/* All texts of this layer begin so. */
#define VCORE__BOOT_ERR(rc, ...) \
	vcore__err(NULL, (rc), "vcore_boot_linux: " __VA_ARGS__)

#define VCORE__ULL(x) ((unsigned long long)(x))

/* Bytes of an image: a file or memory. Its size is taken once. */
struct vcore__image {
	const char *name;	/* for texts */
	const uint8_t *data;	/* or NULL: the file */
	uint64_t len;
	int fd;			/* -1: none */
	bool close_fd;
	char buf[40];		/* a name made here */
};

/*
 * One of path, fd (path is then its name or NULL), data; what says "kernel" or
 * "initrd".
 */
int vcore__image_open(struct vcore__image *image, const char *what,
		      const char *path, int fd, const void *data, uint64_t len);
void vcore__image_close(struct vcore__image *image);
/* All of it, or an error: -ENOEXEC outside of the image, -EIO. */
int vcore__image_read(const struct vcore__image *image, uint64_t off, void *buf,
		      uint64_t len);
/* The same into guest memory, without a buffer in between. */
int vcore__image_load(const struct vcore__image *image, uint64_t off,
		      struct vcore_memory *memory, uint64_t gpa, uint64_t len);

/* Disjoint, sorted, neighbours of one kind merged. */
struct vcore__extent {
	uint64_t start, end;	/* start < end */
	uint32_t kind;		/* enum vcore_boot_range_kind */
	uint32_t reserved;
};

struct vcore__extents {
	struct vcore__extent *list;
	uint32_t count, capacity;
};

void vcore__extents_fini(struct vcore__extents *x);
/* [start, end) becomes kind, whatever it was; 0: nothing. 0, -ENOMEM. */
int vcore__extents_set(struct vcore__extents *x, uint64_t start, uint64_t end,
		       uint32_t kind);
/* What there is of one kind, in a list of its own. 0, -ENOMEM. */
int vcore__extents_only(const struct vcore__extents *x, uint32_t kind,
			struct vcore__extents *out);
/* Is all of [start, start + len) of this kind? */
bool vcore__extents_holds(const struct vcore__extents *x, uint64_t start,
			  uint64_t len, uint32_t kind);
/*
 * Where len > 0 bytes fit, as low or as high as possible in [min, end); align
 * is a power of 2. False: nowhere.
 */
bool vcore__extents_lowest(const struct vcore__extents *x, uint64_t min,
			   uint64_t end, uint64_t len, uint64_t align,
			   uint64_t *start);
bool vcore__extents_highest(const struct vcore__extents *x, uint64_t min,
			    uint64_t end, uint64_t len, uint64_t align,
			    uint64_t *start);

/* A boot under way. */
struct vcore__boot {
	struct vcore_memory *memory;
	struct vcore_boot_opts opts;
	struct vcore__image kernel, initrd;
	struct vcore__extents map;	/* what the guest is told */
	struct vcore__extents free;	/* RAM that nothing stands in */
	const char *cmdline;
	uint64_t cmdline_len;		/* without the NUL */
	struct vcore_boot_info info;
};

/* Takes [start, start + len) of free, and of nothing else: -ENOSPC. */
int vcore__boot_take(struct vcore__boot *b, const char *what, uint64_t start,
		     uint64_t len);
/* Load the initrd, if any, below a limit; sets info.initrd_*. */
int vcore__boot_initrd(struct vcore__boot *b, uint64_t limit);
/* -EINVAL if the command line has more than max bytes. */
int vcore__boot_cmdline(const struct vcore__boot *b, uint64_t max);

/* elf.c */
#define VCORE__ELF_SEGMENTS 128u

/* A program header of either width. */
struct vcore__segment {
	uint64_t offset, paddr, filesz, memsz;
	uint32_t type;
	uint32_t reserved;
};

/* Headers, read once: the file may change meanwhile. */
struct vcore__elf {
	uint64_t entry;
	uint64_t pvh_entry;	/* 0: no note */
	uint64_t phoff;
	uint32_t phnum;
	bool wide;		/* 64-bit */
	struct vcore__segment segment[VCORE__ELF_SEGMENTS];
};

#define VCORE__ELF_MAGIC "\177ELF"

/* Reads headers and notes. 0, -ENOEXEC, -EIO. */
int vcore__elf_read(const struct vcore__boot *b, struct vcore__elf *elf);
/* Loads the segments; entry has to be in one. Sets info.kernel_*. */
int vcore__elf_load(struct vcore__boot *b, const struct vcore__elf *elf,
		    uint64_t entry);

/* arch/<arch>/: what differs between machines */

/* The map before the caller's ranges, and where nothing may be loaded. */
int vcore__arch_map(struct vcore__boot *b);
int vcore__arch_keep_out(struct vcore__boot *b);
/* Load b->kernel as opts.kind says; fill info. */
int vcore__arch_load(struct vcore__boot *b);

#endif
