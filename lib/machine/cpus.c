/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads that run a machine's vCPUs, and how control holds them. */
#include "machine/machine.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base.h"
#include "base/wait.h"
#include "vcpu/kick.h"

/* Has KVM as many as are wanted? */
static int
enough(const struct vcore_machine *m)
{
	struct vcore_vm_info info;
	int rc;

	VCORE_INIT(&info);
	rc = vcore_vm_get_info(m->vm, &info);
	if (rc == 0 && m->cpu_count > info.vcpu_max)
		rc = vcore__err(m->opts.log, -EOPNOTSUPP,
				"vcore_machine_new: %u vCPUs, KVM has %u at most (KVM_CAP_MAX_VCPUS or KVM_CAP_NR_VCPUS)",
				m->cpu_count, info.vcpu_max);
	return rc;
}

int
vcore__machine_cpus_new(struct vcore_machine *m)
{
	struct vcore_cpuid *own = NULL, *cpuid = m->opts.cpuid;
	struct vcore_vcpu_opts opts;
	int rc = enough(m);

	VCORE_INIT(&opts);
	if (m->opts.flags & VCORE_MACHINE_SIGNAL_HANDLED)
		opts.flags = VCORE_VCPU_SIGNAL_HANDLED;
	if (rc < 0)
		return rc;
	m->cpus = calloc(m->cpu_count, sizeof(*m->cpus));
	if (m->cpus == NULL)
		return vcore__err(m->opts.log, -ENOMEM,
				  "vcore_machine_new: no memory for %u vCPUs",
				  m->cpu_count);
	if (cpuid == NULL) {
		rc = vcore_cpuid_new(m->host, &own);
		cpuid = own;
	}
	for (uint32_t i = 0; rc == 0 && i < m->cpu_count; i++) {
		m->cpus[i].machine = m;
		rc = vcore_vcpu_new(m->vm, i, &opts, &m->cpus[i].vcpu);
		if (rc == 0)
			rc = vcore_vcpu_set_cpuid(m->cpus[i].vcpu, cpuid,
						  m->cpu_count);
	}
	vcore_cpuid_free(own);
	return rc;
}

void
vcore__machine_cpus_free(struct vcore_machine *m)
{
	if (m->cpus == NULL)
		return;
	for (uint32_t i = 0; i < m->cpu_count; i++)
		vcore_vcpu_unref(m->cpus[i].vcpu);
	free(m->cpus);
	m->cpus = NULL;
}

static void
post(struct vcore__machine_cpu *cpu, uint32_t kind,
     const struct vcore_exit *exit, const char *text)
{
	struct vcore_event event;

	VCORE_INIT(&event);
	event.kind = kind;
	event.value[0] = vcore_vcpu_id(cpu->vcpu);
	event.value[1] = exit->reason;
	if (exit->kind == VCORE_EXIT_INTERNAL_ERROR)
		event.value[2] = exit->u.internal.suberror;
	snprintf(event.object, sizeof(event.object), "vcpu%u",
		 vcore_vcpu_id(cpu->vcpu));
	snprintf(event.text, sizeof(event.text), "%s", text);
	(void)vcore_events_post(cpu->machine->events, &event);
}

static size_t
append_bytes(char *text, size_t size, size_t at, const uint8_t *bytes,
	     uint32_t count)
{
	for (uint32_t i = 0; i < count && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, " %02x", bytes[i]);
	return at;
}

/* What no guest should cause: for people who look for the reason. */
static void
describe(struct vcore__machine_cpu *cpu, const struct vcore_exit *exit,
	 char *text, size_t size)
{
	struct vcore_regs regs = { .rip = 0 };
	size_t n;

	switch (exit->kind) {
	case VCORE_EXIT_SYSTEM_EVENT:
		n = (size_t)snprintf(text, size, "system event %u",
				     exit->u.system.type);
		break;
	case VCORE_EXIT_INTERNAL_ERROR:
		n = (size_t)snprintf(text, size,
				     "KVM internal error %u, instruction bytes",
				     exit->u.internal.suberror);
		n = append_bytes(text, size, n, exit->u.internal.insn,
				 exit->u.internal.ninsn);
		break;
	case VCORE_EXIT_FAIL_ENTRY:
		n = (size_t)snprintf(text, size,
				     "failed entry, hardware reason %#" PRIx64,
				     exit->u.fail.hardware_reason);
		break;
	case VCORE_EXIT_MEMORY_FAULT:
		n = (size_t)snprintf(text, size,
				     "memory fault at %#" PRIx64,
				     exit->u.fault.gpa);
		break;
	default:
		n = (size_t)snprintf(text, size, "exit %u (KVM reason %u)",
				     exit->kind, exit->reason);
		break;
	}
	if (n < size && vcore_vcpu_get_regs(cpu->vcpu, &regs) == 0)
		snprintf(text + n, size - n, ", rip %#" PRIx64, regs.rip);
}

/* What the embedder makes of an exit; 0 without one: not known. */
static int
ask_embedder(struct vcore__machine_cpu *cpu, const struct vcore_exit *exit)
{
	const struct vcore_machine_opts *o = &cpu->machine->opts;
	int rc;

	if (o->vcpu_exit == NULL)
		return 0;
	vcore__nowait_begin();
	rc = o->vcpu_exit(o->vcpu_exit_opaque, cpu->vcpu, exit);
	vcore__nowait_end();
	return rc;
}

/* An exit no bus has answered. True: the vCPU may run on. */
static bool
handle(struct vcore__machine_cpu *cpu, const struct vcore_exit *exit)
{
	char text[160];
	int rc;

	switch (exit->kind) {
	case VCORE_EXIT_KICKED:
	case VCORE_EXIT_PAUSED:
	case VCORE_EXIT_HALT:
		return true;
	case VCORE_EXIT_SHUTDOWN:
		post(cpu, VCORE_EVENT_SHUTDOWN, exit, "triple fault");
		return false;
	default:
		rc = ask_embedder(cpu, exit);
		if (rc > 0)
			return true;
		if (rc < 0)
			snprintf(text, sizeof(text), "%s", vcore_error_text());
		else
			describe(cpu, exit, text, sizeof(text));
		post(cpu, VCORE_EVENT_VCPU_ERROR, exit, text);
		return false;
	}
}

/* Wait while control holds the vCPUs. False: the thread ends. */
static bool
wait_turn(struct vcore__machine_cpu *cpu)
{
	struct vcore_machine *m = cpu->machine;
	bool go;

	pthread_mutex_lock(&m->lock);
	while ((m->hold || cpu->stalled) && !m->quit) {
		if (!cpu->held) {
			cpu->held = true;
			pthread_cond_broadcast(&m->changed);
		}
		pthread_cond_wait(&m->changed, &m->lock);
	}
	go = !m->quit;
	cpu->held = !go;
	pthread_mutex_unlock(&m->lock);
	return go;
}

static void
stall(struct vcore__machine_cpu *cpu)
{
	pthread_mutex_lock(&cpu->machine->lock);
	cpu->stalled = true;
	pthread_mutex_unlock(&cpu->machine->lock);
}

/* Threads are started with all signals blocked. */
static void
unblock_kick_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void
cpu_main(void *arg)
{
	struct vcore__machine_cpu *cpu = arg;
	struct vcore_exit exit;

	if (cpu->machine->opts.flags & VCORE_MACHINE_SIGNAL_HANDLED)
		unblock_kick_signal();
	while (wait_turn(cpu)) {
		VCORE_INIT(&exit);
		if (vcore_vcpu_run(cpu->vcpu, &exit) < 0) {
			post(cpu, VCORE_EVENT_VCPU_ERROR, &exit,
			     vcore_error_text());
			stall(cpu);
		} else if (!handle(cpu, &exit)) {
			stall(cpu);
		}
	}
}

int
vcore__machine_cpus_start(struct vcore_machine *m)
{
	char name[16];
	int rc;

	if ((m->opts.flags & VCORE_MACHINE_SIGNAL_HANDLED) &&
	    !vcore__kick_has_handler(SIGRTMIN))
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_start: VCORE_MACHINE_SIGNAL_HANDLED, but signal %d has no handler",
				  SIGRTMIN);
	for (uint32_t i = 0; i < m->cpu_count; i++) {
		snprintf(name, sizeof(name), "vcpu%u", i);
		rc = vcore__thread_start(&m->spawner, name, cpu_main,
					 &m->cpus[i], &m->cpus[i].thread);
		if (rc < 0)
			return vcore__err(m->opts.log, rc,
					  "vcore_machine_start: thread of vCPU %u: %s",
					  i, vcore__strerror(rc));
		m->cpus[i].started = true;
	}
	return 0;
}

/* The first vCPU that is not held; cpu_count: all are. */
static uint32_t
first_running(const struct vcore_machine *m)
{
	uint32_t i = 0;

	while (i < m->cpu_count && m->cpus[i].held)
		i++;
	return i;
}

static void
set_hold(struct vcore_machine *m, bool hold)
{
	pthread_mutex_lock(&m->lock);
	m->hold = hold;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

int
vcore__machine_cpus_hold(struct vcore_machine *m, const char *who)
{
	uint64_t deadline = vcore__now_ns() + m->stop_ns;
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000000000u),
		.tv_nsec = (long)(deadline % 1000000000u),
	};
	uint32_t late;
	int rc = 0;

	set_hold(m, true);
	/* Kick all, then wait: the times do not add up. */
	for (uint32_t i = 0; i < m->cpu_count; i++)
		(void)vcore_vcpu_kick(m->cpus[i].vcpu);
	pthread_mutex_lock(&m->lock);
	while (first_running(m) < m->cpu_count && rc == 0)
		rc = pthread_cond_timedwait(&m->changed, &m->lock, &until);
	late = first_running(m);
	pthread_mutex_unlock(&m->lock);
	if (late == m->cpu_count)
		return 0;
	set_hold(m, false);
	return vcore__err(m->opts.log, -ETIMEDOUT,
			  "%s: vCPU %u did not leave the guest", who, late);
}

void
vcore__machine_cpus_release(struct vcore_machine *m)
{
	set_hold(m, false);
}

int
vcore__machine_cpus_reset(struct vcore_machine *m)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < m->cpu_count; i++)
		rc = vcore_vcpu_reset(m->cpus[i].vcpu);
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->cpu_count; i++)
		m->cpus[i].stalled = false;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void
vcore__machine_cpus_quit(struct vcore_machine *m)
{
	pthread_mutex_lock(&m->lock);
	m->quit = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	for (uint32_t i = 0; i < m->cpu_count; i++)
		if (m->cpus[i].started)
			(void)vcore_vcpu_kick(m->cpus[i].vcpu);
	for (uint32_t i = 0; i < m->cpu_count; i++) {
		if (m->cpus[i].started)
			vcore__thread_join(&m->spawner, m->cpus[i].thread);
		m->cpus[i].started = false;
		m->cpus[i].held = false;
	}
	/* As before they were started. */
	m->quit = false;
	m->hold = true;
}
