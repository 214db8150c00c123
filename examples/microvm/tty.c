/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * microvm: the terminal it was started on, in raw mode while a guest has it,
 * and a stream of its own: the library's, with a way out in between.
 */
#include "microvm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <vcore/stream.h>

#define CTRL_A 1

static struct termios saved;
static int is_raw;

void
microvm_tty_raw(int keys)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;	/* our own messages want line ends */
	if (keys)
		raw.c_lflag |= ISIG;
	is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void
microvm_tty_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	is_raw = 0;
}

struct escape {
	struct vcore_stream *inner;
	int seen;		/* the last byte was Ctrl-A */
};

static int64_t
escape_read(void *opaque, void *buf, uint64_t len)
{
	struct escape *e = opaque;
	unsigned char *bytes = buf;
	int64_t n = vcore_stream_read(e->inner, buf, len), kept = 0;

	if (n <= 0)
		return n;
	for (int64_t i = 0; i < n; i++) {
		if (!e->seen && bytes[i] == CTRL_A) {
			e->seen = 1;
			continue;
		}
		if (e->seen && bytes[i] == 'x')
			kill(getpid(), SIGINT);
		else
			bytes[kept++] = bytes[i];
		e->seen = 0;
	}
	return kept > 0 ? kept : -EAGAIN;
}

static int64_t
escape_write(void *opaque, const void *buf, uint64_t len)
{
	return vcore_stream_write(((struct escape *)opaque)->inner, buf, len);
}

static int
escape_attach(void *opaque, struct vcore_loop *loop,
	      vcore_stream_ready_fn ready, void *ready_opaque)
{
	return vcore_stream_attach(((struct escape *)opaque)->inner, loop,
				   ready, ready_opaque);
}

static void
escape_detach(void *opaque)
{
	vcore_stream_detach(((struct escape *)opaque)->inner);
}

static int
escape_want(void *opaque, uint32_t events)
{
	return vcore_stream_want(((struct escape *)opaque)->inner, events);
}

static void
escape_release(void *opaque)
{
	vcore_stream_unref(((struct escape *)opaque)->inner);
	free(opaque);
}

int
microvm_tty_stream(struct vcore_stream **stream)
{
	static const struct vcore_stream_ops ops = {
		.size = sizeof(ops),
		.read = escape_read,
		.write = escape_write,
		.attach = escape_attach,
		.detach = escape_detach,
		.want = escape_want,
	};
	struct vcore_stream *inner;
	struct escape *e;
	int rc;

	rc = vcore_stream_new_fd(STDIN_FILENO, STDOUT_FILENO, &inner);
	if (rc < 0 || !isatty(STDIN_FILENO)) {
		if (rc == 0)
			*stream = inner;
		return rc;
	}
	e = calloc(1, sizeof(*e));
	rc = -ENOMEM;
	if (e != NULL) {
		e->inner = inner;
		rc = vcore_stream_new(&ops, e, escape_release, stream);
	}
	if (rc < 0) {
		vcore_stream_unref(inner);
		free(e);
	}
	return rc;
}
