/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream that is a pseudo-terminal.
 *
 * While nobody has the terminal open its master reports a hang-up without
 * end. Then the master is not watched; a slow timer looks whether somebody
 * came.
 */
#include "backends/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "backends/soft.h"
#include "base/base.h"

#define LOOK_NS 200000000u
#define NAME_LEN 64

struct pty {
	int master;			/* non-blocking */
	struct vcore_source *source;
	struct vcore__soft soft;
	vcore_stream_ready_fn ready;
	void *opaque;
	pthread_mutex_t lock;		/* below */
	uint32_t want;
	bool away;			/* the master is not watched */
};

static bool
is_away(const struct pty *p)
{
	struct pollfd pfd = { .fd = p->master };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0;
}

static bool
has_input(const struct pty *p)
{
	struct pollfd pfd = { .fd = p->master, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN) != 0;
}

static int64_t
pty_read(void *opaque, void *buf, uint64_t len)
{
	struct pty *p = opaque;
	ssize_t n = read(p->master, buf, len < INT32_MAX ? len : INT32_MAX);

	if (n > 0)
		return n;
	/* EIO: nobody has it open now. */
	if (n == 0 || errno == EIO || errno == EINTR || errno == EWOULDBLOCK)
		return -EAGAIN;
	return -errno;
}

static int64_t
pty_write(void *opaque, const void *buf, uint64_t len)
{
	struct pty *p = opaque;
	ssize_t n;

	/* A write would gather in the terminal for whoever comes next. */
	if (is_away(p))
		return -EPIPE;
	n = write(p->master, buf, len < INT32_MAX ? len : INT32_MAX);
	if (n > 0)
		return n;
	if (n == 0 || errno == EINTR || errno == EWOULDBLOCK)
		return -EAGAIN;
	return errno == EIO ? -EPIPE : -errno;
}

/* Watch the master, or look after it by timer. Lock held. */
static int
arrange(struct pty *p)
{
	uint32_t events = p->away ? 0 : vcore__stream_to_loop(p->want);

	if (p->away && p->want != 0)
		vcore__soft_poke(&p->soft, p->want & VCORE_STREAM_WRITABLE ?
						   0 :
						   LOOK_NS);
	return vcore_source_set_events(p->source, events);
}

static void
pty_ready(void *opaque, uint32_t ready)
{
	struct pty *p = opaque;
	uint32_t tell = vcore__stream_from_loop(ready);

	pthread_mutex_lock(&p->lock);
	/* What was typed before the hang-up is read first. */
	if ((tell & VCORE_STREAM_HANGUP) && !(tell & VCORE_STREAM_READABLE)) {
		p->away = true;
		(void)arrange(p);
	} else {
		tell &= ~VCORE_STREAM_HANGUP;
	}
	pthread_mutex_unlock(&p->lock);
	if (tell != 0)
		p->ready(p->opaque, tell);
}

static void
pty_look(void *opaque, uint32_t unused)
{
	struct pty *p = opaque;
	uint32_t tell = 0;

	(void)unused;
	pthread_mutex_lock(&p->lock);
	if (p->away) {
		p->away = is_away(p);
		/*
		 * Writing is refused then, which the user waits to be told;
		 * who comes is told as input, even if there is none yet. And
		 * somebody may have come, written and gone.
		 */
		tell = p->want & (p->away ? VCORE_STREAM_WRITABLE :
					    VCORE_STREAM_READABLE);
		if (has_input(p))
			tell |= p->want & VCORE_STREAM_READABLE;
		(void)arrange(p);
	}
	pthread_mutex_unlock(&p->lock);
	if (tell != 0)
		p->ready(p->opaque, tell);
}

static void
pty_detach(void *opaque)
{
	struct pty *p = opaque;

	vcore_source_remove(p->source);
	p->source = NULL;
	vcore__soft_stop(&p->soft);
	p->want = 0;
	p->away = false;
}

static int
pty_attach(void *opaque, struct vcore_loop *loop, vcore_stream_ready_fn ready,
	   void *ready_opaque)
{
	struct pty *p = opaque;
	int rc;

	p->ready = ready;
	p->opaque = ready_opaque;
	rc = vcore__soft_start(&p->soft, loop, pty_look, p);
	if (rc == 0)
		rc = vcore__stream_watch(loop, p->master, pty_ready, p,
					 &p->source);
	if (rc < 0)
		pty_detach(p);
	return rc;
}

static int
pty_want(void *opaque, uint32_t events)
{
	struct pty *p = opaque;
	int rc;

	pthread_mutex_lock(&p->lock);
	p->want = events;
	rc = arrange(p);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static const struct vcore_stream_ops pty_ops = {
	.size = sizeof(pty_ops),
	.read = pty_read,
	.write = pty_write,
	.attach = pty_attach,
	.detach = pty_detach,
	.want = pty_want,
};

static void
pty_release(void *opaque)
{
	struct pty *p = opaque;

	if (p->master >= 0)
		close(p->master);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Raw mode lasts as long as the master; closing it once says "nobody here". */
static int
make_raw(const char *name)
{
	struct termios t;
	int fd, rc = 0;

	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &t) < 0)
		rc = -errno;
	cfmakeraw(&t);
	if (rc == 0 && tcsetattr(fd, TCSANOW, &t) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int
open_pty(struct pty *p, char name[NAME_LEN])
{
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->master < 0 || grantpt(p->master) < 0 ||
	    unlockpt(p->master) < 0 || ptsname_r(p->master, name, NAME_LEN))
		return -errno;
	return make_raw(name);
}

int
vcore_stream_new_pty(struct vcore_stream **stream, char *path,
		     uint32_t path_len)
{
	char name[NAME_LEN] = "";
	struct pty *p;
	int rc;

	if (stream == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new_pty: stream is NULL");
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_stream_new_pty: no memory");
	pthread_mutex_init(&p->lock, NULL);
	rc = open_pty(p, name);
	if (rc < 0)
		vcore__err(NULL, rc, "vcore_stream_new_pty: '%s': %s", name,
			   vcore__strerror(rc));
	if (rc == 0 && path != NULL && strlen(name) >= path_len)
		rc = vcore__err(NULL, -ERANGE,
				"vcore_stream_new_pty: '%s' does not fit in %u bytes",
				name, path_len);
	if (rc == 0)
		rc = vcore_stream_new(&pty_ops, p, pty_release, stream);
	if (rc < 0) {
		pty_release(p);
		return vcore__err_name(rc, "vcore_stream_new_pty");
	}
	if (path != NULL)
		memcpy(path, name, strlen(name) + 1);
	return 0;
}
