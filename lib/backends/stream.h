/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: what the implementations share. */
#ifndef VCORE_LIB_BACKENDS_STREAM_H
#define VCORE_LIB_BACKENDS_STREAM_H

#include <vcore/stream.h>

/* The opaque of a stream that was made with this very table, else NULL. */
void *
vcore__stream_opaque(struct vcore_stream *stream,
		     const struct vcore_stream_ops *ops);

/* vcore_loop_add() of a descriptor, nothing asked for yet. */
int
vcore__stream_watch(struct vcore_loop *loop, int fd, vcore_loop_fn fn,
		    void *opaque, struct vcore_source **source);

/* VCORE_STREAM_* bits as VCORE_LOOP_* bits, and back. */
uint32_t
vcore__stream_to_loop(uint32_t events);

uint32_t
vcore__stream_from_loop(uint32_t ready);

#endif
