/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: from options to a machine. */
#include "microvm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef HAVE_SLIRP
#include <vcore/slirp.h>
#endif
#ifdef HAVE_URING
#include <vcore/uring.h>
#endif

int
microvm_failed(void)
{
	fprintf(stderr, "microvm: %s\n", vcore_error_text());
	return MICROVM_FAILED;
}

/*
 * While the machine is made, these two are about what the user has written;
 * -EEXIST is an id= that is there twice.
 */
static int
refused(int rc)
{
	int status = microvm_failed();

	return rc == -EINVAL || rc == -EEXIST ? MICROVM_USAGE : status;
}

/* What recipes may ask for, but this program was built without. */
static const struct {
	const char *item, *part;
} left_out[] = {
#ifndef HAVE_SLIRP
	{ "link=user", "vcore-slirp, which needs libslirp" },
#endif
#ifndef HAVE_URING
	{ "disk=uring", "vcore-uring, which needs liburing" },
#endif
	{ NULL, NULL }
};

/* Is this one of the items of a recipe? */
static int
has_item(const char *recipe, const char *item)
{
	size_t len = strlen(item);
	const char *at = recipe;

	while ((at = strchr(at, ',')) != NULL) {
		if (*++at == ',')
			at++;	/* two are one in a value */
		else if (strncmp(at, item, len) == 0 &&
			 (at[len] == ',' || at[len] == '\0'))
			return 1;
	}
	return 0;
}

static int
check_parts(const struct microvm_options *o)
{
	for (unsigned i = 0; i < o->devices; i++)
		for (unsigned n = 0; left_out[n].item != NULL; n++)
			if (has_item(o->device[i], left_out[n].item))
				return microvm_usage(
					"%s: built without %s",
					left_out[n].item, left_out[n].part);
	return MICROVM_OK;
}

static int
add_kinds(struct vcore_machine *machine)
{
	int rc = 0;

	(void)machine;
#ifdef HAVE_SLIRP
	rc = vcore_machine_add_link_kind(machine, "user", vcore_slirp_make,
					 NULL);
#endif
#ifdef HAVE_URING
	if (rc == 0)
		rc = vcore_machine_add_disk_kind(machine, "uring",
						 vcore_uring_make, NULL);
#endif
	return rc;
}

static int
add_devices(const struct microvm_options *o, struct vcore_machine *machine)
{
	int rc = add_kinds(machine);

	for (unsigned i = 0; rc == 0 && i < o->devices; i++)
		rc = vcore_machine_add(machine, o->device[i]);
	return rc;
}

static int
open_host(const struct microvm_options *o, struct vcore_log *log,
	  struct vcore_host **host)
{
	struct vcore_host_opts opts;

	VCORE_INIT(&opts);
	opts.log = log;
	opts.path = o->kvm;
	if (o->kvm_fd >= 0) {
		opts.flags = VCORE_HOST_FD;
		opts.fd = o->kvm_fd;
	}
	return vcore_host_open(&opts, host);
}

static int
open_serial(const char *spec, struct vcore_stream **serial)
{
	char path[64] = "";
	int rc;

	if (strcmp(spec, "stdio") == 0)
		return microvm_tty_stream(serial);
	rc = vcore_stream_open(spec, serial, path, sizeof(path));
	if (rc == 0 && path[0] != '\0')
		fprintf(stderr, "microvm: serial port is %s\n", path);
	return rc;
}

int
microvm_make(const struct microvm_options *o, struct vcore_log *log,
	     struct vcore_machine **machine)
{
	struct vcore_machine_opts opts;
	struct vcore_machine *m = NULL;
	int rc, status = check_parts(o);

	if (status != MICROVM_OK)
		return status;
	VCORE_INIT(&opts);
	opts.flags = o->flags | VCORE_MACHINE_SIGNAL_HANDLED;
	opts.memory = o->memory;
	opts.cpus = o->cpus;
	opts.irqchip = o->irqchip;
	opts.transport = o->transport;
	opts.kernel = o->kernel;
	opts.initrd = o->initrd;
	opts.cmdline = o->append;
	opts.log = log;
	rc = open_host(o, log, &opts.host);
	if (rc == 0)
		rc = open_serial(o->serial, &opts.serial);
	if (rc == 0)
		rc = vcore_machine_new(&opts, &m);
	if (rc == 0)
		rc = add_devices(o, m);
	if (rc < 0) {
		status = refused(rc);
		vcore_machine_unref(m);
	} else {
		*machine = m;
	}
	/* The machine has references of its own. */
	vcore_stream_unref(opts.serial);
	vcore_host_unref(opts.host);
	return status;
}
