/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine's life: made, started, paused, reset, off, freed. */
#include "machine/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "machine/devices.h"

#define DEFAULT_MEMORY (256ull << 20)
#define PAGE           4096u
/* Room for events of the embedder's own; and for what each part may say. */
#define EVENTS	       64u
#define CPU_EVENTS     1u
#define DEVICE_EVENTS  3u	/* broken, and errors of its backend */
#define LONG_AGO       1u	/* a deadline that has passed */

static int
check_opts(struct vcore_machine_opts *o)
{
	const uint32_t known = VCORE_MACHINE_KERNEL_FD |
			       VCORE_MACHINE_INITRD_FD |
			       VCORE_MACHINE_NO_REBOOT |
			       VCORE_MACHINE_SHARED_MEMORY |
			       VCORE_MACHINE_SIGNAL_HANDLED;

	if ((o->flags & ~known) != 0)
		return vcore__err(o->log, -E2BIG,
				  "vcore_machine_new: unknown flags %#x",
				  o->flags & ~known);
	if (o->memory == 0)
		o->memory = DEFAULT_MEMORY;
	if (o->cpus == 0)
		o->cpus = 1;
	if (o->irqchip == 0)
		o->irqchip = VCORE_VM_IRQCHIP_KERNEL;
	if (o->transport == 0)
		o->transport = VCORE_TRANSPORT_PCI;
	if (o->loops == 0 || o->loop != NULL)
		o->loops = 1;
	if (o->memory % PAGE != 0 || o->memory > 1ull << 46)
		return vcore__err(o->log, -EINVAL,
				  "vcore_machine_new: memory %#llx is not a multiple of %u up to 2^46",
				  (unsigned long long)o->memory, PAGE);
	if (o->cpus > VCORE__MACHINE_MAX_CPUS)
		return vcore__err(o->log, -EINVAL,
				  "vcore_machine_new: %u vCPUs, at most %u",
				  o->cpus, VCORE__MACHINE_MAX_CPUS);
	if (o->loops > VCORE__MACHINE_MAX_LOOPS)
		return vcore__err(o->log, -EINVAL,
				  "vcore_machine_new: %u loops, at most %u",
				  o->loops, VCORE__MACHINE_MAX_LOOPS);
	if (o->irqchip > VCORE_VM_IRQCHIP_SPLIT ||
	    o->transport > VCORE_TRANSPORT_MMIO)
		return vcore__err(o->log, -EINVAL,
				  "vcore_machine_new: irqchip %u or transport %u is out of range",
				  o->irqchip, o->transport);
	if (o->kernel == NULL && !(o->flags & VCORE_MACHINE_KERNEL_FD) &&
	    (o->initrd != NULL || o->cmdline != NULL ||
	     (o->flags & VCORE_MACHINE_INITRD_FD)))
		return vcore__err(o->log, -EINVAL,
				  "vcore_machine_new: an initrd or command line, but no kernel");
	return 0;
}

static int
copy_string(const char **s)
{
	if (*s == NULL)
		return 0;
	*s = strdup(*s);
	return *s == NULL ? -ENOMEM : 0;
}

/*
 * Opened now and kept: a reboot takes the same file, whatever the process may
 * no longer see by then. O_NONBLOCK: a FIFO is refused later, not waited for.
 */
static int
open_file(struct vcore_machine *m, const char *what, uint32_t flag, int fd,
	  const char *path, int *file)
{
	if (m->opts.flags & flag)
		*file = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	else if (path != NULL)
		*file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	else
		return 0;
	if (*file >= 0)
		return 0;
	if (m->opts.flags & flag)
		return vcore__err(m->opts.log, -errno,
				  "vcore_machine_new: %s_fd %d: %m", what, fd);
	return vcore__err(m->opts.log, -errno,
			  "vcore_machine_new: %s '%s': %m", what, path);
}

/* Make everything the caller's options point to the machine's own. */
static int
own_opts(struct vcore_machine *m)
{
	struct vcore_machine_opts *o = &m->opts;
	int kernel, initrd, cmdline, rc;

	vcore_log_ref(o->log);
	vcore_stream_ref(o->serial);
	vcore_loop_ref(o->loop);
	/* All three, so that what is freed later is always our own. */
	kernel = copy_string(&o->kernel);
	initrd = copy_string(&o->initrd);
	cmdline = copy_string(&o->cmdline);
	if (kernel < 0 || initrd < 0 || cmdline < 0)
		return vcore__err(o->log, -ENOMEM,
				  "vcore_machine_new: no memory for strings");
	rc = open_file(m, "kernel", VCORE_MACHINE_KERNEL_FD, o->kernel_fd,
		       o->kernel, &m->kernel_fd);
	if (rc == 0)
		rc = open_file(m, "initrd", VCORE_MACHINE_INITRD_FD,
			       o->initrd_fd, o->initrd, &m->initrd_fd);
	if (rc < 0)
		return rc;
	return vcore__spawner_init(&m->spawner, "vcore_machine_new: spawn",
				   o->spawn, o->spawn_opaque);
}

static int
add_ram(struct vcore_machine *m, uint64_t gpa, uint64_t len)
{
	struct vcore_region_opts opts;
	struct vcore_region *region;
	int rc;

	VCORE_INIT(&opts);
	opts.len = len;
	if (m->opts.flags & VCORE_MACHINE_SHARED_MEMORY)
		opts.flags |= VCORE_REGION_SHARED;
	rc = vcore_region_new(&opts, &region);
	if (rc < 0)
		return rc;
	rc = vcore_memory_add(m->memory, gpa, region, 0);
	vcore_region_unref(region);
	return rc;
}

static int
make_memory(struct vcore_machine *m)
{
	uint64_t low = m->opts.memory;
	struct vcore_memory_opts opts;
	int rc;

	if (low > VCORE__LAYOUT_HOLE)
		low = VCORE__LAYOUT_HOLE;
	VCORE_INIT(&opts);
	opts.log = m->opts.log;
	opts.events = m->events;
	rc = vcore_memory_new(&opts, &m->memory);
	if (rc == 0)
		rc = add_ram(m, 0, low);
	if (rc == 0 && m->opts.memory > low)
		rc = add_ram(m, VCORE__LAYOUT_HIGH, m->opts.memory - low);
	return rc;
}

/*
 * Whoever can post does so under few kinds, and what waits is merged, so this
 * is not filled by any guest. What the embedder posts doesn't count among it:
 * should it fill the queue, what a machine acts upon comes through all the
 * same.
 */
static int
make_events(struct vcore_machine *m)
{
	struct vcore_events_opts opts;

	VCORE_INIT(&opts);
	opts.capacity = EVENTS + CPU_EVENTS * m->cpu_count +
			DEVICE_EVENTS * VCORE__MACHINE_MAX_DEVICES;
	vcore__event_slot_init(&m->stop_event, VCORE_EVENT_STOP, "machine",
			       "stopped from outside");
	return vcore_events_new(&opts, &m->events);
}

static int
make_bus(uint32_t kind, struct vcore_bus **bus)
{
	struct vcore_bus_opts opts;

	VCORE_INIT(&opts);
	opts.kind = kind;
	return vcore_bus_new(&opts, bus);
}

static int
make_host(struct vcore_machine *m)
{
	struct vcore_host_opts opts;

	if (m->opts.host != NULL) {
		m->host = vcore_host_ref(m->opts.host);
		return 0;
	}
	VCORE_INIT(&opts);
	opts.log = m->opts.log;
	return vcore_host_open(&opts, &m->host);
}

static int
make_vm(struct vcore_machine *m)
{
	struct vcore_vm_opts opts;
	int rc;

	rc = make_bus(VCORE_BUS_PIO, &m->pio);
	if (rc == 0)
		rc = make_bus(VCORE_BUS_MMIO, &m->mmio);
	if (rc < 0)
		return rc;
	VCORE_INIT(&opts);
	opts.irqchip = m->opts.irqchip;
	if (opts.irqchip == VCORE_VM_IRQCHIP_KERNEL)
		opts.flags |= VCORE_VM_PIT;
	opts.pio = m->pio;
	opts.mmio = m->mmio;
	opts.events = m->events;
	opts.log = m->opts.log;
	return vcore_vm_new(m->host, m->memory, &opts, &m->vm);
}

static int
assemble(struct vcore_machine *m)
{
	int rc;

	rc = own_opts(m);
	if (rc == 0)
		rc = make_host(m);
	if (rc == 0)
		rc = make_events(m);
	if (rc == 0)
		rc = make_memory(m);
	if (rc == 0)
		rc = make_vm(m);
	if (rc == 0)
		rc = vcore__machine_loops_new(m);
	if (rc == 0)
		rc = vcore__machine_chips_new(m);
	if (rc == 0)
		rc = vcore__machine_cpus_new(m);
	/* Borrowed until here. */
	m->opts.cpuid = NULL;
	return rc;
}

/* Nothing of it runs. */
static void
destroy(struct vcore_machine *m)
{
	vcore__machine_chips_free(m);
	for (uint32_t i = 0; i < m->device_count; i++) {
		/* Waits for nothing: what did not stop is left to itself. */
		(void)vcore_virtio_detach(m->device[i].virtio, LONG_AGO);
		vcore_virtio_unref(m->device[i].virtio);
		vcore_irq_unref(m->device[i].irq);
	}
	vcore__machine_loops_drain(m);
	vcore__machine_cpus_free(m);
	vcore_pci_bus_unref(m->pci);
	vcore_vm_unref(m->vm);
	vcore_bus_unref(m->mmio);
	vcore_bus_unref(m->pio);
	vcore_memory_unref(m->memory);
	if (m->events != NULL)
		vcore__event_slot_fini(m->events, &m->stop_event);
	vcore_events_unref(m->events);
	vcore_host_unref(m->host);
	vcore__machine_loops_free(m);
	vcore__machine_kinds_free(m);
	vcore_pool_unref(m->pool);
	if (m->kernel_fd >= 0)
		close(m->kernel_fd);
	if (m->initrd_fd >= 0)
		close(m->initrd_fd);
	free((char *)m->opts.kernel);
	free((char *)m->opts.initrd);
	free((char *)m->opts.cmdline);
	vcore_stream_unref(m->opts.serial);
	vcore_loop_unref(m->opts.loop);
	vcore_log_unref(m->opts.log);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->control);
	free(m);
}

static void
init_locks(struct vcore_machine *m)
{
	pthread_mutexattr_t check;
	pthread_condattr_t attr;

	pthread_mutexattr_init(&check);
	pthread_mutexattr_settype(&check, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m->control, &check);
	pthread_mutexattr_destroy(&check);
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int
vcore_machine_new(const struct vcore_machine_opts *caller,
		  struct vcore_machine **machine)
{
	struct vcore_machine_opts opts;
	struct vcore_machine *m;
	char text[256];
	int rc;

	if (caller == NULL || machine == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_new: a pointer is NULL");
	rc = VCORE__SIZED("vcore_machine_new", &opts, boot_opaque, caller);
	if (rc == 0)
		rc = check_opts(&opts);
	if (rc < 0)
		return rc;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return vcore__err(opts.log, -ENOMEM,
				  "vcore_machine_new: out of memory");
	init_locks(m);
	m->refs = 1;
	m->state = VCORE_MACHINE_NEW;
	m->opts = opts;
	m->kernel_fd = m->initrd_fd = -1;
	m->cpu_count = opts.cpus;
	m->loop_count = opts.loops;
	m->stop_ns = VCORE__MACHINE_STOP_NS;
	m->hold = true;
	rc = assemble(m);
	if (rc < 0) {
		rc = vcore__machine_error(m, rc, "vcore_machine_new");
		snprintf(text, sizeof(text), "%s", vcore_error_text());
		destroy(m);
		return vcore__err(NULL, rc, "%s", text);
	}
	*machine = m;
	return 0;
}

struct vcore_machine *
vcore_machine_ref(struct vcore_machine *m)
{
	if (m != NULL)
		atomic_fetch_add(&m->refs, 1);
	return m;
}

void
vcore_machine_unref(struct vcore_machine *m)
{
	if (m == NULL || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	if (vcore_machine_stop(m) == -EDEADLK) {
		/* The threads to be joined include this one: not now. */
		atomic_fetch_add(&m->refs, 1);
		return;
	}
	destroy(m);
}
