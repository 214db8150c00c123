/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's side of virtio: the world around a device, and its registers. */
#include "support/vdriver.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bus/bus.h"
#include "loop/call.h"

#define WAIT_NS 60000000000ull	/* until a test gives up */
#define COMMON_Q_RESET 58

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "vdriver: %s: %s\n", what, vcore_error_text());
	abort();
}

/* Addresses of messages are any; the data says who it is. */
static int
chip_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
	   uint32_t devid)
{
	(void)opaque;
	(void)addr;
	(void)devid;
	vcore_irq_set_chip_data(irq, (void *)(uintptr_t)(data + 1));
	return 0;
}

static int
chip_raise(void *opaque, struct vcore_irq *irq)
{
	struct vdriver_env *env = opaque;
	uintptr_t data = (uintptr_t)vcore_irq_chip_data(irq);

	if (data)
		atomic_fetch_add(&env->messages[(data - 1) % 64], 1);
	else
		atomic_fetch_add(&env->lines, 1);
	return 0;
}

static const struct vcore_irqchip_ops chip_ops = {
	.size = sizeof(chip_ops), .route = chip_route, .raise = chip_raise,
};

static void
count_line(void *opaque, uint32_t level, const char *text)
{
	struct vdriver_env *env = opaque;

	(void)level;
	(void)text;
	atomic_fetch_add(&env->log_lines, 1);
}

static struct vcore_region *
add_region(struct vdriver_env *env, uint64_t gpa, uint64_t len, uint32_t flags)
{
	struct vcore_region *region;
	struct vcore_region_opts o;

	VCORE_INIT(&o);
	o.len = len;
	o.backing = VCORE_BACKING_ANONYMOUS;
	o.fd = -1;
	need(vcore_region_new(&o, &region) == 0, "region");
	need(vcore_memory_add(env->memory, gpa, region, flags) == 0, "memory");
	return region;
}

static uint8_t *
address_of(struct vcore_region *region)
{
	struct vcore_region_info info;

	VCORE_INIT(&info);
	need(vcore_region_get_info(region, &info) == 0, "region info");
	return (uint8_t *)(uintptr_t)info.hva;
}

static void
make_memory(struct vdriver_env *env)
{
	struct vcore_memory_opts o;

	VCORE_INIT(&o);
	o.events = env->events;
	need(vcore_memory_new(&o, &env->memory) == 0, "memory");
	env->low = add_region(env, 0, VDRIVER_SEAM, 0);
	env->high = add_region(env, VDRIVER_SEAM, VDRIVER_RAM - VDRIVER_SEAM,
			       0);
	env->rom = add_region(env, VDRIVER_ROM, VDRIVER_ROM_LEN,
			      VCORE_MEMORY_READONLY);
	env->ram = address_of(env->low);
	env->ram_high = address_of(env->high);
	env->heap = VDRIVER_HEAP;
}

static void
make_buses(struct vdriver_env *env)
{
	struct vcore_pci_bus_opts pci;
	struct vcore_irq_opts line;

	need(vcore_bus_new(NULL, &env->bus) == 0, "bus");
	need(vcore_irqchip_new(&chip_ops, env, NULL, &env->chip) == 0, "chip");
	VCORE_INIT(&line);
	line.flags = VCORE_IRQ_LINE;
	line.gsi = 5;
	need(vcore_irq_new(env->chip, &line, &env->line) == 0, "irq");
	VCORE_INIT(&pci);
	pci.mmio = env->bus;
	pci.irqchip = env->chip;
	pci.window32 = VDRIVER_PCI32;
	pci.window32_len = VDRIVER_PCI32_LEN;
	pci.window64 = VDRIVER_PCI64;
	pci.window64_len = VDRIVER_PCI64_LEN;
	need(vcore_pci_bus_new(&pci, &env->pci) == 0, "pci bus");
}

static void *
loop_thread(void *arg)
{
	struct vdriver_env *env = arg;

	need(vcore_loop_run(env->loop) == 0, "loop");
	return NULL;
}

void
vdriver_env_init(struct vdriver_env *env, uint32_t flags)
{
	struct vcore_loop_opts loop;
	struct vcore_log_opts log;

	memset(env, 0, sizeof(*env));
	need(vcore_events_new(NULL, &env->events) == 0, "events");
	make_memory(env);
	make_buses(env);
	VCORE_INIT(&loop);
	need(vcore_loop_new(&loop, &env->loop) == 0, "loop");
	VCORE_INIT(&log);
	log.message = count_line;
	log.opaque = env;
	need(vcore_log_new(&log, &env->log) == 0, "log");
	env->threaded = (flags & VDRIVER_THREAD) != 0;
	if (env->threaded)
		need(pthread_create(&env->thread, NULL, loop_thread, env) == 0,
		     "thread");
}

void
vdriver_env_fini(struct vdriver_env *env)
{
	if (env->threaded) {
		vcore_loop_quit(env->loop);
		pthread_join(env->thread, NULL);
	}
	vcore_loop_unref(env->loop);
	vcore_pci_bus_unref(env->pci);
	vcore_irq_unref(env->line);
	vcore_irqchip_unref(env->chip);
	vcore_bus_unref(env->bus);
	vcore_memory_unref(env->memory);
	vcore_region_unref(env->low);
	vcore_region_unref(env->high);
	vcore_region_unref(env->rom);
	vcore_events_unref(env->events);
	vcore_log_unref(env->log);
}

uint64_t
vdriver_alloc(struct vdriver_env *env, uint64_t len, uint64_t align)
{
	uint64_t gpa = (env->heap + align - 1) & ~(align - 1);

	/* What would cross the seam between the regions begins behind it. */
	if (gpa < VDRIVER_SEAM && gpa + len > VDRIVER_SEAM)
		gpa = VDRIVER_SEAM;
	need(gpa + len <= VDRIVER_RAM, "out of guest memory");
	env->heap = gpa + len;
	memset(vdriver_ram(env, gpa), 0, len);
	return gpa;
}

void
vdriver_free_all(struct vdriver_env *env)
{
	env->heap = VDRIVER_HEAP;
}

void *
vdriver_ram(struct vdriver_env *env, uint64_t gpa)
{
	need(gpa < VDRIVER_RAM, "no RAM there");
	return gpa < VDRIVER_SEAM ? env->ram + gpa :
				    env->ram_high + (gpa - VDRIVER_SEAM);
}

static void
nothing(void *opaque)
{
	atomic_store((_Atomic uint32_t *)opaque, 1);
}

void
vdriver_run(struct vdriver_env *env)
{
	_Atomic uint32_t ran = 0;

	if (!env->threaded) {
		while (vcore_loop_dispatch(env->loop, 0) > 0)
			;
		return;
	}
	need(vcore_loop_call(env->loop, nothing, (void *)&ran) == 0, "call");
	while (!atomic_load(&ran))
		sched_yield();
}

uint32_t
vdriver_events(struct vdriver_env *env, uint32_t kind)
{
	struct vcore_event e;
	uint32_t count = 0;

	VCORE_INIT(&e);
	while (vcore_events_next(env->events, &e) == 1)
		if (e.kind == kind)
			count += (uint32_t)e.count;
	return count;
}

/* An access, during which this thread turns the loop if nobody else does. */
static uint64_t
bus_access(struct vdriver_env *env, int write, uint64_t addr, uint32_t len,
	   uint64_t val)
{
	struct vcore_access a = { .wake = NULL };
	int rc = vcore__bus_access(env->bus, NULL, write, addr, len, &val, &a);

	while (rc == -EINPROGRESS && !vcore__access_take(&a, &val)) {
		if (env->threaded)
			sched_yield();
		else
			(void)vcore_loop_dispatch(env->loop, 0);
	}
	return val;
}

uint64_t
vdriver_bus_read(struct vdriver_env *env, uint64_t addr, uint32_t len)
{
	return bus_access(env, 0, addr, len, 0);
}

void
vdriver_bus_write(struct vdriver_env *env, uint64_t addr, uint32_t len,
		  uint64_t val)
{
	(void)bus_access(env, 1, addr, len, val);
}

static uint32_t
mmio(struct vdriver *d, uint32_t off)
{
	return (uint32_t)vdriver_bus_read(d->env, d->base + off, 4);
}

static void
set_mmio(struct vdriver *d, uint32_t off, uint32_t val)
{
	vdriver_bus_write(d->env, d->base + off, 4, val);
}

static uint32_t
common(struct vdriver *d, uint32_t off, uint32_t len)
{
	return (uint32_t)vdriver_bus_read(d->env, d->common + off, len);
}

static void
set_common(struct vdriver *d, uint32_t off, uint32_t len, uint32_t val)
{
	vdriver_bus_write(d->env, d->common + off, len, val);
}

uint32_t
vdriver_pci_read(struct vdriver *d, uint32_t off, uint32_t len)
{
	uint32_t val = 0;

	(void)vcore_pci_bus_config_read(d->env->pci, d->bdf, off, len, &val);
	return val;
}

void
vdriver_pci_write(struct vdriver *d, uint32_t off, uint32_t len, uint32_t val)
{
	(void)vcore_pci_bus_config_write(d->env->pci, d->bdf, off, len, val);
}

static uint64_t
bar_address(struct vdriver *d, uint32_t bar)
{
	return vdriver_pci_read(d, PCI_BASE_ADDRESS_0 + 4 * bar, 4) & ~0xfull;
}

static void
found_cap(struct vdriver *d, uint32_t at)
{
	uint64_t where = bar_address(d, vdriver_pci_read(d, at + 4, 1)) +
			 vdriver_pci_read(d, at + 8, 4);

	switch (vdriver_pci_read(d, at + 3, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d->common = where;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		d->notify = where;
		d->notify_multiplier = vdriver_pci_read(d, at + 16, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		d->isr = where;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		d->config = where;
		break;
	default:
		d->cfg_cap = at;
		break;
	}
}

static void
find_caps(struct vdriver *d)
{
	uint32_t at = vdriver_pci_read(d, PCI_CAPABILITY_LIST, 1), bir;

	for (; at; at = vdriver_pci_read(d, at + 1, 1)) {
		if (vdriver_pci_read(d, at, 1) == PCI_CAP_ID_VNDR)
			found_cap(d, at);
		if (vdriver_pci_read(d, at, 1) != PCI_CAP_ID_MSIX)
			continue;
		bir = vdriver_pci_read(d, at + PCI_MSIX_TABLE, 4);
		d->msix = bar_address(d, bir & 7) + (bir & ~7u);
		vdriver_pci_write(d, at + PCI_MSIX_FLAGS, 2,
				  PCI_MSIX_FLAGS_ENABLE);
	}
}

/* Vector n tells data n: 0 is the configuration, i + 1 queue i. */
static void
set_vectors(struct vdriver *d)
{
	uint32_t n = common(d, VIRTIO_PCI_COMMON_NUMQ, 2) + 1;
	uint64_t entry;

	for (uint32_t i = 0; i < n; i++) {
		entry = d->msix + 16ull * i;
		vdriver_bus_write(d->env, entry, 8, 0xfee00000u);
		vdriver_bus_write(d->env, entry + 8, 8, i);
	}
}

static void
attach_pci(struct vdriver *d)
{
	uint32_t id = 0, slot;

	for (slot = 31; slot > 0; slot--) {
		d->bdf = slot << 3;
		id = vdriver_pci_read(d, PCI_VENDOR_ID, 4);
		if (id == UINT32_MAX)
			break;
	}
	need(vcore_virtio_attach_pci(d->virtio, d->env->pci, slot) == 0,
	     "attach");
	vdriver_pci_write(d, PCI_COMMAND, 2,
			  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	find_caps(d);
	set_vectors(d);
}

void
vdriver_attach(struct vdriver *d, struct vdriver_env *env,
	       struct vcore_virtio *virtio, enum vdriver_transport kind)
{
	struct vcore_loop *loops[1] = { env->loop };
	struct vcore_virtio_env e;
	int rc;

	memset(d, 0, sizeof(*d));
	d->env = env;
	d->virtio = virtio;
	d->kind = kind;
	VCORE_INIT(&e);
	e.memory = env->memory;
	e.loops = loops;
	e.loop_count = 1;
	e.events = env->events;
	e.log = env->log;
	rc = vcore_virtio_set_env(virtio, &e);
	need(rc == 0 || rc == -EBUSY, "set_env");
	if (kind == VDRIVER_PCI) {
		attach_pci(d);
		return;
	}
	d->base = VDRIVER_MMIO_BASE;
	do {
		rc = vcore_virtio_attach_mmio(virtio, env->bus, d->base,
					      env->line);
		if (rc == -EEXIST)
			d->base += 0x1000;
	} while (rc == -EEXIST);
	need(rc == 0, "attach");
}

void
vdriver_detach(struct vdriver *d)
{
	int rc;

	do {
		rc = vcore_virtio_detach(d->virtio,
					 vcore__now_ns() +
					 (d->env->threaded ? WAIT_NS : 1));
		vdriver_run(d->env);
	} while (rc == -ETIMEDOUT && !d->env->threaded);
	need(rc == 0 || rc == -ENOENT, "detach");
}

uint32_t
vdriver_status(struct vdriver *d)
{
	if (d->kind == VDRIVER_MMIO)
		return mmio(d, VIRTIO_MMIO_STATUS);
	return common(d, VIRTIO_PCI_COMMON_STATUS, 1);
}

void
vdriver_set_status(struct vdriver *d, uint32_t status)
{
	if (d->kind == VDRIVER_MMIO)
		set_mmio(d, VIRTIO_MMIO_STATUS, status);
	else
		set_common(d, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

void
vdriver_reset(struct vdriver *d)
{
	uint64_t deadline = vcore__now_ns() + WAIT_NS;

	vdriver_set_status(d, 0);
	while (vdriver_status(d) != 0) {
		need(vcore__now_ns() < deadline, "reset takes for ever");
		vdriver_run(d->env);
	}
}

uint64_t
vdriver_device_features(struct vdriver *d)
{
	uint64_t features = 0;

	for (uint32_t i = 0; i < 2; i++) {
		if (d->kind == VDRIVER_MMIO) {
			set_mmio(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
			features |= (uint64_t)mmio(
				d, VIRTIO_MMIO_DEVICE_FEATURES) << (32 * i);
		} else {
			set_common(d, VIRTIO_PCI_COMMON_DFSELECT, 4, i);
			features |= (uint64_t)common(
				d, VIRTIO_PCI_COMMON_DF, 4) << (32 * i);
		}
	}
	return features;
}

void
vdriver_set_features(struct vdriver *d, uint64_t features)
{
	uint32_t word;

	for (uint32_t i = 0; i < 2; i++) {
		word = (uint32_t)(features >> (32 * i));
		if (d->kind == VDRIVER_MMIO) {
			set_mmio(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
			set_mmio(d, VIRTIO_MMIO_DRIVER_FEATURES, word);
		} else {
			set_common(d, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
			set_common(d, VIRTIO_PCI_COMMON_GF, 4, word);
		}
	}
	d->features = features;
}

uint64_t
vdriver_config_read(struct vdriver *d, uint32_t off, uint32_t len)
{
	uint64_t at = d->kind == VDRIVER_MMIO ? d->base + VIRTIO_MMIO_CONFIG :
						d->config;

	return vdriver_bus_read(d->env, at + off, len);
}

void
vdriver_config_write(struct vdriver *d, uint32_t off, uint32_t len,
		     uint64_t val)
{
	uint64_t at = d->kind == VDRIVER_MMIO ? d->base + VIRTIO_MMIO_CONFIG :
						d->config;

	vdriver_bus_write(d->env, at + off, len, val);
}

uint32_t
vdriver_generation(struct vdriver *d)
{
	if (d->kind == VDRIVER_MMIO)
		return mmio(d, VIRTIO_MMIO_CONFIG_GENERATION);
	return common(d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
}

uint64_t
vdriver_interrupts(struct vdriver *d, uint32_t queue)
{
	if (d->kind == VDRIVER_MMIO)
		return d->env->lines;
	return d->env->messages[(queue + 1) % 64];
}

bool
vdriver_begin(struct vdriver *d, uint64_t without)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE;

	vdriver_reset(d);
	memset(d->queue, 0, sizeof(d->queue));
	vdriver_set_status(d, status);
	status |= VIRTIO_CONFIG_S_DRIVER;
	vdriver_set_status(d, status);
	vdriver_set_features(d, vdriver_device_features(d) & ~without);
	vdriver_set_status(d, status | VIRTIO_CONFIG_S_FEATURES_OK);
	return (vdriver_status(d) & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
}

static void
select_queue(struct vdriver *d, uint32_t index)
{
	if (d->kind == VDRIVER_MMIO)
		set_mmio(d, VIRTIO_MMIO_QUEUE_SEL, index);
	else
		set_common(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
}

static void
set_queue_mmio(struct vdriver *d, const struct vdriver_queue *q)
{
	set_mmio(d, VIRTIO_MMIO_QUEUE_NUM, q->size);
	set_mmio(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)q->desc);
	set_mmio(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(q->desc >> 32));
	set_mmio(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)q->avail);
	set_mmio(d, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(q->avail >> 32));
	set_mmio(d, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)q->used);
	set_mmio(d, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(q->used >> 32));
	set_mmio(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void
set_queue_pci(struct vdriver *d, struct vdriver_queue *q)
{
	uint64_t a[3] = { q->desc, q->avail, q->used };
	uint32_t at = VIRTIO_PCI_COMMON_Q_DESCLO;

	set_common(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, q->size);
	for (uint32_t i = 0; i < 3; i++, at += 8) {
		set_common(d, at, 4, (uint32_t)a[i]);
		set_common(d, at + 4, 4, (uint32_t)(a[i] >> 32));
	}
	set_common(d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	set_common(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, q->index + 1);
	q->notify = d->notify + (uint64_t)d->notify_multiplier *
				common(d, VIRTIO_PCI_COMMON_Q_NOFF, 2);
	set_common(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

bool
vdriver_queue_enabled(struct vdriver *d, uint32_t index)
{
	select_queue(d, index);
	if (d->kind == VDRIVER_MMIO)
		return mmio(d, VIRTIO_MMIO_QUEUE_READY) == 1;
	return common(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 1;
}

uint32_t
vdriver_queue_max(struct vdriver *d, uint32_t index)
{
	select_queue(d, index);
	if (d->kind == VDRIVER_MMIO)
		return mmio(d, VIRTIO_MMIO_QUEUE_NUM_MAX);
	return common(d, VIRTIO_PCI_COMMON_Q_SIZE, 2);
}

bool
vdriver_queue_at(struct vdriver *d, uint32_t index, uint32_t size,
		 uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vdriver_queue *q = &d->queue[index % VDRIVER_QUEUES];

	*q = (struct vdriver_queue){
		.d = d, .index = index, .size = size, .desc = desc,
		.avail = avail, .used = used,
		.event_idx = (d->features >> VIRTIO_RING_F_EVENT_IDX) & 1,
	};
	select_queue(d, index);
	if (d->kind == VDRIVER_MMIO)
		set_queue_mmio(d, q);
	else
		set_queue_pci(d, q);
	return vdriver_queue_enabled(d, index);
}

bool
vdriver_queue(struct vdriver *d, uint32_t index, uint32_t size)
{
	uint64_t desc = vdriver_alloc(d->env, 16ull * size, 4096);
	uint64_t avail = vdriver_alloc(d->env, 6 + 2ull * size, 4096);
	uint64_t used = vdriver_alloc(d->env, 6 + 8ull * size, 4096);

	return vdriver_queue_at(d, index, size, desc, avail, used);
}

void
vdriver_queue_reset(struct vdriver *d, uint32_t index)
{
	uint64_t deadline = vcore__now_ns() + WAIT_NS;
	uint32_t resetting;

	select_queue(d, index);
	if (d->kind == VDRIVER_MMIO)
		set_mmio(d, 0xc0, 1);
	else
		set_common(d, COMMON_Q_RESET, 2, 1);
	do {
		need(vcore__now_ns() < deadline, "queue reset takes for ever");
		vdriver_run(d->env);
		resetting = d->kind == VDRIVER_MMIO ?
				    mmio(d, 0xc0) :
				    common(d, COMMON_Q_RESET, 2);
	} while (resetting);
}

void
vdriver_ok(struct vdriver *d)
{
	vdriver_set_status(d, vdriver_status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
	vdriver_run(d->env);
}

void
vdriver_up(struct vdriver *d, uint32_t n, uint32_t size)
{
	need(vdriver_begin(d, 0), "features");
	for (uint32_t i = 0; i < n; i++)
		need(vdriver_queue(d, i, size), "queue");
	vdriver_ok(d);
}
