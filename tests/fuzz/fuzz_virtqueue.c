/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes a split ring without a device: whatever the driver writes into guest
 * memory, chains lie in RAM, work is bounded, and a ring set up anew serves.
 *
 * Input: one byte of options, then operations: a byte that says which, and for
 * "write" two bytes of address, one of length, and that many bytes.
 *
 * FUZZ-SUPPORT: vdriver vring
 */
#include <stddef.h>
#include <stdlib.h>

#include "support/vdriver.h"
#include "virtio/virtqueue.h"

#define MAX    64u
#define DESC   0x0000u		/* ring addresses: all in the first 64 KiB */
#define AVAIL  0x0800u
#define USED   0x1000u
#define HELD   64u

static struct vdriver_env env;
static struct vcore_virtqueue q;
static bool made, is_broken;

static void
need(bool ok)
{
	if (!ok)
		abort();
}

static void
interrupt(void *owner, struct vcore_virtqueue *queue)
{
	(void)owner;
	(void)queue;
}

static void
broken(void *owner, struct vcore_virtqueue *queue, const char *why)
{
	(void)owner;
	(void)queue;
	need(why && !is_broken);
	is_broken = true;
}

static const struct vcore__virtqueue_ops ops = {
	.interrupt = interrupt, .broken = broken, .again = interrupt,
};

static void
make(void)
{
	vdriver_env_init(&env, 0);
	need(vcore__virtqueue_init(&q, env.memory, 0, MAX) == 0);
	q.ops = &ops;
	q.owner = &env;
	made = true;
}

static bool
is_ram(const struct iovec *iov, bool write)
{
	const uint8_t *p = iov->iov_base;
	uint64_t rom = VDRIVER_ROM_LEN;

	if (p >= env.ram && p < env.ram + VDRIVER_SEAM)
		return iov->iov_len <= (uint64_t)(env.ram + VDRIVER_SEAM - p) ||
		       env.ram + VDRIVER_SEAM == env.ram_high;
	if (p >= env.ram_high && p < env.ram_high + (VDRIVER_RAM - VDRIVER_SEAM))
		return iov->iov_len <= VDRIVER_RAM;
	/* Read-only memory is the third region. */
	return !write && iov->iov_len <= rom;
}

static void
check_chain(const struct vcore_chain *c, uint32_t size)
{
	uint64_t len[2] = { 0, 0 };

	need(c->head < size);
	need(c->readable + c->writable <= MAX + VCORE__CHAIN_SPLITS);
	for (uint32_t i = 0; i < c->readable + c->writable; i++) {
		need(c->iov[i].iov_len > 0);
		need(is_ram(&c->iov[i], i >= c->readable));
		len[i >= c->readable] += c->iov[i].iov_len;
	}
	need(len[0] == c->readable_len && len[1] == c->writable_len);
	need(len[0] + len[1] <= UINT32_MAX);
}

static struct vcore_chain *held[HELD];
static uint32_t held_count;

/* One dispatch: as much as the budget allows. */
static void
serve(uint32_t size)
{
	struct vcore_chain *c;
	uint32_t n = 0;

	vcore__virtqueue_begin(&q);
	while (held_count < HELD && vcore_virtqueue_pop(&q, &c) == 1) {
		check_chain(c, size);
		need(++n <= VCORE__QUEUE_BUDGET(size));
		held[held_count++] = c;
	}
	(void)vcore__virtqueue_end(&q);
	need(vcore_virtqueue_in_flight(&q) == held_count);
}

static void
give_back(uint8_t how)
{
	char byte = 1;

	if (!held_count)
		return;
	held_count--;
	if (how == 0) {
		vcore_virtqueue_unpop(&q, held[held_count]);
		/* Not the newest any more, if that was pushed: still ours. */
		if (vcore_virtqueue_in_flight(&q) > held_count)
			held_count++;
		return;
	}
	(void)vcore_chain_write(held[held_count], how, &byte, 1);
	(void)vcore_chain_read(held[held_count], how, &byte, 1);
	vcore_virtqueue_push(&q, held[held_count], how);
}

static size_t
driver_writes(const uint8_t *data, size_t len)
{
	size_t n, at;

	if (len < 3)
		return len;
	at = (size_t)(data[0] | data[1] << 8);
	n = data[2];
	if (n > len - 3)
		n = len - 3;
	memcpy(env.ram + at, data + 3, n);
	return n + 3;
}

static void
one_op(uint8_t op, uint32_t size)
{
	switch (op % 8) {
	case 1:
		serve(size);
		break;
	case 2:
		give_back(0);
		break;
	case 3:
		give_back(op);
		break;
	case 4:
		vcore_virtqueue_flush(&q);
		break;
	case 5:
		vcore_virtqueue_disable_kick(&q);
		break;
	case 6:
		(void)vcore_virtqueue_enable_kick(&q);
		break;
	default:
		while (held_count)
			give_back(9);
		break;
	}
}

static void
set_up(uint32_t size, uint8_t options)
{
	struct vcore__ring ring = {
		.desc = DESC, .driver = AVAIL, .device = USED, .size = size,
		.event_idx = options & 1, .indirect = (options & 2) != 0,
	};

	held_count = 0;
	is_broken = false;
	need(vcore__ring_check(&q.user, &ring, MAX) == NULL);
	vcore__virtqueue_setup(&q, &ring);
	vcore__virtqueue_open(&q);
}

/* A well-formed request after all that. */
static void
check_alive(void)
{
	struct vcore_chain *c;

	memset(env.ram, 0, 0x2000);
	set_up(MAX, 0);
	vdriver_desc_at(&env, DESC + 16 * 3, 0x8000, 32, 2, 0);
	env.ram[AVAIL + 4] = 3;
	env.ram[AVAIL + 2] = 1;
	need(vcore_virtqueue_pop(&q, &c) == 1);
	need(c->head == 3 && c->writable_len == 32);
	vcore_virtqueue_push(&q, c, 32);
	vcore_virtqueue_flush(&q);
	need(env.ram[USED + 2] == 1 && env.ram[USED + 4] == 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t size;
	size_t at = 1;

	if (len < 1)
		return 0;
	if (!made)
		make();
	memset(env.ram, 0, 0x10200);
	size = 1u << (data[0] >> 2) % 7;
	set_up(size, data[0]);
	while (at < len) {
		if (data[at] % 8 == 0)
			at += 1 + driver_writes(data + at + 1, len - at - 1);
		else
			one_op(data[at++], size);
	}
	check_alive();
	return 0;
}
