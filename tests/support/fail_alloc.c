/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failure injection: calls that the linker redirects here (fail_alloc.wrap),
 * of which the nth fails. Only objects linked into the program are redirected,
 * so libc and the sanitizers keep working.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/types.h>

static _Thread_local uint32_t failing;
static _Thread_local unsigned int left;
static _Thread_local int instead;	/* of the usual errno, if not 0 */
static _Thread_local bool reached;

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

/* Count a call of this sort; true, with errno, if it is to fail. */
static bool
fails(uint32_t what, int error)
{
	if (!(failing & what) || --left > 0)
		return false;
	failing = 0;
	reached = true;
	errno = instead ? instead : error;
	return true;
}

/* Declarations for -Wmissing-prototypes, then the functions, one a line. */
#define WRAP(what, error, bad, type, name, params, args) \
	type __real_##name params;                       \
	type __wrap_##name params;                       \
	type __wrap_##name params                        \
	{                                                \
		if (fails(what, error))                  \
			return bad;                      \
		return __real_##name args;               \
	}

WRAP(FAIL_ALLOC, ENOMEM, NULL, void *, malloc, (size_t n), (n))
WRAP(FAIL_ALLOC, ENOMEM, NULL, void *, calloc, (size_t n, size_t m), (n, m))
WRAP(FAIL_ALLOC, ENOMEM, NULL, void *, realloc, (void *p, size_t n), (p, n))
WRAP(FAIL_ALLOC, ENOMEM, NULL, char *, strdup, (const char *s), (s))
WRAP(FAIL_ALLOC, ENOMEM, NULL, void *, aligned_alloc, (size_t a, size_t n),
     (a, n))
WRAP(FAIL_ALLOC, ENOMEM, ENOMEM, int, posix_memalign,
     (void **p, size_t a, size_t n), (p, a, n))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, eventfd, (unsigned int v, int f), (v, f))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, epoll_create1, (int f), (f))
WRAP(FAIL_SYSTEM, ENOSPC, -1, int, epoll_ctl,
     (int e, int op, int fd, struct epoll_event *ev), (e, op, fd, ev))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, timerfd_create, (int c, int f), (c, f))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, memfd_create,
     (const char *name, unsigned int f), (name, f))
WRAP(FAIL_SYSTEM, ENOSPC, -1, int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(FAIL_SYSTEM, ENOMEM, MAP_FAILED, void *, mmap,
     (void *a, size_t n, int prot, int flags, int fd, off_t off),
     (a, n, prot, flags, fd, off))
WRAP(FAIL_ADVICE, EINVAL, -1, int, madvise, (void *p, size_t n, int advice),
     (p, n, advice))
WRAP(FAIL_SYSTEM, EMFILE, -1, int, socket, (int d, int t, int p), (d, t, p))
WRAP(FAIL_SYSTEM, 0, EAGAIN, int, pthread_create,
     (pthread_t * t, const pthread_attr_t *a, void *(*fn)(void *), void *arg),
     (t, a, fn, arg))

int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

/* Only those that make a descriptor count. */
int
__wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	if ((cmd == F_DUPFD_CLOEXEC || cmd == F_DUPFD) &&
	    fails(FAIL_SYSTEM, EMFILE))
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

	if (fails(FAIL_SYSTEM, EMFILE))
		return -1;
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return __real_open(path, flags, mode);
}
