/* SPDX-License-Identifier: BSD-3-Clause */
/* Failure injection for io_uring, whose calls do not go through libc. */
#include <errno.h>
#include <liburing.h>

#include "support/support.h"

/* Declarations for -Wmissing-prototypes, then the functions, one a line. */
#define WRAP(error, bad, type, name, params, args)         \
	type __real_##name params;                         \
	type __wrap_##name params;                         \
	type __wrap_##name params                          \
	{                                                  \
		if (fail_now(FAIL_SYSTEM, error, #name))   \
			return bad;                        \
		return __real_##name args;                 \
	}

WRAP(EMFILE, -EMFILE, int, io_uring_queue_init,
     (unsigned int n, struct io_uring *ring, unsigned int f), (n, ring, f))
WRAP(ENOMEM, -ENOMEM, int, io_uring_register_eventfd,
     (struct io_uring * ring, int fd), (ring, fd))
WRAP(ENOMEM, -ENOMEM, int, io_uring_register_files,
     (struct io_uring * ring, const int *fds, unsigned int n), (ring, fds, n))
WRAP(ENOMEM, NULL, struct io_uring_probe *, io_uring_get_probe_ring,
     (struct io_uring * ring), (ring))
