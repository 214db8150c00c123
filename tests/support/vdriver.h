/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of virtio, for tests, fuzzers and benchmarks: guest memory,
 * a bus, an irqchip that counts, a loop; a driver that goes through the
 * registers of either transport; rings it builds well-formed or as broken as
 * the caller likes.
 *
 *	vdriver_env_init(&env, 0);
 *	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
 *	vdriver_begin(&d, 0);			FEATURES_OK, all features
 *	vdriver_queue(&d, 0, 64);
 *	vdriver_ok(&d);				DRIVER_OK
 *	vdriver_add(&d.queue[0], bufs, 2);
 *	vdriver_kick(&d.queue[0]);
 *	vdriver_wait(&d.queue[0], &id, &len);
 *	vdriver_detach(&d);
 *	vdriver_env_fini(&env);
 *
 * Without VDRIVER_THREAD the caller's thread turns the loop inside of wait,
 * run and register writes, so that a test is deterministic.
 */
#ifndef VCORE_TESTS_SUPPORT_VDRIVER_H
#define VCORE_TESTS_SUPPORT_VDRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/virtio.h>

/* RAM: two regions that touch at VDRIVER_SEAM, and read-only memory. */
#define VDRIVER_RAM   (8ull << 20)
#define VDRIVER_SEAM  (4ull << 20)
#define VDRIVER_ROM   0x10000000ull
#define VDRIVER_ROM_LEN 0x10000ull
/* Where buffers are allocated from; rings go below. */
#define VDRIVER_HEAP  (1ull << 20)
#define VDRIVER_MMIO_BASE 0xd0000000ull
#define VDRIVER_PCI32 0xc0000000ull
#define VDRIVER_PCI32_LEN 0x08000000ull
#define VDRIVER_PCI64 0x8000000000ull
#define VDRIVER_PCI64_LEN 0x100000000ull

#define VDRIVER_QUEUES 16u

#define VDRIVER_THREAD (1u << 0)	/* the loop gets a thread */

struct vdriver_env {
	struct vcore_memory *memory;
	struct vcore_region *low, *high, *rom;
	uint8_t *ram, *ram_high;	/* host addresses of both */
	struct vcore_bus *bus;
	struct vcore_irqchip *chip;
	struct vcore_irq *line;		/* for the MMIO transport */
	struct vcore_pci_bus *pci;
	struct vcore_loop *loop;
	struct vcore_events *events;
	struct vcore_log *log;
	_Atomic uint64_t lines;		/* raises of lines */
	_Atomic uint64_t messages[64];	/* raises, by the message's data */
	_Atomic uint64_t log_lines;
	uint64_t heap;			/* next free guest address */
	pthread_t thread;
	bool threaded;
};

void
vdriver_env_init(struct vdriver_env *env, uint32_t flags);
void
vdriver_env_fini(struct vdriver_env *env);
/* Guest memory nobody uses yet, zeroed. */
uint64_t
vdriver_alloc(struct vdriver_env *env, uint64_t len, uint64_t align);
/* Give all of it back. */
void
vdriver_free_all(struct vdriver_env *env);
/* Host address of guest RAM, for the driver's own writes. */
void *
vdriver_ram(struct vdriver_env *env, uint64_t gpa);
/* Turn the loop until nothing is ready (with a thread: wait for a call). */
void
vdriver_run(struct vdriver_env *env);
/* Events of this kind since the last call; they are taken. */
uint32_t
vdriver_events(struct vdriver_env *env, uint32_t kind);

enum vdriver_transport { VDRIVER_MMIO = 1, VDRIVER_PCI = 2 };

struct vdriver;

struct vdriver_buf {
	uint64_t gpa;
	uint32_t len;
	bool write;			/* device-writable */
};

struct vdriver_queue {
	struct vdriver *d;
	uint32_t index, size;
	uint64_t desc, avail, used;	/* guest addresses */
	uint64_t notify;		/* PCI: address of its doorbell */
	uint16_t next_desc;		/* of add(): goes in a circle */
	uint16_t avail_idx, last_used;
	bool event_idx;
};

struct vdriver {
	struct vdriver_env *env;
	struct vcore_virtio *virtio;
	enum vdriver_transport kind;
	uint64_t base;			/* MMIO registers */
	/* PCI: where the structures are */
	uint32_t bdf;
	uint64_t common, notify, isr, config, msix;
	uint32_t notify_multiplier, cfg_cap;
	uint64_t features;
	struct vdriver_queue queue[VDRIVER_QUEUES];
};

/* set_env (unless it has one) and attach; finds the registers. */
void
vdriver_attach(struct vdriver *d, struct vdriver_env *env,
	       struct vcore_virtio *virtio, enum vdriver_transport kind);
/* Detach, waiting for it. The caller's reference on the device stays. */
void
vdriver_detach(struct vdriver *d);

/* Registers, also those of odd width, at offsets of the transport's own. */
uint64_t
vdriver_bus_read(struct vdriver_env *env, uint64_t addr, uint32_t len);
void
vdriver_bus_write(struct vdriver_env *env, uint64_t addr, uint32_t len,
		  uint64_t val);
uint32_t
vdriver_status(struct vdriver *d);
void
vdriver_set_status(struct vdriver *d, uint32_t status);
/* Write 0 and wait until it reads as 0. */
void
vdriver_reset(struct vdriver *d);
uint64_t
vdriver_device_features(struct vdriver *d);
void
vdriver_set_features(struct vdriver *d, uint64_t features);
uint64_t
vdriver_config_read(struct vdriver *d, uint32_t off, uint32_t len);
void
vdriver_config_write(struct vdriver *d, uint32_t off, uint32_t len,
		     uint64_t val);
uint32_t
vdriver_generation(struct vdriver *d);
/* Interrupts seen so far: queue i (MMIO: any), and for the configuration. */
uint64_t
vdriver_interrupts(struct vdriver *d, uint32_t queue);

/* Reset, ACKNOWLEDGE, DRIVER, features less `without`, FEATURES_OK: true. */
bool
vdriver_begin(struct vdriver *d, uint64_t without);
/* A ring in fresh memory, enabled: true if the device took it. */
bool
vdriver_queue(struct vdriver *d, uint32_t index, uint32_t size);
/* The same with addresses of one's own. */
bool
vdriver_queue_at(struct vdriver *d, uint32_t index, uint32_t size,
		 uint64_t desc, uint64_t avail, uint64_t used);
bool
vdriver_queue_enabled(struct vdriver *d, uint32_t index);
uint32_t
vdriver_queue_max(struct vdriver *d, uint32_t index);
void
vdriver_queue_reset(struct vdriver *d, uint32_t index);
void
vdriver_ok(struct vdriver *d);
/* begin, queues 0..n-1 of this size, ok */
void
vdriver_up(struct vdriver *d, uint32_t n, uint32_t size);

/* A chain of these buffers is made available; its head. No kick. */
uint16_t
vdriver_add(struct vdriver_queue *q, const struct vdriver_buf *bufs,
	    uint32_t n);
/* The same through an indirect table. */
uint16_t
vdriver_add_indirect(struct vdriver_queue *q, const struct vdriver_buf *bufs,
		     uint32_t n);
void
vdriver_kick(struct vdriver_queue *q);
/* true: a used entry was taken */
bool
vdriver_used(struct vdriver_queue *q, uint32_t *id, uint32_t *len);
/* Turns the loop until there is one; false after a minute. */
bool
vdriver_wait(struct vdriver_queue *q, uint32_t *id, uint32_t *len);

/* For rings that are wrong. */
void
vdriver_desc(struct vdriver_queue *q, uint32_t i, uint64_t addr, uint32_t len,
	     uint16_t flags, uint16_t next);
/* A descriptor anywhere in RAM, for indirect tables. */
void
vdriver_desc_at(struct vdriver_env *env, uint64_t gpa, uint64_t addr,
		uint32_t len, uint16_t flags, uint16_t next);
/* The next entry of the available ring, and avail->idx + 1. */
void
vdriver_avail(struct vdriver_queue *q, uint16_t head);
void
vdriver_set_avail_idx(struct vdriver_queue *q, uint16_t idx);
uint16_t
vdriver_used_idx(struct vdriver_queue *q);
void
vdriver_set_used_event(struct vdriver_queue *q, uint16_t value);
uint16_t
vdriver_avail_event(struct vdriver_queue *q);
void
vdriver_set_no_interrupt(struct vdriver_queue *q, bool on);
uint16_t
vdriver_used_flags(struct vdriver_queue *q);

/* PCI configuration space of the function. */
uint32_t
vdriver_pci_read(struct vdriver *d, uint32_t off, uint32_t len);
void
vdriver_pci_write(struct vdriver *d, uint32_t off, uint32_t len, uint32_t val);

#endif
