/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Streams: where the bytes of a console or serial port go to and come from.
 *
 * A stream has one user at a time, a device. It never blocks: what can't be
 * done now is -EAGAIN, and the user asks to be told when it is worth trying
 * again. Reading and writing need no loop; being told does, so a user attaches
 * first.
 */
#ifndef VCORE_STREAM_H
#define VCORE_STREAM_H

#include <vcore/base.h>
#include <vcore/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A stream of bytes in both directions. */
struct vcore_stream;

/** vcore_stream_read() is worth calling. */
#define VCORE_STREAM_READABLE (1u << 0)
/** vcore_stream_write() is worth calling. */
#define VCORE_STREAM_WRITABLE (1u << 1)
/**
 * The other end has gone. It may come back: then VCORE_STREAM_READABLE is told
 * without this bit, once also if there is nothing to read yet.
 */
#define VCORE_STREAM_HANGUP   (1u << 2)

/**
 * Told by a stream, level triggered while wanted.
 *
 * @param opaque  What the user gave to vcore_stream_attach().
 * @param ready   VCORE_STREAM_* bits, at least one. VCORE_STREAM_HANGUP comes
 *                without asking, but only while something is wanted.
 *
 * @thread Runs on the loop given to vcore_stream_attach(). It may call every
 *         function on the stream, also vcore_stream_detach().
 */
typedef void (*vcore_stream_ready_fn)(void *opaque, uint32_t ready);

/**
 * Implemented by whoever makes a stream. No method blocks.
 *
 * All are required. The user calls write, attach, detach and want one at a
 * time; read may run at the same time as another thread's write.
 */
struct vcore_stream_ops {
	uint32_t size;	/**< Set by VCORE_INIT() or sizeof. */
	uint32_t flags;	/**< None yet; others: -E2BIG. */
	/**
	 * Take bytes. Returns how many (at least 1), -EAGAIN if there are none
	 * now, 0 if there will never be any again.
	 */
	int64_t (*read)(void *opaque, void *buf, uint64_t len);
	/**
	 * Give bytes. Returns how many were taken (at least 1), -EAGAIN if
	 * none can be now, -EPIPE if nobody is there to take them: the user
	 * drops them and may try again later.
	 */
	int64_t (*write)(void *opaque, const void *buf, uint64_t len);
	/**
	 * Begin to call ready(ready_opaque, bits) on the loop, for what want()
	 * asks for. Nothing is wanted at first. Returns 0 or -errno.
	 */
	int (*attach)(void *opaque, struct vcore_loop *loop,
		      vcore_stream_ready_fn ready, void *ready_opaque);
	/**
	 * End it: ready is not called after this returns. Called on the loop,
	 * or while nobody dispatches the loop.
	 */
	void (*detach)(void *opaque);
	/**
	 * Replace what is wanted: VCORE_STREAM_READABLE and _WRITABLE bits.
	 * Returns 0 or -errno.
	 */
	int (*want)(void *opaque, uint32_t events);
};

/**
 * Make a stream of one's own.
 *
 * @param[in]  ops      Its methods; copied.
 * @param      opaque   First argument of each.
 * @param      release  Called with @p opaque when the last reference is gone;
 *                      may be NULL. Not called if this function fails.
 * @param[out] stream   The new stream; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not set, or a method is
 *                  missing.
 * @retval -E2BIG   @p ops has a flag or method this library does not know.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference; vcore_stream_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_stream_new(const struct vcore_stream_ops *ops, void *opaque,
		 void (*release)(void *opaque), struct vcore_stream **stream);

/**
 * Take another reference.
 *
 * @param stream  A stream, or NULL.
 * @return @p stream.
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_stream *
vcore_stream_ref(struct vcore_stream *stream);

/**
 * Drop a reference. The last one closes what the stream has open.
 *
 * @param stream  A stream that is not attached if this is the last reference,
 *                or NULL.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_stream_unref(struct vcore_stream *stream);

/**
 * Take bytes that have arrived.
 *
 * @param[in]  stream  A stream.
 * @param[out] buf     Where to put them.
 * @param      len     Room there, in bytes; at least 1.
 *
 * @return How many bytes were taken; 0 if the other end has gone for good
 *         (stop wanting VCORE_STREAM_READABLE); or a negative errno value:
 * @retval -EAGAIN  None now.
 * @retval -EINVAL  A pointer is NULL or @p len is 0. Others: the stream's.
 *
 * @thread Any thread, one reader at a time.
 * @since  0.1
 */
VCORE_API int64_t
vcore_stream_read(struct vcore_stream *stream, void *buf, uint64_t len);

/**
 * Give bytes.
 *
 * @param stream  A stream.
 * @param buf     The bytes.
 * @param len     How many; at least 1.
 *
 * @return How many bytes were taken, at least 1; or a negative errno value:
 * @retval -EAGAIN  None can be now.
 * @retval -EPIPE   Nobody is there to take them. A later call may succeed.
 * @retval -EINVAL  A pointer is NULL or @p len is 0. Others: the stream's.
 *
 * @thread Any thread, one writer at a time.
 * @since  0.1
 */
VCORE_API int64_t
vcore_stream_write(struct vcore_stream *stream, const void *buf, uint64_t len);

/**
 * Become the user of a stream.
 *
 * @param stream  A stream without user.
 * @param loop    Where @p ready runs.
 * @param ready   Called for what vcore_stream_want() asks for.
 * @param opaque  Its first argument.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EBUSY   The stream has a user.
 * @retval -ENOMEM  Out of host memory. Others: the stream's.
 *
 * @owns   The stream keeps @p loop alive until it is detached. The user keeps
 *         its own reference on @p stream.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_stream_attach(struct vcore_stream *stream, struct vcore_loop *loop,
		    vcore_stream_ready_fn ready, void *opaque);

/**
 * Stop being the user. Nothing happens if there is none.
 *
 * @param stream  A stream; NULL does nothing.
 *
 * @thread On the loop it was attached to, or while nobody dispatches that
 *         loop: then the user's function is not called after this returns.
 * @since  0.1
 */
VCORE_API void
vcore_stream_detach(struct vcore_stream *stream);

/**
 * Say what to be told, replacing what was said before.
 *
 * @param stream  An attached stream.
 * @param events  VCORE_STREAM_READABLE and VCORE_STREAM_WRITABLE bits.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p stream is NULL or @p events has another bit.
 * @retval -EBUSY   It is not attached.
 *
 * @thread Any thread; the user's calls come one at a time.
 * @since  0.1
 */
VCORE_API int
vcore_stream_want(struct vcore_stream *stream, uint32_t events);

/**
 * A stream over descriptors: standard input and output, a terminal, a pipe, a
 * connected socket, a file.
 *
 * The flags of the open file descriptions stay as they are, because the shell
 * or another process may share them: instead of O_NONBLOCK, sockets are used
 * with MSG_DONTWAIT and the rest is asked with poll() before each bounded
 * read or write. So a blocking terminal is written byte by byte, and where
 * another process writes to the same pipe on a kernel without RWF_NOWAIT for
 * pipes (before 6.4) a write can block.
 *
 * @param      in_fd   Read from here; -1: there is no input.
 * @param      out_fd  Written to; may equal @p in_fd; -1: output is dropped.
 * @param[out] stream  The new stream; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p stream is NULL or a number is below -1.
 * @retval -EBADF   Not an open descriptor.
 * @retval -EMFILE  Out of descriptors.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   Both are duplicated; the caller keeps its own.
 * @thread Any thread. A write never raises SIGPIPE.
 * @since  0.1
 */
VCORE_API int
vcore_stream_new_fd(int in_fd, int out_fd, struct vcore_stream **stream);

/**
 * A new pseudo-terminal, in raw mode, for a terminal program to open.
 *
 * While nobody has it open, output is refused with -EPIPE.
 *
 * @param[out] stream    The new stream; unchanged on failure.
 * @param[out] path      Receives the name of the terminal; may be NULL.
 * @param      path_len  Room there, with the final NUL.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p stream is NULL.
 * @retval -ERANGE  The name does not fit.
 * @retval -ENOMEM  Out of host memory. Others: posix_openpt()'s and open()'s.
 *
 * @owns   The caller owns a reference on @p stream.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_stream_new_pty(struct vcore_stream **stream, char *path,
		     uint32_t path_len);

/**
 * A UNIX socket that is listened on; one peer at a time talks to the stream.
 *
 * Others wait until the peer has gone; one that ends its sending side has gone.
 * Without peer, output is refused with -EPIPE. Peers are taken while the stream
 * is attached.
 *
 * @param      path       Where to listen: a name that does not exist yet. It
 *                        is removed with the stream. NULL: @p listen_fd.
 * @param      listen_fd  With @p path NULL: a listening socket; duplicated.
 * @param[out] stream     The new stream; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      @p stream is NULL, or neither or both of @p path and
 *                      @p listen_fd (not -1) are given, or the path is too
 *                      long for a socket.
 * @retval -EADDRINUSE  The path exists.
 * @retval -ENOTSOCK    @p listen_fd is not a listening stream socket.
 * @retval -ENOMEM      Out of host memory. Others: socket()'s and bind()'s.
 *
 * @owns   The caller owns a reference on @p stream.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_stream_new_unix(const char *path, int listen_fd,
		      struct vcore_stream **stream);

/**
 * A stream in memory: keeps the newest output, and input can be put in.
 *
 * @param      len     Bytes of output kept, and of input waiting: 1 up to
 *                     2^30.
 * @param[out] stream  The new stream; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p stream is NULL or @p len is out of range.
 * @retval -ENOMEM  Out of host memory.
 *
 * @owns   The caller owns a reference on @p stream.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_stream_new_ring(uint64_t len, struct vcore_stream **stream);

/**
 * Take the oldest output that a ring still has.
 *
 * @param[in]  stream  A ring.
 * @param[out] buf     Where to put it.
 * @param      len     Room there, in bytes.
 *
 * @return How many bytes were taken, 0 if there are none, or a negative errno
 *         value:
 * @retval -EINVAL  A pointer is NULL or @p stream is not a ring.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int64_t
vcore_stream_ring_read(struct vcore_stream *stream, void *buf, uint64_t len);

/**
 * Put in what the guest shall read.
 *
 * @param stream  A ring.
 * @param buf     The bytes.
 * @param len     How many.
 *
 * @return How many bytes fitted, or a negative errno value:
 * @retval -EAGAIN  None did: the guest has not read what waits.
 * @retval -EINVAL  A pointer is NULL or @p stream is not a ring.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int64_t
vcore_stream_ring_write(struct vcore_stream *stream, const void *buf,
			uint64_t len);

/**
 * Make one of the library's streams from a line of text.
 *
 * @param[in]  spec      `null` (no input, output dropped), `stdio`, `pty`,
 *                       `unix:PATH`, `fd:N` or `fd:IN:OUT`.
 * @param[out] stream    The new stream; unchanged on failure.
 * @param[out] path      Receives the name of a `pty`, shortened if need be,
 *                       or ""; may be NULL.
 * @param      path_len  Room there, with the final NUL.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or @p spec is none of these.
 * @retval -ENOMEM  Out of host memory. Others: those of the stream's own
 *                  function above.
 *
 * @owns   The caller owns a reference on @p stream.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_stream_open(const char *spec, struct vcore_stream **stream, char *path,
		  uint32_t path_len);

#ifdef __cplusplus
}
#endif
#endif
