/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as an embedder would write one: bytes in memory. A test can hold
 * requests back, let them fail, and look at what was asked.
 */
#ifndef VCORE_TESTS_FAKE_DISK_H
#define VCORE_TESTS_FAKE_DISK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/disk.h>

#define FAKE_DISK_KEPT 1024u

struct fake_disk_op {
	uint32_t op, flags;
	uint64_t offset, len;
};

struct fake_disk {
	struct vcore_disk *disk;	/* the test's reference */
	uint8_t *bytes;
	/* Set before it is used by a device; zero capacity is filled in. */
	struct vcore_disk_limits limits;
	pthread_mutex_t lock;
	/* Steering; under the lock if the loop has a thread. */
	bool hold;			/* requests wait for release() */
	uint32_t begun;			/* of those held, cancel() spares */
	uint32_t fail_op;		/* these requests end with fail_rc */
	int fail_rc;
	int attach_rc;
	/* What happened. */
	struct vcore_disk_request *held[FAKE_DISK_KEPT];
	uint32_t held_count;
	struct fake_disk_op ops[FAKE_DISK_KEPT];
	uint32_t op_count;		/* submitted, also more than kept */
	uint32_t commits, attaches, detaches, cancels, released;
};

/* A disk of this many bytes, all zero, that can do everything. */
void
fake_disk_init(struct fake_disk *f, uint64_t capacity);
/* Drops the test's reference; checks that no other is left. */
void
fake_disk_fini(struct fake_disk *f);
/* How many requests are held now. */
uint32_t
fake_disk_held(struct fake_disk *f);
/* Do and complete the n oldest held requests; how many there were. */
uint32_t
fake_disk_release(struct fake_disk *f, uint32_t n);

#endif
