/* SPDX-License-Identifier: BSD-3-Clause */
/* Two VMs in one process: each says its name on a serial port of its own. */
#include <stdio.h>
#include <string.h>

#include <vcore/machine.h>

#define CODE 0x1000
#define TEXT 0x1200

/* 16-bit: write the text at TEXT to port 0x3f8, then pull the reset line. */
static const uint8_t code[] = {
	0xba, 0xf8, 0x03,		/*	mov  $0x3f8, %dx  */
	0xbe, TEXT & 0xff, TEXT >> 8,	/*	mov  $TEXT, %si   */
	0xac,				/* 1:	lodsb             */
	0x84, 0xc0,			/*	test %al, %al     */
	0x74, 0x03,			/*	jz   2f           */
	0xee,				/*	out  %al, (%dx)   */
	0xeb, 0xf8,			/*	jmp  1b           */
	0xb0, 0xfe,			/* 2:	mov  $0xfe, %al   */
	0xe6, 0x64,			/*	out  %al, $0x64   */
	0xf4,				/*	hlt               */
	0xeb, 0xfd,			/*	jmp  .-1          */
};

struct guest {
	struct vcore_machine *machine;
	struct vcore_stream *serial;	/* keeps what was written */
};

static int
start(struct guest *guest, const char *text)
{
	struct vcore_machine_opts opts;
	struct vcore_memory *memory;
	struct vcore_sregs sregs;
	struct vcore_regs regs = { .rip = CODE, .rflags = 2 };
	struct vcore_vcpu *vcpu;

	if (vcore_stream_new_ring(4096, &guest->serial) < 0)
		return -1;
	VCORE_INIT(&opts);
	opts.flags = VCORE_MACHINE_NO_REBOOT;	/* a reset ends it */
	opts.memory = 64 << 10;
	opts.serial = guest->serial;
	if (vcore_machine_new(&opts, &guest->machine) < 0)
		return -1;
	memory = vcore_machine_memory(guest->machine);
	vcpu = vcore_machine_vcpu(guest->machine, 0);
	if (vcore_memory_write(memory, CODE, code, sizeof(code)) < 0 ||
	    vcore_memory_write(memory, TEXT, text, strlen(text) + 1) < 0 ||
	    vcore_vcpu_get_sregs(vcpu, &sregs) < 0)
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (vcore_vcpu_set_sregs(vcpu, &sregs) < 0 ||
	    vcore_vcpu_set_regs(vcpu, &regs) < 0)
		return -1;
	return vcore_machine_start(guest->machine);
}

int
main(void)
{
	static const char *const names[] = { "first", "second" };
	struct guest guest[2] = { { NULL, NULL }, { NULL, NULL } };
	char text[64];
	int64_t n;
	int status = 0;

	for (int i = 0; i < 2 && status == 0; i++)
		status = start(&guest[i], names[i]) < 0;
	for (int i = 0; i < 2 && status == 0; i++)
		status = vcore_machine_run(guest[i].machine) < 0;
	if (status != 0)
		fprintf(stderr, "two_vms: %s\n", vcore_error_text());
	for (int i = 0; i < 2; i++) {
		n = guest[i].serial == NULL ? 0 :
			vcore_stream_ring_read(guest[i].serial, text,
					       sizeof(text));
		if (n > 0)
			printf("VM %d says: %.*s\n", i + 1, (int)n, text);
		vcore_machine_unref(guest[i].machine);
		vcore_stream_unref(guest[i].serial);
	}
	return status;
}
