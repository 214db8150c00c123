/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link as an embedder would write one: frames that a test puts in are
 * received, frames that are sent are kept for the test to look at.
 */
#ifndef VCORE_TESTS_FAKE_LINK_H
#define VCORE_TESTS_FAKE_LINK_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/link.h>

#define FAKE_LINK_QUEUES 4u
#define FAKE_LINK_KEPT   1024u
#define FAKE_LINK_HDR    12u

struct fake_frame {
	uint8_t *bytes;			/* with header */
	uint32_t len;
};

struct fake_queue {
	struct fake_link *link;
	bool attached;
	struct vcore_loop *loop;
	struct vcore_source *timer;
	vcore_link_ready_fn ready;
	void *opaque;
	uint32_t want;
	uint32_t wants, attaches, calls;	/* how often */
	struct fake_frame in[FAKE_LINK_KEPT], sent[FAKE_LINK_KEPT];
	uint32_t in_first, in_count, sent_count;
	uint32_t sent_iovs;		/* of the last frame */
};

struct fake_link {
	struct vcore_link *link;	/* the test's reference */
	pthread_mutex_t lock;
	/* Steering; under the lock if the loop has a thread. */
	uint32_t offloads, queues;
	bool full;			/* nothing can be sent now */
	bool down;			/* to be told, once */
	int send_rc, attach_rc, set_rc;
	int64_t receive_rc;
	uint32_t claim;			/* bytes more than received, once */
	/* What happened. */
	uint32_t rx_offloads, sets, released;
	uint32_t violations;		/* calls while not attached */
	struct fake_queue q[FAKE_LINK_QUEUES];
};

/* offloads: VCORE_LINK_OFFLOAD_*; queues: pairs it says it serves */
void
fake_link_init(struct fake_link *l, uint32_t offloads, uint32_t queues);
/* Drops the test's reference; checks that no other is left. */
void
fake_link_fini(struct fake_link *l);
/* A frame for the guest. hdr: NULL: all zero. */
void
fake_link_put(struct fake_link *l, uint32_t queue,
	      const struct virtio_net_hdr_v1 *hdr, const void *payload,
	      uint32_t len);
/* full = on; if it ends, the device is told. */
void
fake_link_set_full(struct fake_link *l, bool on);
void
fake_link_go_down(struct fake_link *l);
/* The i-th frame that was sent, with header; NULL: not so many */
const struct fake_frame *
fake_link_sent(struct fake_link *l, uint32_t queue, uint32_t i);
/* Forget what was sent. */
void
fake_link_clear(struct fake_link *l);

#endif
