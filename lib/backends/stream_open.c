/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams from one line of text, as command lines and recipes have them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vcore/stream.h>

#include "base/base.h"

#define UNIX_PREFIX "unix:"
#define FD_PREFIX   "fd:"

/* One descriptor number at *at; -1 if there is none. *at moves behind it. */
static int
parse_fd(const char **at)
{
	long n;
	char *end;

	if (**at < '0' || **at > '9')
		return -1;
	errno = 0;
	n = strtol(*at, &end, 10);
	*at = end;
	return errno != 0 || n > INT32_MAX ? -1 : (int)n;
}

static int
open_fd(const char *spec, struct vcore_stream **stream)
{
	const char *at = spec + strlen(FD_PREFIX);
	int in = parse_fd(&at), out = in;

	if (in >= 0 && *at == ':') {
		at++;
		out = parse_fd(&at);
	}
	if (in < 0 || out < 0 || *at != '\0')
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_open: '%s' is not fd:N or fd:IN:OUT",
				  spec);
	return vcore_stream_new_fd(in, out, stream);
}

static int
open_spec(const char *spec, struct vcore_stream **stream, char *path,
	  uint32_t path_len)
{
	char name[64] = "";
	int rc;

	if (path != NULL && path_len > 0)
		path[0] = '\0';
	if (strcmp(spec, "null") == 0)
		return vcore_stream_new_fd(-1, -1, stream);
	if (strcmp(spec, "stdio") == 0)
		return vcore_stream_new_fd(STDIN_FILENO, STDOUT_FILENO, stream);
	if (strncmp(spec, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		return vcore_stream_new_unix(spec + strlen(UNIX_PREFIX), -1,
					     stream);
	if (strncmp(spec, FD_PREFIX, strlen(FD_PREFIX)) == 0)
		return open_fd(spec, stream);
	if (strcmp(spec, "pty") != 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_open: '%s' is not null, stdio, pty, unix:PATH or fd:IN:OUT",
				  spec);
	rc = vcore_stream_new_pty(stream, name, sizeof(name));
	if (rc == 0 && path != NULL && path_len > 0) {
		strncpy(path, name, path_len - 1);
		path[path_len - 1] = '\0';
	}
	return rc;
}

int
vcore_stream_open(const char *spec, struct vcore_stream **stream, char *path,
		  uint32_t path_len)
{
	if (spec == NULL || stream == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_open: a pointer is NULL");
	return vcore__err_name(open_spec(spec, stream, path, path_len),
			       "vcore_stream_open");
}
