/* SPDX-License-Identifier: BSD-3-Clause */
/* Disk on a file: opening it, and what it is like. Its bytes are never read. */
#include "backends/disk_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"

#define BLOCK 512u
#define PAGE 4096u
#define MAX_DISCARD ((uint64_t)1 << 30)
#define MAX_ZEROES ((uint64_t)128 << 20)
#define FLAGS (VCORE_DISK_FILE_READONLY | VCORE_DISK_FILE_DIRECT | \
	       VCORE_DISK_FILE_FD)
/* linux/stat.h of kernel 6.1; the struct of glibc 2.36 lacks the field. */
#define STATX_DIOALIGN_BIT 0x2000u
#define STATX_DIOALIGN_AT 0x98u

/* What error texts begin with, and what the file is called in them. */
struct name {
	const char *who;
	const char *file;
	char number[24];
};

static int
open_path(struct vcore__file *f, const struct vcore_disk_file_opts *o,
	  const struct name *n)
{
	/* O_NONBLOCK: a FIFO or a tape must not hold us up. */
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	flags |= f->readonly ? O_RDONLY : O_RDWR;
	if (o->flags & VCORE_DISK_FILE_DIRECT)
		flags |= O_DIRECT;
	f->fd = open(o->path, flags);
	/* Nothing else about these flags is invalid. */
	if (f->fd < 0 && errno == EINVAL && (flags & O_DIRECT))
		return vcore__err(NULL, -EOPNOTSUPP,
				  "%s: '%s': its file system has no O_DIRECT",
				  n->who, n->file);
	if (f->fd < 0 || fcntl(f->fd, F_SETFL, flags & O_DIRECT) < 0)
		return vcore__err(NULL, -errno, "%s: '%s': %m", n->who,
				  n->file);
	return 0;
}

static int
take_fd(struct vcore__file *f, const struct vcore_disk_file_opts *o,
	const struct name *n)
{
	int flags = fcntl(o->fd, F_GETFL);
	int mode = flags & O_ACCMODE;

	if (flags < 0)
		return vcore__err(NULL, -errno, "%s: %s: %m", n->who, n->file);
	if (mode == O_WRONLY || (mode == O_RDONLY && !f->readonly))
		return vcore__err(NULL, -EACCES, "%s: %s is open for %s only",
				  n->who, n->file,
				  mode == O_WRONLY ? "writing" : "reading");
	if ((o->flags & VCORE_DISK_FILE_DIRECT) && !(flags & O_DIRECT))
		return vcore__err(NULL, -EINVAL, "%s: %s has no O_DIRECT",
				  n->who, n->file);
	f->fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
	if (f->fd < 0)
		return vcore__err(NULL, -errno, "%s: %s: %m", n->who, n->file);
	return 0;
}

/* What direct I/O on a regular file asks for, where the kernel tells. */
static void
read_dio_align(struct vcore__file *f)
{
	struct statx stx;
	uint32_t align[2];

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN_BIT, &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIOALIGN_BIT))
		return;
	memcpy(align, (const char *)&stx + STATX_DIOALIGN_AT, sizeof(align));
	if (align[0] != 0 && (align[0] & (align[0] - 1)) == 0)
		f->mem_align = align[0];
	if (align[1] > BLOCK && (align[1] & (align[1] - 1)) == 0)
		f->logical_block = align[1];
}

static int
read_block_device(struct vcore__file *f, const struct name *n)
{
	unsigned physical = 0;
	int logical = 0;

	if (ioctl(f->fd, BLKGETSIZE64, &f->capacity) < 0 ||
	    ioctl(f->fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(f->fd, BLKPBSZGET, &physical) < 0)
		return vcore__err(NULL, -errno, "%s: %s: size: %m", n->who,
				  n->file);
	f->logical_block = (uint32_t)logical;
	f->physical_block = physical;
	f->mem_align = f->logical_block;
	return 0;
}

static int
read_geometry(struct vcore__file *f, const struct name *n)
{
	struct stat st;
	int rc = 0;

	if (fstat(f->fd, &st) < 0)
		return vcore__err(NULL, -errno, "%s: %s: %m", n->who, n->file);
	if (S_ISDIR(st.st_mode))
		return vcore__err(NULL, -EISDIR, "%s: '%s' is a directory",
				  n->who, n->file);
	f->capacity = (uint64_t)st.st_size;
	f->logical_block = BLOCK;
	f->physical_block = PAGE;
	f->mem_align = BLOCK;
	if (S_ISBLK(st.st_mode))
		rc = read_block_device(f, n);
	else if (!S_ISREG(st.st_mode))
		rc = vcore__err(NULL, -ENOTBLK,
				"%s: '%s' is neither a regular file nor a block device",
				n->who, n->file);
	else if (f->direct)
		read_dio_align(f);
	if (rc < 0)
		return rc;
	if (f->physical_block < f->logical_block)
		f->physical_block = f->logical_block;
	if (f->capacity < f->logical_block)
		return vcore__err(NULL, -ENODATA,
				  "%s: '%s' has %llu bytes, less than one block of %u",
				  n->who, n->file,
				  (unsigned long long)f->capacity,
				  f->logical_block);
	f->capacity -= f->capacity % f->logical_block;
	return 0;
}

int
vcore__file_open(struct vcore__file *f, const struct vcore_disk_file_opts *o,
		 const char *who)
{
	struct name n = { .who = who, .file = o->path };
	int rc;

	f->fd = -1;
	if ((o->flags & ~FLAGS) != 0 || o->reserved0 != 0)
		return vcore__err(NULL, -E2BIG, "%s: flags %#x, reserved0 %#x",
				  who, o->flags, o->reserved0);
	if ((o->path == NULL) != ((o->flags & VCORE_DISK_FILE_FD) != 0))
		return vcore__err(NULL, -EINVAL,
				  "%s: either path or VCORE_DISK_FILE_FD", who);
	f->readonly = (o->flags & VCORE_DISK_FILE_READONLY) != 0;
	if (o->path == NULL) {
		snprintf(n.number, sizeof(n.number), "fd %d", o->fd);
		n.file = n.number;
		rc = take_fd(f, o, &n);
	} else {
		rc = open_path(f, o, &n);
	}
	if (rc == 0) {
		f->direct = (fcntl(f->fd, F_GETFL) & O_DIRECT) != 0;
		rc = read_geometry(f, &n);
	}
	if (rc < 0 && f->fd >= 0) {
		close(f->fd);
		f->fd = -1;
	}
	return rc;
}

bool
vcore__file_in_memory(int fd)
{
	struct statfs fs;
	struct stat st;

	/* A device node in there is none. */
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

void
vcore__file_limits(const struct vcore__file *f, struct vcore_disk_limits *l)
{
	l->flags = f->readonly ? VCORE_DISK_READONLY :
				 VCORE_DISK_CAN_FLUSH | VCORE_DISK_CAN_DISCARD |
					 VCORE_DISK_CAN_ZERO;
	l->capacity = f->capacity;
	l->logical_block = f->logical_block;
	l->physical_block = f->physical_block;
	l->max_discard = MAX_DISCARD;
	l->max_write_zeroes = MAX_ZEROES;
}

int
vcore_disk_open_file(const struct vcore_disk_file_opts *opts,
		     struct vcore_disk_limits *limits)
{
	struct vcore_disk_limits l = { .size = sizeof(l) };
	struct vcore_disk_file_opts o;
	struct vcore__file f;
	int rc;

	if (limits == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_disk_open_file: limits is NULL");
	rc = VCORE__SIZED("vcore_disk_open_file: opts", &o, pool, opts);
	if (rc == 0)
		rc = vcore__file_open(&f, &o, "vcore_disk_open_file");
	if (rc != 0)
		return rc;
	vcore__file_limits(&f, &l);
	rc = vcore__sized_return(limits,
				 VCORE__SIZE_TO(struct vcore_disk_limits,
						max_write_zeroes),
				 &l, sizeof(l));
	if (rc == 0)
		return f.fd;
	close(f.fd);
	return vcore__err(NULL, rc, "vcore_disk_open_file: limits: size %u",
			  limits->size);
}
