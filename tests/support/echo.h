/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device that copies what it reads into what it may write, and lets a
 * test see and steer everything a model does.
 */
#ifndef VCORE_TESTS_SUPPORT_ECHO_H
#define VCORE_TESTS_SUPPORT_ECHO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/virtio.h>

#define ECHO_QUEUES 4u
#define ECHO_CONFIG 24u
#define ECHO_HELD   512u

struct echo {
	struct vcore_virtio *virtio;
	/* Steering */
	bool hold;			/* keep chains, don't answer */
	bool slow_stop;			/* stops end in echo_stopped() */
	bool suppress;			/* no kicks while busy */
	int start_rc, features_rc, config_rc;
	uint64_t features;		/* offered */
	uint32_t max_pops;		/* in one kick; 0: all */
	/* What happened */
	_Atomic uint32_t starts, kicks, stops, resets, released, pops;
	_Atomic uint32_t config_writes;
	_Atomic uint32_t last_how;
	_Atomic uint32_t violations;	/* calls outside of start..stop */
	uint64_t set_features;
	uint32_t last_readable, last_writable;	/* iovecs of the last chain */
	uint64_t last_readable_len, last_writable_len;
	bool running[ECHO_QUEUES];
	struct vcore_virtqueue *queue[ECHO_QUEUES];
	struct vcore_chain *held[ECHO_QUEUES][ECHO_HELD];
	uint32_t held_count[ECHO_QUEUES];
	struct vcore_done *done[ECHO_QUEUES];
	_Atomic uint64_t config[ECHO_CONFIG / 8];
};

extern const struct vcore_virtio_ops echo_ops;

/* A device with queues of this size; `features_off` as in the options. */
void
echo_init(struct echo *e, uint32_t queue_size, uint64_t features_off);
/* Answer what is held in a queue, in order: on its loop's thread. */
void
echo_answer(struct echo *e, uint32_t queue);
/* Complete the stops that slow_stop held back. */
void
echo_stopped(struct echo *e);

#endif
