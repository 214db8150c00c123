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

/* Texts begin with the functions that failed: is the innermost one this? */
static int
is_from(const char *prefix)
{
	const char *text = vcore_error_text(), *inner = text, *colon;

	while (strncmp(text, "vcore_", 6) == 0 &&
	       (colon = strstr(text, ": ")) != NULL) {
		inner = text;
		text = colon + 2;
	}
	return strncmp(inner, prefix, strlen(prefix)) == 0;
}

/*
 * While the machine is made: is this about what the user has written, or is it
 * something out there that is not as it should be?
 */
static int
is_usage(int rc)
{
	/* Kinds and names of a recipe; a file's -ENOENT is its opener's. */
	if (rc == -ENOENT || rc == -EEXIST)
		return is_from("vcore_machine_add:");
	/* A disk's -EINVAL is about the file: empty, or no disk at all. */
	return rc == -EINVAL && !is_from("vcore_disk_");
}

static int
refused(int rc)
{
	int usage = is_usage(rc), status = microvm_failed();

	return usage ? MICROVM_USAGE : status;
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
	int rc, status = MICROVM_OK;

	VCORE_INIT(&opts);
	opts.flags = o->flags;
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
