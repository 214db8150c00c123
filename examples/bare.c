/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library bare: one vCPU, one page of code of our own, no device, no bus.
 * The guest writes a line to a port; every access is an exit that ends here.
 */
#include <stdio.h>
#include <stdlib.h>

#include <vcore/host.h>
#include <vcore/memory.h>
#include <vcore/vcpu.h>
#include <vcore/vm.h>

#define PAGE 4096u
#define CODE 0x1000u	/* where the page is for the guest */
#define PORT 0x10u

/* 16-bit code: what is behind it, up to a zero byte, to the port; halt. */
static const unsigned char guest[] = {
	0xbe, 0x0f, 0x10,	/*      mov $0x100f, %si */
	0xba, 0x10, 0x00,	/*      mov $0x10, %dx   */
	0xac,			/* 1:   lodsb            */
	0x84, 0xc0,		/*      test %al, %al    */
	0x74, 0x03,		/*      jz 2f            */
	0xee,			/*      out %al, %dx     */
	0xeb, 0xf8,		/*      jmp 1b           */
	0xf4,			/* 2:   hlt              */
	'h', 'e', 'l', 'l', 'o', ' ', 'f', 'r', 'o', 'm', ' ',
	't', 'h', 'e', ' ', 'g', 'u', 'e', 's', 't', '\n', 0
};

struct vmm {
	struct vcore_host *host;
	struct vcore_region *page;
	struct vcore_memory *memory;
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;
};

static int
make(struct vmm *v)
{
	struct vcore_region_opts page;
	int rc;

	VCORE_INIT(&page);
	page.len = PAGE;
	if ((rc = vcore_host_open(NULL, &v->host)) < 0 ||
	    (rc = vcore_region_new(&page, &v->page)) < 0 ||
	    (rc = vcore_memory_new(NULL, &v->memory)) < 0 ||
	    (rc = vcore_memory_add(v->memory, CODE, v->page, 0)) < 0 ||
	    (rc = vcore_memory_write(v->memory, CODE, guest,
				     sizeof(guest))) < 0 ||
	    (rc = vcore_vm_new(v->host, v->memory, NULL, &v->vm)) < 0)
		return rc;
	return vcore_vcpu_new(v->vm, 0, NULL, &v->vcpu);
}

/* Real mode, as after power-on, but at our code. */
static int
set_entry(struct vcore_vcpu *vcpu)
{
	struct vcore_sregs sregs;
	struct vcore_regs regs;
	int rc;

	rc = vcore_vcpu_get_sregs(vcpu, &sregs);
	if (rc < 0)
		return rc;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	rc = vcore_vcpu_set_sregs(vcpu, &sregs);
	if (rc < 0)
		return rc;
	memset(&regs, 0, sizeof(regs));
	regs.rip = CODE;
	regs.rflags = 2;	/* the bit that is always set */
	return vcore_vcpu_set_regs(vcpu, &regs);
}

int
main(void)
{
	struct vmm v = { 0 };
	struct vcore_exit exit;
	int rc;

	rc = make(&v);
	if (rc == 0)
		rc = set_entry(v.vcpu);
	while (rc == 0) {
		VCORE_INIT(&exit);
		rc = vcore_vcpu_run(v.vcpu, &exit);
		if (rc < 0 || exit.kind != VCORE_EXIT_IO ||
		    exit.u.io.port != PORT)
			break;
		putchar(exit.u.io.data[0]);
	}
	if (rc < 0)
		fprintf(stderr, "bare: %s\n", vcore_error_text());
	else if (exit.kind != VCORE_EXIT_HALT)
		fprintf(stderr, "bare: unexpected exit %u\n", exit.kind);
	rc = rc < 0 || exit.kind != VCORE_EXIT_HALT;
	vcore_vcpu_unref(v.vcpu);
	vcore_vm_unref(v.vm);
	vcore_memory_unref(v.memory);
	vcore_region_unref(v.page);
	vcore_host_unref(v.host);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
