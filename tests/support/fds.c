/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of the test process: how many, and which are readable. */
#include "support/support.h"

#include <dirent.h>
#include <poll.h>

#define GENEROUS_MS 120000

int
support_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* without the one of dir */
}

static int
readable_within(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_int_ge(poll(&p, 1, timeout_ms), 0);
	return (p.revents & POLLIN) != 0;
}

int
support_readable(int fd)
{
	return readable_within(fd, 0);
}

int
support_wait_readable(int fd)
{
	return readable_within(fd, GENEROUS_MS);
}
