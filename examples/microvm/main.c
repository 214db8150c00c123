/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: the VMM one would start with. Boots Linux from the command line. */
#include "microvm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A guest that faults so often, each time so soon, does so for ever. */
#define FAULTS_MAX    10
#define FAULT_SECONDS 10

/* For the signal handlers; NULL while there is none. */
static struct vcore_machine *volatile running;
static volatile sig_atomic_t stopped_by;

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct vcore_memory *memory = vcore_machine_memory(running);

	if (memory != NULL && vcore_memory_recover(memory, info, context) == 1)
		return;
	signal(sig, SIG_DFL);	/* not a guest page: die as without us */
}

static void
on_stop(int sig)
{
	stopped_by = sig;
	vcore_machine_quit(running);
}

static void
handle_signals(void)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction bus = { .sa_sigaction = on_sigbus,
				 .sa_flags = SA_SIGINFO };
	struct sigaction stop = { .sa_handler = on_stop };
	struct sigaction kick = { .sa_handler = vcore_vcpu_kick_handler,
				  .sa_flags = SA_RESTART };

	/* For VCORE_MACHINE_SIGNAL_HANDLED. */
	sigaction(SIGRTMIN, &kick, NULL);
	sigaction(SIGBUS, &bus, NULL);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		sigaction(stops[i], &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void
log_line(void *opaque, uint32_t level, const char *text)
{
	const struct microvm_options *o = opaque;

	/* What calls return as errors is printed where they are made. */
	if (o->verbose || level > VCORE_LOG_ERR)
		fprintf(stderr, "microvm: <%u> %s\n", level, text);
}

/* A log if it is wanted, or if it has to name a pty. */
static int
make_log(struct microvm_options *o, struct vcore_log **log)
{
	struct vcore_log_opts opts;

	if (!o->verbose && !microvm_has_console(o, "pty"))
		return 0;
	VCORE_INIT(&opts);
	opts.message = log_line;
	opts.opaque = o;
	opts.level = o->verbose > 1 ? VCORE_LOG_DEBUG : VCORE_LOG_INFO;
	return vcore_log_new(&opts, log);
}

/* A triple fault, which has booted the machine again: was it one too many? */
static int
faults_for_ever(void)
{
	static time_t last;
	static int count;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - last >= FAULT_SECONDS)
		count = 0;
	last = now.tv_sec;
	return ++count == FAULTS_MAX;
}

/* What an event means for the exit status. */
static int
report(struct vcore_machine *machine, const struct vcore_event *event)
{
	switch (event->kind) {
	case VCORE_EVENT_RESET:
	case VCORE_EVENT_POWEROFF:
	case VCORE_EVENT_STOP:
		return MICROVM_OK;
	default:
		fprintf(stderr, "microvm: %s: %s\n", event->object,
			event->text);
	}
	switch (event->kind) {
	case VCORE_EVENT_PANIC:
	case VCORE_EVENT_VCPU_ERROR:
		return MICROVM_CRASHED;
	case VCORE_EVENT_SHUTDOWN:
		/* With --no-reboot that was the end. */
		if (vcore_machine_state(machine) == VCORE_MACHINE_OFF)
			return MICROVM_CRASHED;
		if (!faults_for_ever())
			return MICROVM_OK;
		fprintf(stderr, "microvm: %d triple faults in a row\n",
			FAULTS_MAX);
		vcore_machine_stop(machine);
		return MICROVM_CRASHED;
	default:
		return MICROVM_OK;
	}
}

/* See to events until the machine is off. */
static int
serve(struct vcore_machine *machine)
{
	struct pollfd fd = { .fd = vcore_machine_fd(machine),
			     .events = POLLIN };
	struct vcore_event event;
	int rc, seen, status = MICROVM_OK;

	while (vcore_machine_state(machine) != VCORE_MACHINE_OFF) {
		if (poll(&fd, 1, -1) < 0 && errno != EINTR)
			return MICROVM_FAILED;
		VCORE_INIT(&event);
		while ((rc = vcore_machine_next(machine, &event)) > 0) {
			seen = report(machine, &event);
			status = status == MICROVM_OK ? seen : status;
		}
		if (rc < 0)
			return microvm_failed();
	}
	return stopped_by != 0 ? 128 + stopped_by : status;
}

static int
run(const struct microvm_options *o, struct vcore_log *log)
{
	struct vcore_machine *machine;
	int status = microvm_make(o, log, &machine);

	if (status != MICROVM_OK)
		return status;
	running = machine;
	if (stopped_by != 0)	/* before there was a machine to stop */
		vcore_machine_quit(machine);
	if (strcmp(o->serial, "stdio") == 0)
		microvm_tty_raw(0);
	else if (microvm_has_console(o, "stdio"))
		microvm_tty_raw(1);
	status = vcore_machine_start(machine) < 0 ? microvm_failed()
						  : serve(machine);
	microvm_tty_restore();
	vcore_machine_stop(machine);
	if (o->counters)
		microvm_counters(machine);
	running = NULL;
	vcore_machine_unref(machine);
	return status;
}

int
main(int argc, char **argv)
{
	struct microvm_options options;
	struct vcore_log *log = NULL;
	int status;

	status = microvm_parse(argc, argv, &options);
	if (status == MICROVM_OK) {
		handle_signals();
		status = make_log(&options, &log) < 0 ? microvm_failed()
						      : run(&options, log);
	}
	vcore_log_unref(log);
	microvm_release(&options);
	return status;
}
