/* SPDX-License-Identifier: BSD-3-Clause */
/* What benchmarks share: quiet, clock, alternating blocks, JSON lines. */
#ifndef VCORE_BENCH_COMMON_H
#define VCORE_BENCH_COMMON_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * VCORE_BENCH_SMOKE: run everything with tiny counts, to see that it runs.
 * VCORE_BENCH_ANYWAY: measure although others use the machine.
 */

/*
 * First call of main(): the name in the output; with pin, this thread and all
 * that it starts stay on one CPU. Ends the program with status 3 if others use
 * more than a fifth of a CPU (a load of 1.2 with us), unless told otherwise.
 */
void
bench_begin(const char *name, bool pin);

/* Last call: what others used meanwhile, on stderr. The exit status. */
int
bench_end(void);

/* Undo the pin of bench_begin(), or pin the calling thread to a CPU again. */
void
bench_unpin(void);
void
bench_pin(uint32_t nth);

bool
bench_smoke(void);

/* A count: full, or what is enough to see that it works. */
uint64_t
bench_count(uint64_t full, uint64_t smoke);

double
bench_now_ns(void);

/* Or die, with the library's error text. */
void
bench_need(bool ok, const char *what);

/* Of the n values, which are sorted. q: 0 the least, 0.5 the median. */
double
bench_quantile(double *values, uint32_t n, double q);

/*
 * One line {"bench":...,"case":...,"value":...,"unit":...,"vs":...,
 * "ratio":...}. Without a peer vs is NAN: null in the output.
 */
void
bench_print(double value, const char *unit, double vs, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Two sides in turns, block by block, after one block of each that does not
 * count. Prints "CASE, min" and "CASE, median". A block returns its value, as
 * ns per operation.
 */
struct bench_side {
	double (*block)(void *opaque);
	void *opaque;
};

#define BENCH_BLOCKS_MAX 1000
void
bench_alternate(const struct bench_side *ours, const struct bench_side *peer,
		uint32_t blocks, const char *unit, const char *name);

/*
 * System calls of fn, which runs in a process of its own, split at its calls
 * of bench_mark(): wanted are ioctls of that request. Returns the number of
 * parts: marks and the end.
 */
struct bench_calls {
	uint64_t wanted, others;
};

uint32_t
bench_trace(void (*fn)(void *opaque), void *opaque, unsigned long request,
	    struct bench_calls *parts, uint32_t max);
void
bench_mark(void);

/*
 * Instructions that this program executes when run with these arguments (as
 * in argv: NULL at the end, the program's name is not among them), counted by
 * callgrind. Of one operation: the difference between runs of two lengths.
 */
uint64_t
bench_instructions(const char *const *args);

#endif
