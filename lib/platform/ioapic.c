/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/O APIC (82093AA) in user space: pins that become messages. */
#include "platform/part.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "bus/irq.h"

#define PINS     VCORE_IOAPIC_PINS
#define WINDOW   0x100u
#define SELECT   0x00u
#define DATA     0x10u
#define REG_ID   0u
#define REG_VERSION 1u
#define REG_ARBITRATION 2u
#define REG_TABLE 0x10u
#define VERSION  0x11u

#define RTE_VECTOR   UINT64_C(0xff)
#define RTE_DELIVERY UINT64_C(0x700)
#define RTE_LOGICAL  (UINT64_C(1) << 11)
#define RTE_IRR      (UINT64_C(1) << 14)	/* read-only */
#define RTE_LEVEL    (UINT64_C(1) << 15)
#define RTE_MASK     (UINT64_C(1) << 16)
/* Not delivery status, remote IRR, and what is reserved. */
#define RTE_WRITABLE (~(UINT64_C(1) << 12 | RTE_IRR | \
			UINT64_C(0x0001fffffffe0000)))

/*
 * A pin is fed either by one edge line, or by any number of level lines. Its
 * messages leave through an irq of its own on the chip below; an edge line's
 * eventfd is made the same file as that irq's, so that writing one is writing
 * the other, whoever consumes it.
 */
struct pin {
	struct vcore_irq *below;	/* made with the first line */
	uint64_t rte;
	uint32_t edges;			/* lines: 0 or 1 */
	uint32_t levels;		/* lines */
	uint32_t high;			/* level lines that are high */
	uint32_t edge_masked;		/* by the device */
};

struct vcore_ioapic {
	_Atomic uint32_t refs;		/* owner, range, irqchip */
	uint32_t select;
	uint32_t id;
	uint32_t reserved0;
	pthread_mutex_t lock;		/* registers and pins */
	struct vcore_irqchip *below;
	struct vcore_irqchip *chip;
	struct vcore_range *range;
	struct pin pin[PINS];
};

static void
unref(struct vcore_ioapic *io)
{
	uint32_t i;

	if (atomic_fetch_sub_explicit(&io->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < PINS; i++)
		vcore_irq_unref(io->pin[i].below);
	vcore_irqchip_unref(io->below);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

static void
release(void *opaque)
{
	unref(opaque);
}

/* A message's address and data for a redirection table entry. */
static void
message(uint64_t rte, uint64_t *addr, uint32_t *data)
{
	uint64_t dest = rte >> 56, high = rte >> 49 & 0x7f;

	/* Bits 8 to 14 of the destination: as KVM and Linux have agreed. */
	*addr = UINT64_C(0xfee00000) | dest << 12 | high << 5 |
		(rte & RTE_LOGICAL ? 4 : 0);
	*data = (uint32_t)(rte & (RTE_VECTOR | RTE_DELIVERY | RTE_LEVEL));
	if (rte & RTE_LEVEL)
		*data |= 1u << 14;	/* assert */
}

/* With the lock: send if a level pin is high and nothing is in service. */
static void
serve(struct pin *p)
{
	if (!p->below || !p->high || !(p->rte & RTE_LEVEL) ||
	    (p->rte & (RTE_MASK | RTE_IRR)))
		return;
	p->rte |= RTE_IRR;
	(void)vcore_irq_raise(p->below);
}

/* With the lock: let the chip below know what the entry says. */
static void
apply(struct pin *p)
{
	uint64_t addr;
	uint32_t data;

	if (!p->below)
		return;
	if ((p->rte & RTE_MASK) || (p->edges && p->edge_masked)) {
		(void)vcore_irq_set_mask(p->below, 1);
		return;
	}
	message(p->rte, &addr, &data);
	/*
	 * A message that the chip below refuses is the guest's error: the pin
	 * stays masked, as a real one would send nothing of use.
	 */
	if (vcore_irq_set_message(p->below, addr, data) < 0) {
		(void)vcore_irq_set_mask(p->below, 1);
		return;
	}
	(void)vcore_irq_set_mask(p->below, 0);
	serve(p);
}

static void
write_rte(struct vcore_ioapic *io, uint32_t reg, uint32_t val)
{
	struct pin *p = &io->pin[(reg - REG_TABLE) / 2];
	uint64_t old = p->rte, rte;

	if (reg & 1)
		rte = (old & UINT32_MAX) | (uint64_t)val << 32;
	else
		rte = (old & ~(uint64_t)UINT32_MAX) | val;
	p->rte = (rte & RTE_WRITABLE) | (old & ~RTE_WRITABLE);
	/* Becoming edge triggered ends service: how old kernels do EOI. */
	if (!(p->rte & RTE_LEVEL))
		p->rte &= ~RTE_IRR;
	if (p->rte != old || !(p->rte & RTE_MASK))
		apply(p);
}

static uint32_t
read_register(const struct vcore_ioapic *io)
{
	uint32_t reg = io->select;

	if (reg >= REG_TABLE && reg < REG_TABLE + 2 * PINS)
		return (uint32_t)(io->pin[(reg - REG_TABLE) / 2].rte >>
				  (reg & 1 ? 32 : 0));
	if (reg == REG_ID || reg == REG_ARBITRATION)
		return io->id;
	if (reg == REG_VERSION)
		return VERSION | (PINS - 1) << 16;
	return 0;
}

static void
write_register(struct vcore_ioapic *io, uint32_t val)
{
	uint32_t reg = io->select;

	if (reg >= REG_TABLE && reg < REG_TABLE + 2 * PINS)
		write_rte(io, reg, val);
	else if (reg == REG_ID)
		io->id = val & 0x0f000000;
}

static int
ioapic_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	    struct vcore_access *later)
{
	struct vcore_ioapic *io = opaque;

	(void)later;
	(void)len;
	pthread_mutex_lock(&io->lock);
	if (off == SELECT)
		*val = io->select;
	else if (off == DATA)
		*val = read_register(io);
	else
		*val = 0;
	pthread_mutex_unlock(&io->lock);
	return 0;
}

static int
ioapic_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	struct vcore_ioapic *io = opaque;

	(void)later;
	pthread_mutex_lock(&io->lock);
	if (off == SELECT)
		io->select = val & 0xff;
	else if (off == DATA && len >= 4)
		write_register(io, (uint32_t)val);
	pthread_mutex_unlock(&io->lock);
	return 0;
}

void
vcore_ioapic_eoi(struct vcore_ioapic *ioapic, uint32_t vector)
{
	struct pin *p;

	if (!ioapic)
		return;
	pthread_mutex_lock(&ioapic->lock);
	for (p = ioapic->pin; p < ioapic->pin + PINS; p++) {
		if (!(p->rte & RTE_IRR) || (p->rte & RTE_VECTOR) != vector)
			continue;
		p->rte &= ~RTE_IRR;
		serve(p);
	}
	pthread_mutex_unlock(&ioapic->lock);
}

/* The irqchip's ops; lines are ours, messages go below as they come. */

static bool
is_line(const struct vcore_irq *irq)
{
	return (irq->flags & VCORE_IRQ_LINE) != 0;
}

static int
op_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
	 uint32_t devid)
{
	struct vcore_irqchip *b = ((struct vcore_ioapic *)opaque)->below;

	return b->ops.route(b->opaque, irq, addr, data, devid);
}

static int
mask_line(struct vcore_ioapic *io, uint32_t gsi, int masked)
{
	struct pin *p = &io->pin[gsi];

	pthread_mutex_lock(&io->lock);
	p->edge_masked = masked ? 1 : 0;
	apply(p);
	pthread_mutex_unlock(&io->lock);
	return 0;
}

static int
op_mask(void *opaque, struct vcore_irq *irq, int masked)
{
	struct vcore_ioapic *io = opaque;
	struct vcore_irqchip *b = io->below;
	int rc = 0;

	if (is_line(irq))
		return mask_line(io, irq->gsi, masked);
	if (b->ops.mask)
		rc = b->ops.mask(b->opaque, irq, masked);
	/* A chip without `raise` consumes every eventfd. */
	return rc >= 0 && !masked && !b->ops.raise ? 1 : rc;
}

static int
op_level(void *opaque, struct vcore_irq *irq, uint32_t gsi, int high)
{
	struct vcore_ioapic *io = opaque;
	struct pin *p = &io->pin[gsi];

	pthread_mutex_lock(&io->lock);
	if (high != (irq->chip_data != NULL)) {
		irq->chip_data = high ? irq : NULL;
		p->high += high ? 1 : -1u;
		if (high && p->high == 1 && !(p->rte & RTE_LEVEL))
			(void)vcore_irq_raise(p->below);
		serve(p);
	}
	pthread_mutex_unlock(&io->lock);
	return 0;
}

/* With the lock. */
static int
make_below(struct vcore_ioapic *io, uint32_t gsi)
{
	struct vcore_irq_opts o;
	int rc;

	if (io->pin[gsi].below)
		return 0;
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_PIN;
	o.gsi = gsi;
	rc = vcore_irq_new(io->below, &o, &io->pin[gsi].below);
	if (rc == 0)
		apply(&io->pin[gsi]);
	return rc;
}

static int
attach_line(struct vcore_ioapic *io, uint32_t gsi, int fd, bool level)
{
	struct pin *p = &io->pin[gsi];
	int rc;

	if (p->edges || (p->levels && !level))
		return -EEXIST;
	rc = make_below(io, gsi);
	if (rc < 0)
		return rc;
	if (level) {
		p->levels++;
		return 0;
	}
	/* Nobody has seen this number yet. */
	if (dup3(vcore_irq_fd(p->below), fd, O_CLOEXEC) < 0)
		return -errno;
	p->edges = 1;
	p->edge_masked = 0;
	return 0;
}

static int
op_attach(void *opaque, struct vcore_irq *irq, int fd, uint32_t gsi,
	  uint32_t flags)
{
	struct vcore_ioapic *io = opaque;
	struct vcore_irqchip *b = io->below;
	int rc;

	if (!(flags & VCORE_IRQ_LINE)) {
		if (flags & VCORE_IRQ_PIN)
			return -EINVAL;
		return b->ops.attach ? b->ops.attach(b->opaque, irq, fd, gsi,
						     flags) : 0;
	}
	if (gsi >= PINS)
		return -EINVAL;
	pthread_mutex_lock(&io->lock);
	rc = attach_line(io, gsi, fd, (flags & VCORE_IRQ_LEVEL) != 0);
	pthread_mutex_unlock(&io->lock);
	return rc;
}

static void
op_detach(void *opaque, struct vcore_irq *irq)
{
	struct vcore_ioapic *io = opaque;
	struct vcore_irqchip *b = io->below;
	struct pin *p;

	if (!is_line(irq)) {
		if (b->ops.detach)
			b->ops.detach(b->opaque, irq);
		return;
	}
	p = &io->pin[irq->gsi];
	pthread_mutex_lock(&io->lock);
	if (irq->flags & VCORE_IRQ_LEVEL) {
		p->levels--;
		p->high -= irq->chip_data ? 1 : 0;
	} else {
		p->edges = 0;
	}
	/* The pin's irq below stays: its file may live on elsewhere. */
	pthread_mutex_unlock(&io->lock);
}

static int
op_raise(void *opaque, struct vcore_irq *irq)
{
	struct vcore_ioapic *io = opaque;
	struct vcore_irqchip *b = io->below;

	if (is_line(irq))
		return vcore_irq_raise(io->pin[irq->gsi].below);
	return b->ops.raise ? b->ops.raise(b->opaque, irq) : 0;
}

static int
check_opts(struct vcore_ioapic_opts *o, const struct vcore_ioapic_opts *opts,
	   struct vcore_ioapic **ioapic)
{
	int rc;

	if (!opts || !ioapic)
		return vcore__err(NULL, -EINVAL,
				  "vcore_ioapic_new: %s is NULL",
				  opts ? "ioapic" : "opts");
	rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_ioapic_new: opts: bad size %u or unknown field",
				  opts->size);
	if (o->flags)
		return vcore__err(NULL, -E2BIG, "vcore_ioapic_new: flags %#x",
				  o->flags);
	if (!o->below || !o->mmio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_ioapic_new: %s is NULL",
				  o->below ? "mmio" : "below");
	if (!o->below->ops.route)
		return vcore__err(NULL, -EOPNOTSUPP,
				  "vcore_ioapic_new: the chip below has no messages");
	if (!o->base)
		o->base = 0xfec00000;
	return 0;
}

static int
add_range(struct vcore_ioapic *io, const struct vcore_ioapic_opts *opts)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = ioapic_read,
		.write = ioapic_write,
	};
	struct vcore_range_opts o;
	int rc;

	VCORE_INIT(&o);
	o.base = opts->base;
	o.len = WINDOW;
	o.ops = &ops;
	o.opaque = io;
	o.release = release;
	rc = vcore_bus_add(opts->mmio, &o, &io->range);
	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_ioapic_new: base %#llx: %s",
				  (unsigned long long)opts->base,
				  rc == -EEXIST ? "in use" : "refused");
	atomic_fetch_add(&io->refs, 1);
	return 0;
}

static int
add_chip(struct vcore_ioapic *io)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = op_route, .mask = op_mask,
		.level = op_level, .attach = op_attach, .detach = op_detach,
		.raise = op_raise,
	};
	int rc = vcore_irqchip_new(&ops, io, release, &io->chip);

	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_ioapic_new: no memory");
	atomic_fetch_add(&io->refs, 1);
	return 0;
}

static void
power_on(struct vcore_ioapic *io)
{
	uint32_t i;

	io->select = 0;
	io->id = 0;
	for (i = 0; i < PINS; i++) {
		io->pin[i].rte = RTE_MASK;
		apply(&io->pin[i]);
		if (io->pin[i].below)
			vcore_irq_clear(io->pin[i].below);
	}
}

int
vcore_ioapic_new(const struct vcore_ioapic_opts *opts,
		 struct vcore_ioapic **ioapic)
{
	struct vcore_ioapic_opts o;
	struct vcore_ioapic *io;
	int rc;

	rc = check_opts(&o, opts, ioapic);
	if (rc < 0)
		return rc;
	io = calloc(1, sizeof(*io));
	if (!io)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_ioapic_new: no memory");
	pthread_mutex_init(&io->lock, NULL);
	atomic_init(&io->refs, 1);
	io->below = vcore_irqchip_ref(o.below);
	power_on(io);
	rc = add_chip(io);
	if (rc == 0)
		rc = add_range(io, &o);
	if (rc < 0) {
		vcore_ioapic_free(io);
		return rc;
	}
	*ioapic = io;
	return 0;
}

void
vcore_ioapic_free(struct vcore_ioapic *ioapic)
{
	if (!ioapic)
		return;
	vcore_range_remove(ioapic->range);
	vcore_irqchip_unref(ioapic->chip);
	unref(ioapic);
}

struct vcore_irqchip *
vcore_ioapic_irqchip(struct vcore_ioapic *ioapic)
{
	return ioapic ? ioapic->chip : NULL;
}

static void
part_reset(void *p)
{
	struct vcore_ioapic *io = p;

	pthread_mutex_lock(&io->lock);
	power_on(io);
	pthread_mutex_unlock(&io->lock);
}

void
vcore__ioapic_part(struct vcore_ioapic *ioapic, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "ioapic", .version = 1, .rank = VCORE__RANK_IRQCHIP,
		.stop = vcore__chip_stop, .start = vcore__chip_start,
		.reset = part_reset,
	};

	part->ops = &ops;
	part->p = ioapic;
	(void)snprintf(part->name, sizeof(part->name), "ioapic");
}
