/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that wins every race: each instruction that touches a watched page is
 * noted, and right after it the test may change what it has touched. So a word
 * that is read twice is read differently, every time (SUPPORT trap; x86_64).
 *
 * One thread, and user space: system calls that touch the page get EFAULT.
 * Nothing is compiled differently for it: the page has no permissions, the
 * fault lets one instruction through, and the single step takes them back.
 */
#ifndef VCORE_TESTS_SUPPORT_TRAP_H
#define VCORE_TESTS_SUPPORT_TRAP_H

#include <stdbool.h>
#include <stdint.h>

#define TRAP_BYTES 4096u

struct trap {
	uint8_t *page;			/* of the host, 4 KiB */
	/* Instructions whose access began at this byte. */
	uint32_t reads[TRAP_BYTES], writes[TRAP_BYTES];
	uint32_t total;
	/* After an access at this offset; the page may be touched here. */
	void (*after)(struct trap *t, uint32_t off, bool write);
	void *opaque;
};

/* Watch this page; after: NULL: only count. Aborts if it can't be done. */
void
trap_begin(struct trap *t, void *page,
	   void (*after)(struct trap *t, uint32_t off, bool write),
	   void *opaque);
void
trap_end(struct trap *t);
/* The sum of reads, of writes, that began in [off, off + len). */
uint32_t
trap_reads(const struct trap *t, uint32_t off, uint32_t len);
uint32_t
trap_writes(const struct trap *t, uint32_t off, uint32_t len);

#endif
