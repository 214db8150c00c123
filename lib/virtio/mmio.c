/* SPDX-License-Identifier: BSD-3-Clause */
/* The MMIO transport: virtio 1.2, 4.2, version 2 registers. */
#include "virtio/virtio.h"

#include <linux/virtio_mmio.h>
#include <stdlib.h>

#define MMIO_LEN	0x200ull
#define MMIO_MAGIC	0x74726976u
#define MMIO_VENDOR	0x65726f76u	/* "vore" */
#define MMIO_SHM_NONE	UINT32_MAX
#define MMIO_QUEUE_RESET 0x0c0

struct mmio {
	struct vcore__transport transport;	/* first */
	struct vcore_irq *irq;
	struct vcore_range *range;
	struct vcore_range **bells;		/* one for each queue */
	_Atomic uint32_t isr;
	/* Under the device's lock. */
	uint32_t device_select, driver_select, queue_select;
};

static struct mmio *
of(struct vcore__transport *t)
{
	return (struct mmio *)(void *)t;
}

static void
raise_irq(struct mmio *m, uint32_t bit)
{
	atomic_fetch_or(&m->isr, bit);
	(void)vcore_irq_raise(m->irq);
}

static void
queue_irq(struct vcore__transport *t, uint32_t index)
{
	(void)index;
	raise_irq(of(t), VIRTIO_MMIO_INT_VRING);
}

static void
config_irq(struct vcore__transport *t)
{
	raise_irq(of(t), VIRTIO_MMIO_INT_CONFIG);
}

static void
reset(struct vcore__transport *t)
{
	struct mmio *m = of(t);

	atomic_store(&m->isr, 0);
	m->device_select = 0;
	m->driver_select = 0;
	m->queue_select = 0;
}

/* The last handler has returned, or the transport was never on the bus. */
static void
release(void *opaque)
{
	struct mmio *m = opaque;
	struct vcore_virtio *v = m->transport.virtio;

	vcore_irq_unref(m->irq);
	free(m->bells);
	free(m);
	vcore__virtio_put(v);
}

static void
remove_bells(struct mmio *m)
{
	for (uint32_t i = 0; i < m->transport.virtio->queue_count; i++)
		vcore_range_remove(m->bells[i]);
}

static void
off_the_bus(struct vcore__transport *t)
{
	struct mmio *m = of(t);

	remove_bells(m);
	if (m->range)
		vcore_range_remove(m->range);
	else
		release(m);
}

static const struct vcore__transport_ops transport_ops = {
	.queue_irq = queue_irq, .config_irq = config_irq,
	.reset = reset, .remove = off_the_bus,
};

static uint32_t
read_queue(struct mmio *m, uint32_t off)
{
	struct vcore__queue *q;

	q = vcore__virtio_select(m->transport.virtio, m->queue_select);
	if (!q)
		return 0;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q->vq.max;
	case VIRTIO_MMIO_QUEUE_READY:
		return q->enabled;
	default:
		return q->resetting;
	}
}

static uint32_t
read_register(struct mmio *m, uint32_t off)
{
	struct vcore_virtio *v = m->transport.virtio;

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return v->ops.type;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return vcore__virtio_device_features(v, m->device_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
	case MMIO_QUEUE_RESET:
		return read_queue(m, off);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return m->isr;
	case VIRTIO_MMIO_STATUS:
		return v->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return MMIO_SHM_NONE;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return vcore__virtio_generation(v);
	default:
		return 0;
	}
}

/* Registers are 32 bits wide, the configuration is what the driver likes. */
static int
mmio_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	  struct vcore_access *later)
{
	struct mmio *m = opaque;

	(void)later;
	*val = 0;
	if (!vcore__virtio_lock(&m->transport)) {
		*val = UINT64_MAX;
		return 0;
	}
	if (off >= VIRTIO_MMIO_CONFIG)
		*val = vcore__virtio_config_read(m->transport.virtio,
						 off - VIRTIO_MMIO_CONFIG, len);
	else if (len == 4 && off % 4 == 0)
		*val = read_register(m, (uint32_t)off);
	vcore__virtio_unlock(&m->transport);
	return 0;
}

static void
write_queue(struct mmio *m, uint32_t off, uint32_t val)
{
	struct vcore__queue *q;

	q = vcore__virtio_select(m->transport.virtio, m->queue_select);
	if (!q)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		vcore__queue_set_size(q, val);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (val == 1)
			vcore__queue_enable(q);
		else if (val == 0)
			vcore__queue_disable(q);
		break;
	case MMIO_QUEUE_RESET:
		if (val == 1)
			vcore__queue_reset(q);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		vcore__queue_set_address(q, VCORE__QUEUE_DESC,
					 off == VIRTIO_MMIO_QUEUE_DESC_HIGH,
					 val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		vcore__queue_set_address(q, VCORE__QUEUE_DRIVER,
					 off == VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
					 val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		vcore__queue_set_address(q, VCORE__QUEUE_DEVICE,
					 off == VIRTIO_MMIO_QUEUE_USED_HIGH,
					 val);
		break;
	default:
		break;
	}
}

static int
write_register(struct mmio *m, uint32_t off, uint32_t val,
	       struct vcore_access *later)
{
	struct vcore_virtio *v = m->transport.virtio;
	struct vcore__queue *q;

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_select = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_select = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		vcore__virtio_set_driver_features(v, m->driver_select, val);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_select = val;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		/* Doorbells come first: only odd values arrive here. */
		q = vcore__virtio_select(v, val);
		if (q)
			vcore__queue_kick(q);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and(&m->isr, ~val);
		break;
	case VIRTIO_MMIO_STATUS:
		return vcore__virtio_write_status(v, val, later);
	default:
		write_queue(m, off, val);
		break;
	}
	return 0;
}

static int
mmio_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	struct mmio *m = opaque;
	int rc = 0;

	if (!vcore__virtio_lock(&m->transport))
		return 0;
	if (off >= VIRTIO_MMIO_CONFIG)
		vcore__virtio_config_write(m->transport.virtio,
					   off - VIRTIO_MMIO_CONFIG, len, val);
	else if (len == 4 && off % 4 == 0)
		rc = write_register(m, (uint32_t)off, (uint32_t)val, later);
	vcore__virtio_unlock(&m->transport);
	return rc;
}

static const struct vcore_bus_ops bus_ops = {
	.size = sizeof(bus_ops), .read = mmio_read, .write = mmio_write,
};

static int
add_ranges(struct mmio *m, struct vcore_bus *bus, uint64_t base)
{
	struct vcore_virtio *v = m->transport.virtio;
	struct vcore_doorbell_opts bell;
	struct vcore_range_opts range;
	int rc = 0;

	VCORE_INIT(&range);
	range.base = base;
	range.len = MMIO_LEN;
	range.ops = &bus_ops;
	range.opaque = m;
	range.release = release;
	rc = vcore_bus_add(bus, &range, &m->range);
	VCORE_INIT(&bell);
	bell.flags = VCORE_DOORBELL_MATCH;
	bell.addr = base + VIRTIO_MMIO_QUEUE_NOTIFY;
	bell.len = 4;
	for (uint32_t i = 0; rc == 0 && i < v->queue_count; i++) {
		bell.value = i;
		rc = vcore_bus_add_doorbell(bus, &bell, v->queues[i].kick_fd,
					    &m->bells[i]);
	}
	return rc;
}

int
vcore_virtio_attach_mmio(struct vcore_virtio *virtio, struct vcore_bus *bus,
			 uint64_t base, struct vcore_irq *irq)
{
	struct mmio *m;
	int rc;

	if (!virtio || !bus || !irq || base % 4)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_attach_mmio: virtio %p, bus %p, irq %p, base %#llx",
				  (void *)virtio, (void *)bus, (void *)irq,
				  (unsigned long long)base);
	if (!virtio->memory)
		return vcore__err(NULL, -EBUSY,
				  "vcore_virtio_attach_mmio: '%s' has no environment",
				  virtio->name);
	m = calloc(1, sizeof(*m));
	if (!m)
		goto err_memory;
	m->bells = calloc(virtio->queue_count + 1u,
			  sizeof(struct vcore_range *));
	if (!m->bells)
		goto err_mmio;
	m->transport.ops = &transport_ops;
	m->transport.virtio = virtio;
	m->irq = vcore_irq_ref(irq);
	rc = vcore__virtio_join(virtio, &m->transport,
				"vcore_virtio_attach_mmio");
	if (rc < 0) {
		vcore_irq_unref(irq);
		free(m->bells);
		free(m);
		return rc;
	}
	rc = add_ranges(m, bus, base);
	if (rc < 0) {
		vcore__virtio_leave(virtio, &m->transport);
		return vcore__err(virtio->log, rc,
				  "vcore_virtio_attach_mmio: '%s' at %#llx: errno %d",
				  virtio->name, (unsigned long long)base, -rc);
	}
	return 0;

err_mmio:
	free(m);
err_memory:
	return vcore__err(virtio->log, -ENOMEM,
			  "vcore_virtio_attach_mmio: no memory");
}
