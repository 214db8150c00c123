/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VMs made, run to their first instruction and destroyed in one process: by
 * the library, and by the bare system calls that this takes, in turns; and the
 * memory that the library adds to a VM that does nothing.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vcore/bus.h>
#include <vcore/host.h>
#include <vcore/memory.h>
#include <vcore/vcpu.h>
#include <vcore/vm.h>

#include "common.h"
#include "guest.h"

#define ROUNDS  1000u
#define THREADS 2u
#define MANY    1000u
#define PAGE    4096u

static struct vcore_host *host;
static int kvm;			/* its descriptor */
static size_t run_len;
static uint32_t vcpu_flags;	/* of the library's */

/* The library's. */
struct ours {
	struct vcore_region *region;
	struct vcore_memory *memory;
	struct vcore_bus *bus[2];
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;
};

/* Without it. */
struct bare {
	uint8_t *guard, *ram;
	int vm, vcpu;
	struct kvm_run *run;
};

static void
open_host(void)
{
	bench_need(vcore_host_open(NULL, &host) == 0, "host");
	kvm = vcore_host_fd(host);
	run_len = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

static void
ours_new(struct ours *o)
{
	struct vcore_region_opts region;
	struct vcore_region_info info;
	struct vcore_vcpu_opts vcpu;
	struct vcore_vm_opts vm;
	struct vcore_sregs s;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	VCORE_INIT(&region);
	region.len = GUEST_MEMORY;
	bench_need(vcore_region_new(&region, &o->region) == 0, "region");
	bench_need(vcore_memory_new(NULL, &o->memory) == 0, "memory");
	bench_need(vcore_memory_add(o->memory, 0, o->region, 0) == 0,
		   "memory");
	VCORE_INIT(&info);
	bench_need(vcore_region_get_info(o->region, &info) == 0, "region");
	guest_fill((uint8_t *)(uintptr_t)info.hva, 0);
	VCORE_INIT(&vm);
	vm.pio = o->bus[0];
	vm.mmio = o->bus[1];
	bench_need(vcore_vm_new(host, o->memory, &vm, &o->vm) == 0, "vm");
	VCORE_INIT(&vcpu);
	vcpu.flags = vcpu_flags;
	bench_need(vcore_vcpu_new(o->vm, 0, &vcpu, &o->vcpu) == 0, "vcpu");
	bench_need(vcore_vcpu_get_sregs(o->vcpu, &s) == 0, "sregs");
	/* The public structs have KVM's layout. */
	memcpy(&sregs, &s, sizeof(s));
	guest_state(&sregs, &regs);
	memcpy(&s, &sregs, sizeof(s));
	bench_need(vcore_vcpu_set_sregs(o->vcpu, &s) == 0, "sregs");
	bench_need(vcore_vcpu_set_regs(o->vcpu, (void *)&regs) == 0, "regs");
}

static void
ours_run(struct ours *o)
{
	struct vcore_exit e;

	VCORE_INIT(&e);
	bench_need(vcore_vcpu_run(o->vcpu, &e) == 0 &&
		   e.kind == VCORE_EXIT_IO, "run");
}

static void
ours_free(struct ours *o)
{
	vcore_vcpu_unref(o->vcpu);
	vcore_vm_unref(o->vm);
	vcore_memory_unref(o->memory);
	vcore_region_unref(o->region);
}

static void
bare_new(struct bare *b)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = GUEST_MEMORY,
	};
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	/* Between pages that nobody may touch, as the library's. */
	b->guard = mmap(NULL, GUEST_MEMORY + 3 * PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench_need(b->guard != MAP_FAILED, "mmap");
	b->ram = b->guard + PAGE;
	bench_need(mprotect(b->ram, GUEST_MEMORY, PROT_READ | PROT_WRITE) == 0,
		   "mprotect");
	guest_fill(b->ram, 0);
	b->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	slot.userspace_addr = (uintptr_t)b->ram;
	bench_need(b->vm >= 0 &&
		   ioctl(b->vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0, "vm");
	b->vcpu = ioctl(b->vm, KVM_CREATE_VCPU, 0);
	bench_need(b->vcpu >= 0, "vcpu");
	b->run = mmap(NULL, run_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		      b->vcpu, 0);
	bench_need(b->run != MAP_FAILED &&
		   ioctl(b->vcpu, KVM_GET_SREGS, &sregs) == 0, "sregs");
	guest_state(&sregs, &regs);
	bench_need(ioctl(b->vcpu, KVM_SET_SREGS, &sregs) == 0 &&
		   ioctl(b->vcpu, KVM_SET_REGS, &regs) == 0, "regs");
}

static void
bare_run(struct bare *b)
{
	bench_need(ioctl(b->vcpu, KVM_RUN, 0) == 0 &&
		   b->run->exit_reason == KVM_EXIT_IO, "run");
}

static void
bare_free(struct bare *b)
{
	munmap(b->run, run_len);
	close(b->vcpu);
	close(b->vm);
	munmap(b->guard, GUEST_MEMORY + 3 * PAGE);
}

/* Microseconds to the first instruction. */
static double
ours_first(void *opaque)
{
	double start = bench_now_ns(), end;
	struct ours o = { 0 };

	(void)opaque;
	ours_new(&o);
	ours_run(&o);
	end = bench_now_ns();
	ours_free(&o);
	return (end - start) / 1e3;
}

static double
bare_first(void *opaque)
{
	double start = bench_now_ns(), end;
	struct bare b;

	(void)opaque;
	bare_new(&b);
	bare_run(&b);
	end = bench_now_ns();
	bare_free(&b);
	return (end - start) / 1e3;
}

/* Microseconds of a round. */
static double
ours_round(void *opaque)
{
	double start = bench_now_ns();

	(void)ours_first(opaque);
	return (bench_now_ns() - start) / 1e3;
}

static double
bare_round(void *opaque)
{
	double start = bench_now_ns();

	(void)bare_first(opaque);
	return (bench_now_ns() - start) / 1e3;
}

/* Rounds on several threads at once. */
struct crowd {
	double (*round)(void *opaque);
	uint32_t rounds;		/* of each thread */
	_Atomic uint32_t nth;
	pthread_barrier_t start;
};

static void *
crowd_main(void *opaque)
{
	struct crowd *c = opaque;
	uint32_t i;

	bench_pin(c->nth++);
	pthread_barrier_wait(&c->start);
	for (i = 0; i < c->rounds; i++)
		(void)c->round(NULL);
	return NULL;
}

/* Microseconds of a round: of all of them together, so to speak. */
static double
crowd_block(void *opaque)
{
	struct crowd *c = opaque;
	pthread_t thread[THREADS];
	double start;
	uint32_t i;

	c->nth = 0;
	pthread_barrier_init(&c->start, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		bench_need(pthread_create(&thread[i], NULL, crowd_main, c) == 0,
			   "thread");
	start = bench_now_ns();
	pthread_barrier_wait(&c->start);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&c->start);
	return (bench_now_ns() - start) / 1e3 / (c->rounds * THREADS);
}

static void
times(const char *name)
{
	struct bench_side ours = { ours_first, NULL };
	struct bench_side bare = { bare_first, NULL };
	struct crowd two_ours = { .round = ours_first, .rounds = 10 };
	struct crowd two_bare = { .round = bare_first, .rounds = 10 };
	uint32_t rounds = (uint32_t)bench_count(ROUNDS, 2);
	char text[64];

	snprintf(text, sizeof(text), "first instruction%s", name);
	bench_alternate(&ours, &bare, rounds, "us", text);
	snprintf(text, sizeof(text), "round, 1 thread%s", name);
	ours.block = ours_round;
	bare.block = bare_round;
	bench_alternate(&ours, &bare, rounds, "us", text);
	snprintf(text, sizeof(text), "round, 2 threads%s", name);
	ours = (struct bench_side){ crowd_block, &two_ours };
	bare = (struct bench_side){ crowd_block, &two_bare };
	bench_unpin();
	bench_alternate(&ours, &bare, (uint32_t)bench_count(ROUNDS / 20, 2),
			"us", text);
	bench_pin(0);
}

/* KiB that only this process has. */
static double
private_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	unsigned long kib, sum = 0;
	char line[256];

	bench_need(f != NULL, "smaps_rollup");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Dirty: %lu", &kib) == 1 ||
		    sscanf(line, "Swap: %lu", &kib) == 1)
			sum += kib;
	fclose(f);
	return (double)sum;
}

static void
many(uint32_t n, bool with_library)
{
	static struct bare b[MANY];
	static struct ours o[MANY];
	struct vcore_bus_opts bus;
	uint32_t i;

	for (i = 0; i < n && !with_library; i++)
		bare_new(&b[i]);
	for (i = 0; i < n && with_library; i++) {
		VCORE_INIT(&bus);
		bus.kind = VCORE_BUS_PIO;
		bench_need(vcore_bus_new(&bus, &o[i].bus[0]) == 0, "bus");
		bus.kind = VCORE_BUS_MMIO;
		bench_need(vcore_bus_new(&bus, &o[i].bus[1]) == 0, "bus");
		ours_new(&o[i]);
	}
}

/* KiB of each of n VMs, in a process of their own. */
static double
memory(uint32_t n, bool with_library)
{
	double kib, before;
	int fds[2], status;
	pid_t pid;

	bench_need(pipe(fds) == 0, "pipe");
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0) {
		open_host();
		many(1, with_library);
		before = private_kib();
		many(n, with_library);
		kib = (private_kib() - before) / n;
		_exit(write(fds[1], &kib, sizeof(kib)) != sizeof(kib));
	}
	bench_need(read(fds[0], &kib, sizeof(kib)) == sizeof(kib) &&
		   waitpid(pid, &status, 0) == pid && status == 0, "memory");
	close(fds[0]);
	close(fds[1]);
	return kib;
}

static void
memories(void)
{
	struct rlimit files = { 8 * MANY, 8 * MANY };
	uint32_t few = (uint32_t)bench_count(MANY / 10, 2);
	uint32_t lots = (uint32_t)bench_count(MANY, 4);
	double added[2];

	if (!bench_smoke())
		bench_need(setrlimit(RLIMIT_NOFILE, &files) == 0, "rlimit");
	vcpu_flags = 0;
	added[0] = memory(few, true) - memory(few, false);
	added[1] = memory(lots, true) - memory(lots, false);
	bench_print(added[0], "KiB", NAN, "memory added to one of %u VMs", few);
	bench_print(added[1], "KiB", added[0], "memory added to one of %u VMs",
		    lots);
}

int
main(void)
{
	bench_begin("create", true);
	memories();
	open_host();
	vcpu_flags = VCORE_VCPU_NO_RESET;
	times("");
	vcpu_flags = 0;
	times(", can be reset");
	vcore_host_unref(host);
	return bench_end();
}
