/* SPDX-License-Identifier: BSD-3-Clause */
/* A small VM on this machine's KVM, for tests of rig kvm. */
#include "support/kvm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/support.h"

#define GDT 0x3000
#define TABLES 0x10000		/* three pages of page tables */

struct vcore_host *
kvm_host(void)
{
	const char *fd = getenv("VCORE_TEST_KVM_FD");
	struct vcore_host_opts opts;
	struct vcore_host *host;

	VCORE_INIT(&opts);
	if (fd) {
		opts.flags = VCORE_HOST_FD;
		opts.fd = atoi(fd);
	}
	if (vcore_host_open(&opts, &host) < 0) {
		fprintf(stderr, "skipped: %s\n", vcore_error_text());
		return NULL;
	}
	return host;
}

void
kvm_handle_kicks(void)
{
	struct sigaction sa = { .sa_handler = vcore_vcpu_kick_handler,
				.sa_flags = SA_RESTART };

	ck_assert_int_eq(sigaction(SIGRTMIN, &sa, NULL), 0);
}

static void
buses(struct kvm_bed *bed)
{
	struct vcore_bus_opts opts;

	VCORE_INIT(&opts);
	opts.kind = VCORE_BUS_PIO;
	ck_assert_ok(vcore_bus_new(&opts, &bed->pio));
	opts.kind = VCORE_BUS_MMIO;
	ck_assert_ok(vcore_bus_new(&opts, &bed->mmio));
}

void
kvm_bed_new(struct kvm_bed *bed, uint32_t irqchip, uint32_t flags)
{
	struct vcore_region_opts region;
	struct vcore_vcpu_opts vcpu;
	struct vcore_vm_opts vm;

	memset(bed, 0, sizeof(*bed));
	bed->host = kvm_host();
	ck_assert_ptr_nonnull(bed->host);
	VCORE_INIT(&region);
	region.len = KVM_BED_MEMORY;
	ck_assert_ok(vcore_region_new(&region, &bed->region));
	ck_assert_ok(vcore_memory_new(NULL, &bed->memory));
	ck_assert_ok(vcore_memory_add(bed->memory, 0, bed->region, 0));
	if (!(flags & KVM_BED_BARE))
		buses(bed);
	VCORE_INIT(&vm);
	vm.irqchip = irqchip;
	vm.pio = bed->pio;
	vm.mmio = bed->mmio;
	ck_assert_ok(vcore_vm_new(bed->host, bed->memory, &vm, &bed->vm));
	VCORE_INIT(&vcpu);
	if (flags & KVM_BED_HANDLED) {
		kvm_handle_kicks();
		vcpu.flags = VCORE_VCPU_SIGNAL_HANDLED;
	}
	ck_assert_ok(vcore_vcpu_new(bed->vm, 0, &vcpu, &bed->vcpu));
}

void
kvm_bed_free(struct kvm_bed *bed)
{
	vcore_vcpu_unref(bed->vcpu);
	vcore_vm_unref(bed->vm);
	vcore_bus_unref(bed->pio);
	vcore_bus_unref(bed->mmio);
	vcore_memory_unref(bed->memory);
	vcore_region_unref(bed->region);
	vcore_host_unref(bed->host);
}

void
kvm_bed_load(struct kvm_bed *bed, uint64_t gpa, const uint8_t *start,
	     const uint8_t *end)
{
	ck_assert_ok(vcore_memory_write(bed->memory, gpa, start,
					(uint64_t)(end - start)));
}

static struct vcore_segment
segment(uint16_t selector, uint8_t type, uint8_t dpl)
{
	struct vcore_segment s = {
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = dpl,
		.db = 1,
		.s = 1,
		.g = 1,
	};

	return s;
}

static void
data_segments(struct vcore_sregs *s, struct vcore_segment data)
{
	s->ds = data;
	s->es = data;
	s->fs = data;
	s->gs = data;
	s->ss = data;
}

void
kvm_bed_flat32(struct kvm_bed *bed, struct vcore_vcpu *vcpu)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff,
					0x00cf93000000ffff };
	struct vcore_sregs s;
	struct vcore_regs r;

	ck_assert_ok(vcore_memory_write(bed->memory, GDT, gdt, sizeof(gdt)));
	ck_assert_ok(vcore_vcpu_get_sregs(vcpu, &s));
	s.cs = segment(0x08, 11, 0);
	data_segments(&s, segment(0x10, 3, 0));
	s.gdt.base = GDT;
	s.gdt.limit = sizeof(gdt) - 1;
	s.cr0 = 0x11;		/* PE, ET */
	s.cr4 = 0x200;		/* OSFXSR */
	ck_assert_ok(vcore_vcpu_set_sregs(vcpu, &s));
	memset(&r, 0, sizeof(r));
	r.rip = GUEST_CODE;
	r.rsp = 0x7000;
	r.rflags = 2;
	ck_assert_ok(vcore_vcpu_set_regs(vcpu, &r));
}

/* One GiB, one to one, for user mode. */
static void
page_tables(struct kvm_bed *bed)
{
	uint64_t table[512];
	uint64_t i;

	memset(table, 0, sizeof(table));
	table[0] = (TABLES + 0x1000) | 7;
	ck_assert_ok(vcore_memory_write(bed->memory, TABLES, table, 4096));
	table[0] = (TABLES + 0x2000) | 7;
	ck_assert_ok(vcore_memory_write(bed->memory, TABLES + 0x1000, table,
					4096));
	for (i = 0; i < 512; i++)
		table[i] = i << 21 | 0x87;
	ck_assert_ok(vcore_memory_write(bed->memory, TABLES + 0x2000, table,
					4096));
}

void
kvm_bed_ring3(struct kvm_bed *bed, struct vcore_vcpu *vcpu, uint64_t ecx)
{
	struct vcore_sregs s;
	struct vcore_regs r;

	page_tables(bed);
	kvm_bed_load(bed, GUEST_CODE, guest_ring3, guest_ring3_end);
	ck_assert_ok(vcore_vcpu_get_sregs(vcpu, &s));
	s.cs = segment(0x33, 11, 3);
	s.cs.l = 1;
	s.cs.db = 0;
	data_segments(&s, segment(0x2b, 3, 3));
	s.ldt.unusable = 1;
	s.ldt.present = 0;
	s.cr0 = 0x80050033;
	s.cr3 = TABLES;
	s.cr4 = 0x20;
	s.efer = 0xd01;
	ck_assert_ok(vcore_vcpu_set_sregs(vcpu, &s));
	memset(&r, 0, sizeof(r));
	r.rip = GUEST_CODE;
	r.rsp = 0x7000;
	r.rcx = ecx;
	r.rflags = 0x3202;	/* IOPL 3, IF */
	ck_assert_ok(vcore_vcpu_set_regs(vcpu, &r));
}
