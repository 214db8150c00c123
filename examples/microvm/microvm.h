/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: what its files share. */
#ifndef MICROVM_H
#define MICROVM_H

#include <vcore/machine.h>

#define MICROVM_MAX_DEVICES 40

/* Exit statuses; 128 + N: ended by signal N. */
#define MICROVM_OK      0	/* the guest switched itself off */
#define MICROVM_FAILED  1	/* the machine could not be made or run */
#define MICROVM_USAGE   2	/* the command line is wrong */
#define MICROVM_CRASHED 3	/* the guest panicked, faulted for good, or a
				 * vCPU failed */

/* The command line, taken apart. */
struct microvm_options {
	const char *kernel, *initrd, *append, *serial, *kvm;
	uint64_t memory;
	uint32_t cpus, transport, irqchip, flags;
	int verbose, counters, kvm_fd;
	unsigned devices;
	char *device[MICROVM_MAX_DEVICES];	/* recipes, on the heap */
};

/* help.c */
void microvm_help(void);

/* options.c: 0, or an exit status: the text has been written to stderr. */
int microvm_parse(int argc, char **argv, struct microvm_options *options);
void microvm_release(struct microvm_options *options);
/* Is one of the recipes a console on this kind of stream? */
int microvm_has_console(const struct microvm_options *o, const char *spec);

/* One word or another. */
struct microvm_choice {
	const char *option, *text[2];
	uint32_t value[2];
};

/* values.c: 0, or an exit status: the text has been written to stderr. */
int microvm_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int microvm_number(const char *option, const char *text, uint64_t max,
		   uint64_t *value);
int microvm_choice(const struct microvm_choice *choice, const char *text,
		   uint32_t *value);
int microvm_kvm(struct microvm_options *o, const char *text);

/* vm.c: 0 and *machine, or an exit status. */
int microvm_make(const struct microvm_options *options, struct vcore_log *log,
		 struct vcore_machine **machine);
/* Says on stderr what failed: the exit status. */
int microvm_failed(void);

/* counters.c: a line for each device on stderr. */
void microvm_counters(struct vcore_machine *machine);

/*
 * tty.c: a terminal on standard input is raw until it is restored. With keys,
 * Ctrl-C and the like still are signals.
 */
void microvm_tty_raw(int keys);
void microvm_tty_restore(void);
/* Standard input and output; on a terminal, Ctrl-A x is a SIGINT. */
int microvm_tty_stream(struct vcore_stream **stream);

#endif
