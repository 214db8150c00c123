/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading a machine: tables and kernel into memory, registers into vCPU 0. */
#include "machine/machine.h"

#include <vcore/boot.h>

#include "base/base.h"

/* Up to where the ACPI tables end; the kernel says what it needs itself. */
#define LEAST_MEMORY (1u << 20)

/* What the guest must not take for RAM or for free address space. */
static const struct vcore_boot_range reserved[] = {
	{ .gpa = VCORE__LAYOUT_ECAM, .len = 1u << 20,
	  .kind = VCORE_BOOT_RANGE_RESERVED },
};

/*
 * What stands at the reset vector, where a PC has its firmware. Linux on a
 * hardware-reduced ACPI machine wants to reboot by EFI, and without it jumps
 * here in real mode, as to a BIOS (machine_restart(), reboot type "bios").
 */
static const uint8_t reset_vector[] = {
	0xb0, 0xfe,		/*	mov  $0xfe, %al	  pulse the */
	0xe6, 0x64,		/*	out  %al, $0x64	  reset line */
	0xf4,			/* 1:	hlt */
	0xeb, 0xfd,		/*	jmp  1b */
};

static void
copy_segment(struct vcore_segment *to, const struct vcore_boot_segment *from)
{
	*to = (struct vcore_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->type,
		.present = from->present,
		.dpl = from->dpl,
		.db = from->db,
		.s = from->s,
		.l = from->l,
		.g = from->g,
		.avl = from->avl,
		.unusable = from->unusable,
	};
}

static int
set_registers(struct vcore_vcpu *vcpu, const struct vcore_boot_info *info)
{
	struct vcore_regs regs = {
		.rip = info->rip,
		.rsp = info->rsp,
		.rbx = info->rbx,
		.rsi = info->rsi,
		.rflags = info->rflags,
	};
	struct vcore_sregs sregs;
	int rc;

	rc = vcore_vcpu_get_sregs(vcpu, &sregs);
	if (rc < 0)
		return rc;
	copy_segment(&sregs.cs, &info->cs);
	copy_segment(&sregs.ds, &info->ds);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	copy_segment(&sregs.tr, &info->tr);
	sregs.gdt.base = info->gdt_base;
	sregs.gdt.limit = (uint16_t)info->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = info->cr0;
	sregs.cr3 = info->cr3;
	sregs.cr4 = info->cr4;
	sregs.efer = info->efer;
	rc = vcore_vcpu_set_sregs(vcpu, &sregs);
	return rc < 0 ? rc : vcore_vcpu_set_regs(vcpu, &regs);
}

static int
load_kernel(struct vcore_machine *m, struct vcore_boot_info *info)
{
	struct vcore_boot_opts opts;
	int rc;

	VCORE_INIT(&opts);
	opts.flags = VCORE_BOOT_KERNEL_FD;
	opts.kernel = m->opts.kernel != NULL ? m->opts.kernel : "kernel";
	opts.kernel_fd = m->kernel_fd;
	if (m->initrd_fd >= 0) {
		opts.flags |= VCORE_BOOT_INITRD_FD;
		opts.initrd = m->opts.initrd != NULL ? m->opts.initrd
						     : "initrd";
		opts.initrd_fd = m->initrd_fd;
	}
	opts.cmdline = m->opts.cmdline;
	opts.ranges = reserved;
	opts.range_count = VCORE__ARRAY_SIZE(reserved);
	rc = vcore__machine_chips_write(m, &opts.rsdp);
	if (rc == 0)
		rc = vcore_memory_write(m->memory, VCORE__LAYOUT_RESET,
					reset_vector, sizeof(reset_vector));
	return rc < 0 ? rc : vcore_boot_linux(m->memory, &opts, info);
}

static int
boot_kernel(struct vcore_machine *m, const char *who)
{
	struct vcore_boot_info info;
	int rc;

	if (m->opts.memory < LEAST_MEMORY)
		return vcore__err(m->opts.log, -ENOSPC,
				  "%s: %llu bytes of memory, a kernel needs %u at least",
				  who, (unsigned long long)m->opts.memory,
				  LEAST_MEMORY);
	VCORE_INIT(&info);
	rc = load_kernel(m, &info);
	if (rc == 0)
		rc = set_registers(m->cpus[0].vcpu, &info);
	if (rc < 0)
		return vcore__err(m->opts.log, rc, "%s: %s", who,
				  vcore_error_text());
	return 0;
}

int
vcore__machine_load(struct vcore_machine *m, const char *who)
{
	int rc = 0;

	if (m->kernel_fd >= 0)
		rc = boot_kernel(m, who);
	if (rc < 0 || m->opts.boot == NULL)
		return rc;
	rc = m->opts.boot(m->opts.boot_opaque, m);
	if (rc < 0)
		return vcore__err(m->opts.log, rc, "%s: boot() says %d", who,
				  rc);
	return 0;
}
