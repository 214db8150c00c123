/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: its command line. */
#include "microvm.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_KERNEL = 256, OPT_INITRD, OPT_APPEND, OPT_CPUS, OPT_MEMORY,
	OPT_DISK, OPT_NET, OPT_CONSOLE, OPT_SERIAL, OPT_RNG, OPT_TRANSPORT,
	OPT_IRQCHIP, OPT_KVM, OPT_NO_REBOOT, OPT_SHARED, OPT_DEVICE, OPT_VERBOSE,
	OPT_HELP
};

static const struct option longopts[] = {
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "net", required_argument, NULL, OPT_NET },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "rng", no_argument, NULL, OPT_RNG },
	{ "transport", required_argument, NULL, OPT_TRANSPORT },
	{ "irqchip", required_argument, NULL, OPT_IRQCHIP },
	{ "kvm", required_argument, NULL, OPT_KVM },
	{ "no-reboot", no_argument, NULL, OPT_NO_REBOOT },
	{ "shared-memory", no_argument, NULL, OPT_SHARED },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 }
};

static const char help[] =
"usage: microvm --kernel FILE [options]\n"
"\n"
"  --kernel FILE        bzImage, ELF or PVH kernel\n"
"  --initrd FILE        initial RAM disk\n"
"  --append TEXT        kernel command line\n"
"  --cpus N             number of vCPUs (1)\n"
"  --memory SIZE        guest memory, as 512M or 2G (256M)\n"
"  --disk PATH[,ITEM...]  block device: ro, direct, disk=file|uring,\n"
"                       queues=N, serial=TEXT, cache=writethrough, ...\n"
"  --net KIND[,ITEM...]   network: tap,name=IF | user | socket,path=P;\n"
"                       queues=PAIRS, mac=MAC, mtu=N\n"
"  --serial SPEC        first serial port (stdio)\n"
"  --console SPEC       virtio console; may be repeated\n"
"                       SPEC: stdio | null | pty | unix:PATH | fd:IN:OUT\n"
"  --rng                virtio entropy device\n"
"  --transport KIND     pci (default) or mmio\n"
"  --irqchip KIND       kernel (default) or split\n"
"  --kvm PATH|fd:N      the KVM device (/dev/kvm)\n"
"  --no-reboot          a reset ends the run\n"
"  --shared-memory      guest memory in a memfd\n"
"  --device RECIPE      any device, as vcore_machine_add() takes it\n"
"  --verbose            the library's log on stderr\n"
"\n"
"Exit status: 0 the guest switched itself off, 1 the machine failed,\n"
"2 wrong usage, 3 the guest panicked or a vCPU failed.\n";

static int
usage(const char *fmt, ...)
{
	va_list ap;

	fputs("microvm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nmicrovm: --help shows what there is\n", stderr);
	return MICROVM_USAGE;
}

/* A decimal number with K, M, G or T behind it; 0 if it is none. */
static uint64_t
parse_size(const char *text)
{
	static const char suffix[] = "KMGT";
	unsigned long long n;
	const char *at;
	unsigned shift = 0;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (end[0] != '\0') {
		at = strchr(suffix, end[0] & ~0x20);
		if (at == NULL || end[1] != '\0')
			return 0;
		shift = 10 * (unsigned)(at - suffix + 1);
	}
	return errno != 0 || n > UINT64_MAX >> shift ? 0 : (uint64_t)n << shift;
}

static int
add_recipe(struct microvm_options *o, const char *prefix, const char *text)
{
	char *recipe = NULL;

	if (o->devices == MICROVM_MAX_DEVICES)
		return usage("more than %d devices", MICROVM_MAX_DEVICES);
	if (asprintf(&recipe, "%s%s", prefix, text) < 0)
		return MICROVM_FAILED;
	o->device[o->devices++] = recipe;
	return 0;
}

static int
parse_choice(const char *name, const char *text, const char *a, uint32_t is_a,
	     const char *b, uint32_t is_b, uint32_t *value)
{
	if (strcmp(text, a) == 0)
		*value = is_a;
	else if (strcmp(text, b) == 0)
		*value = is_b;
	else
		return usage("--%s is %s or %s, not '%s'", name, a, b, text);
	return 0;
}

static int
parse_number(const char *name, const char *text, uint64_t max, uint64_t *value)
{
	*value = parse_size(text);
	if (*value == 0 || *value > max)
		return usage("--%s '%s' is not a number from 1 to %llu", name,
			     text, (unsigned long long)max);
	return 0;
}

static int
parse_option(struct microvm_options *o, int option, const char *arg)
{
	uint64_t n = 0;
	int rc;

	switch (option) {
	case OPT_KERNEL:
		o->kernel = arg;
		return 0;
	case OPT_INITRD:
		o->initrd = arg;
		return 0;
	case OPT_APPEND:
		o->append = arg;
		return 0;
	case OPT_SERIAL:
		o->serial = arg;
		return 0;
	case OPT_KVM:
		o->kvm = arg;
		return 0;
	case OPT_CPUS:
		rc = parse_number("cpus", arg, 4096, &n);
		o->cpus = (uint32_t)n;
		return rc;
	case OPT_MEMORY:
		return parse_number("memory", arg, 1ull << 46, &o->memory);
	case OPT_DISK:
		return add_recipe(o, "block,path=", arg);
	case OPT_NET:
		return add_recipe(o, "net,link=", arg);
	case OPT_CONSOLE:
		return add_recipe(o, "console,stream=", arg);
	case OPT_RNG:
		return add_recipe(o, "rng", "");
	case OPT_DEVICE:
		return add_recipe(o, "", arg);
	case OPT_TRANSPORT:
		return parse_choice("transport", arg,
				    "pci", VCORE_TRANSPORT_PCI,
				    "mmio", VCORE_TRANSPORT_MMIO,
				    &o->transport);
	case OPT_IRQCHIP:
		return parse_choice("irqchip", arg,
				    "kernel", VCORE_VM_IRQCHIP_KERNEL,
				    "split", VCORE_VM_IRQCHIP_SPLIT,
				    &o->irqchip);
	case OPT_NO_REBOOT:
		o->flags |= VCORE_MACHINE_NO_REBOOT;
		return 0;
	case OPT_SHARED:
		o->flags |= VCORE_MACHINE_SHARED_MEMORY;
		return 0;
	case OPT_VERBOSE:
		o->verbose++;
		return 0;
	default:
		return MICROVM_USAGE;
	}
}

int
microvm_parse(int argc, char **argv, struct microvm_options *o)
{
	int option, rc;

	memset(o, 0, sizeof(*o));
	o->serial = "stdio";
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (option == OPT_HELP) {
			fputs(help, stdout);
			exit(MICROVM_OK);
		}
		if (option == '?')
			return usage("'%s' is unknown or lacks its argument",
				     argv[optind - 1]);
		rc = parse_option(o, option, optarg);
		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return usage("'%s' is not an option", argv[optind]);
	if (o->kernel == NULL)
		return usage("--kernel is missing");
	return 0;
}

void
microvm_release(struct microvm_options *o)
{
	while (o->devices > 0)
		free(o->device[--o->devices]);
}
