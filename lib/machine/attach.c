/* SPDX-License-Identifier: BSD-3-Clause */
/* Attaching virtio devices to a machine: environment, transport, line. */
#include "base/base.h"
#include "machine/devices.h"
#include "virtio/virtio.h"

#define LONG_AGO 1u	/* a deadline that has passed: do not wait */

static int
attach_mmio(struct vcore_machine *m, struct vcore__machine_device *d)
{
	struct vcore_irq_opts opts;
	uint64_t base;
	int rc;

	VCORE_INIT(&opts);
	opts.flags = VCORE_IRQ_LINE;
	rc = vcore__machine_take_line(m, &opts.gsi);
	if (rc < 0)
		return rc;
	base = VCORE__LAYOUT_VIRTIO +
	       m->mmio_devices * VCORE__LAYOUT_VIRTIO_STEP;
	rc = vcore_irq_new(m->irqchip, &opts, &d->irq);
	if (rc == 0)
		rc = vcore_virtio_attach_mmio(d->virtio, m->mmio, base, d->irq);
	if (rc == 0) {
		rc = vcore__machine_chips_add_mmio(m, base, opts.gsi);
		if (rc < 0)
			(void)vcore_virtio_detach(d->virtio, LONG_AGO);
	}
	if (rc < 0) {
		vcore_irq_unref(d->irq);
		d->irq = NULL;
		m->gsis &= ~(1u << opts.gsi);
		return rc;
	}
	m->mmio_devices++;
	return 0;
}

/*
 * A device gets its environment once. One that has this machine's, from the
 * embedder or from an attach that failed, keeps it.
 */
static int
give_environment(struct vcore_machine *m, struct vcore_virtio *virtio,
		 uint32_t first)
{
	struct vcore_loop *loops[VCORE__MACHINE_MAX_LOOPS];
	struct vcore_virtio_env env;

	if (virtio->memory == m->memory)
		return 0;
	for (uint32_t i = 0; i < m->loop_count; i++)
		loops[i] = m->loops[(first + i) % m->loop_count].loop;
	VCORE_INIT(&env);
	env.memory = m->memory;
	env.loops = loops;
	env.loop_count = m->loop_count;
	env.events = m->events;
	env.log = m->opts.log;
	return vcore_virtio_set_env(virtio, &env);
}

int
vcore__machine_attach(struct vcore_machine *m, struct vcore_virtio *virtio,
		      const struct vcore_attach_opts *opts)
{
	struct vcore__machine_device *d;
	struct vcore__part part;
	uint32_t transport = opts->transport;
	int rc;

	if (m->device_count == VCORE__MACHINE_MAX_DEVICES)
		return vcore__err(m->opts.log, -ENOSPC,
				  "vcore_machine_attach: there are %u devices already",
				  VCORE__MACHINE_MAX_DEVICES);
	if (transport == 0)
		transport = m->opts.transport;
	rc = give_environment(m, virtio, opts->loop);
	if (rc < 0)
		return rc;
	d = &m->device[m->device_count];
	*d = (struct vcore__machine_device){ .virtio = virtio };
	if (transport == VCORE_TRANSPORT_MMIO)
		rc = attach_mmio(m, d);
	else
		rc = vcore_virtio_attach_pci(virtio, m->pci, 0);
	if (rc < 0)
		return rc;
	vcore_virtio_ref(virtio);
	m->device_count++;
	vcore__virtio_part(virtio, &part);
	vcore__machine_add_part(m, &part);
	return 0;
}

static int
check_opts(struct vcore_machine *m, const struct vcore_attach_opts *opts)
{
	if (opts->flags != 0)
		return vcore__err(m->opts.log, -E2BIG,
				  "vcore_machine_attach: unknown flags %#x",
				  opts->flags);
	if (opts->transport > VCORE_TRANSPORT_MMIO ||
	    opts->loop >= m->loop_count)
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_attach: transport %u or loop %u is out of range",
				  opts->transport, opts->loop);
	return 0;
}

int
vcore_machine_attach(struct vcore_machine *m, struct vcore_virtio *virtio,
		     const struct vcore_attach_opts *caller)
{
	const char *who = "vcore_machine_attach";
	struct vcore_attach_opts opts = { .size = sizeof(opts) };
	int rc = 0;

	if (m == NULL || virtio == NULL)
		return vcore__err(NULL, -EINVAL, "%s: a pointer is NULL", who);
	if (caller != NULL)
		rc = VCORE__SIZED(who, &opts, loop, caller);
	if (rc == 0)
		rc = check_opts(m, &opts);
	if (rc == 0)
		rc = vcore__machine_enter_new(m, who);
	if (rc < 0)
		return rc;
	rc = vcore__machine_attach(m, virtio, &opts);
	vcore__machine_leave(m);
	return vcore__machine_error(m, rc, who);
}

struct vcore_virtio *
vcore_machine_device(struct vcore_machine *m, uint32_t index)
{
	return m == NULL || index >= m->device_count ? NULL
						     : m->device[index].virtio;
}
