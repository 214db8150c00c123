/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: what its files share. */
#ifndef MICROVM_H
#define MICROVM_H

#include <vcore/machine.h>

#define MICROVM_MAX_DEVICES 40

/* Exit statuses. */
#define MICROVM_OK      0	/* the guest switched itself off */
#define MICROVM_FAILED  1	/* the machine could not be made or run */
#define MICROVM_USAGE   2	/* the command line is wrong */
#define MICROVM_CRASHED 3	/* the guest panicked or a vCPU failed */

/* The command line, taken apart. */
struct microvm_options {
	const char *kernel, *initrd, *append, *serial, *kvm;
	uint64_t memory;
	uint32_t cpus, transport, irqchip, flags;
	int verbose;
	unsigned devices;
	char *device[MICROVM_MAX_DEVICES];	/* recipes, on the heap */
};

/* 0, or an exit status: the text has been written to stderr. */
int microvm_parse(int argc, char **argv, struct microvm_options *options);
void microvm_release(struct microvm_options *options);

/* Put the terminal behind stdin into raw mode until microvm_tty_restore(). */
void microvm_tty_raw(void);
void microvm_tty_restore(void);

#endif
