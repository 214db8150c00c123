/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round trip of an exit: the library's run loop with a handler on a bus,
 * against a bare loop of KVM_RUN, over the same guest, in alternating blocks.
 *
 *     bench_exit [BLOCKS [EXITS]]
 *
 * The guest runs in 64-bit ring 3, which is native on every KVM.
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include <vcore/bus.h>
#include <vcore/host.h>
#include <vcore/memory.h>
#include <vcore/vcpu.h>
#include <vcore/vm.h>

#define MEMORY (1u << 20)
#define CODE   0x1000u
#define TABLES 0x10000u
#define PORT   0x10u
#define MMIO   0x3fff0000u	/* mapped by the guest, no memory behind it */
#define BLOCKS_MAX 1000

/* out %al, %dx; jmp back */
static const uint8_t pio_code[] = { 0xee, 0xeb, 0xfd };
/* mov %eax, (%rbx); jmp back */
static const uint8_t mmio_code[] = { 0x89, 0x03, 0xeb, 0xfc };

struct guest {
	struct vcore_region *region;
	struct vcore_memory *memory;
	struct vcore_bus *pio;
	struct vcore_bus *mmio;
	struct vcore_range *range;
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;
	uint64_t left;		/* accesses until the block ends */
};

static void
check(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench_exit: %s: %s\n", what, vcore_error_text());
	exit(1);
}

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

static void
buses(struct guest *g, int mmio)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops),
		.read = on_read,
		.write = on_write,
	};
	struct vcore_range_opts range;
	struct vcore_bus_opts bus;

	VCORE_INIT(&bus);
	bus.kind = VCORE_BUS_PIO;
	check(vcore_bus_new(&bus, &g->pio), "bus");
	bus.kind = VCORE_BUS_MMIO;
	check(vcore_bus_new(&bus, &g->mmio), "bus");
	VCORE_INIT(&range);
	range.base = mmio ? MMIO : PORT;
	range.len = 4;
	range.ops = &ops;
	range.opaque = g;
	check(vcore_bus_add(mmio ? g->mmio : g->pio, &range, &g->range),
	      "range");
}

static void
memory(struct guest *g, int mmio)
{
	struct vcore_region_opts region;
	uint64_t table[512] = { (TABLES + 0x1000) | 7 };
	uint64_t i;

	VCORE_INIT(&region);
	region.len = MEMORY;
	region.flags = VCORE_REGION_POPULATE;
	check(vcore_region_new(&region, &g->region), "region");
	check(vcore_memory_new(NULL, &g->memory), "memory");
	check(vcore_memory_add(g->memory, 0, g->region, 0), "memory");
	check(vcore_memory_write(g->memory, CODE, mmio ? mmio_code : pio_code,
				 mmio ? sizeof(mmio_code) : sizeof(pio_code)),
	      "code");
	check(vcore_memory_write(g->memory, TABLES, table, 4096), "tables");
	table[0] = (TABLES + 0x2000) | 7;
	check(vcore_memory_write(g->memory, TABLES + 0x1000, table, 4096),
	      "tables");
	for (i = 0; i < 512; i++)
		table[i] = i << 21 | 0x87;
	check(vcore_memory_write(g->memory, TABLES + 0x2000, table, 4096),
	      "tables");
}

/* 64 bit, ring 3, port accesses allowed. */
static void
registers(struct vcore_vcpu *vcpu)
{
	struct vcore_segment s = { .limit = 0xffffffff, .selector = 0x33,
				   .type = 11, .present = 1, .dpl = 3, .s = 1,
				   .l = 1, .g = 1 };
	struct vcore_regs r = { .rip = CODE, .rdx = PORT, .rbx = MMIO,
				.rflags = 0x3202 };
	struct vcore_sregs t;

	check(vcore_vcpu_get_sregs(vcpu, &t), "sregs");
	t.cs = s;
	s.selector = 0x2b;
	s.type = 3;
	s.l = 0;
	s.db = 1;
	t.ds = t.es = t.fs = t.gs = t.ss = s;
	t.ldt.unusable = 1;
	t.ldt.present = 0;
	t.cr0 = 0x80050033;
	t.cr3 = TABLES;
	t.cr4 = 0x20;
	t.efer = 0xd01;
	check(vcore_vcpu_set_sregs(vcpu, &t), "sregs");
	check(vcore_vcpu_set_regs(vcpu, &r), "regs");
}

static void
guest_new(struct guest *g, struct vcore_host *host, int mmio)
{
	struct vcore_vm_opts vm;

	memset(g, 0, sizeof(*g));
	buses(g, mmio);
	memory(g, mmio);
	VCORE_INIT(&vm);
	vm.pio = g->pio;
	vm.mmio = g->mmio;
	check(vcore_vm_new(host, g->memory, &vm, &g->vm), "vm");
	check(vcore_vcpu_new(g->vm, 0, NULL, &g->vcpu), "vcpu");
	registers(g->vcpu);
}

static void
guest_free(struct guest *g)
{
	vcore_vcpu_unref(g->vcpu);
	vcore_vm_unref(g->vm);
	vcore_range_remove(g->range);
	vcore_bus_unref(g->pio);
	vcore_bus_unref(g->mmio);
	vcore_memory_unref(g->memory);
	vcore_region_unref(g->region);
}

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Nanoseconds per exit of one block. */
static double
block_library(struct guest *g, uint64_t exits)
{
	struct vcore_exit e;
	double start = now_ns();

	g->left = exits;
	VCORE_INIT(&e);
	check(vcore_vcpu_run(g->vcpu, &e), "run");
	if (e.kind != VCORE_EXIT_KICKED) {
		fprintf(stderr, "bench_exit: exit %u\n", e.kind);
		exit(1);
	}
	return (now_ns() - start) / (double)exits;
}

static double
block_raw(struct guest *g, uint64_t exits, uint32_t reason)
{
	struct kvm_run *run = vcore_vcpu_run_area(g->vcpu, NULL);
	int fd = vcore_vcpu_fd(g->vcpu);
	double start = now_ns();
	uint64_t i;

	for (i = 0; i < exits; i++) {
		if (ioctl(fd, KVM_RUN, 0) < 0 || run->exit_reason != reason) {
			fprintf(stderr, "bench_exit: raw exit %u\n",
				run->exit_reason);
			exit(1);
		}
	}
	return (now_ns() - start) / (double)exits;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print(const char *which, const char *of, double lib, double raw)
{
	printf("{\"bench\":\"exit\",\"case\":\"%s %s\",\"value\":%.1f,"
	       "\"unit\":\"ns\",\"vs\":%.1f,\"ratio\":%.4f}\n",
	       which, of, lib, raw, lib / raw);
}

static void
measure(struct vcore_host *host, int mmio, uint32_t blocks, uint64_t exits)
{
	static double lib[BLOCKS_MAX], raw[BLOCKS_MAX];
	uint32_t reason = mmio ? KVM_EXIT_MMIO : KVM_EXIT_IO;
	const char *name = mmio ? "mmio" : "pio";
	struct guest a, b;
	uint32_t i;

	guest_new(&a, host, mmio);
	guest_new(&b, host, mmio);
	(void)block_library(&a, exits);
	(void)block_raw(&b, exits, reason);
	for (i = 0; i < blocks; i++) {
		lib[i] = block_library(&a, exits);
		raw[i] = block_raw(&b, exits, reason);
	}
	qsort(lib, blocks, sizeof(lib[0]), compare);
	qsort(raw, blocks, sizeof(raw[0]), compare);
	print(name, "min", lib[0], raw[0]);
	print(name, "median", lib[blocks / 2], raw[blocks / 2]);
	guest_free(&a);
	guest_free(&b);
}

int
main(int argc, char **argv)
{
	uint32_t blocks = argc > 1 ? (uint32_t)atoi(argv[1]) : 40;
	uint64_t exits = argc > 2 ? (uint64_t)atoll(argv[2]) : 5000;
	struct vcore_host *host;

	if (!blocks || blocks > BLOCKS_MAX || !exits) {
		fprintf(stderr, "usage: bench_exit [BLOCKS [EXITS]]\n");
		return 2;
	}
	check(vcore_host_open(NULL, &host), "host");
	measure(host, 0, blocks, exits);
	measure(host, 1, blocks, exits);
	vcore_host_unref(host);
	return 0;
}
