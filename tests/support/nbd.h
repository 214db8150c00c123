/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that fails on command: nbdkit, with its error filter, mounted by
 * nbdfuse. io_uring reaches it like any file, which no interposed call could
 * say.
 */
#ifndef VCORE_TESTS_NBD_H
#define VCORE_TESTS_NBD_H

#include <stdint.h>
#include <sys/types.h>

#define NBD_CAPACITY 4194304
/* Where NBD_LATE_* begin to fail. */
#define NBD_LATE 1048576

/* What fails, as long as it is switched on. */
enum nbd_failure {
	NBD_READ,		/* every read: EIO */
	NBD_WRITE,		/* every write: ENOSPC */
	NBD_FLUSH,		/* every flush: EIO */
	NBD_LATE_READ,		/* what is read at NBD_LATE and above: EIO */
	NBD_LATE_WRITE,		/* what is written there: ENOSPC */
	NBD_LATE_WRITE_ONCE,	/* the same for one request */
	NBD_FAILURES
};

struct nbd {
	char dir[40];
	char file[64];		/* the file that fails */
	char disk[64];		/* the file behind it */
	pid_t pid;
};

/*
 * 0, or -1 after a line that says what is missing. Not for test cases: asserts
 * nothing.
 */
int
nbd_start(struct nbd *nbd);
void
nbd_stop(struct nbd *nbd);

void
nbd_switch(const struct nbd *nbd, enum nbd_failure what, int on);

#endif
