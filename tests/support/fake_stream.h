/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream as an embedder would write one, steered by a test. */
#ifndef VCORE_TESTS_FAKE_STREAM_H
#define VCORE_TESTS_FAKE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <vcore/stream.h>

#define FAKE_STREAM_LEN (1u << 20)

struct fake_stream {
	struct vcore_stream *stream;	/* the test's reference */
	/* Steering */
	uint64_t room;			/* bytes it takes until told otherwise */
	uint64_t step;			/* at most in one write; 0: all */
	bool ended;			/* read gives 0 */
	bool away;			/* write gives -EPIPE */
	bool hangup;			/* to be told, once */
	bool came;			/* to be told as READABLE, once */
	int attach_rc;
	/* What happened */
	bool attached;
	uint32_t want, released, violations, calls, writes, attaches;
	struct vcore_source *timer;
	vcore_stream_ready_fn ready;
	void *opaque;
	uint8_t *in, *out;		/* NULL: nothing yet */
	uint64_t in_at, in_len, out_len;
};

void
fake_stream_init(struct fake_stream *s);
/* Drops the test's reference; checks that no other is left. */
void
fake_stream_fini(struct fake_stream *s);
/* Input for the guest. */
void
fake_stream_put(struct fake_stream *s, const void *buf, uint64_t len);
/* It takes len bytes more. */
void
fake_stream_make_room(struct fake_stream *s, uint64_t len);
/* Told on the loop: hang-up, or the other end came back. */
void
fake_stream_hang_up(struct fake_stream *s);
void
fake_stream_come(struct fake_stream *s);

#endif
