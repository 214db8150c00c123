/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: the VMM one would start with. Boots Linux from the command line. */
#include "microvm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifdef HAVE_SLIRP
#include <vcore/slirp.h>
#endif
#ifdef HAVE_URING
#include <vcore/uring.h>
#endif

/* Guest memory of the one machine here, for the SIGBUS handler. */
static struct vcore_memory *guest_memory;

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (guest_memory != NULL &&
	    vcore_memory_recover(guest_memory, info, context) == 1)
		return;
	signal(sig, SIG_DFL);	/* not a guest page: die as without us */
}

static void
log_line(void *opaque, uint32_t level, const char *text)
{
	(void)opaque;
	fprintf(stderr, "microvm: <%u> %s\n", level, text);
}

static int
failed(void)
{
	fprintf(stderr, "microvm: %s\n", vcore_error_text());
	return MICROVM_FAILED;
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

/* --kvm PATH or fd:N. */
static int
open_host(const char *spec, struct vcore_log *log, struct vcore_host **host)
{
	struct vcore_host_opts opts;

	VCORE_INIT(&opts);
	opts.log = log;
	opts.path = spec;
	if (spec != NULL && strncmp(spec, "fd:", 3) == 0) {
		opts.flags = VCORE_HOST_FD;
		opts.fd = atoi(spec + 3);
		opts.path = NULL;
	}
	return vcore_host_open(&opts, host);
}

static int
make(const struct microvm_options *o, struct vcore_log *log,
     struct vcore_machine **machine)
{
	struct vcore_machine_opts opts;
	struct vcore_stream *serial;
	struct vcore_host *host;
	char path[64];
	int rc;

	if (open_host(o->kvm, log, &host) < 0)
		return failed();
	if (vcore_stream_open(o->serial, &serial, path, sizeof(path)) < 0) {
		vcore_host_unref(host);
		return failed();
	}
	if (path[0] != '\0')
		fprintf(stderr, "microvm: serial port is %s\n", path);
	VCORE_INIT(&opts);
	opts.flags = o->flags;
	opts.memory = o->memory;
	opts.cpus = o->cpus;
	opts.irqchip = o->irqchip;
	opts.transport = o->transport;
	opts.kernel = o->kernel;
	opts.initrd = o->initrd;
	opts.cmdline = o->append;
	opts.serial = serial;
	opts.host = host;
	opts.log = log;
	rc = vcore_machine_new(&opts, machine);
	vcore_stream_unref(serial);
	vcore_host_unref(host);
	if (rc < 0)
		return failed();
	if (add_kinds(*machine) < 0)
		return failed();
	for (unsigned i = 0; i < o->devices; i++)
		if (vcore_machine_add(*machine, o->device[i]) < 0)
			return failed();
	return 0;
}

static int
report(const struct vcore_event *event)
{
	switch (event->kind) {
	case VCORE_EVENT_RESET:
	case VCORE_EVENT_POWEROFF:
		return MICROVM_OK;
	case VCORE_EVENT_PANIC:
	case VCORE_EVENT_VCPU_ERROR:
		fprintf(stderr, "microvm: %s: %s\n", event->object,
			event->text);
		return MICROVM_CRASHED;
	default:
		fprintf(stderr, "microvm: %s: %s\n", event->object,
			event->text);
		return MICROVM_OK;
	}
}

/* See to events until the machine is off or a signal asks to stop. */
static int
serve(struct vcore_machine *machine, int sigfd)
{
	struct pollfd fds[2] = {
		{ .fd = vcore_machine_fd(machine), .events = POLLIN },
		{ .fd = sigfd, .events = POLLIN },
	};
	struct vcore_event event;
	int rc, status = MICROVM_OK;

	while (vcore_machine_state(machine) != VCORE_MACHINE_OFF) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return MICROVM_FAILED;
		VCORE_INIT(&event);
		while ((rc = vcore_machine_next(machine, &event)) > 0)
			status = status != MICROVM_OK ? status
						      : report(&event);
		if (rc < 0)
			return failed();
		if (fds[1].revents & POLLIN)
			vcore_machine_stop(machine);
	}
	return status;
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO };
	struct vcore_machine *machine = NULL;
	struct vcore_log_opts log_opts;
	struct microvm_options options;
	struct vcore_log *log = NULL;
	sigset_t stop;
	int sigfd, status;

	status = microvm_parse(argc, argv, &options);
	if (status != 0)
		goto out;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	sigfd = signalfd(-1, &stop, SFD_CLOEXEC);
	sigaction(SIGBUS, &action, NULL);
	VCORE_INIT(&log_opts);
	log_opts.message = log_line;
	log_opts.level = options.verbose > 1 ? VCORE_LOG_DEBUG
					     : VCORE_LOG_INFO;
	if (options.verbose && vcore_log_new(&log_opts, &log) < 0) {
		status = failed();
		goto out;
	}
	status = make(&options, log, &machine);
	if (status == 0) {
		guest_memory = vcore_machine_memory(machine);
		microvm_tty_raw();
		status = vcore_machine_start(machine) < 0
				 ? failed() : serve(machine, sigfd);
		microvm_tty_restore();
		guest_memory = NULL;
	}
	vcore_machine_unref(machine);
	vcore_log_unref(log);
	close(sigfd);
out:
	microvm_release(&options);
	return status;
}
