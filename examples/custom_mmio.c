/* SPDX-License-Identifier: BSD-3-Clause */
/* A device of one's own: a multiplier behind four MMIO registers. */
#include <stdio.h>

#include <vcore/vcpu.h>

#define CODE     0x1000
#define REGISTER 0x80000	/* guest-physical address of the device */

/* 16-bit: r[0] = 6, r[1] = 7, read r[2] into %eax, halt. */
static const uint8_t code[] = {
	0xb8, 0x00, 0x80,			/* mov $0x8000, %ax       */
	0x8e, 0xd8,				/* mov %ax, %ds           */
	0x66, 0xc7, 0x06, 0x00, 0x00, 6, 0, 0, 0, /* movl $6, 0x0         */
	0x66, 0xc7, 0x06, 0x04, 0x00, 7, 0, 0, 0, /* movl $7, 0x4         */
	0x66, 0xa1, 0x08, 0x00,			/* mov 0x8, %eax          */
	0xf4,					/* hlt                    */
};

struct multiplier {
	uint32_t factor[2];
};

static int
multiplier_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
		struct vcore_access *later)
{
	struct multiplier *m = opaque;

	(void)later;	/* we answer at once */
	if (off != 8 || len != 4)
		return -1;	/* as if nobody were there */
	*val = (uint32_t)(m->factor[0] * m->factor[1]);
	return 0;
}

static int
multiplier_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
		 struct vcore_access *later)
{
	struct multiplier *m = opaque;

	(void)later;
	if (off > 4 || len != 4 || off % 4 != 0)
		return -1;
	m->factor[off / 4] = (uint32_t)val;
	return 0;
}

static const struct vcore_bus_ops multiplier_ops = {
	.size = sizeof(multiplier_ops),
	.read = multiplier_read,
	.write = multiplier_write,
};

/* Everything a VM needs; whatever was made is released by the caller. */
struct vm {
	struct vcore_host *host;
	struct vcore_memory *memory;
	struct vcore_region *ram;
	struct vcore_bus *mmio;
	struct vcore_range *range;
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;
};

static int
build(struct vm *v, struct multiplier *m)
{
	struct vcore_region_opts ram;
	struct vcore_range_opts range;
	struct vcore_bus_opts bus;
	struct vcore_vm_opts vm;

	VCORE_INIT(&ram);
	ram.len = 64 << 10;
	VCORE_INIT(&bus);
	bus.kind = VCORE_BUS_MMIO;
	VCORE_INIT(&range);
	range.base = REGISTER;
	range.len = 16;
	range.ops = &multiplier_ops;
	range.opaque = m;
	VCORE_INIT(&vm);
	if (vcore_host_open(NULL, &v->host) < 0 ||
	    vcore_memory_new(NULL, &v->memory) < 0 ||
	    vcore_region_new(&ram, &v->ram) < 0 ||
	    vcore_memory_add(v->memory, 0, v->ram, 0) < 0 ||
	    vcore_memory_write(v->memory, CODE, code, sizeof(code)) < 0 ||
	    vcore_bus_new(&bus, &v->mmio) < 0 ||
	    vcore_bus_add(v->mmio, &range, &v->range) < 0)
		return -1;
	vm.mmio = v->mmio;
	if (vcore_vm_new(v->host, v->memory, &vm, &v->vm) < 0)
		return -1;
	return vcore_vcpu_new(v->vm, 0, NULL, &v->vcpu);
}

static int
run(struct vm *v, uint64_t *rax)
{
	struct vcore_regs regs = { .rip = CODE, .rflags = 2 };
	struct vcore_sregs sregs;
	struct vcore_exit exit;

	if (vcore_vcpu_get_sregs(v->vcpu, &sregs) < 0)
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	VCORE_INIT(&exit);
	if (vcore_vcpu_set_sregs(v->vcpu, &sregs) < 0 ||
	    vcore_vcpu_set_regs(v->vcpu, &regs) < 0 ||
	    vcore_vcpu_run(v->vcpu, &exit) < 0 ||
	    vcore_vcpu_get_regs(v->vcpu, &regs) < 0)
		return -1;
	*rax = regs.rax;
	return exit.kind == VCORE_EXIT_HALT ? 0 : -1;
}

int
main(void)
{
	struct multiplier multiplier = { { 0, 0 } };
	struct vm v = { 0 };
	uint64_t rax = 0;
	int rc = build(&v, &multiplier);

	if (rc == 0)
		rc = run(&v, &rax);
	if (rc == 0)
		printf("the guest read %u\n", (unsigned)rax);
	else
		fprintf(stderr, "custom_mmio: %s\n", vcore_error_text());
	vcore_range_remove(v.range);
	vcore_vcpu_unref(v.vcpu);
	vcore_vm_unref(v.vm);
	vcore_bus_unref(v.mmio);
	vcore_memory_unref(v.memory);
	vcore_region_unref(v.ram);
	vcore_host_unref(v.host);
	return rc < 0;
}
