/* SPDX-License-Identifier: BSD-3-Clause */
/* An irq: how a raise travels while it is masked, hooked or neither. */
#include "bus/irq.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"

static uint32_t
state(struct vcore_irq *irq)
{
	return atomic_load(&irq->state);
}

static void
gather(struct vcore_irq *irq)
{
	static const uint64_t one = 1;

	/* Non-blocking: a full counter is pending as well. */
	if (write(irq->fd, &one, sizeof(one)) < 0)
		(void)0;
}

/* 1 if there was anything in the fd. */
static int
drain(struct vcore_irq *irq)
{
	uint64_t n;

	return read(irq->fd, &n, sizeof(n)) == (ssize_t)sizeof(n);
}

static int
copy_opts(struct vcore_irq_opts *o, const struct vcore_irq_opts *opts)
{
	int rc;

	VCORE_INIT(o);
	if (opts) {
		rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
		if (rc < 0)
			return vcore__err(NULL, rc,
					  "vcore_irq_new: opts: bad size %u or unknown field",
					  opts->size);
	}
	if (o->flags & ~(VCORE_IRQ_LINE | VCORE_IRQ_LEVEL | VCORE_IRQ_PIN))
		return vcore__err(NULL, -E2BIG, "vcore_irq_new: flags %#x",
				  o->flags);
	if ((o->flags & VCORE_IRQ_LEVEL) && !(o->flags & VCORE_IRQ_LINE))
		return vcore__err(NULL, -EINVAL,
				  "vcore_irq_new: LEVEL without LINE");
	if ((o->flags & VCORE_IRQ_PIN) && (o->flags & VCORE_IRQ_LINE))
		return vcore__err(NULL, -EINVAL,
				  "vcore_irq_new: PIN with LINE");
	return 0;
}

static int
check_chip(const struct vcore_irqchip *chip, const struct vcore_irq_opts *o)
{
	if ((o->flags & VCORE_IRQ_LEVEL) && !chip->ops.level)
		return vcore__err(NULL, -EOPNOTSUPP,
				  "vcore_irq_new: line %u: the chip has no level lines",
				  o->gsi);
	if (!(o->flags & VCORE_IRQ_LINE) && !chip->ops.route)
		return vcore__err(NULL, -EOPNOTSUPP,
				  "vcore_irq_new: the chip has no messages");
	return 0;
}

/* What a chip that has just been told to deliver makes of the fd. */
static uint32_t
hooked(const struct vcore_irq *irq, int rc)
{
	if (irq->flags & VCORE_IRQ_LEVEL)
		return 0;
	return rc > 0 || !irq->chip->ops.raise ? VCORE__IRQ_HOOKED : 0;
}

/* Why a chip refuses an irq: its own text, if it left one. */
static int
refused(const struct vcore_irq *irq, int rc, uint32_t since)
{
	bool line = (irq->flags & VCORE_IRQ_LINE) != 0;
	const char *what = line ? "line" : "message of";
	uint32_t number = line ? irq->gsi : irq->devid;

	if (vcore__err_count() != since)
		return vcore__err(NULL, rc, "vcore_irq_new: %s %u: %s", what,
				  number, vcore_error_text());
	return vcore__err(NULL, rc, "vcore_irq_new: %s %u: errno %d", what,
			  number, -rc);
}

static int
attach(struct vcore_irq *irq)
{
	uint32_t since = vcore__err_count();
	struct vcore_irqchip *chip = irq->chip;
	int rc = 0;

	if (chip->ops.attach)
		rc = chip->ops.attach(chip->opaque, irq, irq->fd, irq->gsi,
				      irq->flags);
	if (rc < 0)
		return refused(irq, rc, since);
	atomic_store(&irq->state, irq->flags & VCORE_IRQ_LINE ?
					  hooked(irq, rc) :
					  VCORE__IRQ_MASKED);
	return 0;
}

int
vcore_irq_new(struct vcore_irqchip *chip, const struct vcore_irq_opts *opts,
	      struct vcore_irq **irq)
{
	struct vcore_irq_opts o;
	struct vcore_irq *i;
	int rc;

	if (!chip || !irq)
		return vcore__err(NULL, -EINVAL, "vcore_irq_new: %s is NULL",
				  chip ? "irq" : "chip");
	rc = copy_opts(&o, opts);
	if (rc == 0)
		rc = check_chip(chip, &o);
	if (rc < 0)
		return rc;
	i = calloc(1, sizeof(*i));
	if (!i)
		return vcore__err(NULL, -ENOMEM, "vcore_irq_new: no memory");
	i->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (i->fd < 0) {
		rc = vcore__err(NULL, -errno,
				"vcore_irq_new: no eventfd: errno %d", errno);
		goto err_free;
	}
	i->flags = o.flags;
	i->gsi = o.gsi;
	i->devid = o.devid;
	i->chip = vcore_irqchip_ref(chip);
	atomic_init(&i->refs, 1);
	pthread_mutex_init(&i->lock, NULL);
	rc = attach(i);
	if (rc < 0)
		goto err_close;
	*irq = i;
	return 0;

err_close:
	pthread_mutex_destroy(&i->lock);
	vcore_irqchip_unref(chip);
	close(i->fd);
err_free:
	free(i);
	return rc;
}

struct vcore_irq *
vcore_irq_ref(struct vcore_irq *irq)
{
	if (irq)
		atomic_fetch_add_explicit(&irq->refs, 1, memory_order_relaxed);
	return irq;
}

void
vcore_irq_unref(struct vcore_irq *irq)
{
	struct vcore_irqchip *chip;

	if (!irq)
		return;
	if (atomic_fetch_sub_explicit(&irq->refs, 1,
				      memory_order_acq_rel) != 1)
		return;
	chip = irq->chip;
	if (chip->ops.detach)
		chip->ops.detach(chip->opaque, irq);
	close(irq->fd);
	pthread_mutex_destroy(&irq->lock);
	free(irq);
	vcore_irqchip_unref(chip);
}

int
vcore_irq_fd(struct vcore_irq *irq)
{
	if (!irq)
		return vcore__err(NULL, -EINVAL, "vcore_irq_fd: irq is NULL");
	return irq->fd;
}

/* With the lock. */
static int
raise_locked(struct vcore_irq *irq)
{
	if (state(irq)) {
		gather(irq);
		return 0;
	}
	return irq->chip->ops.raise(irq->chip->opaque, irq);
}

/* With the lock: what is in the fd of an irq whose chip does not look there. */
static int
deliver_locked(struct vcore_irq *irq)
{
	int rc;

	if (state(irq) || !drain(irq))
		return 0;
	rc = raise_locked(irq);
	/* What was refused is still to be delivered. */
	if (rc < 0)
		gather(irq);
	return rc;
}

static bool
is_level(const struct vcore_irq *irq)
{
	return (irq->flags & VCORE_IRQ_LEVEL) != 0;
}

/* What a chip said, as a text where it was an error. */
static int
said(const char *who, int rc)
{
	if (rc >= 0)
		return rc;
	return vcore__err(NULL, rc, "%s: the irqchip refused: errno %d", who,
			  -rc);
}

int
vcore_irq_raise(struct vcore_irq *irq)
{
	int rc = 0;

	if (!irq || is_level(irq))
		return vcore__err(NULL, -EINVAL, "vcore_irq_raise: %s",
				  irq ? "a level line" : "irq is NULL");
	if (state(irq)) {
		gather(irq);
		/*
		 * If somebody else has to look into the fd by now: either
		 * this load or the drain that follows the change sees it.
		 */
		if (state(irq))
			return 0;
		pthread_mutex_lock(&irq->lock);
		rc = deliver_locked(irq);
	} else {
		pthread_mutex_lock(&irq->lock);
		rc = raise_locked(irq);
	}
	pthread_mutex_unlock(&irq->lock);
	return said("vcore_irq_raise", rc);
}

int
vcore_irq_deliver(struct vcore_irq *irq)
{
	int rc;

	if (!irq || is_level(irq))
		return vcore__err(NULL, -EINVAL, "vcore_irq_deliver: %s",
				  irq ? "a level line" : "irq is NULL");
	pthread_mutex_lock(&irq->lock);
	rc = deliver_locked(irq);
	pthread_mutex_unlock(&irq->lock);
	return said("vcore_irq_deliver", rc);
}

/* With the lock. */
static int
level_locked(struct vcore_irq *irq, uint32_t high)
{
	return irq->chip->ops.level(irq->chip->opaque, irq, irq->gsi,
				    (int)high);
}

int
vcore_irq_set_level(struct vcore_irq *irq, int high)
{
	uint32_t now = high ? 1 : 0;
	int rc = 0;

	if (!irq || !(irq->flags & VCORE_IRQ_LINE))
		return vcore__err(NULL, -EINVAL, "vcore_irq_set_level: %s",
				  irq ? "a message" : "irq is NULL");
	pthread_mutex_lock(&irq->lock);
	if (irq->level != now) {
		if (is_level(irq)) {
			if (!irq->masked)
				rc = level_locked(irq, now);
		} else if (now) {
			rc = raise_locked(irq);
		}
		/* What was refused can be asked for again. */
		if (rc >= 0)
			irq->level = now;
	}
	pthread_mutex_unlock(&irq->lock);
	return said("vcore_irq_set_level", rc);
}

/* With the lock: tell the chip to stop, or to start and take what gathered. */
static int
mask_locked(struct vcore_irq *irq, int masked)
{
	struct vcore_irqchip *chip = irq->chip;
	int rc = 0, gathered = 0;

	if (((state(irq) & VCORE__IRQ_MASKED) != 0) == (masked != 0))
		return 0;
	if (!masked)
		gathered = drain(irq);
	if (chip->ops.mask)
		rc = chip->ops.mask(chip->opaque, irq, masked);
	if (rc < 0) {
		if (gathered)
			gather(irq);
		return rc;
	}
	if (masked) {
		atomic_store(&irq->state, VCORE__IRQ_MASKED);
		return 0;
	}
	atomic_store(&irq->state, hooked(irq, rc));
	/*
	 * What came in between. A chip that hooks the fd raises for a counter
	 * that is set but may leave it set; one that doesn't hasn't seen it.
	 */
	if (drain(irq) && !state(irq))
		gathered = 1;
	if (gathered)
		(void)raise_locked(irq);
	return 0;
}

int
vcore_irq_set_message(struct vcore_irq *irq, uint64_t addr, uint32_t data)
{
	struct vcore_irqchip *chip;
	int rc = 0;

	if (!irq || (irq->flags & VCORE_IRQ_LINE))
		return vcore__err(NULL, -EINVAL, "vcore_irq_set_message: %s",
				  irq ? "a line" : "irq is NULL");
	chip = irq->chip;
	pthread_mutex_lock(&irq->lock);
	if (irq->addr == addr && irq->data == data)
		goto out;
	if (!addr) {
		rc = mask_locked(irq, 1);
		if (rc < 0)
			goto out;
	}
	rc = chip->ops.route(chip->opaque, irq, addr, data, irq->devid);
	if (rc < 0) {
		if (irq->addr && !irq->masked)
			(void)mask_locked(irq, 0);
		goto out;
	}
	irq->addr = addr;
	irq->data = data;
	if (addr && !irq->masked)
		rc = mask_locked(irq, 0);
	if (rc < 0) {
		irq->addr = 0;
		irq->data = 0;
		(void)chip->ops.route(chip->opaque, irq, 0, 0, irq->devid);
	}
out:
	pthread_mutex_unlock(&irq->lock);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_irq_set_message: address %#llx, data %#x: errno %d",
				  (unsigned long long)addr, data, -rc);
	return 0;
}

int
vcore_irq_set_mask(struct vcore_irq *irq, int masked)
{
	uint32_t want = masked ? 1 : 0;
	int rc = 0;

	if (!irq)
		return vcore__err(NULL, -EINVAL,
				  "vcore_irq_set_mask: irq is NULL");
	pthread_mutex_lock(&irq->lock);
	if (irq->masked == want)
		goto out;
	if (is_level(irq))
		rc = irq->level ? level_locked(irq, !want) : 0;
	else if (want || (irq->flags & VCORE_IRQ_LINE) || irq->addr)
		rc = mask_locked(irq, masked);
	if (rc == 0)
		irq->masked = want;
out:
	pthread_mutex_unlock(&irq->lock);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_irq_set_mask: %u: errno %d", want,
				  -rc);
	return 0;
}

int
vcore_irq_pending(struct vcore_irq *irq)
{
	struct pollfd p = { .events = POLLIN };

	if (!irq)
		return vcore__err(NULL, -EINVAL,
				  "vcore_irq_pending: irq is NULL");
	if (!(state(irq) & VCORE__IRQ_MASKED))
		return 0;
	p.fd = irq->fd;
	return poll(&p, 1, 0) == 1;
}

void
vcore_irq_clear(struct vcore_irq *irq)
{
	if (!irq)
		return;
	pthread_mutex_lock(&irq->lock);
	if (state(irq) & VCORE__IRQ_MASKED)
		(void)drain(irq);
	pthread_mutex_unlock(&irq->lock);
}
