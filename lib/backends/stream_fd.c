/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream over descriptors whose open file descriptions others may share.
 *
 * O_NONBLOCK would change them for everybody, so each read and write is made
 * not to block by itself: MSG_DONTWAIT, RWF_NOWAIT, or poll() and no more
 * bytes than poll() promises room for.
 */
#include "backends/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backends/soft.h"
#include "base/base.h"

/* poll() promises a pipe's writer one page, a terminal's one byte. */
#define PIPE_ROOM 4096u
#define TTY_BATCH 256u

enum kind {
	KIND_NONE,	/* absent */
	KIND_SOCKET,
	KIND_PIPE,
	KIND_PLAIN,	/* never blocks, epoll refuses it: file, /dev/null */
	KIND_TTY	/* and all other */
};

struct end {
	int fd;
	enum kind kind;
	bool nonblock;		/* the description has O_NONBLOCK already */
	bool no_nowait;		/* pipe: this kernel has no RWF_NOWAIT for it */
	struct vcore_source *source;
};

struct fd_stream {
	struct end in, out;
	struct vcore__soft soft;	/* tells for KIND_PLAIN */
	_Atomic uint32_t plain_want;
	vcore_stream_ready_fn ready;
	void *opaque;
};

static bool
poll_now(int fd, short events, short *revents)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, 0) != 1)
		return false;
	*revents = p.revents;
	return true;
}

static int64_t
result(ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno == EINTR || errno == EWOULDBLOCK)
		return -EAGAIN;
	return -errno;
}

/* A pipe with RWF_NOWAIT: -EOPNOTSUPP where the kernel can't. */
static int64_t
pipe_nowait(struct end *e, void *buf, uint64_t len, bool write)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	ssize_t n;

	if (e->no_nowait)
		return -EOPNOTSUPP;
	n = write ? pwritev2(e->fd, &iov, 1, -1, RWF_NOWAIT)
		  : preadv2(e->fd, &iov, 1, -1, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP)
		e->no_nowait = true;
	return result(n);
}

static int64_t
read_polled(struct end *e, void *buf, uint64_t len)
{
	short revents;

	if (!poll_now(e->fd, POLLIN, &revents))
		return -EAGAIN;
	return result(read(e->fd, buf, len));
}

static int64_t
fd_read(void *opaque, void *buf, uint64_t len)
{
	struct end *e = &((struct fd_stream *)opaque)->in;
	int64_t n;

	if (len > INT32_MAX)
		len = INT32_MAX;
	switch (e->kind) {
	case KIND_NONE:
		return -EAGAIN;
	case KIND_SOCKET:
		n = result(recv(e->fd, buf, len, MSG_DONTWAIT));
		break;
	case KIND_PLAIN:
		n = result(read(e->fd, buf, len));
		break;
	case KIND_PIPE:
		n = pipe_nowait(e, buf, len, false);
		if (n == -EOPNOTSUPP)
			n = read_polled(e, buf, len);
		break;
	default:
		n = read_polled(e, buf, len);
		break;
	}
	/* A terminal that hung up, a peer that died: the end, no error. */
	return n == -EIO || n == -ECONNRESET ? 0 : n;
}

/* The kernel raises SIGPIPE in the writing thread: take it back there. */
static int64_t
write_pipe(struct end *e, const void *buf, uint64_t len)
{
	static const struct timespec now = { 0, 0 };
	sigset_t pipe_set, old, pending;
	short revents;
	int64_t n;

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
	sigpending(&pending);
	n = pipe_nowait(e, (void *)(uintptr_t)buf, len, true);
	if (n == -EOPNOTSUPP) {
		n = -EAGAIN;
		if (poll_now(e->fd, POLLOUT, &revents))
			n = result(write(e->fd, buf,
					 len < PIPE_ROOM ? len : PIPE_ROOM));
	}
	if (n == -EPIPE && !sigismember(&pending, SIGPIPE))
		(void)sigtimedwait(&pipe_set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

/* One byte at a time: a terminal with less room than bytes would block. */
static int64_t
write_tty(struct end *e, const uint8_t *buf, uint64_t len)
{
	int64_t n, done = 0;
	short revents;

	if (e->nonblock)
		return result(write(e->fd, buf, len));
	while ((uint64_t)done < len && done < (int64_t)TTY_BATCH) {
		n = -EAGAIN;
		if (poll_now(e->fd, POLLOUT, &revents))
			n = revents & POLLOUT ?
				    result(write(e->fd, buf + done, 1)) :
				    -EPIPE;
		if (n <= 0)
			return done > 0 ? done : n;
		done++;
	}
	return done;
}

static int64_t
fd_write(void *opaque, const void *buf, uint64_t len)
{
	struct end *e = &((struct fd_stream *)opaque)->out;
	int64_t n;

	if (len > INT32_MAX)
		len = INT32_MAX;
	switch (e->kind) {
	case KIND_NONE:
		return (int64_t)len;
	case KIND_SOCKET:
		n = result(send(e->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL));
		break;
	case KIND_PIPE:
		n = write_pipe(e, buf, len);
		break;
	case KIND_PLAIN:
		n = result(write(e->fd, buf, len));
		break;
	default:
		n = write_tty(e, buf, len);
		break;
	}
	return n == -EIO || n == -ECONNRESET ? -EPIPE : n;
}

static void
fd_ready(void *opaque, uint32_t ready)
{
	struct fd_stream *s = opaque;

	s->ready(s->opaque, vcore__stream_from_loop(ready));
}

/* Files are always ready. */
static void
plain_ready(void *opaque, uint32_t unused)
{
	struct fd_stream *s = opaque;
	uint32_t want = atomic_load(&s->plain_want);

	(void)unused;
	if (want == 0)
		return;
	vcore__soft_poke(&s->soft, 0);
	s->ready(s->opaque, want);
}

static void
fd_detach(void *opaque)
{
	struct fd_stream *s = opaque;

	vcore_source_remove(s->in.source);
	vcore_source_remove(s->out.source);
	s->in.source = NULL;
	s->out.source = NULL;
	atomic_store(&s->plain_want, 0);
	vcore__soft_stop(&s->soft);
}

static int
watch_end(struct fd_stream *s, struct vcore_loop *loop, struct end *e)
{
	if (e->kind == KIND_NONE || e->kind == KIND_PLAIN)
		return 0;
	return vcore__stream_watch(loop, e->fd, fd_ready, s, &e->source);
}

static int
fd_attach(void *opaque, struct vcore_loop *loop, vcore_stream_ready_fn ready,
	  void *ready_opaque)
{
	struct fd_stream *s = opaque;
	int rc;

	s->ready = ready;
	s->opaque = ready_opaque;
	rc = vcore__soft_start(&s->soft, loop, plain_ready, s);
	if (rc == 0)
		rc = watch_end(s, loop, &s->in);
	if (rc == 0)
		rc = watch_end(s, loop, &s->out);
	if (rc < 0)
		fd_detach(s);
	return rc;
}

/* What of events this end tells by its descriptor; the rest is added to *plain. */
static int
want_end(struct end *e, uint32_t events, uint32_t *plain)
{
	if (e->source != NULL)
		return vcore_source_set_events(e->source,
					       vcore__stream_to_loop(events));
	/* Absent input is never ready; absent output always. */
	if (e->kind == KIND_PLAIN || events == VCORE_STREAM_WRITABLE)
		*plain |= events;
	return 0;
}

static int
fd_want(void *opaque, uint32_t events)
{
	struct fd_stream *s = opaque;
	uint32_t plain = 0;
	int rc;

	rc = want_end(&s->in, events & VCORE_STREAM_READABLE, &plain);
	if (rc == 0)
		rc = want_end(&s->out, events & VCORE_STREAM_WRITABLE, &plain);
	atomic_store(&s->plain_want, plain);
	if (plain != 0)
		vcore__soft_poke(&s->soft, 0);
	return rc;
}

static const struct vcore_stream_ops fd_ops = {
	.size = sizeof(fd_ops),
	.read = fd_read,
	.write = fd_write,
	.attach = fd_attach,
	.detach = fd_detach,
	.want = fd_want,
};

static void
close_ends(struct fd_stream *s)
{
	if (s->in.fd >= 0)
		close(s->in.fd);
	if (s->out.fd >= 0)
		close(s->out.fd);
}

static void
fd_release(void *opaque)
{
	close_ends(opaque);
	free(opaque);
}

/* Whether epoll takes it; -errno if that can't be found out. */
static int
is_pollable(int fd)
{
	struct epoll_event ev = { .events = 0 };
	int ep, rc = 1;

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		return -errno;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		rc = errno == EPERM ? 0 : -errno;
	close(ep);
	return rc;
}

static int
open_end(struct end *e, int fd, const char *which)
{
	struct stat st;
	int flags, rc;

	e->fd = -1;
	e->kind = KIND_NONE;
	if (fd == -1)
		return 0;
	e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	flags = e->fd < 0 ? -1 : fcntl(e->fd, F_GETFL);
	if (flags < 0 || fstat(e->fd, &st) < 0)
		return vcore__err(NULL, -errno, "vcore_stream_new_fd: %s %d: %m",
				  which, fd);
	rc = is_pollable(e->fd);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_stream_new_fd: %s %d: epoll: %s", which,
				  fd, vcore__strerror(rc));
	e->nonblock = (flags & O_NONBLOCK) != 0;
	if (rc == 0)
		e->kind = KIND_PLAIN;
	else if (S_ISSOCK(st.st_mode))
		e->kind = KIND_SOCKET;
	else if (S_ISFIFO(st.st_mode))
		e->kind = KIND_PIPE;
	else
		e->kind = KIND_TTY;
	return 0;
}

int
vcore_stream_new_fd(int in_fd, int out_fd, struct vcore_stream **stream)
{
	struct fd_stream *s;
	int rc;

	if (stream == NULL || in_fd < -1 || out_fd < -1)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new_fd: in %d, out %d%s", in_fd,
				  out_fd,
				  stream == NULL ? ", stream is NULL" : "");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_stream_new_fd: no memory");
	s->out.fd = -1;
	rc = open_end(&s->in, in_fd, "in");
	if (rc == 0)
		rc = open_end(&s->out, out_fd, "out");
	if (rc == 0)
		rc = vcore_stream_new(&fd_ops, s, fd_release, stream);
	if (rc != 0)
		fd_release(s);
	return vcore__err_name(rc, "vcore_stream_new_fd");
}
