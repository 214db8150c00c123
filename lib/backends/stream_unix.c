/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream that listens on a UNIX socket and talks to one peer at a time. */
#include "backends/stream.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/soft.h"
#include "base/base.h"

/* How long until a peer that could not be accepted is tried again. */
#define RETRY_NS UINT64_C(100000000)

struct unix_stream {
	int listen_fd;
	char *path;			/* ours to remove; NULL: the caller's */
	struct vcore_loop *loop;	/* attached; kept by the sources */
	vcore_stream_ready_fn ready;
	void *opaque;
	struct vcore__soft soft;
	struct vcore_source *listening;
	pthread_mutex_t lock;		/* all below */
	struct vcore_source *talking;
	int peer;			/* -1: none */
	uint32_t want;
	bool hangup;			/* to be told */
	bool came;			/* likewise: a peer, silent so far */
	bool refused;			/* nobody is accepted for a while */
};

/* The peer has gone: the next in line may come. Lock held. */
static void
drop_peer(struct unix_stream *u)
{
	if (u->peer < 0)
		return;
	vcore_source_remove(u->talking);
	u->talking = NULL;
	close(u->peer);
	u->peer = -1;
	u->hangup = true;
	u->came = false;
	if (u->listening != NULL)
		(void)vcore_source_set_events(u->listening, VCORE_LOOP_READ);
	vcore__soft_poke(&u->soft, 0);
}

/* What a transfer with the peer came to. Lock held. */
static int64_t
peer_result(struct unix_stream *u, ssize_t n, int64_t gone)
{
	if (n > 0)
		return n;
	if (n < 0 && (errno == EINTR || errno == EWOULDBLOCK))
		return -EAGAIN;
	drop_peer(u);
	return gone;
}

static int64_t
unix_read(void *opaque, void *buf, uint64_t len)
{
	struct unix_stream *u = opaque;
	int64_t n = -EAGAIN;

	pthread_mutex_lock(&u->lock);
	if (u->peer >= 0)
		n = peer_result(u, recv(u->peer, buf, len, MSG_DONTWAIT),
				-EAGAIN);
	pthread_mutex_unlock(&u->lock);
	return n;
}

static int64_t
unix_write(void *opaque, const void *buf, uint64_t len)
{
	struct unix_stream *u = opaque;
	int64_t n = -EPIPE;

	pthread_mutex_lock(&u->lock);
	if (u->peer >= 0)
		n = peer_result(u, send(u->peer, buf, len,
					MSG_DONTWAIT | MSG_NOSIGNAL),
				-EPIPE);
	pthread_mutex_unlock(&u->lock);
	return n;
}

/*
 * What no descriptor says. Writing without peer is refused at once, which
 * counts as ready. Lock held.
 */
static uint32_t
ready_by_itself(const struct unix_stream *u)
{
	uint32_t ready = u->peer < 0 ? u->want & VCORE_STREAM_WRITABLE : 0;

	if (u->hangup && u->want != 0)
		ready |= VCORE_STREAM_HANGUP;
	else if (u->came)
		ready |= u->want & VCORE_STREAM_READABLE;
	return ready;
}

static void
unix_tell(void *opaque, uint32_t unused)
{
	struct unix_stream *u = opaque;
	uint32_t ready;

	(void)unused;
	pthread_mutex_lock(&u->lock);
	ready = ready_by_itself(u);
	if (ready & VCORE_STREAM_HANGUP)
		u->hangup = false;
	if (ready & VCORE_STREAM_READABLE)
		u->came = false;
	if (u->refused)
		(void)vcore_source_set_events(u->listening, VCORE_LOOP_READ);
	u->refused = false;
	if (ready_by_itself(u) != 0)
		vcore__soft_poke(&u->soft, 0);
	pthread_mutex_unlock(&u->lock);
	if (ready != 0)
		u->ready(u->opaque, ready);
}

static void
peer_ready(void *opaque, uint32_t ready)
{
	struct unix_stream *u = opaque;
	uint32_t tell = vcore__stream_from_loop(ready);

	pthread_mutex_lock(&u->lock);
	/* Bytes sent before the hang-up are read first; then read drops. */
	if (u->peer < 0)
		tell = 0;
	else if ((tell & VCORE_STREAM_HANGUP) &&
		 !(tell & VCORE_STREAM_READABLE))
		drop_peer(u);
	tell &= u->want;
	pthread_mutex_unlock(&u->lock);
	if (tell != 0)
		u->ready(u->opaque, tell);
}

/* Begin to watch the peer. Lock held. */
static int
watch_peer(struct unix_stream *u)
{
	int rc = vcore__stream_watch(u->loop, u->peer, peer_ready, u,
				     &u->talking);

	if (rc == 0)
		rc = vcore_source_set_events(u->talking,
					     vcore__stream_to_loop(u->want));
	return rc;
}

/*
 * Out of descriptors, most likely. Whoever waits would keep the loop awake, so
 * he is looked at again later. Lock held.
 */
static void
refuse(struct unix_stream *u)
{
	u->refused = true;
	(void)vcore_source_set_events(u->listening, 0);
	vcore__soft_poke(&u->soft, ready_by_itself(u) ? 0 : RETRY_NS);
}

static void
peer_came(void *opaque, uint32_t unused)
{
	struct unix_stream *u = opaque;

	(void)unused;
	pthread_mutex_lock(&u->lock);
	if (u->peer < 0)
		u->peer = accept4(u->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (u->peer < 0 && errno != EWOULDBLOCK && errno != EINTR &&
	    errno != ECONNABORTED)
		refuse(u);
	if (u->peer >= 0 && u->talking == NULL) {
		(void)vcore_source_set_events(u->listening, 0);
		u->came = true;
		if (watch_peer(u) < 0)
			drop_peer(u);
		vcore__soft_poke(&u->soft, 0);
	}
	pthread_mutex_unlock(&u->lock);
}

static void
unix_detach(void *opaque)
{
	struct unix_stream *u = opaque;

	pthread_mutex_lock(&u->lock);
	vcore_source_remove(u->talking);
	vcore_source_remove(u->listening);
	vcore__soft_stop(&u->soft);
	u->talking = NULL;
	u->listening = NULL;
	u->want = 0;
	pthread_mutex_unlock(&u->lock);
}

static int
unix_attach(void *opaque, struct vcore_loop *loop, vcore_stream_ready_fn ready,
	    void *ready_opaque)
{
	struct unix_stream *u = opaque;
	int rc;

	pthread_mutex_lock(&u->lock);
	u->loop = loop;
	u->ready = ready;
	u->opaque = ready_opaque;
	rc = vcore__soft_start(&u->soft, loop, unix_tell, u);
	if (rc == 0)
		rc = vcore__stream_watch(loop, u->listen_fd, peer_came, u,
					 &u->listening);
	if (rc == 0)
		rc = u->peer >= 0 ? watch_peer(u) :
				    vcore_source_set_events(u->listening,
							    VCORE_LOOP_READ);
	pthread_mutex_unlock(&u->lock);
	if (rc < 0)
		unix_detach(u);
	return rc;
}

static int
unix_want(void *opaque, uint32_t events)
{
	struct unix_stream *u = opaque;
	int rc = 0;

	pthread_mutex_lock(&u->lock);
	u->want = events;
	if (u->talking != NULL)
		rc = vcore_source_set_events(u->talking,
					     vcore__stream_to_loop(events));
	if (ready_by_itself(u) != 0)
		vcore__soft_poke(&u->soft, 0);
	pthread_mutex_unlock(&u->lock);
	return rc;
}

static const struct vcore_stream_ops unix_ops = {
	.size = sizeof(unix_ops),
	.read = unix_read,
	.write = unix_write,
	.attach = unix_attach,
	.detach = unix_detach,
	.want = unix_want,
};

static void
unix_release(void *opaque)
{
	struct unix_stream *u = opaque;

	if (u->peer >= 0)
		close(u->peer);
	if (u->listen_fd >= 0)
		close(u->listen_fd);
	if (u->path != NULL)
		unlink(u->path);
	free(u->path);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static int
listen_on(struct unix_stream *u, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sun.sun_path))
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new_unix: '%s' is longer than %zu bytes",
				  path, sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, strlen(path));
	u->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
					       SOCK_NONBLOCK,
			      0);
	if (u->listen_fd < 0 ||
	    bind(u->listen_fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_stream_new_unix: '%s': %m", path);
	/* From here on the name is ours to remove. */
	u->path = strdup(path);
	if (u->path == NULL) {
		unlink(path);
		return vcore__err(NULL, -ENOMEM,
				  "vcore_stream_new_unix: no memory");
	}
	if (listen(u->listen_fd, 4) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_stream_new_unix: '%s': %m", path);
	return 0;
}

static int
take_listener(struct unix_stream *u, int fd)
{
	socklen_t len = sizeof(int);
	int accepts = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) < 0)
		return vcore__err(NULL, -errno,
				  "vcore_stream_new_unix: fd %d: %m", fd);
	if (!accepts)
		return vcore__err(NULL, -ENOTSOCK,
				  "vcore_stream_new_unix: fd %d is not listening",
				  fd);
	u->listen_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (u->listen_fd < 0)
		return vcore__err(NULL, -errno,
				  "vcore_stream_new_unix: fd %d: %m", fd);
	return 0;
}

int
vcore_stream_new_unix(const char *path, int listen_fd,
		      struct vcore_stream **stream)
{
	struct unix_stream *u;
	int rc;

	if (stream == NULL || (path == NULL) == (listen_fd == -1))
		return vcore__err(NULL, -EINVAL,
				  "vcore_stream_new_unix: %s",
				  stream == NULL ? "stream is NULL" :
						   "either path or listen_fd");
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_stream_new_unix: no memory");
	u->listen_fd = -1;
	u->peer = -1;
	pthread_mutex_init(&u->lock, NULL);
	rc = path != NULL ? listen_on(u, path) : take_listener(u, listen_fd);
	if (rc == 0)
		rc = vcore_stream_new(&unix_ops, u, unix_release, stream);
	if (rc < 0)
		unix_release(u);
	return vcore__err_name(rc, "vcore_stream_new_unix");
}
