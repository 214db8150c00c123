/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions that the library adds to an exit: its run loop against a bare
 * one, both on a KVM_RUN that returns at once with the same exit, counted by
 * callgrind. The counts are the same on every run, so that they can be tested.
 *
 *     bench_exit_cost [lib|raw KIND HANDLERS EXITS]
 *
 * With arguments it is what is counted. KIND: out, in (ports), store, load
 * (memory): always the handler in the middle; turn: a store to each handler in
 * turn; bells: a store to a bus that has 16 doorbells as well.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/bus.h>
#include <vcore/memory.h>
#include <vcore/vcpu.h>
#include <vcore/vm.h>

#include "common.h"
#include "guest.h"
#include "kvm/compat.h"
#include "kvm/host.h"

#define RUN_LEN  (3u * 4096)
#define EXITS    2000u
#define STRIDE   0x1000ull

struct guest {
	struct vcore_bus *bus;
	struct vcore_vcpu *vcpu;
	uint64_t left;
};

static struct kvm_run *area;
static uint64_t turns;		/* handlers to go through, or 0 */

/* What the C library's ioctl() and the kernel are; a call, as those are. */
static int __attribute__((noinline))
kernel(int fd, unsigned long request, void *arg)
{
	(void)arg;
	__asm__ volatile("" : : "r"(fd) : "memory");
	switch (request) {
	case KVM_RUN:
		if (turns) {
			area->mmio.phys_addr += STRIDE;
			if (area->mmio.phys_addr == turns * STRIDE)
				area->mmio.phys_addr = 0;
		}
		errno = EINTR;
		return area->immediate_exit ? -1 : 0;
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_LEN;
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
		return eventfd(0, EFD_CLOEXEC);
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)arg == KVM_CAP_USER_MEMORY;
	default:
		return 0;
	}
}

static int
fake_open(void *opaque, const char *path)
{
	(void)opaque;
	(void)path;
	return eventfd(0, EFD_CLOEXEC);
}

/* Like the table's real one. */
static int
fake_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	int rc = kernel(fd, request, arg);

	(void)opaque;
	return rc < 0 ? -errno : rc;
}

static int
fake_mmap(void *opaque, int fd, size_t len, void **out)
{
	(void)opaque;
	(void)fd;
	*out = area = calloc(1, len);
	return area ? 0 : -ENOMEM;
}

static void
fake_munmap(void *opaque, void *old, size_t len)
{
	(void)opaque;
	(void)len;
	free(old);
}

static void
fake_close(void *opaque, int fd)
{
	(void)opaque;
	close(fd);
}

static int
on_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	struct vcore_access *later)
{
	struct guest *g = opaque;

	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	if (--g->left == 0)
		vcore_vcpu_kick(g->vcpu);
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

static void
add_handlers(struct guest *g, bool mmio, uint32_t handlers)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops),
		.read = on_read,
		.write = on_write,
	};
	uint64_t first = mmio ? 0 : 0x10, stride = mmio ? STRIDE : 8;
	struct vcore_range_opts range;
	struct vcore_range *ignored;
	uint32_t i;

	for (i = 0; i < handlers; i++) {
		VCORE_INIT(&range);
		range.base = first + i * stride;
		range.len = 4;
		range.ops = &ops;
		range.opaque = g;
		bench_need(vcore_bus_add(g->bus, &range, &ignored) == 0,
			   "range");
	}
}

/* Behind the handlers. */
static void
add_doorbells(struct guest *g, uint32_t handlers)
{
	struct vcore_doorbell_opts bell;
	struct vcore_range *ignored;
	int fd = eventfd(0, EFD_CLOEXEC);
	uint32_t i;

	for (i = 0; i < 16; i++) {
		VCORE_INIT(&bell);
		bell.addr = (handlers + i) * STRIDE;
		bell.len = 4;
		bench_need(vcore_bus_add_doorbell(g->bus, &bell, fd,
						  &ignored) == 0, "doorbell");
	}
	close(fd);
}

/* The exit that comes each time, to the handler in the middle. */
static void
set_exit(const char *kind, uint32_t handlers)
{
	bool in = strcmp(kind, "in") == 0;
	uint64_t nth = handlers / 2;

	if (in || strcmp(kind, "out") == 0) {
		area->exit_reason = KVM_EXIT_IO;
		area->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
		area->io.port = (uint16_t)(0x10 + nth * 8);
		area->io.size = 1;
		area->io.count = 1;
		area->io.data_offset = 4096;
	} else {
		area->exit_reason = KVM_EXIT_MMIO;
		area->mmio.phys_addr = nth * STRIDE;
		area->mmio.len = 4;
		area->mmio.is_write = strcmp(kind, "load") != 0;
		turns = strcmp(kind, "turn") == 0 ? handlers : 0;
	}
}

static void
guest_new(struct guest *g, const char *kind, uint32_t handlers)
{
	bool mmio = strcmp(kind, "in") != 0 && strcmp(kind, "out") != 0;
	static const struct vcore__kvm_ops ops = {
		fake_open, fake_ioctl, fake_mmap, fake_munmap, fake_close,
	};
	static const struct vcore__kvm kvm = { &ops, NULL };
	struct vcore_vcpu_opts vcpu;
	struct vcore_memory *memory;
	struct vcore_bus_opts bus;
	struct vcore_host *host;
	struct vcore_vm_opts o;
	struct vcore_vm *vm;

	VCORE_INIT(&bus);
	bus.kind = mmio ? VCORE_BUS_MMIO : VCORE_BUS_PIO;
	bench_need(vcore_bus_new(&bus, &g->bus) == 0, "bus");
	add_handlers(g, mmio, handlers);
	if (strcmp(kind, "bells") == 0)
		add_doorbells(g, handlers);
	bench_need(vcore_memory_new(NULL, &memory) == 0, "memory");
	bench_need(vcore__host_open(NULL, &kvm, &host) == 0, "host");
	VCORE_INIT(&o);
	if (mmio)
		o.mmio = g->bus;
	else
		o.pio = g->bus;
	bench_need(vcore_vm_new(host, memory, &o, &vm) == 0, "vm");
	VCORE_INIT(&vcpu);
	vcpu.flags = VCORE_VCPU_NO_RESET;
	bench_need(vcore_vcpu_new(vm, 0, &vcpu, &g->vcpu) == 0, "vcpu");
	set_exit(kind, handlers);
}

/* What is counted. */
static int
counted(char **argv)
{
	uint32_t handlers = (uint32_t)strtoul(argv[3], NULL, 10);
	uint64_t i, exits = strtoull(argv[4], NULL, 10);
	struct vcore_exit e;
	struct guest g;

	guest_new(&g, argv[2], handlers);
	if (strcmp(argv[1], "raw") == 0) {
		for (i = 0; i < exits; i++)
			if (kernel(0, KVM_RUN, NULL) < 0 ||
			    area->exit_reason == KVM_EXIT_UNKNOWN)
				return EXIT_FAILURE;
		return EXIT_SUCCESS;
	}
	g.left = exits;
	VCORE_INIT(&e);
	bench_need(vcore_vcpu_run(g.vcpu, &e) == 0, "run");
	return e.kind == VCORE_EXIT_KICKED ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Instructions of an exit. */
static double
cost(const char *side, const char *kind, const char *handlers)
{
	char few[16], many[16];
	const char *short_run[] = { side, kind, handlers, few, NULL };
	const char *long_run[] = { side, kind, handlers, many, NULL };

	snprintf(few, sizeof(few), "%u", EXITS);
	snprintf(many, sizeof(many), "%u", 2 * EXITS);
	return (double)(bench_instructions(long_run) -
			bench_instructions(short_run)) / EXITS;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *kind, *handlers;
	} cases[] = {
		{ "out", "1" }, { "out", "1000" },
		{ "in", "1" }, { "in", "1000" },
		{ "store", "1" }, { "store", "1000" },
		{ "load", "1" }, { "load", "1000" },
		{ "turn", "30" }, { "turn", "1000" },
		{ "bells", "1000" },
	};
	uint32_t i;

	if (argc == 5)
		return counted(argv);
	/* Nothing that others do changes a count. */
	setenv("VCORE_BENCH_SMOKE", "1", 1);
	bench_begin("exit_cost", false);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		bench_print(cost("lib", cases[i].kind, cases[i].handlers) -
			    cost("raw", cases[i].kind, cases[i].handlers),
			    "instructions", NAN, "%s, %s handlers",
			    cases[i].kind, cases[i].handlers);
	return bench_end();
}
