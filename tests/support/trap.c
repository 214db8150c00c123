/* SPDX-License-Identifier: BSD-3-Clause */
/* Notes each access to a page, and lets a test change it right afterwards. */
#include "support/trap.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define FLAG_TF     0x100	/* EFLAGS: one instruction only */
#define FAULT_WRITE 2		/* of the page fault's error code */

static struct trap *watching;
static struct {
	uint32_t off;
	bool write;
} last;
static struct sigaction old_segv, old_trap;

static void
protect(struct trap *t, int prot)
{
	if (mprotect(t->page, TRAP_BYTES, prot) < 0)
		abort();
}

/* An access to the page: it may happen, once. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
	struct trap *t = watching;
	ucontext_t *u = context;
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)sig;
	if (!t || at - (uintptr_t)t->page >= TRAP_BYTES) {
		/* Somebody else's: it happens again, and is told. */
		sigaction(SIGSEGV, &old_segv, NULL);
		return;
	}
	last.off = (uint32_t)(at - (uintptr_t)t->page);
	last.write = (u->uc_mcontext.gregs[REG_ERR] & FAULT_WRITE) != 0;
	(last.write ? t->writes : t->reads)[last.off]++;
	t->total++;
	protect(t, PROT_READ | PROT_WRITE);
	u->uc_mcontext.gregs[REG_EFL] |= FLAG_TF;
}

static void
on_step(int sig, siginfo_t *info, void *context)
{
	struct trap *t = watching;
	ucontext_t *u = context;

	(void)sig;
	(void)info;
	if (t && t->after)
		t->after(t, last.off, last.write);
	if (t)
		protect(t, PROT_NONE);
	u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_TF;
}

void
trap_begin(struct trap *t, void *page,
	   void (*after)(struct trap *t, uint32_t off, bool write),
	   void *opaque)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO };

	if (watching || (uintptr_t)page % TRAP_BYTES)
		abort();
	memset(t, 0, sizeof(*t));
	t->page = page;
	t->after = after;
	t->opaque = opaque;
	watching = t;
	sa.sa_sigaction = on_fault;
	if (sigaction(SIGSEGV, &sa, &old_segv) < 0)
		abort();
	sa.sa_sigaction = on_step;
	if (sigaction(SIGTRAP, &sa, &old_trap) < 0)
		abort();
	protect(t, PROT_NONE);
}

void
trap_end(struct trap *t)
{
	protect(t, PROT_READ | PROT_WRITE);
	watching = NULL;
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
}

static uint32_t
sum(const uint32_t *counts, uint32_t off, uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < len; i++)
		n += counts[off + i];
	return n;
}

uint32_t
trap_reads(const struct trap *t, uint32_t off, uint32_t len)
{
	return sum(t->reads, off, len);
}

uint32_t
trap_writes(const struct trap *t, uint32_t off, uint32_t len)
{
	return sum(t->writes, off, len);
}
