/* SPDX-License-Identifier: BSD-3-Clause */
/* Disk on a file: what its system calls need to know. */
#ifndef VCORE_LIB_BACKENDS_DISK_FILE_H
#define VCORE_LIB_BACKENDS_DISK_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include <vcore/disk.h>

/* The system calls a request makes; tests put in failing ones. */
struct vcore__file_sys {
	ssize_t (*preadv)(int fd, const struct iovec *iov, int count,
			  off_t off);
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int count,
			   off_t off);
	int (*fdatasync)(int fd);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	/* Optional: none of them waits for a device. */
	bool (*in_memory)(int fd);
};

extern const struct vcore__file_sys vcore__file_sys;

struct vcore__file {
	int fd;
	bool readonly;
	bool direct;
	uint8_t reserved[2];
	uint64_t capacity;
	uint32_t logical_block, physical_block;
	uint32_t mem_align;		/* direct: of addresses; power of two */
	_Atomic int flush_error;	/* sticky: 0 or -errno */
	const struct vcore__file_sys *sys;
};

/* Do a request, blocking: 0 or -errno. Any thread, several at a time. */
int
vcore__file_run(struct vcore__file *f, const struct vcore_disk_request *req);

/*
 * Open what the options say (a copy of the caller's) and fill in all but sys.
 * who: the public function. On failure fd is -1.
 */
int
vcore__file_open(struct vcore__file *f, const struct vcore_disk_file_opts *o,
		 const char *who);

/* A regular file of tmpfs or ramfs? */
bool
vcore__file_in_memory(int fd);

void
vcore__file_limits(const struct vcore__file *f, struct vcore_disk_limits *l);

/* vcore_disk_new_file() with other system calls. */
int
vcore__disk_new_file(const struct vcore_disk_file_opts *opts,
		     const struct vcore__file_sys *sys,
		     struct vcore_disk **disk);

#endif
