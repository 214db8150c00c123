/* SPDX-License-Identifier: BSD-3-Clause */
/* The 16550A serial port: registers, and flow control with its stream. */
#include "platform/part.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "loop/call.h"
#include "platform/acpi.h"

#define TX_MAX (64u << 10)
#define RX_MAX 64u

enum {
	RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2,
	LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7
};

#define IER_RDI     0x01u
#define IER_THRI    0x02u
#define IER_RLSI    0x04u
#define IER_MSI     0x08u
#define IIR_NONE    0x01u
#define IIR_THRI    0x02u
#define IIR_RDI     0x04u
#define IIR_RLSI    0x06u
#define IIR_FIFO    0xc0u
#define FCR_ENABLE  0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB    0x80u
#define MCR_LOOP    0x10u
#define LSR_DR      0x01u
#define LSR_OE      0x02u
#define LSR_THRE    0x20u
#define LSR_TEMT    0x40u
#define MSR_IDLE    0xb0u	/* DCD, DSR, CTS: somebody is there */

struct vcore_uart {
	pthread_mutex_t lock;
	_Atomic uint32_t refs;		/* owner, range, timer, stream */
	uint64_t base;
	uint32_t kind;			/* of the bus */
	uint32_t stall_ms;
	struct vcore_range *range;
	struct vcore_irq *irq;
	struct vcore_stream *stream;
	struct vcore_loop *loop;
	struct vcore_source *timer;
	struct vcore__call detach;
	/* registers */
	uint8_t dll, dlm, ier, lcr, mcr, scr;
	bool fifo, thre_pending, overrun;
	uint8_t msr;			/* what changed since it was read */
	uint8_t rx[RX_MAX];
	uint32_t rx_head, rx_count;
	/* output that the stream has not taken */
	uint8_t *tx;
	uint32_t tx_head, tx_count;
	bool busy;			/* transmitter looks busy: tx is full */
	bool dropping;			/* it was too long */
	bool stopped;
	bool eof;			/* no input will come any more */
	uint32_t want;
	uint64_t sent, received, dropped;
};

static void
unref(struct vcore_uart *u)
{
	if (atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) != 1)
		return;
	vcore_irq_unref(u->irq);
	vcore_stream_unref(u->stream);
	vcore_loop_unref(u->loop);
	pthread_mutex_destroy(&u->lock);
	free(u->tx);
	free(u);
}

static void
release(void *opaque)
{
	unref(opaque);
}

/* Upper half of MSR as the pins stand. */
static uint8_t
modem(const struct vcore_uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_IDLE;
	/* DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
	return (uint8_t)((u->mcr & 1) << 5 | (u->mcr & 2) << 3 |
			 (u->mcr & 4) << 4 | (u->mcr & 8) << 4);
}

/* The highest interrupt that is due and enabled. */
static uint8_t
source(const struct vcore_uart *u)
{
	if ((u->ier & IER_RLSI) && u->overrun)
		return IIR_RLSI;
	if ((u->ier & IER_RDI) && u->rx_count)
		return IIR_RDI;
	if ((u->ier & IER_THRI) && u->thre_pending)
		return IIR_THRI;
	if ((u->ier & IER_MSI) && (u->msr & 0x0f))
		return 0;
	return IIR_NONE;
}

static void
update_irq(struct vcore_uart *u)
{
	if (u->irq)
		(void)vcore_irq_set_level(u->irq, source(u) != IIR_NONE);
}

/* Ask the stream for what can be used now. */
static void
update_want(struct vcore_uart *u)
{
	uint32_t want = 0;

	if (!u->stream)
		return;
	if (!u->stopped) {
		if (u->rx_count < RX_MAX && !u->eof)
			want |= VCORE_STREAM_READABLE;
		if (u->tx_count)
			want |= VCORE_STREAM_WRITABLE;
	}
	if (want == u->want)
		return;
	u->want = want;
	(void)vcore_stream_want(u->stream, want);
}

static void
arm(struct vcore_uart *u, bool on)
{
	uint64_t at = 0;

	if (!u->timer || u->stall_ms == UINT32_MAX)
		return;
	if (on)
		at = vcore__now_ns() + (uint64_t)u->stall_ms * 1000000;
	(void)vcore_source_set_timer(u->timer, at);
}

/* The transmitter looks empty again. */
static void
not_busy(struct vcore_uart *u)
{
	u->busy = false;
	u->thre_pending = true;
}

/* Give the stream what it takes. */
static void
flush(struct vcore_uart *u)
{
	uint32_t n;
	int64_t done;

	while (u->tx_count) {
		n = TX_MAX - u->tx_head;
		if (n > u->tx_count)
			n = u->tx_count;
		done = vcore_stream_write(u->stream, u->tx + u->tx_head, n);
		if (done == -EAGAIN || done == -EINTR)
			break;
		if (done <= 0 || done > n) {
			/* Nobody is there: it goes nowhere. */
			u->dropped += u->tx_count;
			u->tx_count = 0;
			break;
		}
		u->sent += (uint64_t)done;
		u->tx_head = (u->tx_head + (uint32_t)done) % TX_MAX;
		u->tx_count -= (uint32_t)done;
	}
	if (u->tx_count > TX_MAX / 2)
		return;
	u->dropping = false;
	if (u->busy) {
		arm(u, false);
		not_busy(u);
	}
}

static void
rx_put(struct vcore_uart *u, uint8_t byte)
{
	if (u->rx_count == RX_MAX) {
		u->overrun = true;
		return;
	}
	u->rx[(u->rx_head + u->rx_count++) % RX_MAX] = byte;
}

static void
transmit(struct vcore_uart *u, uint8_t byte)
{
	u->thre_pending = true;
	if (u->mcr & MCR_LOOP) {
		rx_put(u, byte);
		return;
	}
	if (!u->stream || u->tx_count == TX_MAX) {
		u->dropped++;
		u->thre_pending = !u->busy;
		return;
	}
	u->tx[(u->tx_head + u->tx_count++) % TX_MAX] = byte;
	/* While the stream is known to refuse, its loop says when to go on. */
	if (!(u->want & VCORE_STREAM_WRITABLE))
		flush(u);
	if (u->tx_count == TX_MAX && !u->dropping) {
		u->busy = true;
		u->thre_pending = false;
		arm(u, true);
	}
	update_want(u);
}

static uint8_t
receive(struct vcore_uart *u)
{
	uint8_t byte;

	if (!u->rx_count)
		return 0;
	byte = u->rx[u->rx_head];
	u->rx_head = (u->rx_head + 1) % RX_MAX;
	u->rx_count--;
	update_want(u);
	return byte;
}

static void
set_mcr(struct vcore_uart *u, uint8_t val)
{
	uint8_t now, was = modem(u);

	u->mcr = val & 0x1f;
	now = modem(u);
	/* RI counts when it ends, the others whenever they change. */
	u->msr |= (uint8_t)((now ^ was) >> 4 & 0x0b);
	u->msr |= (uint8_t)((was & ~now) >> 4 & 0x04);
}

static void
set_ier(struct vcore_uart *u, uint8_t val)
{
	/* Enabling it while the transmitter is empty interrupts at once. */
	if ((val & ~u->ier & IER_THRI) && !u->busy)
		u->thre_pending = true;
	u->ier = val & 0x0f;
}

static void
set_fcr(struct vcore_uart *u, uint8_t val)
{
	bool on = (val & FCR_ENABLE) != 0;

	if (on != u->fifo || (val & FCR_CLEAR_RX)) {
		u->rx_count = 0;
		update_want(u);
	}
	u->fifo = on;
}

static uint8_t
read_iir(struct vcore_uart *u)
{
	uint8_t s = source(u);

	if (s == IIR_THRI)
		u->thre_pending = false;
	return (uint8_t)(s | (u->fifo ? IIR_FIFO : 0));
}

static uint8_t
read_lsr(struct vcore_uart *u)
{
	uint32_t s = u->busy ? 0 : LSR_THRE | LSR_TEMT;

	if (u->rx_count)
		s |= LSR_DR;
	if (u->overrun)
		s |= LSR_OE;
	u->overrun = false;
	return (uint8_t)s;
}

static uint8_t
read_msr(struct vcore_uart *u)
{
	uint8_t s = modem(u) | (u->msr & 0x0f);

	u->msr = 0;
	return s;
}

static uint8_t
read_register(struct vcore_uart *u, uint64_t reg)
{
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case RBR:
		return dlab ? u->dll : receive(u);
	case IER:
		return dlab ? u->dlm : u->ier;
	case IIR:
		return read_iir(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static void
write_register(struct vcore_uart *u, uint64_t reg, uint8_t val)
{
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case THR:
		if (dlab)
			u->dll = val;
		else
			transmit(u, val);
		break;
	case IER:
		if (dlab)
			u->dlm = val;
		else
			set_ier(u, val);
		break;
	case FCR:
		set_fcr(u, val);
		break;
	case LCR:
		u->lcr = val;
		break;
	case MCR:
		set_mcr(u, val);
		break;
	case SCR:
		u->scr = val;
		break;
	default:
		break;		/* LSR and MSR are read-only */
	}
}

/* A wide access is one of each register, from the lowest. */
static int
uart_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	  struct vcore_access *later)
{
	struct vcore_uart *u = opaque;
	uint64_t v = 0;
	uint32_t i;

	(void)later;
	pthread_mutex_lock(&u->lock);
	for (i = 0; i < len; i++)
		v |= (uint64_t)read_register(u, off + i) << (8 * i);
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
	*val = v;
	return 0;
}

static int
uart_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	struct vcore_uart *u = opaque;
	uint32_t i;

	(void)later;
	pthread_mutex_lock(&u->lock);
	for (i = 0; i < len; i++)
		write_register(u, off + i, (uint8_t)(val >> (8 * i)));
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
	return 0;
}

/* Runs on loop. */
static void
fill(struct vcore_uart *u)
{
	uint8_t buf[RX_MAX];
	int64_t n, i;

	if (u->rx_count == RX_MAX)
		return;
	n = vcore_stream_read(u->stream, buf, RX_MAX - u->rx_count);
	for (i = 0; i < n; i++)
		rx_put(u, buf[i]);
	if (n > 0)
		u->received += (uint64_t)n;
	else if (n != -EAGAIN && n != -EINTR)
		u->eof = true;
}

/* Runs on loop. */
static void
on_ready(void *opaque, uint32_t ready)
{
	struct vcore_uart *u = opaque;

	pthread_mutex_lock(&u->lock);
	if (!u->stopped) {
		if (ready & (VCORE_STREAM_WRITABLE | VCORE_STREAM_HANGUP))
			flush(u);
		if (ready & VCORE_STREAM_READABLE)
			fill(u);
		update_want(u);
		update_irq(u);
	}
	pthread_mutex_unlock(&u->lock);
}

/* Runs on loop: the stream has refused for too long. */
static void
on_stall(void *opaque, uint32_t ready)
{
	struct vcore_uart *u = opaque;

	(void)ready;
	pthread_mutex_lock(&u->lock);
	if (u->busy) {
		u->dropping = true;
		not_busy(u);
		update_irq(u);
	}
	pthread_mutex_unlock(&u->lock);
}

/* Runs on loop, or where the loop ends. */
static void
on_detach(struct vcore__call *c)
{
	struct vcore_uart *u = VCORE__CONTAINER(c, struct vcore_uart, detach);

	pthread_mutex_lock(&u->lock);
	vcore_stream_detach(u->stream);
	pthread_mutex_unlock(&u->lock);
	unref(u);
}

/*
 * The loop gives the timer's reference back, and then the stream's, when it is
 * dispatched, at the latest at its end: so it must not be kept here.
 */
static void
leave_loop(struct vcore_uart *u, bool attached)
{
	struct vcore_source *timer;
	struct vcore_loop *loop;

	pthread_mutex_lock(&u->lock);
	timer = u->timer;
	loop = u->loop;
	u->timer = NULL;
	u->loop = NULL;
	pthread_mutex_unlock(&u->lock);
	vcore_source_remove(timer);
	if (attached)
		vcore__loop_post(loop, &u->detach);
	vcore_loop_unref(loop);
}

static int
attach_stream(struct vcore_uart *u)
{
	struct vcore_source_opts o;
	int rc;

	if (!u->stream)
		return 0;
	VCORE_INIT(&o);
	o.fd = -1;
	o.fn = on_stall;
	o.opaque = u;
	o.release = release;
	rc = vcore_loop_add(u->loop, &o, &u->timer);
	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_uart_new: no timer");
	atomic_fetch_add(&u->refs, 1);
	/* vCPUs can write already: one at a time with them. */
	pthread_mutex_lock(&u->lock);
	rc = vcore_stream_attach(u->stream, u->loop, on_ready, u);
	pthread_mutex_unlock(&u->lock);
	if (rc < 0) {
		leave_loop(u, false);
		return vcore__err(NULL, rc,
				  "vcore_uart_new: stream: errno %d", -rc);
	}
	atomic_fetch_add(&u->refs, 1);
	return 0;
}

static int
add_range(struct vcore_uart *u, struct vcore_bus *bus)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = uart_read, .write = uart_write,
	};
	struct vcore_range_opts o;
	int rc;

	VCORE_INIT(&o);
	o.base = u->base;
	o.len = 8;
	o.ops = &ops;
	o.opaque = u;
	o.release = release;
	rc = vcore_bus_add(bus, &o, &u->range);
	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_uart_new: base %#llx: %s",
				  (unsigned long long)u->base,
				  rc == -EEXIST ? "in use" : "out of range");
	atomic_fetch_add(&u->refs, 1);
	return 0;
}

static int
check_opts(struct vcore_uart_opts *o, const struct vcore_uart_opts *opts,
	   struct vcore_uart **uart)
{
	int rc;

	if (!opts || !uart)
		return vcore__err(NULL, -EINVAL, "vcore_uart_new: %s is NULL",
				  opts ? "uart" : "opts");
	rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_uart_new: opts: bad size %u or unknown field",
				  opts->size);
	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_uart_new: flags %#x",
				  o->flags);
	if (!o->bus || (o->stream && !o->loop))
		return vcore__err(NULL, -EINVAL, "vcore_uart_new: %s is NULL",
				  o->bus ? "loop" : "bus");
	if (o->irq && !(o->irq->flags & VCORE_IRQ_LINE))
		return vcore__err(NULL, -EINVAL,
				  "vcore_uart_new: irq is a message");
	if (!o->base)
		o->base = 0x3f8;
	if (!o->stall_ms)
		o->stall_ms = 1000;
	return 0;
}

static void
reset(struct vcore_uart *u)
{
	u->dll = 12;			/* 9600 bit/s */
	u->dlm = u->ier = u->lcr = u->scr = 0;
	u->mcr = 0x08;
	u->fifo = u->overrun = false;
	u->thre_pending = false;
	u->msr = 0;
	u->rx_head = u->rx_count = 0;
}

int
vcore_uart_new(const struct vcore_uart_opts *opts, struct vcore_uart **uart)
{
	struct vcore_uart_opts o;
	struct vcore_uart *u;
	int rc;

	rc = check_opts(&o, opts, uart);
	if (rc < 0)
		return rc;
	u = calloc(1, sizeof(*u));
	if (u && o.stream)
		u->tx = malloc(TX_MAX);
	if (!u || (o.stream && !u->tx)) {
		free(u);
		return vcore__err(NULL, -ENOMEM, "vcore_uart_new: no memory");
	}
	pthread_mutex_init(&u->lock, NULL);
	atomic_init(&u->refs, 1);
	u->base = o.base;
	u->kind = vcore__bus_kind(o.bus);
	u->stall_ms = o.stall_ms;
	u->irq = vcore_irq_ref(o.irq);
	u->stream = vcore_stream_ref(o.stream);
	u->loop = o.stream ? vcore_loop_ref(o.loop) : NULL;
	u->detach.fn = on_detach;
	reset(u);
	rc = add_range(u, o.bus);
	if (rc < 0)
		goto err_unref;
	rc = attach_stream(u);
	if (rc < 0)
		goto err_remove;
	pthread_mutex_lock(&u->lock);
	update_want(u);
	pthread_mutex_unlock(&u->lock);
	*uart = u;
	return 0;

err_remove:
	vcore_range_remove(u->range);
err_unref:
	unref(u);
	return rc;
}

void
vcore_uart_free(struct vcore_uart *uart)
{
	if (!uart)
		return;
	vcore_range_remove(uart->range);
	pthread_mutex_lock(&uart->lock);
	uart->stopped = true;
	if (uart->stream)
		flush(uart);
	update_want(uart);
	pthread_mutex_unlock(&uart->lock);
	if (uart->stream)
		leave_loop(uart, true);
	unref(uart);
}

int
vcore_uart_describe(struct vcore_uart *uart, struct vcore_acpi *acpi)
{
	struct vcore__aml *a;
	size_t before, device, resources;
	char name[8];
	int rc;

	if (!uart || !acpi)
		return vcore__err(NULL, -EINVAL,
				  "vcore_uart_describe: %s is NULL",
				  uart ? "acpi" : "uart");
	if (acpi->uarts == 256)
		return vcore__err(NULL, -ENOSPC,
				  "vcore_uart_describe: %u ports",
				  acpi->uarts);
	a = &acpi->sb;
	before = a->len;
	(void)snprintf(name, sizeof(name), "CO%02X", acpi->uarts & 0xffu);
	device = vcore__aml_device(a, name);
	vcore__aml_name_eisaid(a, "_HID", "PNP0501");
	vcore__aml_name_integer(a, "_UID", acpi->uarts);
	vcore__aml_name(a, "_CRS");
	resources = vcore__aml_resources(a);
	if (uart->kind == VCORE_BUS_PIO)
		vcore__aml_io(a, (uint16_t)uart->base, 8);
	else
		vcore__aml_memory64(a, uart->base, 8);
	if (uart->irq)
		vcore__aml_interrupt_edge(a, uart->irq->gsi);
	vcore__aml_resources_end(a, resources);
	vcore__aml_end(a, device);
	rc = vcore__acpi_added(acpi, before, "vcore_uart_describe");
	if (rc == 0)
		acpi->uarts++;
	return rc;
}

int
vcore_uart_get_info(struct vcore_uart *uart, struct vcore_uart_info *info)
{
	struct vcore_uart_info i;

	if (!uart || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_uart_get_info: %s is NULL",
				  uart ? "info" : "uart");
	VCORE_INIT(&i);
	pthread_mutex_lock(&uart->lock);
	i.queued = uart->tx_count;
	i.sent = uart->sent;
	i.received = uart->received;
	i.dropped = uart->dropped;
	pthread_mutex_unlock(&uart->lock);
	if (vcore__sized_return(info, sizeof(i), &i, sizeof(i)) < 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_uart_get_info: info: bad size %u",
				  info->size);
	return 0;
}

static void
set_stopped(struct vcore_uart *u, bool stopped)
{
	pthread_mutex_lock(&u->lock);
	u->stopped = stopped;
	update_want(u);
	pthread_mutex_unlock(&u->lock);
}

/* Callbacks look at `stopped` under the lock: none works after this. */
static void
part_stop(void *p, enum vcore__stop how, struct vcore__call *done)
{
	(void)how;
	set_stopped(p, true);
	vcore__call_done(done, 0);
}

static int
part_start(void *p)
{
	set_stopped(p, false);
	return 0;
}

/* What the guest has sent is on its way and stays. */
static void
part_reset(void *p)
{
	struct vcore_uart *u = p;

	pthread_mutex_lock(&u->lock);
	reset(u);
	update_want(u);
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
}

void
vcore__uart_part(struct vcore_uart *uart, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "uart", .version = 1, .rank = VCORE__RANK_PLATFORM,
		.stop = part_stop, .start = part_start, .reset = part_reset,
	};

	part->ops = &ops;
	part->p = uart;
	(void)snprintf(part->name, sizeof(part->name), "uart@%llx",
		       (unsigned long long)uart->base);
}
