/* SPDX-License-Identifier: BSD-3-Clause */
/* An irqchip: a table of functions that takes interrupts. */
#include "bus/irq.h"

#include <stdlib.h>

#include "base/base.h"

int
vcore_irqchip_new(const struct vcore_irqchip_ops *ops, void *opaque,
		  void (*release)(void *opaque), struct vcore_irqchip **chip)
{
	struct vcore_irqchip_ops o;
	struct vcore_irqchip *c;
	int rc;

	if (!ops || !chip)
		return vcore__err(NULL, -EINVAL,
				  "vcore_irqchip_new: %s is NULL",
				  ops ? "chip" : "ops");
	rc = vcore__sized_copy(&o, sizeof(o), sizeof(o), ops);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_irqchip_new: ops: bad size %u or unknown method",
				  ops->size);
	if (o.flags)
		return vcore__err(NULL, -E2BIG, "vcore_irqchip_new: flags %#x",
				  o.flags);
	c = calloc(1, sizeof(*c));
	if (!c)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_irqchip_new: no memory");
	c->ops = o;
	c->opaque = opaque;
	c->release = release;
	atomic_init(&c->refs, 1);
	*chip = c;
	return 0;
}

struct vcore_irqchip *
vcore_irqchip_ref(struct vcore_irqchip *chip)
{
	if (chip)
		atomic_fetch_add_explicit(&chip->refs, 1,
					  memory_order_relaxed);
	return chip;
}

void
vcore_irqchip_unref(struct vcore_irqchip *chip)
{
	if (!chip)
		return;
	if (atomic_fetch_sub_explicit(&chip->refs, 1,
				      memory_order_acq_rel) != 1)
		return;
	if (chip->release)
		chip->release(chip->opaque);
	free(chip);
}

void
vcore_irq_set_chip_data(struct vcore_irq *irq, void *data)
{
	if (irq)
		irq->chip_data = data;
}

void *
vcore_irq_chip_data(struct vcore_irq *irq)
{
	return irq ? irq->chip_data : NULL;
}
