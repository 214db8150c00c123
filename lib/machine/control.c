/* SPDX-License-Identifier: BSD-3-Clause */
/* Control of a machine: start, events, pause, reset, stop; its getters. */
#include "machine/machine.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/wait.h"

static int
no_machine(const char *who)
{
	return vcore__err(NULL, -EINVAL, "%s: machine is NULL", who);
}

int
vcore__machine_enter(struct vcore_machine *m, const char *who)
{
	if (m == NULL)
		return no_machine(who);
	if (!vcore__may_wait())
		return vcore__err(m->opts.log, -EDEADLK,
				  "%s: called in a callback", who);
	/* It checks errors: a maker or boot() that calls back is told so. */
	if (pthread_mutex_lock(&m->control) != 0)
		return vcore__err(m->opts.log, -EDEADLK,
				  "%s: called inside another call of this machine",
				  who);
	return 0;
}

void
vcore__machine_leave(struct vcore_machine *m)
{
	pthread_mutex_unlock(&m->control);
}

int
vcore__machine_error(struct vcore_machine *m, int rc, const char *who)
{
	if (rc >= 0 || strncmp(vcore_error_text(), who, strlen(who)) == 0)
		return rc;
	return vcore__err(m->opts.log, rc, "%s: %s", who, vcore_error_text());
}

static int
not_new(struct vcore_machine *m, const char *who)
{
	return vcore__err(m->opts.log, -EBUSY, "%s: it has been started", who);
}

int
vcore__machine_enter_new(struct vcore_machine *m, const char *who)
{
	int rc = vcore__machine_enter(m, who);

	if (rc < 0 || m->state == VCORE_MACHINE_NEW)
		return rc;
	vcore__machine_leave(m);
	return not_new(m, who);
}

static int
start(struct vcore_machine *m, const char *who)
{
	int rc;

	if (m->state != VCORE_MACHINE_NEW)
		return not_new(m, who);
	rc = vcore__machine_load(m, who);
	if (rc == 0)
		rc = vcore__machine_loops_start(m);
	if (rc == 0)
		rc = vcore__machine_cpus_start(m);
	if (rc < 0) {
		/* Nothing of the guest has run: it is new again. */
		vcore__machine_cpus_quit(m);
		vcore__machine_loops_quit(m);
		return rc;
	}
	m->state = VCORE_MACHINE_RUNNING;
	vcore__machine_cpus_release(m);
	return 0;
}

static int
stop(struct vcore_machine *m, const char *who)
{
	int rc = 0;

	if (m->state == VCORE_MACHINE_OFF)
		return 0;
	if (m->state != VCORE_MACHINE_NEW) {
		vcore__machine_cpus_quit(m);
		rc = vcore__machine_parts_stop(m, VCORE__DROP, who);
		vcore__machine_loops_quit(m);
	}
	m->state = VCORE_MACHINE_OFF;
	/* Who waits for events looks at the state. */
	vcore_machine_quit(m);
	return rc;
}

static int
pause_all(struct vcore_machine *m, const char *who)
{
	int rc;

	if (m->state != VCORE_MACHINE_RUNNING)
		return vcore__err(m->opts.log, -EBUSY, "%s: it is not running",
				  who);
	rc = vcore__machine_cpus_hold(m, who);
	if (rc < 0)
		return rc;
	rc = vcore__machine_parts_stop(m, VCORE__DRAIN, who);
	if (rc < 0) {
		(void)vcore__machine_parts_start(m, who);
		vcore__machine_cpus_release(m);
		return rc;
	}
	m->state = VCORE_MACHINE_PAUSED;
	return 0;
}

static int
resume(struct vcore_machine *m, const char *who)
{
	int rc;

	if (m->state != VCORE_MACHINE_PAUSED)
		return vcore__err(m->opts.log, -EBUSY, "%s: it is not paused",
				  who);
	rc = vcore__machine_parts_start(m, who);
	if (rc < 0)
		return rc;
	m->state = VCORE_MACHINE_RUNNING;
	vcore__machine_cpus_release(m);
	return 0;
}

/* With vCPUs held and parts stopped: as after creation, then loaded. */
static int
boot_again(struct vcore_machine *m, const char *who)
{
	int rc;

	/* What the guest that was has asked for is not for the next one. */
	vcore__events_forget(m->events, VCORE_EVENT_RESET);
	vcore__events_forget(m->events, VCORE_EVENT_POWEROFF);
	vcore__events_forget(m->events, VCORE_EVENT_SHUTDOWN);
	vcore__events_forget(m->events, VCORE_EVENT_VCPU_ERROR);
	vcore__machine_parts_reset(m);
	rc = vcore__machine_cpus_reset(m);
	return rc < 0 ? rc : vcore__machine_load(m, who);
}

/* The error text is of what failed; the machine goes off. */
static int
give_up(struct vcore_machine *m, const char *who)
{
	char text[200];

	snprintf(text, sizeof(text), "%s", vcore_error_text());
	(void)stop(m, who);
	return vcore__err(m->opts.log, -EIO, "%s: cannot boot again: %s", who,
			  text);
}

static int
reset(struct vcore_machine *m, const char *who)
{
	bool paused = m->state == VCORE_MACHINE_PAUSED;
	int rc = 0;

	if (m->state != VCORE_MACHINE_RUNNING && !paused)
		return vcore__err(m->opts.log, -EBUSY, "%s: it is new or off",
				  who);
	if (!paused)
		rc = vcore__machine_cpus_hold(m, who);
	if (rc < 0)
		return rc;
	/* Also when paused: a drained device still has its state. */
	rc = vcore__machine_parts_stop(m, VCORE__DROP, who);
	if (rc == 0)
		rc = boot_again(m, who);
	if (rc == 0 && !paused)
		rc = vcore__machine_parts_start(m, who);
	if (rc < 0)
		return give_up(m, who);
	if (!paused)
		vcore__machine_cpus_release(m);
	return 0;
}

static int
guest_reset(struct vcore_machine *m, const char *who)
{
	int rc;

	if (m->opts.flags & VCORE_MACHINE_NO_REBOOT)
		return stop(m, who);
	if (m->state != VCORE_MACHINE_RUNNING &&
	    m->state != VCORE_MACHINE_PAUSED)
		return 0;
	rc = reset(m, who);
	return rc == -ETIMEDOUT ? give_up(m, who) : rc;
}

static int
act(struct vcore_machine *m, uint32_t kind, const char *who)
{
	switch (kind) {
	case VCORE_EVENT_RESET:
	case VCORE_EVENT_SHUTDOWN:
		return guest_reset(m, who);
	case VCORE_EVENT_POWEROFF:
	case VCORE_EVENT_VCPU_ERROR:
	case VCORE_EVENT_STOP:
		return stop(m, who);
	default:
		return 0;
	}
}

/* One of the above under the control lock. */
static int
controlled(struct vcore_machine *m, const char *who,
	   int (*fn)(struct vcore_machine *m, const char *who))
{
	int rc = vcore__machine_enter(m, who);

	if (rc < 0)
		return rc;
	rc = fn(m, who);
	vcore__machine_leave(m);
	return rc;
}

int
vcore_machine_start(struct vcore_machine *m)
{
	return controlled(m, "vcore_machine_start", start);
}

int
vcore_machine_stop(struct vcore_machine *m)
{
	return controlled(m, "vcore_machine_stop", stop);
}

int
vcore_machine_pause(struct vcore_machine *m)
{
	return controlled(m, "vcore_machine_pause", pause_all);
}

int
vcore_machine_resume(struct vcore_machine *m)
{
	return controlled(m, "vcore_machine_resume", resume);
}

int
vcore_machine_reset(struct vcore_machine *m)
{
	return controlled(m, "vcore_machine_reset", reset);
}

void
vcore_machine_quit(struct vcore_machine *m)
{
	if (m != NULL)
		vcore__events_post_signal(m->events, &m->stop_event, 0, 0);
}

int
vcore_machine_next(struct vcore_machine *m, struct vcore_event *event)
{
	const char *who = "vcore_machine_next";
	int rc, done;

	rc = vcore__machine_enter(m, who);
	if (rc < 0)
		return rc;
	rc = vcore_events_next(m->events, event);
	if (rc < 0)
		rc = vcore__err(m->opts.log, rc, "%s: event is NULL or not set up",
				who);
	done = rc > 0 ? act(m, event->kind, who) : 0;
	vcore__machine_leave(m);
	return done < 0 ? done : rc;
}

/* All events until the machine is off. */
static int
serve(struct vcore_machine *m)
{
	struct pollfd pfd = { .fd = vcore_events_fd(m->events),
			      .events = POLLIN };
	struct vcore_event event;
	int rc, failed = 0;

	while (m->state != VCORE_MACHINE_OFF) {
		if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
			return vcore__err(m->opts.log, -errno,
					  "vcore_machine_run: poll: %m");
		VCORE_INIT(&event);
		while ((rc = vcore_machine_next(m, &event)) > 0)
			if (event.kind == VCORE_EVENT_VCPU_ERROR)
				failed = vcore__err(m->opts.log, -EIO,
						    "vcore_machine_run: %s: %s",
						    event.object, event.text);
		if (rc < 0)
			return rc;
	}
	return failed;
}

int
vcore_machine_run(struct vcore_machine *m)
{
	const char *who = "vcore_machine_run";
	int rc;

	rc = vcore__machine_enter(m, who);
	if (rc < 0)
		return rc;
	if (m->state == VCORE_MACHINE_NEW)
		rc = start(m, who);
	vcore__machine_leave(m);
	if (rc < 0)
		return vcore__machine_error(m, rc, who);
	/* Others may stop it and let go of it meanwhile. */
	vcore_machine_ref(m);
	rc = vcore__machine_error(m, serve(m), who);
	/* Another thread may be in here, too, and has not seen that event. */
	if (m->state == VCORE_MACHINE_OFF)
		vcore_machine_quit(m);
	vcore_machine_unref(m);
	return rc;
}

int
vcore_machine_fd(struct vcore_machine *m)
{
	return m == NULL ? no_machine("vcore_machine_fd")
			 : vcore_events_fd(m->events);
}

int
vcore_machine_state(struct vcore_machine *m)
{
	return m == NULL ? no_machine("vcore_machine_state") : (int)m->state;
}

struct vcore_memory *
vcore_machine_memory(struct vcore_machine *m)
{
	return m == NULL ? NULL : m->memory;
}

struct vcore_vm *
vcore_machine_vm(struct vcore_machine *m)
{
	return m == NULL ? NULL : m->vm;
}

struct vcore_vcpu *
vcore_machine_vcpu(struct vcore_machine *m, uint32_t index)
{
	return m == NULL || index >= m->cpu_count ? NULL : m->cpus[index].vcpu;
}

struct vcore_bus *
vcore_machine_bus(struct vcore_machine *m, uint32_t kind)
{
	if (m == NULL || (kind != VCORE_BUS_MMIO && kind != VCORE_BUS_PIO))
		return NULL;
	return kind == VCORE_BUS_MMIO ? m->mmio : m->pio;
}

struct vcore_pci_bus *
vcore_machine_pci(struct vcore_machine *m)
{
	return m == NULL ? NULL : m->pci;
}

struct vcore_loop *
vcore_machine_loop(struct vcore_machine *m, uint32_t index)
{
	return m == NULL || index >= m->loop_count ? NULL : m->loops[index].loop;
}

struct vcore_irqchip *
vcore_machine_irqchip(struct vcore_machine *m)
{
	return m == NULL ? NULL : m->irqchip;
}

struct vcore_events *
vcore_machine_events(struct vcore_machine *m)
{
	return m == NULL ? NULL : m->events;
}
