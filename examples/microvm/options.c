/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: its command line. */
#include "microvm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_KERNEL = 256, OPT_INITRD, OPT_APPEND, OPT_CPUS, OPT_MEMORY,
	OPT_DISK, OPT_NET, OPT_CONSOLE, OPT_SERIAL, OPT_RNG, OPT_TRANSPORT,
	OPT_IRQCHIP, OPT_KVM, OPT_NO_REBOOT, OPT_SHARED, OPT_DEVICE,
	OPT_COUNTERS, OPT_VERBOSE, OPT_HELP
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
	{ "counters", no_argument, NULL, OPT_COUNTERS },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 }
};

static const struct microvm_choice transport = {
	"transport", { "pci", "mmio" },
	{ VCORE_TRANSPORT_PCI, VCORE_TRANSPORT_MMIO }
};
static const struct microvm_choice irqchip = {
	"irqchip", { "kernel", "split" },
	{ VCORE_VM_IRQCHIP_KERNEL, VCORE_VM_IRQCHIP_SPLIT }
};

static int
add_recipe(struct microvm_options *o, const char *prefix, const char *text)
{
	char *recipe = NULL;

	if (o->devices == MICROVM_MAX_DEVICES)
		return microvm_usage("more than %d devices",
				     MICROVM_MAX_DEVICES);
	if (asprintf(&recipe, "%s%s", prefix, text) < 0)
		return MICROVM_FAILED;
	o->device[o->devices++] = recipe;
	return 0;
}

static int
parse_machine(struct microvm_options *o, int option, const char *arg)
{
	uint64_t n = 0;
	int rc;

	switch (option) {
	case OPT_CPUS:
		rc = microvm_number("cpus", arg, 4096, &n);
		o->cpus = (uint32_t)n;
		return rc;
	case OPT_MEMORY:
		return microvm_number("memory", arg, 1ull << 46, &o->memory);
	case OPT_TRANSPORT:
		return microvm_choice(&transport, arg, &o->transport);
	case OPT_IRQCHIP:
		return microvm_choice(&irqchip, arg, &o->irqchip);
	case OPT_KVM:
		return microvm_kvm(o, arg);
	case OPT_NO_REBOOT:
		o->flags |= VCORE_MACHINE_NO_REBOOT;
		return 0;
	case OPT_SHARED:
		o->flags |= VCORE_MACHINE_SHARED_MEMORY;
		return 0;
	case OPT_COUNTERS:
		o->counters = 1;
		return 0;
	default:
		o->verbose++;
		return 0;
	}
}

static int
parse_option(struct microvm_options *o, int option, const char *arg)
{
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
	default:
		return parse_machine(o, option, arg);
	}
}

static int
count_consoles(const struct microvm_options *o, const char *spec)
{
	static const char console[] = "console,stream=";
	size_t len = strlen(spec);
	int count = 0;

	for (unsigned i = 0; i < o->devices; i++) {
		const char *at = o->device[i];

		if (strncmp(at, console, sizeof(console) - 1) != 0)
			continue;
		at += sizeof(console) - 1;
		count += strncmp(at, spec, len) == 0 &&
			 (at[len] == '\0' || at[len] == ',');
	}
	return count;
}

int
microvm_has_console(const struct microvm_options *o, const char *spec)
{
	return count_consoles(o, spec) > 0;
}

/* Standard input and output are for one. */
static int
share_stdio(struct microvm_options *o)
{
	int users = count_consoles(o, "stdio");

	if (o->serial == NULL)
		o->serial = users > 0 ? "null" : "stdio";
	users += strcmp(o->serial, "stdio") == 0;
	return users > 1 ? microvm_usage("stdio is used %d times", users) : 0;
}

int
microvm_parse(int argc, char **argv, struct microvm_options *o)
{
	int option, rc;

	memset(o, 0, sizeof(*o));
	o->kvm_fd = -1;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (option == OPT_HELP) {
			microvm_help();
			exit(MICROVM_OK);
		}
		if (option == '?')
			return microvm_usage(
				"'%s' is unknown or lacks its argument",
				argv[optind - 1]);
		rc = parse_option(o, option, optarg);
		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return microvm_usage("'%s' is not an option", argv[optind]);
	if (o->kernel == NULL)
		return microvm_usage("--kernel is missing");
	return share_stdio(o);
}

void
microvm_release(struct microvm_options *o)
{
	while (o->devices > 0)
		free(o->device[--o->devices]);
}
