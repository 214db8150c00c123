/* SPDX-License-Identifier: BSD-3-Clause */
/* A network of the test program's own, where it may make interfaces. */
#ifndef VCORE_TESTS_OWN_NETWORK_H
#define VCORE_TESTS_OWN_NETWORK_H

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		(void)0;
	close(fd);
}

/* 0 if this process may now make interfaces that nobody else sees. */
static inline int
enter_own_network(void)
{
	char map[32];
	unsigned uid = getuid(), gid = getgid();
	int fd, rc;

	rc = unshare(CLONE_NEWNET);
	if (rc < 0) {
		rc = unshare(CLONE_NEWUSER | CLONE_NEWNET);
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", gid);
		write_file("/proc/self/gid_map", map);
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (rc < 0 || fd < 0)
		return -1;
	close(fd);
	return 0;
}

#endif
