/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round trip of an exit: the library's run loop with a handler on a bus,
 * against a bare loop of KVM_RUN, over the same guest, in alternating blocks;
 * and the system calls of it. What it costs in instructions: exit_cost.c.
 *
 * The kick signal has a handler (VCORE_VCPU_SIGNAL_HANDLED); in the cases
 * "signal blocked" it has none, and KVM changes the signal mask at each exit.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <vcore/bus.h>
#include <vcore/host.h>
#include <vcore/memory.h>
#include <vcore/vcpu.h>
#include <vcore/vm.h>

#include "common.h"
#include "guest.h"

/* 10^6 exits of each side. */
#define BLOCKS   1000u
#define EXITS    1000u
#define WARM_UP  50u
#define HANDLERS 1000u

struct guest {
	struct vcore_region *region;
	struct vcore_memory *memory;
	struct vcore_bus *pio;
	struct vcore_bus *mmio;
	struct vcore_range *range[HANDLERS];
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;
	uint32_t handlers;
	uint32_t reason;	/* KVM_EXIT_* */
	uint64_t exits;		/* of a block */
	uint64_t left;		/* until the block ends */
};

struct block {
	void (*run)(struct guest *g);
	int mmio;
	uint32_t handlers;
	uint32_t flags;		/* of the vCPU */
};

static int
on_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

static int
on_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	 struct vcore_access *later)
{
	struct guest *g = opaque;

	(void)off;
	(void)len;
	(void)val;
	(void)later;
	if (--g->left == 0)
		vcore_vcpu_kick(g->vcpu);
	return 0;
}

/* The guest's handler is in the middle of the others. */
static void
buses(struct guest *g, int mmio)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops),
		.read = on_read,
		.write = on_write,
	};
	uint64_t stride = mmio ? 0x1000 : 8;
	struct vcore_range_opts range;
	struct vcore_bus_opts bus;
	uint32_t i;

	VCORE_INIT(&bus);
	bus.kind = VCORE_BUS_PIO;
	bench_need(vcore_bus_new(&bus, &g->pio) == 0, "bus");
	bus.kind = VCORE_BUS_MMIO;
	bench_need(vcore_bus_new(&bus, &g->mmio) == 0, "bus");
	for (i = 0; i < g->handlers; i++) {
		VCORE_INIT(&range);
		range.base = (mmio ? GUEST_MMIO : GUEST_PORT) + i * stride -
			     g->handlers / 2 * stride;
		range.len = 4;
		range.ops = &ops;
		range.opaque = g;
		bench_need(vcore_bus_add(mmio ? g->mmio : g->pio, &range,
					 &g->range[i]) == 0, "range");
	}
}

static void
memory(struct guest *g, int mmio)
{
	struct vcore_region_opts region;
	struct vcore_region_info info;

	VCORE_INIT(&region);
	region.len = GUEST_MEMORY;
	region.flags = VCORE_REGION_POPULATE;
	bench_need(vcore_region_new(&region, &g->region) == 0, "region");
	bench_need(vcore_memory_new(NULL, &g->memory) == 0, "memory");
	bench_need(vcore_memory_add(g->memory, 0, g->region, 0) == 0,
		   "memory");
	VCORE_INIT(&info);
	bench_need(vcore_region_get_info(g->region, &info) == 0, "region");
	guest_fill((uint8_t *)(uintptr_t)info.hva, mmio);
}

/* The public structs have KVM's layout. */
static void
registers(struct vcore_vcpu *vcpu)
{
	struct vcore_sregs sregs;
	struct kvm_sregs k;
	struct kvm_regs regs;

	bench_need(vcore_vcpu_get_sregs(vcpu, &sregs) == 0, "sregs");
	memcpy(&k, &sregs, sizeof(k));
	guest_state(&k, &regs);
	memcpy(&sregs, &k, sizeof(k));
	bench_need(vcore_vcpu_set_sregs(vcpu, &sregs) == 0, "sregs");
	bench_need(vcore_vcpu_set_regs(vcpu, (void *)&regs) == 0, "regs");
}

static void
guest_new(struct guest *g, const struct block *b)
{
	struct vcore_host *host;
	struct vcore_vcpu_opts vcpu;
	struct vcore_vm_opts vm;

	memset(g, 0, sizeof(*g));
	g->handlers = b->handlers;
	g->reason = b->mmio ? KVM_EXIT_MMIO : KVM_EXIT_IO;
	buses(g, b->mmio);
	memory(g, b->mmio);
	bench_need(vcore_host_open(NULL, &host) == 0, "host");
	VCORE_INIT(&vm);
	vm.pio = g->pio;
	vm.mmio = g->mmio;
	bench_need(vcore_vm_new(host, g->memory, &vm, &g->vm) == 0, "vm");
	vcore_host_unref(host);
	VCORE_INIT(&vcpu);
	vcpu.flags = b->flags;
	bench_need(vcore_vcpu_new(g->vm, 0, &vcpu, &g->vcpu) == 0, "vcpu");
	registers(g->vcpu);
}

static void
guest_free(struct guest *g)
{
	uint32_t i;

	vcore_vcpu_unref(g->vcpu);
	vcore_vm_unref(g->vm);
	for (i = 0; i < g->handlers; i++)
		vcore_range_remove(g->range[i]);
	vcore_bus_unref(g->pio);
	vcore_bus_unref(g->mmio);
	vcore_memory_unref(g->memory);
	vcore_region_unref(g->region);
}

static void
run_library(struct guest *g)
{
	struct vcore_exit e;

	g->left = g->exits;
	VCORE_INIT(&e);
	bench_need(vcore_vcpu_run(g->vcpu, &e) == 0, "run");
	bench_need(e.kind == VCORE_EXIT_KICKED, "exit");
}

/* The least that a loop can do: take what the guest has written. */
static void
run_raw(struct guest *g)
{
	struct kvm_run *run = vcore_vcpu_run_area(g->vcpu, NULL);
	volatile uint8_t *pio = (uint8_t *)run + run->io.data_offset;
	int fd = vcore_vcpu_fd(g->vcpu);

	for (g->left = g->exits; g->left > 0; g->left--) {
		bench_need(ioctl(fd, KVM_RUN, 0) >= 0 &&
			   run->exit_reason == g->reason, "raw exit");
		if (run->exit_reason == KVM_EXIT_IO)
			pio = (uint8_t *)run + run->io.data_offset;
		else
			pio = run->mmio.data;
		(void)*pio;
	}
}

/*
 * Nanoseconds of an exit. Each block has a guest of its own, since two of
 * them, alike in all, may differ by a percent by where their memory is.
 */
static double
block(void *opaque)
{
	static struct guest g;
	struct block *b = opaque;
	double start, end;

	guest_new(&g, b);
	g.exits = WARM_UP;
	b->run(&g);
	g.exits = bench_count(EXITS, 100);
	start = bench_now_ns();
	b->run(&g);
	end = bench_now_ns();
	guest_free(&g);
	return (end - start) / (double)g.exits;
}

static void
measure(int mmio, uint32_t handlers, uint32_t flags)
{
	struct block a = { run_library, mmio, handlers, flags };
	struct block b = { run_raw, mmio, handlers, flags };
	struct bench_side ours = { block, &a };
	struct bench_side peer = { block, &b };
	char name[64];

	snprintf(name, sizeof(name), "%s%s, %u handlers",
		 flags ? "" : "signal blocked, ", mmio ? "mmio" : "pio",
		 handlers);
	bench_alternate(&ours, &peer, (uint32_t)bench_count(BLOCKS, 3), "ns",
			name);
}

/* Runs traced. Two blocks, the second with twice the exits. */
static void
two_blocks(void *opaque)
{
	static struct guest g;

	guest_new(&g, opaque);
	g.exits = 1000;
	run_library(&g);
	bench_mark();
	run_library(&g);
	bench_mark();
	g.exits = 2000;
	run_library(&g);
	bench_mark();
	guest_free(&g);
}

static void
system_calls(int mmio, uint32_t flags)
{
	struct block b = { run_library, mmio, HANDLERS, flags };
	struct bench_calls part[4];
	double others, runs;

	bench_need(bench_trace(two_blocks, &b, KVM_RUN, part, 4) == 4,
		   "trace");
	runs = (double)part[2].wanted - (double)part[1].wanted;
	others = (double)part[2].others - (double)part[1].others;
	bench_need(runs == 1000, "KVM_RUN is called once an exit");
	bench_print(others / 1000, "1/exit", NAN,
		    "system calls but KVM_RUN, %s%s",
		    flags ? "" : "signal blocked, ", mmio ? "mmio" : "pio");
}

int
main(void)
{
	const struct sigaction kicks = { .sa_handler =
						 vcore_vcpu_kick_handler };
	const uint32_t handled = VCORE_VCPU_SIGNAL_HANDLED;

	bench_begin("exit", true);
	bench_need(sigaction(SIGRTMIN, &kicks, NULL) == 0, "sigaction");
	for (int mmio = 0; mmio < 2; mmio++) {
		system_calls(mmio, handled);
		system_calls(mmio, 0);
		measure(mmio, 1, handled);
		measure(mmio, HANDLERS, handled);
		measure(mmio, HANDLERS, 0);
	}
	return bench_end();
}
