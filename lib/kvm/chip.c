/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts into KVM: routes, irqfds, lines. */
#include "kvm/chip.h"

#include <stdlib.h>
#include <unistd.h>

/* What KVM has at least if it does not tell. */
#define DEFAULT_ROUTES 1024u

static bool
is_line(const struct vcore__chip_irq *i)
{
	return (i->flags & VCORE_IRQ_LINE) != 0;
}

static void
list_add(struct vcore__chip *c, struct vcore__chip_irq *i)
{
	if (i->prev)
		return;
	i->next = c->routed;
	i->prev = &c->routed;
	if (i->next)
		i->next->prev = &i->next;
	c->routed = i;
	atomic_fetch_add(&c->routes, 1);
}

static void
list_del(struct vcore__chip *c, struct vcore__chip_irq *i)
{
	if (!i->prev)
		return;
	*i->prev = i->next;
	if (i->next)
		i->next->prev = i->prev;
	i->prev = NULL;
	atomic_fetch_sub(&c->routes, 1);
}

/* Give KVM the table. All or nothing. */
static int
commit(struct vcore__chip *c)
{
	struct kvm_irq_routing *t = c->table;
	struct kvm_irq_routing_entry *e;
	struct vcore__chip_irq *i;
	int rc;

	if (!c->dirty)
		return 0;
	t->flags = 0;
	t->nr = vcore__chip_arch_defaults(c, t->entries);
	for (i = c->routed; i; i = i->next) {
		e = &t->entries[t->nr++];
		memset(e, 0, sizeof(*e));
		e->gsi = i->gsi;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)i->addr;
		e->u.msi.address_hi = (uint32_t)(i->addr >> 32);
		e->u.msi.data = i->data;
	}
	rc = vcore__vmfd_ioctl(c->vmfd, KVM_SET_GSI_ROUTING, t);
	if (rc < 0) {
		if (vcore__ratelimit_ok(&c->limit))
			vcore__log(c->log, VCORE_LOG_ERR,
				   "KVM refuses %u interrupt routes: %s",
				   t->nr, vcore__strerror(rc));
		return rc;
	}
	c->dirty = false;
	return 0;
}

static int
irqfd(struct vcore__chip *c, const struct vcore__chip_irq *i, uint32_t flags)
{
	struct kvm_irqfd arg = {
		.fd = (uint32_t)i->fd,
		.gsi = i->gsi,
		.flags = flags,
	};

	return vcore__vmfd_ioctl(c->vmfd, KVM_IRQFD, &arg);
}

static int
unhook(struct vcore__chip *c, struct vcore__chip_irq *i)
{
	int rc;

	if (!i->hooked)
		return 0;
	rc = irqfd(c, i, KVM_IRQFD_FLAG_DEASSIGN);
	if (rc < 0)
		return rc;
	i->hooked = false;
	atomic_fetch_sub(&c->irqfds, 1);
	return 0;
}

/*
 * Let KVM consume the eventfd, if it is wanted and has somewhere to go.
 * KVM raises at once for a counter that is set but leaves it set; taking it
 * out afterwards can't lose a write, because from the hooking on KVM takes
 * writes out itself.
 */
static int
hook(struct vcore__chip *c, struct vcore__chip_irq *i)
{
	uint64_t n;
	int rc;

	rc = commit(c);
	if (rc < 0 || i->hooked || !c->irqfd || !i->wanted)
		return rc;
	if (!is_line(i) && !i->prev)
		return 0;
	rc = irqfd(c, i, 0);
	if (rc < 0)
		return rc;
	i->hooked = true;
	atomic_fetch_add(&c->irqfds, 1);
	if (read(i->fd, &n, sizeof(n)) < 0)
		n = 0;
	return 0;
}

/* Undo of a route: the one before, whether or not KVM takes it. */
static void
restore(struct vcore__chip *c, struct vcore__chip_irq *i, uint64_t addr,
	uint32_t data, bool routed)
{
	i->addr = addr;
	i->data = data;
	if (routed)
		list_add(c, i);
	else
		list_del(c, i);
	c->dirty = true;
	(void)hook(c, i);
}

static int
route_locked(struct vcore__chip *c, struct vcore__chip_irq *i, uint64_t addr,
	     uint32_t data)
{
	bool was = i->prev != NULL, now = vcore__chip_arch_routable(addr);
	uint64_t old_addr = i->addr;
	uint32_t old_data = i->data;
	int rc = 0;

	if (was == now && old_addr == addr && old_data == data)
		return 0;
	if (!now)
		rc = unhook(c, i);
	if (rc < 0)
		return rc;
	i->addr = addr;
	i->data = data;
	if (now)
		list_add(c, i);
	else
		list_del(c, i);
	/* What KVM does not have and need not have can wait. */
	if (was || now)
		c->dirty = true;
	if (!i->wanted)
		return 0;
	rc = hook(c, i);
	if (rc < 0)
		restore(c, i, old_addr, old_data, was);
	return rc;
}

static int
chip_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
	   uint32_t devid)
{
	struct vcore__chip *c = opaque;
	struct vcore__chip_irq *i = vcore_irq_chip_data(irq);
	int rc;

	(void)devid;
	if (!c->routing)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&c->lock);
	rc = route_locked(c, i, addr, data);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int
chip_mask(void *opaque, struct vcore_irq *irq, int masked)
{
	struct vcore__chip *c = opaque;
	struct vcore__chip_irq *i = vcore_irq_chip_data(irq);
	int rc;

	pthread_mutex_lock(&c->lock);
	i->wanted = !masked;
	rc = masked ? unhook(c, i) : hook(c, i);
	if (rc < 0)
		i->wanted = masked != 0;
	else
		rc = i->hooked;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int
set_line(struct vcore__chip *c, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level arg = { .irq = gsi, .level = level };

	return vcore__vmfd_ioctl(c->vmfd, KVM_IRQ_LINE, &arg);
}

/* KVM knows one level per pin: it is high as long as anybody holds it. */
static int
level_locked(struct vcore__chip *c, struct vcore__chip_irq *i, bool high)
{
	uint32_t now;
	int rc = 0;

	if (i->high == high)
		return 0;
	now = high ? c->high[i->gsi] + 1 : c->high[i->gsi] - 1;
	if (!now != !c->high[i->gsi])
		rc = set_line(c, i->gsi, now != 0);
	if (rc < 0)
		return rc;
	c->high[i->gsi] = now;
	i->high = high;
	return 0;
}

static int
chip_level(void *opaque, struct vcore_irq *irq, uint32_t gsi, int high)
{
	struct vcore__chip *c = opaque;
	struct vcore__chip_irq *i = vcore_irq_chip_data(irq);
	int rc;

	(void)gsi;
	pthread_mutex_lock(&c->lock);
	rc = level_locked(c, i, high != 0);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* Only where KVM does not consume the eventfd. */
static int
chip_raise(void *opaque, struct vcore_irq *irq)
{
	struct vcore__chip *c = opaque;
	struct vcore__chip_irq *i = vcore_irq_chip_data(irq);
	struct kvm_msi msi = { 0 };
	int rc;

	pthread_mutex_lock(&c->lock);
	if (is_line(i)) {
		rc = set_line(c, i->gsi, 1);
		if (rc >= 0 && !c->high[i->gsi])
			rc = set_line(c, i->gsi, 0);
	} else if (!i->prev) {
		/* An address outside the interrupt window: nobody hears. */
		rc = 0;
	} else {
		msi.address_lo = (uint32_t)i->addr;
		msi.address_hi = (uint32_t)(i->addr >> 32);
		msi.data = i->data;
		rc = vcore__vmfd_ioctl(c->vmfd, KVM_SIGNAL_MSI, &msi);
	}
	pthread_mutex_unlock(&c->lock);
	return rc < 0 ? rc : 0;
}

/* Room in the table for all irqs there are and one more. */
static int
reserve(struct vcore__chip *c)
{
	uint32_t need = VCORE__CHIP_DEFAULTS + c->irqs + 1;
	struct kvm_irq_routing *t;

	if (need <= c->table_cap)
		return 0;
	need += need / 2;
	t = realloc(c->table, sizeof(*t) + need * sizeof(t->entries[0]));
	if (!t)
		return -ENOMEM;
	c->table = t;
	c->table_cap = need;
	return 0;
}

/* A pin of the IOAPIC in user space: its number is KVM's reserved route. */
static int
take_pin(struct vcore__chip *c, uint32_t gsi)
{
	uint32_t bit = 1u << gsi;

	if (c->pins & bit)
		return -EEXIST;
	c->pins |= bit;
	return 0;
}

static int
take_gsi(struct vcore__chip *c, uint32_t *gsi)
{
	uint32_t bit, end = c->gsi_end - VCORE__CHIP_PINS;

	for (bit = 0; bit < end; bit += 64) {
		if (!~c->gsi_used[bit / 64])
			continue;
		bit += (uint32_t)__builtin_ctzll(~c->gsi_used[bit / 64]);
		break;
	}
	if (bit >= end)
		return -ENOSPC;
	c->gsi_used[bit / 64] |= UINT64_C(1) << (bit % 64);
	*gsi = VCORE__CHIP_PINS + bit;
	return 0;
}

static void
give_gsi(struct vcore__chip *c, uint32_t gsi)
{
	uint32_t bit = gsi - VCORE__CHIP_PINS;

	if (gsi < VCORE__CHIP_PINS)
		c->pins &= ~(1u << gsi);
	else
		c->gsi_used[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static int
attach_locked(struct vcore__chip *c, struct vcore__chip_irq *i)
{
	int rc;

	rc = reserve(c);
	if (rc)
		return rc;
	if (is_line(i)) {
		i->wanted = !(i->flags & VCORE_IRQ_LEVEL);
		rc = hook(c, i);
	} else if (i->flags & VCORE_IRQ_PIN) {
		rc = take_pin(c, i->gsi);
	} else {
		rc = take_gsi(c, &i->gsi);
	}
	if (rc < 0)
		return rc;
	c->irqs++;
	return i->hooked;
}

static int
chip_attach(void *opaque, struct vcore_irq *irq, int fd, uint32_t gsi,
	    uint32_t flags)
{
	struct vcore__chip *c = opaque;
	struct vcore__chip_irq *i;
	int rc;

	if ((flags & (VCORE_IRQ_LINE | VCORE_IRQ_PIN)) &&
	    gsi >= VCORE__CHIP_PINS)
		return -EINVAL;
	/* Lines end at KVM's IOAPIC or at the one in user space. */
	if (!(flags & VCORE_IRQ_LINE) && !c->routing)
		return vcore__err(NULL, -EOPNOTSUPP,
				  "KVM lacks KVM_CAP_IRQ_ROUTING");
	if ((flags & VCORE_IRQ_LINE) && c->split)
		return -EOPNOTSUPP;
	if ((flags & VCORE_IRQ_PIN) && !c->split)
		return -EOPNOTSUPP;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->fd = fd;
	i->gsi = gsi;
	i->flags = flags;
	pthread_mutex_lock(&c->lock);
	rc = attach_locked(c, i);
	pthread_mutex_unlock(&c->lock);
	if (rc < 0)
		free(i);
	else
		vcore_irq_set_chip_data(irq, i);
	return rc;
}

static void
chip_detach(void *opaque, struct vcore_irq *irq)
{
	struct vcore__chip *c = opaque;
	struct vcore__chip_irq *i = vcore_irq_chip_data(irq);

	pthread_mutex_lock(&c->lock);
	/* If KVM refuses, it lets go when the eventfd is closed. */
	if (unhook(c, i) < 0)
		atomic_fetch_sub(&c->irqfds, 1);
	if (i->high)
		(void)level_locked(c, i, false);
	if (i->prev) {
		list_del(c, i);
		/* KVM keeps the entry until the next change; no harm. */
		c->dirty = true;
	}
	if (!is_line(i))
		give_gsi(c, i->gsi);
	c->irqs--;
	pthread_mutex_unlock(&c->lock);
	free(i);
}

static void
chip_free(struct vcore__chip *c)
{
	pthread_mutex_destroy(&c->lock);
	vcore_log_unref(c->log);
	vcore__vmfd_unref(c->vmfd);
	free(c->gsi_used);
	free(c->table);
	free(c);
}

static void
chip_release(void *opaque)
{
	chip_free(opaque);
}

static const struct vcore_irqchip_ops chip_ops = {
	.size = sizeof(struct vcore_irqchip_ops),
	.route = chip_route,
	.mask = chip_mask,
	.level = chip_level,
	.attach = chip_attach,
	.detach = chip_detach,
	.raise = chip_raise,
};

int
vcore__chip_new(struct vcore__vmfd *vmfd, bool split, struct vcore_log *log,
		struct vcore_irqchip **irqchip, struct vcore__chip **out)
{
	struct vcore_host *host = vmfd->host;
	struct vcore__chip *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return vcore__err(log, -ENOMEM, "vcore_vm_new: out of memory");
	pthread_mutex_init(&c->lock, NULL);
	c->vmfd = vcore__vmfd_ref(vmfd);
	c->log = vcore_log_ref(log);
	c->split = split;
	c->irqfd = vcore__host_cap(host, KVM_CAP_IRQFD) != 0;
	c->gsi_end = vcore__host_cap(host, KVM_CAP_IRQ_ROUTING);
	c->routing = c->gsi_end != 0;
	if (c->gsi_end <= VCORE__CHIP_PINS)
		c->gsi_end = DEFAULT_ROUTES;
	c->gsi_used = calloc((c->gsi_end + 63) / 64, sizeof(uint64_t));
	rc = c->gsi_used ? vcore_irqchip_new(&chip_ops, c, chip_release,
					     irqchip)
			 : -ENOMEM;
	if (rc) {
		chip_free(c);
		return vcore__err(log, rc, "vcore_vm_new: out of memory");
	}
	*out = c;
	return 0;
}
