/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: what its devices have done, as lines of NAME=VALUE on stderr. */
#include "microvm.h"

#include <inttypes.h>
#include <stdio.h>

#include <vcore/block.h>
#include <vcore/net.h>
#include <vcore/virtio.h>

#define ID_NET   1
#define ID_BLOCK 2

static void
show(const char *name, uint64_t value)
{
	fprintf(stderr, " %s=%" PRIu64, name, value);
}

static void
show_net(struct vcore_virtio *virtio)
{
	struct vcore_net_info info;
	char name[16];

	VCORE_INIT(&info);
	if (vcore_net_get_info(virtio, &info) < 0)
		return;
	show("rx_frames", info.rx_frames);
	show("rx_bytes", info.rx_bytes);
	show("rx_dropped", info.rx_dropped);
	show("rx_merged", info.rx_merged);
	show("rx_gso", info.rx_gso);
	show("tx_frames", info.tx_frames);
	show("tx_bytes", info.tx_bytes);
	show("tx_dropped", info.tx_dropped);
	show("tx_gso", info.tx_gso);
	/* The driver has let go of its queues: show those that were used. */
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "pair%u", i);
		if (info.queue_frames[i] > 0)
			show(name, info.queue_frames[i]);
	}
}

static void
show_block(struct vcore_virtio *virtio)
{
	struct vcore_block_info info;

	VCORE_INIT(&info);
	if (vcore_block_get_info(virtio, &info) < 0)
		return;
	show("reads", info.reads);
	show("writes", info.writes);
	show("flushes", info.flushes);
	show("discards", info.discards);
	show("zeroes", info.zeroes);
	show("errors", info.errors);
	show("bytes_read", info.bytes_read);
	show("bytes_written", info.bytes_written);
}

void
microvm_counters(struct vcore_machine *machine)
{
	struct vcore_virtio_info info;
	struct vcore_virtio *virtio;

	for (uint32_t i = 0; (virtio = vcore_machine_device(machine, i)); i++) {
		VCORE_INIT(&info);
		if (vcore_virtio_get_info(virtio, &info) < 0)
			continue;
		fprintf(stderr, "microvm: device %u: type=%u", i, info.type);
		show("kicks", info.kicks);
		show("interrupts", info.interrupts);
		show("chains", info.chains);
		show("bad", info.bad);
		if (info.type == ID_NET)
			show_net(virtio);
		else if (info.type == ID_BLOCK)
			show_block(virtio);
		fputc('\n', stderr);
	}
}
