/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that echoes, behind the transport the test loop says. */
#ifndef VCORE_TESTS_VIRTIO_DEVICE_H
#define VCORE_TESTS_VIRTIO_DEVICE_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/base.h"
#include "loop/call.h"
#include "support/echo.h"
#include "support/support.h"
#include "support/vdriver.h"
#include "virtio/virtio.h"

#define QSIZE 64u

#define STATUS_BEGIN (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_RUNNING \
	(STATUS_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

static struct vdriver_env env;
static struct vdriver d;
static struct echo e;
static uint64_t buf;			/* a page of guest memory */

static inline void
device_setup(int transport, uint32_t flags, uint64_t features_off)
{
	vdriver_env_init(&env, flags);
	echo_init(&e, QSIZE, features_off);
	vdriver_attach(&d, &env, e.virtio,
		       transport ? VDRIVER_PCI : VDRIVER_MMIO);
	buf = vdriver_alloc(&env, 4096, 4096);
}

static inline void
device_teardown(void)
{
	vdriver_detach(&d);
	vcore_virtio_unref(e.virtio);
	vdriver_run(&env);
	ck_assert_uint_eq(e.released, 1);
	ck_assert_uint_eq(e.violations, 0);
	vdriver_env_fini(&env);
}

/* A request of 16 bytes each way; its head. */
static inline uint16_t
device_offer(struct vdriver_queue *q)
{
	struct vdriver_buf b[2] = {
		{ buf, 16, false }, { buf + 64, 16, true },
	};

	return vdriver_add(q, b, 2);
}

/* The device answers a well-formed request on this queue. */
static inline void
device_assert_serves(uint32_t index)
{
	struct vdriver_queue *q = &d.queue[index];
	uint16_t head = device_offer(q);
	uint32_t id, len;

	vdriver_kick(q);
	ck_assert(vdriver_wait(q, &id, &len));
	ck_assert_uint_eq(id, head);
	ck_assert_uint_eq(len, 16);
}

/* It needs a reset, and serves after one. */
static inline void
device_assert_recovers(void)
{
	ck_assert_uint_ne(vdriver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	e.hold = false;
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_assert_serves(1);
}

#endif
