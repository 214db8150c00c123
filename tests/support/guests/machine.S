/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Freestanding guests for whole machines; see machine.h beside this. 32 bit
 * flat at GUEST_CODE unless said otherwise.
 */
#include "guests.h"
#include "machine.h"

#define START(name) \
	.globl guest_##name, guest_##name##_end; .balign 16; guest_##name:
#define END(name) guest_##name##_end:
#define APIC 0xfee00000

	.section .rodata
	.code32

START(pokes)
	cld
	movl	$GUEST_POKES, %esi
1:	xorl	%edx, %edx
	lodsw
	movw	%ax, %dx
	testw	%ax, %ax
	jz	2f
	lodsw
	cmpw	$POKE_READ, %dx
	je	3f
	outb	%al, %dx
	jmp	1b
2:	hlt
	jmp	2b
3:	movw	%ax, %dx
	inb	%dx, %al
	movb	%al, GUEST_DATA
	jmp	1b
END(pokes)

START(count)
1:	incl	GUEST_DATA
	jmp	1b
END(count)

/* What KVM can't emulate, in three bytes; then power-off. */
START(insn_off)
	movl	$GUEST_MMIO, %ebx
	addps	(%ebx), %xmm0
	movl	$POKE_SLEEP, %edx
	movb	$POKE_S5, %al
	outb	%al, %dx
1:	hlt
	jmp	1b
END(insn_off)

START(smp_all)
	movl	$(APIC + 0xf0), %edi
	movl	$0x1ff, (%edi)
	movl	$0, GUEST_DATA
	movl	$(APIC + 0x300), %edi
	movl	$0xc4500, %eax			/* INIT to all others */
	movl	%eax, (%edi)
	movl	$(0xc4600 + GUEST_AP / 4096), %eax	/* SIPI */
	movl	%eax, (%edi)
	movl	GUEST_POKES, %ecx		/* how many others there are */
1:	cmpl	%ecx, GUEST_DATA
	jne	1b
	movl	$POKE_SERIAL, %edx
	movb	$'S', %al
	outb	%al, %dx
	movl	$POKE_SLEEP, %edx
	movb	$POKE_S5, %al
	outb	%al, %dx
2:	hlt
	jmp	2b
END(smp_all)

	.code16
START(ap_all)
	xorw	%ax, %ax
	movw	%ax, %ds
	lock incl GUEST_DATA
1:	hlt
	jmp	1b
END(ap_all)

/* To protected mode, where an IDT's limit counts, and an exception. */
#define AT_AP(label) (GUEST_AP + label - guest_ap_fault)
START(ap_fault)
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	AT_AP(3f)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x08, $AT_AP(1f)
	.code32
1:	lidt	AT_AP(4f)
	ud2
	.balign	8
2:	.quad	0, 0x00cf9b000000ffff
3:	.word	15
	.long	AT_AP(2b)
4:	.word	0
	.long	0
END(ap_fault)

	.code64
/* A kernel, entered by Linux' 64-bit protocol: %rsi is the zero page. */
START(kernel)
	movl	$POKE_SERIAL, %edx
	movl	0x228(%rsi), %ebx		/* the command line */
1:	movb	(%rbx), %al
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	incl	%ebx
	jmp	1b
2:	movl	0x70(%rsi), %ebx		/* the RSDP's first letter */
	movb	(%rbx), %al
	outb	%al, %dx
	movl	0x21c(%rsi), %ecx		/* the initrd's length */
	testl	%ecx, %ecx
	jz	3f
	movl	0x218(%rsi), %ebx		/* and its first byte */
	movb	(%rbx), %al
	outb	%al, %dx
3:	incl	GUEST_BOOTS
	cmpl	$3, GUEST_BOOTS
	je	4f
	movb	$0xfe, %al			/* boot again */
	outb	%al, $0x64
	jmp	5f
4:	movl	$POKE_SLEEP, %edx
	movb	$POKE_S5, %al
	outb	%al, %dx
5:	hlt
	jmp	5b
END(kernel)

/* Says '!', then what comes in, until a 'q': power-off. */
START(echo)
	movl	$POKE_SERIAL, %edx
	movb	$'!', %al
1:	outb	%al, %dx
2:	movl	$(POKE_SERIAL + 5), %edx
	inb	%dx, %al
	testb	$1, %al				/* a byte has come */
	jz	2b
	movl	$POKE_SERIAL, %edx
	inb	%dx, %al
	cmpb	$'q', %al
	jne	1b
	movl	$POKE_SLEEP, %edx
	movb	$POKE_S5, %al
	outb	%al, %dx
3:	hlt
	jmp	3b
END(echo)

/* Panics, then switches off. */
START(panic)
	movl	$POKE_PANIC, %edx
	movb	$1, %al
	outb	%al, %dx
	movl	$POKE_SLEEP, %edx
	movb	$POKE_S5, %al
	outb	%al, %dx
1:	hlt
	jmp	1b
END(panic)

/* A triple fault: there is nowhere an exception could go. */
START(fault64)
	pushq	$0
	pushq	$0
	lidt	(%rsp)
	ud2
END(fault64)

	.section .note.GNU-stack, "", @progbits
