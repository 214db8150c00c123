/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the console device: what its files share. */
#ifndef VCORE_LIB_DEVICES_CONSOLE_H
#define VCORE_LIB_DEVICES_CONSOLE_H

#include <linux/virtio_console.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/console.h>

#define VCORE__CONSOLE_PORTS 31u
#define VCORE__CONSOLE_NAME  64u	/* with the NUL */
/* What one callback moves at most before others get their turn. */
#define VCORE__CONSOLE_BYTES  (64u << 10)
#define VCORE__CONSOLE_CHAINS 64u

/*
 * Messages that a port owes the driver. Each is sent, once, when the driver has
 * a buffer for it: so however often something happens, they stay few. In this
 * order; 5.3.6.2.
 */
#define VCORE__CONSOLE_ADD     (1u << 0)
#define VCORE__CONSOLE_CONSOLE (1u << 1)
#define VCORE__CONSOLE_RESIZE  (1u << 2)
#define VCORE__CONSOLE_NAMED   (1u << 3)
#define VCORE__CONSOLE_OPEN    (1u << 4)
#define VCORE__CONSOLE_LAST    VCORE__CONSOLE_OPEN

struct vcore__console;

/* Everything belongs to the loop, but what is atomic or fixed. */
struct vcore__console_port {
	struct vcore__console *console;
	uint32_t index, flags;
	struct vcore_stream *stream;	/* NULL: none */
	char name[VCORE__CONSOLE_NAME];
	_Atomic uint32_t size;		/* rows << 16 | cols */
	_Atomic uint32_t due;		/* VCORE__CONSOLE_*: messages to send */
	struct vcore_virtqueue *rx, *tx;	/* NULL: stopped */
	bool attached;			/* to the stream */
	bool known;			/* the driver is ready for it */
	bool guest_open;		/* the driver has it open */
	bool host_open;			/* the stream's other end is there */
	bool ended;			/* no more input, ever */
	bool starved;			/* no buffers for input */
	bool blocked;			/* the stream takes no output now */
	uint32_t wanted;		/* of the stream */
	uint64_t sent;			/* bytes of the first chain in tx */
};

struct vcore__console {
	struct vcore_virtio *virtio;	/* back: it owns us */
	uint32_t ports;
	bool multiport;			/* offered */
	bool sized;			/* F_SIZE offered */
	uint64_t features;		/* negotiated; fixed while queues run */
	struct vcore_loop *loop;	/* of all queues; while one runs */
	uint32_t running;		/* queues */
	struct vcore_virtqueue *control;	/* to the driver; NULL: stopped */
	uint8_t buf[4096];
	struct vcore__console_port port[];
};

static inline bool
vcore__console_is_multiport(const struct vcore__console *c)
{
	return (c->features & (1u << VIRTIO_CONSOLE_F_MULTIPORT)) != 0;
}

/* console_port.c, on the loop */
/* One of the port's queues was started. */
int
vcore__console_port_start(struct vcore__console_port *p,
			  struct vcore_virtqueue *q, bool tx);
/* ... is stopped; how: VCORE_VIRTIO_STOP_* */
void
vcore__console_port_stop(struct vcore__console_port *p, bool tx, uint32_t how);
/* The driver has new buffers in rx, or output in tx. */
void
vcore__console_port_kick(struct vcore__console_port *p, bool tx);
/* The driver has opened or closed it. */
void
vcore__console_port_open(struct vcore__console_port *p, bool open);

/* console_ctrl.c, on the loop */
/* Send the messages that are due, as far as there are buffers. */
void
vcore__console_tell(struct vcore__console *c);
/* What the driver says. */
void
vcore__console_hear(struct vcore__console *c, struct vcore_virtqueue *q);

#endif
