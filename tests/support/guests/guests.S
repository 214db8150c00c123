/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Freestanding guests: 32 bit flat at GUEST_CODE unless said otherwise. They
 * use instructions that KVM's emulator has, so that a software KVM runs them.
 */
#include "guests.h"

#define START(name) \
	.globl guest_##name, guest_##name##_end; .balign 16; guest_##name:
#define END(name) guest_##name##_end:
/* Address of a label of this guest where it is loaded. */
#define AT(name, label) (label - guest_##name + GUEST_CODE)
#define APIC 0xfee00000

	.section .rodata
	.code32

START(hello)
	movl	$AT(hello, 2f), %esi
	movl	$GUEST_PORT, %edx
1:	movb	(%esi), %al
	testb	%al, %al
	jz	3f
	outb	%al, %dx
	incl	%esi
	jmp	1b
2:	.asciz	"hello\n"
3:	hlt
	jmp	3b
END(hello)

START(string)
	cld
	movl	$GUEST_DATA, %esi
	movl	$GUEST_PORT, %edx
	movl	$4096, %ecx
	rep outsb
	movl	$GUEST_DATA2, %edi
	movl	$GUEST_PORT2, %edx
	movl	$4096, %ecx
	rep insb
	movl	$GUEST_DATA2, %esi
	movl	$GUEST_PORT, %edx
	movl	$1024, %ecx
	rep outsl
1:	hlt
	jmp	1b
END(string)

/* String I/O whose memory is nobody's, then over the end of 1 MiB of RAM. */
START(edges)
	cld
	movl	$GUEST_MMIO, %edi
	movl	$GUEST_PORT2, %edx
	movl	$16, %ecx
	rep insb
	movl	$GUEST_MMIO, %esi
	movl	$GUEST_PORT, %edx
	movl	$16, %ecx
	rep outsb
	movl	$(0x100000 - 2048), %edi
	movl	$GUEST_PORT2, %edx
	movl	$4096, %ecx
	rep insb
	movl	$(0x100000 - 1024), %esi
	movl	$GUEST_PORT, %edx
	movl	$1040, %ecx
	rep outsb
1:	hlt
	jmp	1b
END(edges)

/* Every port, one byte: how many read as all ones is in DATA. */
START(ports)
	xorl	%edx, %edx
	xorl	%ebx, %ebx
1:	inb	%dx, %al
	cmpb	$0xff, %al
	jne	2f
	incl	%ebx
2:	incl	%edx
	cmpl	$0x10000, %edx
	jne	1b
	movl	%ebx, GUEST_DATA
3:	hlt
	jmp	3b
END(ports)

START(mmio)
	movl	$GUEST_MMIO, %ebx
	movb	$0x11, (%ebx)
	movw	$0x2222, 2(%ebx)
	movl	$0x33333333, 4(%ebx)
	movl	$GUEST_PORT, %edx
	movb	8(%ebx), %al
	outb	%al, %dx
	movw	8(%ebx), %ax
	outw	%ax, %dx
	movl	8(%ebx), %eax
	outl	%eax, %dx
	movl	$0x44444444, 0xffe(%ebx)	/* crosses a page */
1:	hlt
	jmp	1b
END(mmio)

START(tight)
1:	jmp	1b
END(tight)

START(halt)
1:	sti
	hlt
	jmp	1b
END(halt)

START(exits)
	movl	$GUEST_PORT, %edx
1:	outb	%al, %dx
	jmp	1b
END(exits)

START(fault)
	lidt	AT(fault, 1f)
	ud2
1:	.word	0
	.long	0
END(fault)

START(insn)
	movl	$GUEST_MMIO, %ebx
	addps	(%ebx), %xmm0
1:	hlt
	jmp	1b
END(insn)

START(irq)
	movl	$AT(irq, 3f), %eax
	movl	$(GUEST_IDT + GUEST_VECTOR * 8), %edi
	movw	%ax, (%edi)
	movw	$0x08, 2(%edi)
	movw	$0x8e00, 4(%edi)
	shrl	$16, %eax
	movw	%ax, 6(%edi)
	lidt	AT(irq, 4f)
	movl	$(APIC + 0xf0), %edi
	movl	$0x1ff, (%edi)
	movl	$GUEST_PORT, %edx
	movb	$'R', %al
	outb	%al, %dx
2:	sti
	hlt
	jmp	2b
3:	movl	$GUEST_IRQ_PORT, %edx
	movb	$'I', %al
	outb	%al, %dx
	movl	$(APIC + 0xb0), %edi
	movl	$0, (%edi)
	/* KVM's emulator has no iret in protected mode. */
	movl	$0x7000, %esp
	jmp	2b
4:	.word	0x7ff
	.long	GUEST_IDT
END(irq)

START(smp)
	movl	$(APIC + 0xf0), %edi
	movl	$0x1ff, (%edi)
	movl	$0x01000000, %eax
	movl	$(APIC + 0x310), %edi
	movl	%eax, (%edi)
	movl	$(APIC + 0x300), %edi
	movl	$0x4500, %eax			/* INIT */
	movl	%eax, (%edi)
	movl	$(0x4600 + GUEST_AP / 4096), %eax	/* SIPI */
	movl	%eax, (%edi)
1:	cmpl	$1, GUEST_DATA
	jne	1b
	movl	$GUEST_PORT, %edx
	movb	$'S', %al
	outb	%al, %dx
2:	hlt
	jmp	2b
END(smp)

	.code16
START(ap)
	xorw	%ax, %ax
	movw	%ax, %ds
	movl	$1, GUEST_DATA
	movw	$GUEST_PORT2, %dx
	movb	$'A', %al
	outb	%al, %dx
1:	hlt
	jmp	1b
END(ap)
	.code32

START(bell)
	movl	$GUEST_BELL, %edx
	movl	$100, %ecx
1:	outw	%ax, %dx
	decl	%ecx
	jnz	1b
	movl	$GUEST_PORT, %edx
	movb	$'B', %al
	outb	%al, %dx
2:	hlt
	jmp	2b
END(bell)

START(later)
1:	movl	$GUEST_PORT, %edx
	inl	%dx, %eax
	movl	$GUEST_PORT2, %edx
	outl	%eax, %dx
	jmp	1b
END(later)

	.code64
START(ring3)
	movl	$GUEST_PORT, %edx
1:	outb	%al, %dx
	decl	%ecx
	jnz	1b
	movl	$GUEST_PORT2, %edx
2:	outb	%al, %dx
	jmp	2b
END(ring3)

	.section .note.GNU-stack, "", @progbits
