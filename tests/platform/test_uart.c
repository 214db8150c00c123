/* SPDX-License-Identifier: BSD-3-Clause */
/* The serial port: what drivers probe, and a stream that comes and stalls. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <vcore/platform.h>

#include "platform/part.h"
#include "support/ports.h"
#include "support/support.h"

#define BASE 0x3f8
#define QUEUE 65536

/* A stream under the test's control. */
static struct {
	uint8_t wrote[4096];
	uint32_t written;
	int64_t room;		/* bytes it takes; < 0: this error */
	uint8_t input[256];
	uint32_t input_len, input_at;
	int64_t input_end;	/* what read says then */
	vcore_stream_ready_fn ready;
	void *ready_opaque;
	uint32_t want, attached, released;
	int fail_attach;
} end;

static struct vcore_bus *pio;
static struct vcore_loop *loop;
static struct vcore_stream *stream;
static struct vcore_irq *irq;
static struct vcore_uart *uart;
static uint32_t irqs;

static int64_t
end_read(void *opaque, void *buf, uint64_t len)
{
	uint64_t n = end.input_len - end.input_at;

	(void)opaque;
	if (n > len)
		n = len;
	if (n == 0)
		return end.input_end;
	memcpy(buf, end.input + end.input_at, n);
	end.input_at += (uint32_t)n;
	return (int64_t)n;
}

static int64_t
end_write(void *opaque, const void *buf, uint64_t len)
{
	uint64_t i;

	(void)opaque;
	if (end.room < 0)
		return end.room;
	if (end.room == 0)
		return -EAGAIN;
	if (len > (uint64_t)end.room)
		len = (uint64_t)end.room;
	for (i = 0; i < len; i++)
		end.wrote[end.written++ % sizeof(end.wrote)] =
			((const uint8_t *)buf)[i];
	end.room -= (int64_t)len;
	return (int64_t)len;
}

static int
end_attach(void *opaque, struct vcore_loop *l, vcore_stream_ready_fn ready,
	   void *ready_opaque)
{
	(void)opaque;
	(void)l;
	if (end.fail_attach)
		return end.fail_attach;
	end.ready = ready;
	end.ready_opaque = ready_opaque;
	end.attached++;
	return 0;
}

static void
end_detach(void *opaque)
{
	(void)opaque;
	end.ready = NULL;
	end.attached--;
}

static int
end_want(void *opaque, uint32_t events)
{
	(void)opaque;
	end.want = events;
	return 0;
}

static void
end_release(void *opaque)
{
	(void)opaque;
	end.released++;
}

static void
make_stream(void)
{
	static const struct vcore_stream_ops ops = {
		.size = sizeof(ops), .read = end_read, .write = end_write,
		.attach = end_attach, .detach = end_detach, .want = end_want,
	};

	memset(&end, 0, sizeof(end));
	end.room = INT64_MAX;
	end.input_end = -EAGAIN;
	ck_assert_ok(vcore_stream_new(&ops, &end, end_release, &stream));
}

static void
fill(struct vcore_uart_opts *o)
{
	VCORE_INIT(o);
	o->bus = pio;
	o->irq = irq;
	o->stream = stream;
	o->loop = loop;
	o->stall_ms = UINT32_MAX;
}

static void
setup(void)
{
	struct vcore_uart_opts o;

	irqs = 0;
	pio = new_bus(VCORE_BUS_PIO);
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	make_stream();
	irq = counting_line(&irqs, 4);
	fill(&o);
	ck_assert_ok(vcore_uart_new(&o, &uart));
}

static void
teardown(void)
{
	vcore_uart_free(uart);
	vcore_stream_unref(stream);
	vcore_irq_unref(irq);
	/* The last call on the loop, at its end at the latest. */
	vcore_loop_unref(loop);
	ck_assert_uint_eq(end.attached, 0);
	ck_assert_uint_eq(end.released, 1);
	ck_assert_uint_eq(ranges_on(pio), 0);
	vcore_bus_unref(pio);
}

static uint8_t
get(uint32_t reg)
{
	return (uint8_t)in(pio, BASE + reg, 1);
}

static void
set(uint32_t reg, uint8_t val)
{
	out(pio, BASE + reg, 1, val);
}

static struct vcore_uart_info
info(void)
{
	struct vcore_uart_info i;

	VCORE_INIT(&i);
	ck_assert_ok(vcore_uart_get_info(uart, &i));
	return i;
}

static void
type_in(const char *text)
{
	end.input_len = (uint32_t)strlen(text);
	memcpy(end.input, text, end.input_len);
	end.input_at = 0;
	end.ready(end.ready_opaque, VCORE_STREAM_READABLE);
}

/* The steps of Linux's 8250 autoconfig, as far as a 16550A takes them. */
START_TEST(test_linux_finds_a_16550a)
{
	uint8_t lcr;

	set(1, 0);
	ck_assert_uint_eq(get(1) & 0x0f, 0);
	set(1, 0x0f);
	ck_assert_uint_eq(get(1) & 0x0f, 0x0f);
	set(1, 0);
	/* Loopback: OUT2 and RTS come back as DCD and CTS. */
	set(4, 0x1a);
	ck_assert_uint_eq(get(6) & 0xf0, 0x90);
	set(4, 0);
	lcr = get(3);
	set(3, 0xbf);
	set(2, 0);
	set(3, 0);
	set(2, 1);
	ck_assert_uint_eq(get(2) >> 6, 3);
	set(3, lcr);
	/* No sleep register, no UART unit enable bit. */
	set(1, 0x40);
	ck_assert_uint_eq(get(1), 0);
	set(7, 0x5a);
	ck_assert_uint_eq(get(7), 0x5a);
	ck_assert_uint_eq(get(6) & 0xf0, 0xb0);
	ck_assert_uint_eq(get(5), 0x60);
	set(2, 0);
	ck_assert_uint_eq(get(2), 0x01);
}
END_TEST

START_TEST(test_divisor_is_kept)
{
	set(3, 0x83);
	ck_assert_uint_eq(get(0), 12);
	set(0, 1);
	set(1, 2);
	ck_assert_uint_eq(get(0), 1);
	ck_assert_uint_eq(get(1), 2);
	set(3, 0x03);
	ck_assert_uint_eq(get(1), 0);
	ck_assert_uint_eq(end.written, 0);
}
END_TEST

START_TEST(test_output_reaches_the_stream)
{
	const char *p;

	for (p = "hello"; *p; p++)
		set(0, (uint8_t)*p);
	ck_assert_uint_eq(end.written, 5);
	ck_assert_mem_eq(end.wrote, "hello", 5);
	ck_assert_uint_eq(info().sent, 5);
	ck_assert_uint_eq(info().queued, 0);
}
END_TEST

START_TEST(test_transmitter_interrupts_when_enabled_and_after_each_byte)
{
	set(1, 0x02);
	ck_assert_uint_eq(irqs, 1);
	ck_assert_uint_eq(get(2), 0x02);
	ck_assert_uint_eq(get(2), 0x01);
	set(0, 'x');
	ck_assert_uint_eq(irqs, 2);
	ck_assert_uint_eq(get(2), 0x02);
	/* Switched off and on again: Linux looks for that. */
	set(1, 0);
	set(1, 0x02);
	ck_assert_uint_eq(irqs, 3);
	ck_assert_uint_eq(get(2), 0x02);
}
END_TEST

START_TEST(test_input_interrupts_until_it_is_read)
{
	set(1, 0x01);
	ck_assert_uint_eq(irqs, 0);
	type_in("ab");
	ck_assert_uint_eq(irqs, 1);
	ck_assert_uint_eq(get(5) & 1, 1);
	ck_assert_uint_eq(get(2), 0x04);
	ck_assert_uint_eq(get(0), 'a');
	ck_assert_uint_eq(get(2), 0x04);
	ck_assert_uint_eq(get(0), 'b');
	ck_assert_uint_eq(get(2), 0x01);
	ck_assert_uint_eq(get(5) & 1, 0);
	ck_assert_uint_eq(get(0), 0);
	type_in("c");
	ck_assert_uint_eq(irqs, 2);
	ck_assert_uint_eq(info().received, 3);
}
END_TEST

START_TEST(test_input_is_taken_as_the_guest_reads)
{
	char text[201];
	uint32_t i;

	memset(text, 'x', 200);
	text[200] = 0;
	ck_assert_uint_eq(end.want, VCORE_STREAM_READABLE);
	type_in(text);
	/* Full: it stays with the stream. */
	ck_assert_uint_eq(end.want, 0);
	ck_assert_uint_lt(end.input_at, 200);
	for (i = 0; i < 200; i++) {
		ck_assert_uint_eq(get(0), 'x');
		ck_assert_uint_eq(end.want, VCORE_STREAM_READABLE);
		end.ready(end.ready_opaque, VCORE_STREAM_READABLE);
	}
	ck_assert_uint_eq(end.input_at, 200);
	ck_assert_uint_eq(get(5) & 3, 0);
	ck_assert_uint_eq(info().received, 200);
}
END_TEST

START_TEST(test_input_that_ended_is_not_asked_for)
{
	end.input_end = 0;
	type_in("");
	ck_assert_uint_eq(end.want, 0);
	set(0, 'x');
	ck_assert_uint_eq(end.written, 1);
}
END_TEST

START_TEST(test_loopback_stays_inside)
{
	uint32_t i;

	set(4, 0x10);
	set(0, 'q');
	ck_assert_uint_eq(end.written, 0);
	ck_assert_uint_eq(get(5) & 1, 1);
	ck_assert_uint_eq(get(0), 'q');
	for (i = 0; i < 65; i++)
		set(0, (uint8_t)i);
	ck_assert_uint_eq(get(5) & 2, 2);
	ck_assert_uint_eq(get(5) & 2, 0);
	set(2, 0x03);
	ck_assert_uint_eq(get(5) & 1, 0);
}
END_TEST

START_TEST(test_modem_changes_interrupt)
{
	set(4, 0x10);
	(void)get(6);
	set(1, 0x08);
	ck_assert_uint_eq(irqs, 0);
	set(4, 0x11);
	ck_assert_uint_eq(irqs, 1);
	ck_assert_uint_eq(get(2), 0);
	ck_assert_uint_eq(get(6), 0x22);
	ck_assert_uint_eq(get(2), 1);
	/* RI counts at its end. */
	set(4, 0x15);
	ck_assert_uint_eq(get(6), 0x60);
	set(4, 0x11);
	ck_assert_uint_eq(get(6), 0x24);
}
END_TEST

START_TEST(test_slow_stream_gets_all_in_order)
{
	uint32_t i, n = 3000;

	end.room = 0;
	for (i = 0; i < n; i++)
		set(0, (uint8_t)i);
	ck_assert_uint_eq(get(5), 0x60);
	ck_assert_uint_eq(info().queued, n);
	ck_assert_uint_eq(end.want,
			  VCORE_STREAM_READABLE | VCORE_STREAM_WRITABLE);
	while (end.written < n) {
		end.room = 7;
		end.ready(end.ready_opaque, VCORE_STREAM_WRITABLE);
	}
	ck_assert_uint_eq(end.want, VCORE_STREAM_READABLE);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(end.wrote[i], (uint8_t)i);
	ck_assert_uint_eq(info().dropped, 0);
}
END_TEST

static void
jam(void)
{
	uint32_t i;

	end.room = 0;
	for (i = 0; i < QUEUE; i++)
		set(0, (uint8_t)i);
}

START_TEST(test_full_queue_holds_the_transmitter)
{
	jam();
	ck_assert_uint_eq(get(5), 0);
	set(1, 0x02);
	ck_assert_uint_eq(irqs, 0);
	ck_assert_uint_eq(get(2), 1);
	/* Who writes all the same loses it. */
	set(0, 'x');
	ck_assert_uint_eq(info().dropped, 1);
	ck_assert_uint_eq(info().queued, QUEUE);
	/* Not at each byte: when half of it has gone. */
	end.room = 100;
	end.ready(end.ready_opaque, VCORE_STREAM_WRITABLE);
	ck_assert_uint_eq(get(5), 0);
	end.room = QUEUE / 2;
	end.ready(end.ready_opaque, VCORE_STREAM_WRITABLE);
	ck_assert_uint_eq(get(5), 0x60);
	ck_assert_uint_eq(irqs, 1);
	ck_assert_uint_eq(get(2), 2);
}
END_TEST

START_TEST(test_stalled_stream_drops_after_its_time)
{
	struct vcore_uart_opts o;

	vcore_uart_free(uart);
	while (end.attached)
		ck_assert_int_ge(vcore_loop_dispatch(loop, -1), 0);
	fill(&o);
	o.stall_ms = 1;
	ck_assert_ok(vcore_uart_new(&o, &uart));
	jam();
	set(1, 0x02);
	while (!(get(5) & 0x20))
		ck_assert_int_ge(vcore_loop_dispatch(loop, -1), 0);
	ck_assert_uint_eq(irqs, 1);
	set(0, 'x');
	set(0, 'y');
	ck_assert_uint_eq(get(5), 0x60);
	ck_assert_uint_eq(info().dropped, 2);
	/* It takes some again: nothing is dropped any more. */
	end.room = INT64_MAX;
	end.ready(end.ready_opaque, VCORE_STREAM_WRITABLE);
	set(0, 'z');
	ck_assert_uint_eq(info().dropped, 2);
	ck_assert_uint_eq(info().sent, QUEUE + 1);
}
END_TEST

START_TEST(test_absent_peer_drops_at_once)
{
	end.room = -EPIPE;
	set(0, 'x');
	ck_assert_uint_eq(info().dropped, 1);
	ck_assert_uint_eq(info().queued, 0);
	ck_assert_uint_eq(get(5), 0x60);
	/* It may come back. */
	end.room = 10;
	set(0, 'y');
	ck_assert_uint_eq(end.written, 1);
}
END_TEST

START_TEST(test_no_stream_drops_output)
{
	struct vcore_uart *u;
	struct vcore_uart_opts o;
	struct vcore_uart_info i;

	VCORE_INIT(&o);
	o.bus = pio;
	o.base = 0x2f8;
	ck_assert_ok(vcore_uart_new(&o, &u));
	out(pio, 0x2f8, 1, 'x');
	ck_assert_uint_eq(in(pio, 0x2fd, 1), 0x60);
	VCORE_INIT(&i);
	ck_assert_ok(vcore_uart_get_info(u, &i));
	ck_assert_uint_eq(i.dropped, 1);
	vcore_uart_free(u);
}
END_TEST

START_TEST(test_mmio_port_works)
{
	struct vcore_bus *mmio = new_bus(VCORE_BUS_MMIO);
	struct vcore_uart *u;
	struct vcore_uart_opts o;

	VCORE_INIT(&o);
	o.bus = mmio;
	o.base = UINT64_C(0x100000000);
	ck_assert_ok(vcore_uart_new(&o, &u));
	out(mmio, o.base + 7, 1, 0x77);
	ck_assert_uint_eq(in(mmio, o.base + 7, 1), 0x77);
	vcore_uart_free(u);
	vcore_bus_unref(mmio);
}
END_TEST

START_TEST(test_wide_access_is_one_of_each_register)
{
	set(3, 0x80);
	out(pio, BASE, 2, 0x1234);
	ck_assert_uint_eq(in(pio, BASE, 2), 0x1234);
	set(3, 0x00);
	out(pio, BASE + 6, 2, 0xab00);
	ck_assert_uint_eq(get(7), 0xab);
}
END_TEST

START_TEST(test_any_access_is_survived)
{
	end.room = 100;
	poke_everywhere(pio, BASE, 8);
	set(3, 0);
	set(4, 0);
	set(1, 0);
	end.room = INT64_MAX;
	if (end.want & VCORE_STREAM_WRITABLE)
		end.ready(end.ready_opaque, VCORE_STREAM_WRITABLE);
	ck_assert_uint_eq(get(5) & 0x60, 0x60);
	set(0, 'x');
	ck_assert_uint_eq(end.wrote[(end.written - 1) % sizeof(end.wrote)],
			  'x');
}
END_TEST

static void
count_done(struct vcore__call *c)
{
	c->state++;
}

START_TEST(test_stopped_part_leaves_the_stream_alone)
{
	struct vcore__call done = { .fn = count_done };
	struct vcore__part part;

	vcore__uart_part(uart, &part);
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_PLATFORM);
	end.room = 0;
	set(0, 'x');
	part.ops->stop(part.p, VCORE__PARK, &done);
	ck_assert_uint_eq(done.state, 1);
	ck_assert_int_eq(done.rc, 0);
	ck_assert_uint_eq(end.want, 0);
	end.room = 100;
	type_in("abc");
	end.ready(end.ready_opaque, VCORE_STREAM_WRITABLE);
	ck_assert_uint_eq(end.input_at, 0);
	ck_assert_uint_eq(end.written, 0);
	ck_assert_int_eq(part.ops->start(part.p), 0);
	ck_assert_uint_eq(end.want,
			  VCORE_STREAM_READABLE | VCORE_STREAM_WRITABLE);
	end.ready(end.ready_opaque, end.want);
	ck_assert_uint_eq(end.written, 1);
	ck_assert_uint_eq(end.input_at, 3);
}
END_TEST

START_TEST(test_reset_part_is_as_new_and_keeps_output)
{
	struct vcore__part part;

	vcore__uart_part(uart, &part);
	end.room = 0;
	set(0, 'x');
	type_in("abc");
	set(1, 0x0f);
	set(3, 0x1b);
	set(7, 0x11);
	part.ops->reset(part.p);
	ck_assert_uint_eq(get(1), 0);
	ck_assert_uint_eq(get(3), 0);
	ck_assert_uint_eq(get(5), 0x60);
	ck_assert_uint_eq(get(7), 0);
	ck_assert_uint_eq(info().queued, 1);
}
END_TEST

START_TEST(test_bad_ports_are_refused_and_take_nothing)
{
	struct vcore_uart *u = NULL;
	struct vcore_uart_opts o;
	struct vcore_uart_info i;
	uint32_t before = ranges_on(pio);

	fill(&o);
	ck_assert_error(vcore_uart_new(NULL, &u), -EINVAL, "vcore_uart_new: ");
	ck_assert_error(vcore_uart_new(&o, NULL), -EINVAL, "vcore_uart_new: ");
	ck_assert_error(vcore_uart_new(&o, &u), -EEXIST, "vcore_uart_new: ");
	o.base = 0x2f8;
	/* vcore_stream_attach: one user at a time. */
	ck_assert_error(vcore_uart_new(&o, &u), -EBUSY, "vcore_uart_new: ");
	o.base = 0xfffe;
	ck_assert_error(vcore_uart_new(&o, &u), -EINVAL, "vcore_uart_new: ");
	fill(&o);
	o.loop = NULL;
	ck_assert_error(vcore_uart_new(&o, &u), -EINVAL, "vcore_uart_new: ");
	o.bus = NULL;
	ck_assert_error(vcore_uart_new(&o, &u), -EINVAL, "vcore_uart_new: ");
	fill(&o);
	o.flags = 1;
	ck_assert_error(vcore_uart_new(&o, &u), -E2BIG, "vcore_uart_new: ");
	o.size = 1;
	ck_assert_error(vcore_uart_new(&o, &u), -EINVAL, "vcore_uart_new: ");
	ck_assert_uint_eq(ranges_on(pio), before);
	ck_assert_ptr_null(u);
	VCORE_INIT(&i);
	ck_assert_error(vcore_uart_get_info(NULL, &i), -EINVAL,
			"vcore_uart_get_info: ");
	ck_assert_error(vcore_uart_get_info(uart, NULL), -EINVAL,
			"vcore_uart_get_info: ");
	i.size = 1;
	ck_assert_error(vcore_uart_get_info(uart, &i), -EINVAL,
			"vcore_uart_get_info: ");
	ck_assert_error(vcore_uart_describe(uart, NULL), -EINVAL,
			"vcore_uart_describe: ");
	ck_assert_error(vcore_uart_describe(NULL, NULL), -EINVAL,
			"vcore_uart_describe: ");
	vcore_uart_free(NULL);
}
END_TEST

/* A vCPU that prints, a loop that serves a ring, a port that goes away. */

static _Atomic uint32_t stop;

static void *
printer(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		(void)vcore_bus_write(pio, 0x2f8, 1, 'x');
		(void)vcore_bus_write(pio, 0x2f9, 1, 0x0f);
		(void)vcore_bus_read(pio, 0x2fa, 1, &(uint64_t){ 0 });
		(void)vcore_bus_read(pio, 0x2f8, 1, &(uint64_t){ 0 });
	}
	return NULL;
}

static void *
server(void *arg)
{
	(void)arg;
	(void)vcore_loop_run(loop);
	return NULL;
}

START_TEST(test_port_goes_while_vcpus_and_loop_use_it)
{
	struct vcore_stream *ring;
	struct vcore_uart_opts o;
	struct vcore_uart *u;
	struct vcore_uart_info i;
	pthread_t t[2];
	uint8_t buf[4096];
	uint32_t n;
	int rc;

	atomic_store(&stop, 0);
	ck_assert_ok(vcore_stream_new_ring(sizeof(buf), &ring));
	ck_assert_int_eq(pthread_create(&t[0], NULL, printer, NULL), 0);
	ck_assert_int_eq(pthread_create(&t[1], NULL, server, NULL), 0);
	for (n = 0; n < 50; n++) {
		fill(&o);
		o.base = 0x2f8;
		o.stream = ring;
		o.stall_ms = 1;
		/* The last port leaves the ring on the loop, a bit later. */
		while ((rc = vcore_uart_new(&o, &u)) == -EBUSY)
			sched_yield();
		ck_assert_int_eq(rc, 0);
		(void)vcore_stream_ring_write(ring, "input", 5);
		do {
			VCORE_INIT(&i);
			ck_assert_ok(vcore_uart_get_info(u, &i));
			sched_yield();
		} while (i.sent == 0);
		(void)vcore_stream_ring_read(ring, buf, sizeof(buf));
		vcore_uart_free(u);
	}
	atomic_store(&stop, 1);
	vcore_loop_quit(loop);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	/* The last port gives the ring up here; until then that keeps the loop. */
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	vcore_stream_unref(ring);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("uart");
	TCase *t = tcase_create("uart");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_linux_finds_a_16550a);
	tcase_add_test(t, test_divisor_is_kept);
	tcase_add_test(t, test_output_reaches_the_stream);
	tcase_add_test(
		t,
		test_transmitter_interrupts_when_enabled_and_after_each_byte);
	tcase_add_test(t, test_input_interrupts_until_it_is_read);
	tcase_add_test(t, test_input_is_taken_as_the_guest_reads);
	tcase_add_test(t, test_input_that_ended_is_not_asked_for);
	tcase_add_test(t, test_loopback_stays_inside);
	tcase_add_test(t, test_modem_changes_interrupt);
	tcase_add_test(t, test_slow_stream_gets_all_in_order);
	tcase_add_test(t, test_full_queue_holds_the_transmitter);
	tcase_add_test(t, test_stalled_stream_drops_after_its_time);
	tcase_add_test(t, test_absent_peer_drops_at_once);
	tcase_add_test(t, test_no_stream_drops_output);
	tcase_add_test(t, test_mmio_port_works);
	tcase_add_test(t, test_wide_access_is_one_of_each_register);
	tcase_add_test(t, test_any_access_is_survived);
	tcase_add_test(t, test_stopped_part_leaves_the_stream_alone);
	tcase_add_test(t, test_reset_part_is_as_new_and_keeps_output);
	tcase_add_test(t, test_bad_ports_are_refused_and_take_nothing);
	tcase_add_test(t, test_port_goes_while_vcpus_and_loop_use_it);
	suite_add_tcase(s, t);
	return support_run(s);
}
