/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI transport: virtio 1.2, 4.1, modern registers behind capabilities. */
#include "virtio/virtio.h"

#include <endian.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <stdlib.h>

#define PCI_VIRTIO_VENDOR 0x1af4u
#define PCI_VIRTIO_DEVICE 0x1040u	/* + virtio device type */

/* BAR 0: one page for each structure. BAR 1: MSI-X. */
#define REGISTERS_BAR 0u
#define REGISTERS_LEN 0x4000ull
#define MSIX_BAR      1u
#define COMMON_AT     0x0000u
#define COMMON_LEN    0x0040u
#define ISR_AT        0x1000u
#define ISR_LEN       0x0004u
#define CONFIG_AT     0x2000u
#define NOTIFY_AT     0x3000u
#define NOTIFY_STEP   4u

#define NO_VECTOR 0xffffu
#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

struct pci {
	struct vcore__transport transport;	/* first */
	struct vcore_pci *pci;			/* NULL until it is made */
	uint32_t vectors;
	uint32_t cfg_cap;			/* of the window */
	_Atomic uint32_t isr;
	_Atomic uint32_t config_vector;
	_Atomic uint32_t *queue_vector;
	struct vcore_irq **irq;			/* borrowed from pci */
	/* Under the device's lock. */
	uint32_t device_select, driver_select, queue_select;
};

static struct pci *
of(struct vcore__transport *t)
{
	return (struct pci *)(void *)t;
}

/* There is no INTx: without a vector (NO_VECTOR is none) the driver polls. */
static void
queue_irq(struct vcore__transport *t, uint32_t index)
{
	struct pci *p = of(t);
	uint32_t n = p->queue_vector[index];

	if (n < p->vectors)
		(void)vcore_irq_raise(p->irq[n]);
	else
		atomic_fetch_or(&p->isr, ISR_QUEUE);
}

static void
config_irq(struct vcore__transport *t)
{
	struct pci *p = of(t);
	uint32_t n = p->config_vector;

	atomic_fetch_or(&p->isr, ISR_CONFIG);
	if (n < p->vectors)
		(void)vcore_irq_raise(p->irq[n]);
}

static void
reset(struct vcore__transport *t)
{
	struct pci *p = of(t);

	p->isr = 0;
	p->config_vector = NO_VECTOR;
	for (uint32_t i = 0; i < t->virtio->queue_count; i++)
		p->queue_vector[i] = NO_VECTOR;
	p->device_select = 0;
	p->driver_select = 0;
	p->queue_select = 0;
}

static void
destroy(struct pci *p)
{
	free(p->queue_vector);
	free(p->irq);
	free(p);
}

/* No handler runs any more. */
static void
release(void *opaque)
{
	struct pci *p = opaque;
	struct vcore_virtio *v = p->transport.virtio;

	destroy(p);
	vcore__virtio_put(v);
}

static void
off_the_bus(struct vcore__transport *t)
{
	vcore_pci_remove(of(t)->pci);
}

static const struct vcore__transport_ops transport_ops = {
	.queue_irq = queue_irq, .config_irq = config_irq,
	.reset = reset, .remove = off_the_bus,
};

/* 4.1.4.3: what a register of the common structure is. */
enum field {
	DEVICE_FEATURE_SELECT = 1,
	DEVICE_FEATURE,
	DRIVER_FEATURE_SELECT,
	DRIVER_FEATURE,
	CONFIG_VECTOR,
	NUM_QUEUES,
	DEVICE_STATUS,
	CONFIG_GENERATION,
	QUEUE_SELECT,
	QUEUE_SIZE,
	QUEUE_VECTOR,
	QUEUE_ENABLE,
	QUEUE_NOTIFY_OFF,
	QUEUE_ADDRESS,			/* six halves */
	QUEUE_NOTIFY_DATA,
	QUEUE_RESET
};

/* Where and how wide; anything else reads as 0 and ignores writes. */
static const struct {
	uint8_t off, len, field;
} fields[] = {
	{ 0, 4, DEVICE_FEATURE_SELECT },
	{ 4, 4, DEVICE_FEATURE },
	{ 8, 4, DRIVER_FEATURE_SELECT },
	{ 12, 4, DRIVER_FEATURE },
	{ 16, 2, CONFIG_VECTOR },
	{ 18, 2, NUM_QUEUES },
	{ 20, 1, DEVICE_STATUS },
	{ 21, 1, CONFIG_GENERATION },
	{ 22, 2, QUEUE_SELECT },
	{ 24, 2, QUEUE_SIZE },
	{ 26, 2, QUEUE_VECTOR },
	{ 28, 2, QUEUE_ENABLE },
	{ 30, 2, QUEUE_NOTIFY_OFF },
	{ 32, 4, QUEUE_ADDRESS },
	{ 36, 4, QUEUE_ADDRESS },
	{ 40, 4, QUEUE_ADDRESS },
	{ 44, 4, QUEUE_ADDRESS },
	{ 48, 4, QUEUE_ADDRESS },
	{ 52, 4, QUEUE_ADDRESS },
	{ 56, 2, QUEUE_NOTIFY_DATA },
	{ 58, 2, QUEUE_RESET },
};

static uint32_t
field_at(uint64_t off, uint32_t len)
{
	for (uint32_t i = 0; i < VCORE__ARRAY_SIZE(fields); i++)
		if (fields[i].off == off && fields[i].len == len)
			return fields[i].field;
	return 0;
}

static enum vcore__queue_address
which_address(uint64_t off)
{
	return (enum vcore__queue_address)((off - 32) / 8);
}

static uint32_t
read_queue(struct pci *p, uint32_t field, uint64_t off)
{
	struct vcore__queue *q;

	q = vcore__virtio_select(p->transport.virtio, p->queue_select);
	if (!q)
		return field == QUEUE_VECTOR ? NO_VECTOR : 0;
	switch (field) {
	case QUEUE_SIZE:
		return q->regs.size;
	case QUEUE_VECTOR:
		return p->queue_vector[q->vq.index];
	case QUEUE_ENABLE:
		return q->enabled;
	case QUEUE_NOTIFY_OFF:
	case QUEUE_NOTIFY_DATA:
		return q->vq.index;
	case QUEUE_ADDRESS:
		return vcore__queue_get_address(q, which_address(off),
						off % 8 != 0);
	case QUEUE_RESET:
		return q->resetting;
	default:
		return 0;
	}
}

static uint32_t
read_common(struct pci *p, uint64_t off, uint32_t len)
{
	struct vcore_virtio *v = p->transport.virtio;
	uint32_t field = field_at(off, len);

	switch (field) {
	case DEVICE_FEATURE_SELECT:
		return p->device_select;
	case DEVICE_FEATURE:
		return vcore__virtio_device_features(v, p->device_select);
	case DRIVER_FEATURE_SELECT:
		return p->driver_select;
	case DRIVER_FEATURE:
		return vcore__virtio_get_driver_features(v, p->driver_select);
	case CONFIG_VECTOR:
		return p->config_vector;
	case NUM_QUEUES:
		return v->queue_count;
	case DEVICE_STATUS:
		return v->status;
	case CONFIG_GENERATION:
		return vcore__virtio_generation(v) & 0xff;
	case QUEUE_SELECT:
		return p->queue_select;
	default:
		return read_queue(p, field, off);
	}
}

/* 4.1.5.1.2: a vector that does not exist reads back as NO_VECTOR. */
static uint32_t
vector(const struct pci *p, uint32_t val)
{
	return val < p->vectors ? val : NO_VECTOR;
}

static void
write_queue(struct pci *p, uint32_t field, uint64_t off, uint32_t val)
{
	struct vcore__queue *q;

	q = vcore__virtio_select(p->transport.virtio, p->queue_select);
	if (!q)
		return;
	switch (field) {
	case QUEUE_SIZE:
		vcore__queue_set_size(q, val);
		break;
	case QUEUE_VECTOR:
		p->queue_vector[q->vq.index] = vector(p, val);
		break;
	case QUEUE_ENABLE:
		if (val == 1)
			vcore__queue_enable(q);
		break;
	case QUEUE_ADDRESS:
		vcore__queue_set_address(q, which_address(off), off % 8 != 0,
					 val);
		break;
	case QUEUE_RESET:
		if (val == 1)
			vcore__queue_reset(q);
		break;
	default:
		break;
	}
}

static void
write_common(struct pci *p, uint64_t off, uint32_t len, uint32_t val)
{
	struct vcore_virtio *v = p->transport.virtio;
	uint32_t field = field_at(off, len);

	switch (field) {
	case DEVICE_FEATURE_SELECT:
		p->device_select = val;
		break;
	case DRIVER_FEATURE_SELECT:
		p->driver_select = val;
		break;
	case DRIVER_FEATURE:
		vcore__virtio_set_driver_features(v, p->driver_select, val);
		break;
	case CONFIG_VECTOR:
		p->config_vector = vector(p, val);
		break;
	case DEVICE_STATUS:
		/* The driver polls until it reads 0: nothing to wait for. */
		(void)vcore__virtio_write_status(v, val, NULL);
		break;
	case QUEUE_SELECT:
		p->queue_select = val;
		break;
	default:
		write_queue(p, field, off, val);
		break;
	}
}

static void
notify(struct pci *p, uint64_t off)
{
	struct vcore__queue *q;

	q = vcore__virtio_select(p->transport.virtio,
				 (uint32_t)(off / NOTIFY_STEP));
	if (q && off % NOTIFY_STEP == 0)
		vcore__queue_kick(q);
}

static uint64_t
read_bar(struct pci *p, uint64_t off, uint32_t len)
{
	if (off >= NOTIFY_AT)
		return 0;
	if (off >= CONFIG_AT)
		return vcore__virtio_config_read(p->transport.virtio,
						 off - CONFIG_AT, len);
	if (off >= ISR_AT)
		return off == ISR_AT ? atomic_exchange(&p->isr, 0) : 0;
	return read_common(p, off, len);
}

static int
pci_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	struct pci *p = opaque;

	(void)later;
	*val = UINT64_MAX;
	if (!vcore__virtio_lock(&p->transport))
		return 0;
	*val = read_bar(p, off, len);
	vcore__virtio_unlock(&p->transport);
	return 0;
}

static int
pci_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	  struct vcore_access *later)
{
	struct pci *p = opaque;

	(void)later;
	if (!vcore__virtio_lock(&p->transport))
		return 0;
	if (off >= NOTIFY_AT)
		notify(p, off - NOTIFY_AT);
	else if (off >= CONFIG_AT)
		vcore__virtio_config_write(p->transport.virtio, off - CONFIG_AT,
					   len, val);
	else if (off < COMMON_LEN)
		write_common(p, off, len, (uint32_t)val);
	vcore__virtio_unlock(&p->transport);
	return 0;
}

static const struct vcore_bus_ops bar_ops = {
	.size = sizeof(bar_ops), .read = pci_read, .write = pci_write,
};

/*
 * 4.1.4.9: the window in configuration space. What the driver wrote there is
 * checked here, at each use: only aligned accesses to BAR 0 go through.
 */
static bool
window(struct pci *p, uint32_t *off, uint32_t *len)
{
	struct virtio_pci_cap cap;

	if (vcore_pci_config_get(p->pci, p->cfg_cap, &cap, sizeof(cap)) < 0)
		return false;
	*off = le32toh(cap.offset);
	*len = le32toh(cap.length);
	return cap.bar == REGISTERS_BAR &&
	       (*len == 1 || *len == 2 || *len == 4) && *off % *len == 0 &&
	       *off < REGISTERS_LEN;
}

static bool
is_window(const struct pci *p, uint32_t off, uint32_t len)
{
	uint32_t data = p->cfg_cap + (uint32_t)sizeof(struct virtio_pci_cap);

	return off < data + 4 && off + len > data;
}

static void
config_hook_read(void *opaque, uint32_t off, uint32_t len)
{
	struct pci *p = opaque;
	uint32_t at, n, data;
	uint64_t val;

	if (!is_window(p, off, len) || !window(p, &at, &n))
		return;
	(void)pci_read(p, at, n, &val, NULL);
	data = htole32((uint32_t)val);
	(void)vcore_pci_config_set(p->pci, p->cfg_cap +
				   (uint32_t)sizeof(struct virtio_pci_cap),
				   &data, n);
}

static void
config_hook_write(void *opaque, uint32_t off, uint32_t len)
{
	struct pci *p = opaque;
	uint32_t at, n, data = 0;

	if (!is_window(p, off, len) || !window(p, &at, &n))
		return;
	(void)vcore_pci_config_get(p->pci, p->cfg_cap +
				   (uint32_t)sizeof(struct virtio_pci_cap),
				   &data, n);
	(void)pci_write(p, at, n, le32toh(data), NULL);
}

static const struct vcore_pci_config_ops config_hooks = {
	.size = sizeof(config_hooks),
	.read = config_hook_read, .write = config_hook_write,
};

static int
add_cap(struct pci *p, uint8_t type, uint32_t off, uint32_t len)
{
	struct virtio_pci_notify_cap cap = {
		.cap.cap_len = sizeof(cap.cap), .cap.cfg_type = type,
		.cap.bar = REGISTERS_BAR, .cap.offset = htole32(off),
		.cap.length = htole32(len),
		.notify_off_multiplier = htole32(NOTIFY_STEP),
	};
	uint32_t at;

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		cap.cap.cap_len = sizeof(cap);
	return vcore_pci_add_capability(p->pci, PCI_CAP_ID_VNDR,
					&cap.cap.cap_len,
					cap.cap.cap_len - 2u, NULL, &at);
}

/* bar, offset, length and data are the driver's to write. */
static int
add_window(struct pci *p)
{
	struct virtio_pci_cfg_cap cap = {
		.cap.cap_len = sizeof(cap),
		.cap.cfg_type = VIRTIO_PCI_CAP_PCI_CFG,
	}, writable = {
		.cap.bar = 0xff, .cap.offset = UINT32_MAX,
		.cap.length = UINT32_MAX,
		.pci_cfg_data = { 0xff, 0xff, 0xff, 0xff },
	};

	return vcore_pci_add_capability(p->pci, PCI_CAP_ID_VNDR,
					&cap.cap.cap_len, sizeof(cap) - 2,
					&writable.cap.cap_len, &p->cfg_cap);
}

static int
add_caps(struct pci *p)
{
	struct vcore_virtio *v = p->transport.virtio;
	int rc;

	rc = add_cap(p, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_AT, COMMON_LEN);
	if (rc == 0)
		rc = add_cap(p, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_AT,
			     NOTIFY_STEP *
			     (v->queue_count ? v->queue_count : 1));
	if (rc == 0)
		rc = add_cap(p, VIRTIO_PCI_CAP_ISR_CFG, ISR_AT, ISR_LEN);
	if (rc == 0 && v->ops.config_size)
		rc = add_cap(p, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG_AT,
			     v->ops.config_size);
	if (rc == 0)
		rc = add_window(p);
	if (rc == 0)
		rc = vcore_pci_set_config_ops(p->pci, &config_hooks, p);
	return rc;
}

static int
add_registers(struct pci *p)
{
	struct vcore_virtio *v = p->transport.virtio;
	struct vcore_doorbell_opts bell;
	uint32_t id;
	int rc;

	rc = vcore_pci_add_bar(p->pci, REGISTERS_BAR, REGISTERS_LEN, 0,
			       &bar_ops, p);
	VCORE_INIT(&bell);
	for (uint32_t i = 0; rc == 0 && i < v->queue_count; i++) {
		bell.addr = NOTIFY_AT + NOTIFY_STEP * i;
		rc = vcore_pci_add_doorbell(p->pci, REGISTERS_BAR, &bell,
					    v->queues[i].kick_fd, &id);
	}
	for (uint32_t i = 0; rc == 0 && i < p->vectors; i++)
		rc = vcore_pci_vector(p->pci, i, &p->irq[i]);
	return rc == 0 ? add_caps(p) : rc;
}

/* Class codes by device type; what is not here is "other". */
static uint32_t
class_of(uint32_t type)
{
	switch (type) {
	case 1:
		return 0x020000;	/* net: Ethernet */
	case 2:
		return 0x018000;	/* block: other mass storage */
	case 3:
		return 0x078000;	/* console: other communication */
	case 16:
		return 0x038000;	/* gpu: other display */
	case 18:
		return 0x098000;	/* input: other input */
	default:
		return 0x00ff00;
	}
}

static int
make_function(struct pci *p, struct vcore_pci_bus *bus, uint32_t slot)
{
	struct vcore_virtio *v = p->transport.virtio;
	struct vcore_pci_opts o;

	VCORE_INIT(&o);
	o.vendor = PCI_VIRTIO_VENDOR;
	o.device = (uint16_t)(PCI_VIRTIO_DEVICE + v->ops.type);
	o.subsystem_vendor = PCI_VIRTIO_VENDOR;
	o.subsystem = (uint16_t)(PCI_VIRTIO_DEVICE + v->ops.type);
	o.class_code = class_of(v->ops.type);
	o.revision = 1;
	o.slot = slot;
	o.vectors = p->vectors;
	o.msix_bar = MSIX_BAR;
	o.opaque = p;
	o.release = release;
	return vcore_pci_new(bus, &o, &p->pci);
}

static struct pci *
make(struct vcore_virtio *v)
{
	struct pci *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->transport.ops = &transport_ops;
	p->transport.virtio = v;
	p->vectors = v->queue_count + 1;
	p->irq = calloc(p->vectors, sizeof(struct vcore_irq *));
	p->queue_vector = calloc(p->vectors, sizeof(*p->queue_vector));
	if (!p->irq || !p->queue_vector) {
		destroy(p);
		return NULL;
	}
	reset(&p->transport);
	return p;
}

int
vcore_virtio_attach_pci(struct vcore_virtio *virtio, struct vcore_pci_bus *bus,
			uint32_t slot)
{
	struct pci *p;
	int rc;

	if (!virtio || !bus)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_attach_pci: %s is NULL",
				  virtio ? "bus" : "virtio");
	if (!virtio->memory)
		return vcore__err(NULL, -EBUSY,
				  "vcore_virtio_attach_pci: '%s' has no environment",
				  virtio->name);
	p = make(virtio);
	if (!p)
		return vcore__err(virtio->log, -ENOMEM,
				  "vcore_virtio_attach_pci: no memory");
	rc = make_function(p, bus, slot);
	if (rc < 0) {
		destroy(p);
		return vcore__err(virtio->log, rc,
				  "vcore_virtio_attach_pci: '%s': %s",
				  virtio->name, vcore_error_text());
	}
	rc = vcore__virtio_join(virtio, &p->transport,
				"vcore_virtio_attach_pci");
	if (rc < 0) {
		vcore__virtio_hold(virtio);	/* for release() */
		vcore_pci_remove(p->pci);
		return rc;
	}
	rc = add_registers(p);
	if (rc < 0) {
		vcore__virtio_leave(virtio, &p->transport);
		return vcore__err(virtio->log, rc,
				  "vcore_virtio_attach_pci: '%s': %s",
				  virtio->name, vcore_error_text());
	}
	return 0;
}
