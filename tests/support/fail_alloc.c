/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failure injection: calls that the linker redirects here (fail_alloc.wrap),
 * of which the nth fails, and what they took is counted. Only objects linked
 * into the program are redirected, so libc and the sanitizers keep working.
 * Not here: pthread_mutex_init() and its relatives, which never fail on Linux.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <termios.h>

static _Thread_local uint32_t failing;
static _Thread_local unsigned int left;
static _Thread_local int instead;	/* of the usual errno, if not 0 */
static _Thread_local bool reached;
static _Thread_local int given;		/* errno of the call that failed */
static _Thread_local const char *called;	/* its name */
static _Atomic int64_t blocks, bytes;

void
fail_nth(uint32_t what, unsigned int n)
{
	failing = what;
	left = n;
	instead = 0;
	reached = false;
}

void
fail_nth_with(uint32_t what, unsigned int n, int error)
{
	fail_nth(what, n);
	instead = error;
}

bool
fail_stop(void)
{
	failing = 0;
	return reached;
}

int
fail_error(const char **name)
{
	*name = called;
	return given;
}

int64_t
fail_blocks(void)
{
	return blocks;
}

int64_t
fail_mapped(void)
{
	return bytes;
}

/* Check is linked statically and allocates: it is left alone. */
void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);

void
__wrap__mark_point(const char *file, int line)
{
	uint32_t was = failing;

	failing = 0;
	__real__mark_point(file, line);
	failing = was;
}

bool
fail_now(uint32_t what, int error, const char *name)
{
	if (!(failing & what) || --left > 0)
		return false;
	failing = 0;
	reached = true;
	called = name;
	given = instead ? instead : error;
	errno = given;
	return true;
}

/* Declarations for -Wmissing-prototypes, then the functions, one a line. */
#define WRAP(what, error, bad, type, name, params, args) \
	type __real_##name params;                       \
	type __wrap_##name params;                       \
	type __wrap_##name params                        \
	{                                                \
		if (fail_now(what, error, #name))           \
			return bad;                      \
		return __real_##name args;               \
	}

/* The same for what returns memory, which is counted. */
#define WRAP_ALLOC(type, name, params, args)             \
	type __real_##name params;                       \
	type __wrap_##name params;                       \
	type __wrap_##name params                        \
	{                                                \
		type new_;                               \
		if (fail_now(FAIL_ALLOC, ENOMEM, #name))    \
			return NULL;                     \
		new_ = __real_##name args;               \
		if (new_ != NULL)                        \
			atomic_fetch_add(&blocks, 1);    \
		return new_;                             \
	}

WRAP_ALLOC(void *, malloc, (size_t n), (n))
WRAP_ALLOC(void *, calloc, (size_t n, size_t m), (n, m))
WRAP_ALLOC(char *, strdup, (const char *s), (s))
WRAP_ALLOC(void *, aligned_alloc, (size_t a, size_t n), (a, n))

WRAP(FAIL_SYSTEM, EMFILE, -1, int, eventfd, (unsigned int v, int f), (v, f))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, epoll_create1, (int f), (f))
WRAP(FAIL_SYSTEM, ENOSPC, -1, int, epoll_ctl,
     (int e, int op, int fd, struct epoll_event *ev), (e, op, fd, ev))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, timerfd_create, (int c, int f), (c, f))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, memfd_create,
     (const char *name, unsigned int f), (name, f))
WRAP(FAIL_SYSTEM, ENOSPC, -1, int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(FAIL_ADVICE, EINVAL, -1, int, madvise, (void *p, size_t n, int advice),
     (p, n, advice))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, socket, (int d, int t, int p), (d, t, p))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, accept4,
     (int s, struct sockaddr *a, socklen_t *l, int f), (s, a, l, f))
WRAP(FAIL_SYSTEM, EAGAIN, EAGAIN, int, pthread_create,
     (pthread_t * t, const pthread_attr_t *a, void *(*fn)(void *), void *arg),
     (t, a, fn, arg))

WRAP(FAIL_MORE, EIO, -1, int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(FAIL_MORE, EIO, -1, int, fstatfs, (int fd, struct statfs *st), (fd, st))
WRAP(FAIL_MORE, EIO, -1, int, statx,
     (int fd, const char *path, int f, unsigned int m, struct statx *st),
     (fd, path, f, m, st))
WRAP(FAIL_MORE, ENOBUFS, -1, int, bind,
     (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(FAIL_MORE, ENOBUFS, -1, int, listen, (int fd, int n), (fd, n))
WRAP(FAIL_MORE, ENOBUFS, -1, int, connect,
     (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(FAIL_MORE, ENOBUFS, -1, int, getsockopt,
     (int fd, int level, int name, void *v, socklen_t *n),
     (fd, level, name, v, n))
WRAP(FAIL_MORE, ENOBUFS, -1, int, getpeername,
     (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(FAIL_MORE, ENOSPC, -1, int, posix_openpt, (int f), (f))
WRAP(FAIL_MORE, EACCES, -1, int, grantpt, (int fd), (fd))
WRAP(FAIL_MORE, EINVAL, -1, int, unlockpt, (int fd), (fd))
WRAP(FAIL_MORE, ENOTTY, ENOTTY, int, ptsname_r, (int fd, char *s, size_t n),
     (fd, s, n))
WRAP(FAIL_MORE, EBUSY, -1, int, dup3, (int a, int b, int f), (a, b, f))
WRAP(FAIL_MORE, EIO, -1, int, msync, (void *p, size_t n, int f), (p, n, f))
WRAP(FAIL_MORE, EIO, -1, int, tcgetattr, (int fd, struct termios *t), (fd, t))
WRAP(FAIL_MORE, EIO, -1, int, tcsetattr,
     (int fd, int when, const struct termios *t), (fd, when, t))
WRAP(FAIL_MORE, EIO, -1, ssize_t, preadv,
     (int fd, const struct iovec *iov, int n, off_t off), (fd, iov, n, off))
WRAP(FAIL_MORE, EAGAIN, -1, ssize_t, getrandom,
     (void *p, size_t n, unsigned int f), (p, n, f))
WRAP(FAIL_MORE, EMFILE, NULL, FILE *, fopen, (const char *p, const char *m),
     (p, m))

int __real_posix_memalign(void **p, size_t align, size_t n);
int __wrap_posix_memalign(void **p, size_t align, size_t n);
void *__real_realloc(void *old, size_t n);
void *__wrap_realloc(void *old, size_t n);
void __real_free(void *p);
void __wrap_free(void *p);
void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off);
int __real_mprotect(void *p, size_t n, int prot);
int __wrap_mprotect(void *p, size_t n, int prot);
int __real_munmap(void *p, size_t n);
int __wrap_munmap(void *p, size_t n);
int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int
__wrap_posix_memalign(void **p, size_t align, size_t n)
{
	int rc;

	if (fail_now(FAIL_ALLOC, ENOMEM, "posix_memalign"))
		return ENOMEM;
	rc = __real_posix_memalign(p, align, n);
	if (rc == 0)
		atomic_fetch_add(&blocks, 1);
	return rc;
}

void *
__wrap_realloc(void *old, size_t n)
{
	void *new;

	if (fail_now(FAIL_ALLOC, ENOMEM, "realloc"))
		return NULL;
	new = __real_realloc(old, n);
	if (old == NULL && new != NULL)
		atomic_fetch_add(&blocks, 1);
	return new;
}

void
__wrap_free(void *p)
{
	if (p != NULL)
		atomic_fetch_sub(&blocks, 1);
	__real_free(p);
}

/* What is mapped over a mapping (MAP_FIXED) is no more than there was. */
void *
__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	void *new;

	if (fail_now(FAIL_SYSTEM, ENOMEM, "mmap"))
		return MAP_FAILED;
	new = __real_mmap(p, n, prot, flags, fd, off);
	if (new != MAP_FAILED && !(flags & MAP_FIXED))
		atomic_fetch_add(&bytes, (int64_t)n);
	return new;
}

int
__wrap_munmap(void *p, size_t n)
{
	atomic_fetch_sub(&bytes, (int64_t)n);
	return __real_munmap(p, n);
}

int
__wrap_mprotect(void *p, size_t n, int prot)
{
	if (fail_now(FAIL_SYSTEM, ENOMEM, "mprotect"))
		return -1;
	return __real_mprotect(p, n, prot);
}

/* Those that make a descriptor fail like others of FAIL_SYSTEM. */
int
__wrap_fcntl(int fd, int cmd, ...)
{
	bool makes = cmd == F_DUPFD_CLOEXEC || cmd == F_DUPFD;
	va_list ap;
	void *arg;

	if (fail_now(makes ? FAIL_SYSTEM : FAIL_MORE, makes ? EMFILE : EPERM,
		  "fcntl"))
		return -1;
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return __real_fcntl(fd, cmd, arg);
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	if (fail_now(FAIL_SYSTEM, EMFILE, "open"))
		return -1;
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return __real_open(path, flags, mode);
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	if (fail_now(FAIL_MORE, ENXIO, "ioctl"))
		return -1;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return __real_ioctl(fd, request, arg);
}
