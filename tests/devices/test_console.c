/* SPDX-License-Identifier: BSD-3-Clause */
/* The console: ports, their control protocol, and what a guest can do to it. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>

#include <vcore/console.h>
#include <vcore/rng.h>

#include "support/fake_stream.h"
#include "support/support.h"
#include "support/vdriver.h"

#define F_SIZE      (UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE)
#define F_MULTIPORT (UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT)
#define PORTS       3u
#define CTRL_RX     2u
#define CTRL_TX     3u

static struct vdriver_env env;
static struct vdriver d;
static struct fake_stream streams[PORTS];
static struct vcore_virtio *virtio;

/* Queues of a port. */
static struct vdriver_queue *
rx(uint32_t port)
{
	return &d.queue[port ? 2 * port + 2 : 0];
}

static struct vdriver_queue *
tx(uint32_t port)
{
	return &d.queue[port ? 2 * port + 3 : 1];
}

static void
make(uint32_t count, uint16_t cols, uint16_t rows)
{
	struct vcore_console_port ports[PORTS];
	struct vcore_console_opts o;

	memset(ports, 0, sizeof(ports));
	vdriver_env_init(&env, 0);
	for (uint32_t i = 0; i < PORTS; i++) {
		fake_stream_init(&streams[i]);
		ports[i].stream = streams[i].stream;
	}
	ports[0].flags = VCORE_CONSOLE_PORT_CONSOLE;
	ports[1].name = "org.example.agent";
	VCORE_INIT(&o);
	o.ports = ports;
	o.port_count = count;
	o.cols = cols;
	o.rows = rows;
	ck_assert_ok(vcore_console_new(&o, &virtio));
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
}

static void
start(uint32_t queues, uint64_t without)
{
	ck_assert(vdriver_begin(&d, without));
	for (uint32_t i = 0; i < queues; i++)
		ck_assert(vdriver_queue(&d, i, 64));
	vdriver_ok(&d);
}

static void
single(void)
{
	make(1, 0, 0);
	start(2, 0);
}

static void
teardown(void)
{
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	vdriver_env_fini(&env);
	for (uint32_t i = 0; i < PORTS; i++)
		fake_stream_fini(&streams[i]);
}

static bool
is_broken(void)
{
	return (vdriver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

static uint64_t
add_in(struct vdriver_queue *q, uint32_t len)
{
	struct vdriver_buf buf = { .gpa = vdriver_alloc(&env, len, 1),
				   .len = len, .write = true };

	vdriver_add(q, &buf, 1);
	return buf.gpa;
}

static void
kick(struct vdriver_queue *q)
{
	vdriver_kick(q);
	vdriver_run(&env);
}

static void
add_out(struct vdriver_queue *q, const void *bytes, uint32_t len)
{
	struct vdriver_buf buf = { .gpa = vdriver_alloc(&env, len, 1),
				   .len = len };

	memcpy(vdriver_ram(&env, buf.gpa), bytes, len);
	vdriver_add(q, &buf, 1);
}

/* A control message of the driver. */
static void
say(uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control m = {
		.id = htole32(id), .event = htole16(event),
		.value = htole16(value),
	};

	add_out(&d.queue[CTRL_TX], &m, sizeof(m));
	kick(&d.queue[CTRL_TX]);
	ck_assert(vdriver_used(&d.queue[CTRL_TX], NULL, NULL));
}

/* Where the buffers for messages of the device are. */
static uint64_t control_at[64];

static void
add_control(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = d.queue[CTRL_RX].next_desc;

		control_at[slot] = add_in(&d.queue[CTRL_RX], 128);
	}
	kick(&d.queue[CTRL_RX]);
}

/* The next message of the device: its body is put into `body`. */
static bool
hear(struct virtio_console_control *m, char body[129])
{
	uint32_t id, len;
	char *at;

	if (!vdriver_used(&d.queue[CTRL_RX], &id, &len))
		return false;
	ck_assert_uint_ge(len, sizeof(*m));
	ck_assert_uint_le(len, 128);
	at = vdriver_ram(&env, control_at[id]);
	memcpy(m, at, sizeof(*m));
	memset(body, 0, 129);
	memcpy(body, at + sizeof(*m), len - sizeof(*m));
	return true;
}

static void
expect(uint32_t id, uint16_t event, uint16_t value, const char *text)
{
	struct virtio_console_control m;
	char body[129];

	ck_assert(hear(&m, body));
	ck_assert_uint_eq(le32toh(m.id), id);
	ck_assert_uint_eq(le16toh(m.event), event);
	ck_assert_uint_eq(le16toh(m.value), value);
	ck_assert_str_eq(body, text);
}

static void
expect_nothing(void)
{
	struct virtio_console_control m;
	char body[129];

	ck_assert(!hear(&m, body));
}

/* All ports are known to the driver, and open. */
static void
multi(uint16_t cols, uint16_t rows)
{
	struct virtio_console_control m;
	char body[129];

	make(PORTS, cols, rows);
	start(2 * (PORTS + 1), 0);
	add_control(60);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t i = 0; i < PORTS; i++) {
		say(i, VIRTIO_CONSOLE_PORT_READY, 1);
		say(i, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	while (hear(&m, body))
		;
}

START_TEST(test_new_refuses_bad_options)
{
	static char long_name[65];
	struct vcore_console_port port = { .flags = 0 };
	struct vcore_console_opts o;
	struct vcore_virtio *v = NULL;

	VCORE_INIT(&o);
	o.ports = &port;
	o.port_count = 1;
	ck_assert_error(vcore_console_new(&o, NULL), -EINVAL,
			"vcore_console_new: virtio");
	ck_assert_error(vcore_console_new(NULL, &v), -EINVAL,
			"vcore_console_new: opts");
	o.port_count = 0;
	ck_assert_error(vcore_console_new(&o, &v), -EINVAL,
			"vcore_console_new: ports");
	o.port_count = 32;
	ck_assert_error(vcore_console_new(&o, &v), -EINVAL,
			"vcore_console_new: ports");
	o.port_count = 1;
	o.ports = NULL;
	ck_assert_error(vcore_console_new(&o, &v), -EINVAL,
			"vcore_console_new: ports");
	o.ports = &port;
	o.flags = 1;
	ck_assert_error(vcore_console_new(&o, &v), -E2BIG,
			"vcore_console_new: flags");
	o.flags = 0;
	o.queue_size = 3;
	ck_assert_error(vcore_console_new(&o, &v), -EINVAL,
			"vcore_console_new: ");
	o.queue_size = 0;
	port.flags = 2;
	ck_assert_error(vcore_console_new(&o, &v), -E2BIG,
			"vcore_console_new: port 0: flags");
	port.flags = 0;
	port.name = "";
	ck_assert_error(vcore_console_new(&o, &v), -EINVAL,
			"vcore_console_new: port 0: name");
	memset(long_name, 'x', 64);
	port.name = long_name;
	ck_assert_error(vcore_console_new(&o, &v), -EINVAL,
			"vcore_console_new: port 0: name");
	long_name[63] = '\0';
	ck_assert_ptr_null(v);
	ck_assert_ok(vcore_console_new(&o, &v));
	vcore_virtio_unref(v);
}
END_TEST

START_TEST(test_new_releases_everything_when_memory_is_short)
{
	struct vcore_console_port port = { .flags = 0 };
	struct vcore_console_opts o;
	struct vcore_virtio *v;
	bool failed = true;
	int rc;

	fake_stream_init(&streams[0]);
	port.stream = streams[0].stream;
	VCORE_INIT(&o);
	o.ports = &port;
	o.port_count = 1;
	for (unsigned int n = 1; failed; n++) {
		v = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_console_new(&o, &v);
		failed = fail_stop();
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		vcore_virtio_unref(v);
	}
	fake_stream_fini(&streams[0]);
}
END_TEST

START_TEST(test_single_console_has_two_queues_and_no_multiport)
{
	single();
	ck_assert_uint_eq(vdriver_device_features(&d) & (F_SIZE | F_MULTIPORT),
			  0);
	ck_assert_uint_eq(vdriver_queue_max(&d, 1), 64);
	ck_assert_uint_eq(vdriver_queue_max(&d, 2), 0);
}
END_TEST

START_TEST(test_single_console_passes_bytes_both_ways)
{
	uint64_t at;
	uint32_t used;

	single();
	at = add_in(rx(0), 100);
	kick(rx(0));
	fake_stream_put(&streams[0], "hello", 5);
	vdriver_run(&env);
	ck_assert(vdriver_used(rx(0), NULL, &used));
	ck_assert_uint_eq(used, 5);
	ck_assert_int_eq(memcmp(vdriver_ram(&env, at), "hello\0", 6), 0);
	add_out(tx(0), "world", 5);
	kick(tx(0));
	ck_assert(vdriver_used(tx(0), NULL, &used));
	ck_assert_uint_eq(used, 0);
	ck_assert_uint_eq(streams[0].out_len, 5);
	ck_assert_int_eq(memcmp(streams[0].out, "world", 5), 0);
}
END_TEST

/* Hostile case 63: input is taken only as far as there are buffers. */
START_TEST(test_input_flood_stays_in_the_stream)
{
	static uint8_t bytes[100000];
	uint32_t used, total = 0;

	single();
	fake_stream_put(&streams[0], bytes, sizeof(bytes));
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].in_at, 0);
	ck_assert_uint_eq(streams[0].want, 0);
	for (uint32_t i = 0; i < 30; i++) {
		add_in(rx(0), 16);
		kick(rx(0));
		ck_assert(vdriver_used(rx(0), NULL, &used));
		total += used;
		ck_assert_uint_eq(streams[0].in_at, total);
	}
}
END_TEST

/* All descriptors of the queue are chains of one byte. */
START_TEST(test_as_many_chains_as_fit_are_served_in_turn)
{
	uint8_t bytes[100];
	uint64_t at[64];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	single();
	for (uint32_t i = 0; i < 64; i++)
		at[i] = add_in(rx(0), 1);
	kick(rx(0));
	fake_stream_put(&streams[0], bytes, sizeof(bytes));
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].in_at, 64);
	for (uint32_t i = 0; i < 64; i++) {
		ck_assert(vdriver_used(rx(0), NULL, NULL));
		ck_assert_uint_eq(*(uint8_t *)vdriver_ram(&env, at[i]), i);
	}
	for (uint32_t i = 0; i < 64; i++)
		add_out(tx(0), &bytes[i], 1);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 64);
	ck_assert_int_eq(memcmp(streams[0].out, bytes, 64), 0);
}
END_TEST

/* More in one chain than is copied at once, and more than a turn takes. */
START_TEST(test_large_input_yields_and_is_complete)
{
	static uint8_t bytes[200000];
	uint64_t at[64], got = 0;
	uint32_t used;

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	single();
	for (uint32_t i = 0; i < 64; i++)
		at[i] = add_in(rx(0), 8192);
	kick(rx(0));
	fake_stream_put(&streams[0], bytes, sizeof(bytes));
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].in_at, sizeof(bytes));
	for (uint32_t i = 0; vdriver_used(rx(0), NULL, &used); i++) {
		ck_assert_uint_le(used, 4096);
		ck_assert_int_eq(memcmp(vdriver_ram(&env, at[i]), bytes + got,
					used), 0);
		got += used;
	}
	ck_assert_uint_eq(got, sizeof(bytes));
	/* Several turns, so that others have theirs. */
	ck_assert_uint_ge(streams[0].calls, 3);
}
END_TEST

START_TEST(test_input_end_is_no_end_of_output)
{
	single();
	add_in(rx(0), 16);
	kick(rx(0));
	streams[0].ended = true;
	fake_stream_put(&streams[0], "", 0);
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].want, 0);
	ck_assert(!vdriver_used(rx(0), NULL, NULL));
	add_out(tx(0), "x", 1);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 1);
}
END_TEST

START_TEST(test_input_chain_without_room_needs_reset)
{
	single();
	add_out(rx(0), "x", 1);
	kick(rx(0));
	fake_stream_put(&streams[0], "a", 1);
	vdriver_run(&env);
	ck_assert(is_broken());
	start(2, 0);
	add_in(rx(0), 16);
	kick(rx(0));
	ck_assert(vdriver_used(rx(0), NULL, NULL));
}
END_TEST

/* Hostile case 63: output to a blocked stream waits, a piece at a time. */
START_TEST(test_output_waits_for_a_blocked_stream_and_keeps_its_place)
{
	static uint8_t bytes[10000];

	single();
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	streams[0].room = 100;
	add_out(tx(0), bytes, 5000);
	add_out(tx(0), bytes + 5000, 5000);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 100);
	ck_assert(!vdriver_used(tx(0), NULL, NULL));
	ck_assert_uint_eq(streams[0].want & VCORE_STREAM_WRITABLE,
			  VCORE_STREAM_WRITABLE);
	for (uint32_t i = 1; i < 100; i++) {
		fake_stream_make_room(&streams[0], 100);
		vdriver_run(&env);
		ck_assert_uint_eq(streams[0].out_len, 100 * (i + 1));
	}
	ck_assert_uint_eq(vdriver_used_idx(tx(0)), 2);
	ck_assert_int_eq(memcmp(streams[0].out, bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(streams[0].want & VCORE_STREAM_WRITABLE, 0);
}
END_TEST

START_TEST(test_output_that_waits_survives_a_pause)
{
	single();
	streams[0].room = 3;
	add_out(tx(0), "abcdef", 6);
	kick(tx(0));
	ck_assert_int_eq(vcore_virtio_stop(virtio, VCORE_VIRTIO_STOP_PARK, 1),
			 -ETIMEDOUT);
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].attaches, 2);
	fake_stream_make_room(&streams[0], 100);
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].out_len, 6);
	ck_assert_int_eq(memcmp(streams[0].out, "abcdef", 6), 0);
}
END_TEST

START_TEST(test_output_that_waits_is_forgotten_by_reset)
{
	single();
	streams[0].room = 3;
	add_out(tx(0), "abcdef", 6);
	kick(tx(0));
	start(2, 0);
	fake_stream_make_room(&streams[0], 100);
	add_out(tx(0), "ghi", 3);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 6);
	ck_assert_int_eq(memcmp(streams[0].out, "abcghi", 6), 0);
}
END_TEST

START_TEST(test_output_is_dropped_while_nobody_is_there)
{
	single();
	streams[0].away = true;
	add_out(tx(0), "lost", 4);
	kick(tx(0));
	ck_assert(vdriver_used(tx(0), NULL, NULL));
	streams[0].away = false;
	add_out(tx(0), "kept", 4);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 4);
}
END_TEST

/* Hostile case 63: all descriptors of a chain; written 1 byte at a time. */
START_TEST(test_output_of_many_descriptors_is_complete)
{
	struct vdriver_buf bufs[60];
	uint64_t at;

	single();
	streams[0].step = 1;
	at = vdriver_alloc(&env, 60, 1);
	for (uint32_t i = 0; i < 60; i++) {
		*((uint8_t *)vdriver_ram(&env, at) + i) = (uint8_t)i;
		bufs[i] = (struct vdriver_buf){ .gpa = at + i, .len = 1 };
	}
	vdriver_add(tx(0), bufs, 60);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 60);
	for (uint32_t i = 0; i < 60; i++)
		ck_assert_uint_eq(streams[0].out[i], i);
}
END_TEST

START_TEST(test_output_of_a_megabyte_yields_and_is_complete)
{
	struct vdriver_buf buf = { .len = 1000000 };

	single();
	buf.gpa = vdriver_alloc(&env, buf.len, 1);
	memset(vdriver_ram(&env, buf.gpa), 'x', buf.len);
	vdriver_add(tx(0), &buf, 1);
	vdriver_kick(tx(0));
	ck_assert_int_gt(vcore_loop_dispatch(env.loop, 0), 0);
	ck_assert_uint_lt(streams[0].out_len, 100000);
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].out_len, 1000000);
	ck_assert(vdriver_used(tx(0), NULL, NULL));
}
END_TEST

START_TEST(test_output_without_bytes_is_returned)
{
	single();
	add_in(tx(0), 16);
	kick(tx(0));
	ck_assert(vdriver_used(tx(0), NULL, NULL));
	ck_assert_uint_eq(streams[0].writes, 0);
}
END_TEST

START_TEST(test_stream_in_use_is_a_broken_device)
{
	make(1, 0, 0);
	streams[0].attach_rc = -EBUSY;
	start(2, 0);
	ck_assert(is_broken());
	streams[0].attach_rc = 0;
	start(2, 0);
	ck_assert(!is_broken());
}
END_TEST

START_TEST(test_stopped_console_lets_go_of_its_stream)
{
	single();
	ck_assert(streams[0].attached);
	vdriver_reset(&d);
	ck_assert(!streams[0].attached);
	fake_stream_put(&streams[0], "a", 1);
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].in_at, 0);
}
END_TEST

START_TEST(test_multiport_driver_learns_of_its_ports)
{
	make(PORTS, 0, 0);
	start(8, 0);
	ck_assert_uint_eq(vdriver_config_read(&d, 4, 4), PORTS);
	add_control(40);
	expect_nothing();
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t i = 0; i < PORTS; i++)
		expect(i, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_nothing();
	say(0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "");
	expect(0, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_nothing();
	say(1, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(1, VIRTIO_CONSOLE_PORT_NAME, 1, "org.example.agent");
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	say(2, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(2, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_nothing();
}
END_TEST

START_TEST(test_multiport_messages_wait_for_buffers)
{
	make(PORTS, 0, 0);
	start(8, 0);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t i = 0; i < PORTS; i++) {
		expect_nothing();
		add_control(1);
		expect(i, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	}
	add_control(1);
	expect_nothing();
}
END_TEST

/* However often the driver asks, what is owed stays one of each. */
START_TEST(test_multiport_asking_often_does_not_gather_messages)
{
	make(PORTS, 80, 25);
	start(8, 0);
	for (uint32_t i = 0; i < 500; i++) {
		vdriver_free_all(&env);
		env.heap += 1 << 20;
		say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		say(1, VIRTIO_CONSOLE_PORT_READY, 1);
	}
	add_control(60);
	ck_assert_uint_eq(vdriver_used_idx(&d.queue[CTRL_RX]), PORTS + 2);
}
END_TEST

START_TEST(test_multiport_input_waits_until_the_guest_opens)
{
	uint64_t at;

	multi(0, 0);
	say(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	at = add_in(rx(1), 16);
	kick(rx(1));
	fake_stream_put(&streams[1], "abc", 3);
	vdriver_run(&env);
	ck_assert_uint_eq(vdriver_used_idx(rx(1)), 0);
	say(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ck_assert_uint_eq(vdriver_used_idx(rx(1)), 1);
	ck_assert_int_eq(memcmp(vdriver_ram(&env, at), "abc", 3), 0);
}
END_TEST

START_TEST(test_multiport_ports_do_not_mix)
{
	multi(0, 0);
	for (uint32_t i = 0; i < PORTS; i++) {
		char c = (char)('a' + i);

		add_out(tx(i), &c, 1);
		kick(tx(i));
	}
	for (uint32_t i = 0; i < PORTS; i++) {
		ck_assert_uint_eq(streams[i].out_len, 1);
		ck_assert_uint_eq(streams[i].out[0], 'a' + i);
	}
	/* One that is blocked holds up no other. */
	streams[1].room = 0;
	for (uint32_t i = 0; i < PORTS; i++) {
		add_out(tx(i), "xy", 2);
		kick(tx(i));
	}
	ck_assert_uint_eq(streams[0].out_len, 3);
	ck_assert_uint_eq(streams[1].out_len, 1);
	ck_assert_uint_eq(streams[2].out_len, 3);
}
END_TEST

START_TEST(test_multiport_hang_up_closes_and_return_opens)
{
	multi(0, 0);
	fake_stream_hang_up(&streams[1]);
	vdriver_run(&env);
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	fake_stream_come(&streams[1]);
	add_in(rx(1), 16);
	kick(rx(1));
	vdriver_run(&env);
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	fake_stream_hang_up(&streams[1]);
	vdriver_run(&env);
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	/* Output that is taken shows it, too. */
	add_out(tx(1), "x", 1);
	kick(tx(1));
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_nothing();
}
END_TEST

START_TEST(test_multiport_hang_up_drops_output_that_waits)
{
	multi(0, 0);
	streams[2].room = 0;
	add_out(tx(2), "abc", 3);
	kick(tx(2));
	streams[2].away = true;
	fake_stream_hang_up(&streams[2]);
	vdriver_run(&env);
	ck_assert_uint_eq(vdriver_used_idx(tx(2)), 1);
	expect(2, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
}
END_TEST

START_TEST(test_multiport_driver_without_it_has_the_first_port)
{
	make(PORTS, 0, 0);
	start(8, F_MULTIPORT);
	add_out(tx(0), "x", 1);
	kick(tx(0));
	ck_assert_uint_eq(streams[0].out_len, 1);
	add_out(tx(1), "x", 1);
	kick(tx(1));
	ck_assert_uint_eq(streams[1].out_len, 0);
	ck_assert(!streams[1].attached);
	/* Nobody listens to the control queues. */
	add_out(&d.queue[CTRL_TX], "12345678", 8);
	kick(&d.queue[CTRL_TX]);
	ck_assert_uint_eq(vdriver_used_idx(&d.queue[CTRL_TX]), 0);
	ck_assert(!is_broken());
}
END_TEST

static uint64_t
bad_count(void)
{
	struct vcore_virtio_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_virtio_get_info(virtio, &info));
	return info.bad;
}

/* Hostile control messages: none harms, all are counted. */
START_TEST(test_hostile_control_messages_are_counted)
{
	static const struct {
		uint32_t id;
		uint16_t event;
	} bad[] = {
		{ PORTS, VIRTIO_CONSOLE_PORT_READY },
		{ PORTS, VIRTIO_CONSOLE_PORT_OPEN },
		{ 0xffffffff, VIRTIO_CONSOLE_PORT_OPEN },
		{ 0x80000000, VIRTIO_CONSOLE_PORT_READY },
		{ 0, VIRTIO_CONSOLE_PORT_ADD }, { 0, VIRTIO_CONSOLE_RESIZE },
		{ 0, VIRTIO_CONSOLE_PORT_NAME }, { 0, 8 }, { 0, 0xffff },
	};

	multi(0, 0);
	for (uint32_t i = 0; i < 9; i++)
		say(bad[i].id, bad[i].event, 0xffff);
	ck_assert_uint_eq(bad_count(), 9);
	ck_assert(!is_broken());
	expect_nothing();
}
END_TEST

START_TEST(test_hostile_control_message_of_odd_length_is_ignored)
{
	struct virtio_console_control ready = {
		.event = htole16(VIRTIO_CONSOLE_DEVICE_READY),
		.value = htole16(1),
	};
	static const uint8_t zero[64];

	multi(0, 0);
	for (uint32_t len = 1; len < 8; len++) {
		add_out(&d.queue[CTRL_TX], zero, len);
		kick(&d.queue[CTRL_TX]);
		ck_assert(vdriver_used(&d.queue[CTRL_TX], NULL, NULL));
	}
	ck_assert(!is_broken());
	/* Nor is it completed from what came before it. */
	add_out(&d.queue[CTRL_TX], &ready, sizeof(ready));
	add_out(&d.queue[CTRL_TX], zero, 6);
	kick(&d.queue[CTRL_TX]);
	for (uint32_t i = 0; i < PORTS; i++)
		expect(i, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	ck_assert_uint_eq(bad_count(), 8);
	/* A long one is what it begins with: DEVICE_READY 0. */
	add_out(&d.queue[CTRL_TX], zero, 64);
	kick(&d.queue[CTRL_TX]);
	expect_nothing();
}
END_TEST

START_TEST(test_hostile_control_buffer_too_short_needs_reset)
{
	make(PORTS, 0, 0);
	start(8, 0);
	add_in(&d.queue[CTRL_RX], 7);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	ck_assert(is_broken());
	start(8, 0);
	add_control(10);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect(0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
}
END_TEST

START_TEST(test_hostile_control_buffer_for_half_a_name_gets_half)
{
	uint32_t len;

	make(PORTS, 0, 0);
	start(8, 0);
	add_in(&d.queue[CTRL_RX], 11);
	say(1, VIRTIO_CONSOLE_PORT_READY, 1);
	ck_assert(vdriver_used(&d.queue[CTRL_RX], NULL, &len));
	ck_assert_uint_eq(len, 11);
	ck_assert(!is_broken());
}
END_TEST

START_TEST(test_port_that_failed_in_the_driver_hears_nothing)
{
	make(PORTS, 80, 25);
	start(8, 0);
	add_control(10);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	say(0, VIRTIO_CONSOLE_PORT_READY, 0);
	fake_stream_hang_up(&streams[0]);
	vdriver_run(&env);
	expect_nothing();
}
END_TEST

START_TEST(test_size_is_in_the_configuration)
{
	uint32_t generation;

	make(1, 80, 25);
	start(2, 0);
	ck_assert_uint_eq(vdriver_device_features(&d) & F_SIZE, F_SIZE);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 2), 80);
	ck_assert_uint_eq(vdriver_config_read(&d, 2, 2), 25);
	generation = vdriver_generation(&d);
	ck_assert_ok(vcore_console_resize(virtio, 0, 132, 50));
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 2), 132);
	ck_assert_uint_eq(vdriver_config_read(&d, 2, 2), 50);
	ck_assert_uint_ne(vdriver_generation(&d), generation);
	vdriver_config_write(&d, 0, 4, 0);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 2), 132);
}
END_TEST

START_TEST(test_resize_is_a_message_with_multiport)
{
	static const char size[] = { 50, 0, (char)132, 0, 0 };
	struct virtio_console_control m;
	char body[129];

	multi(80, 25);
	ck_assert_ok(vcore_console_resize(virtio, 0, 100, 40));
	ck_assert_ok(vcore_console_resize(virtio, 0, 132, 50));
	vdriver_run(&env);
	ck_assert(hear(&m, body));
	ck_assert_uint_eq(le16toh(m.event), VIRTIO_CONSOLE_RESIZE);
	ck_assert_int_eq(memcmp(body, size, 5), 0);
	expect_nothing();
}
END_TEST

START_TEST(test_resize_refuses_bad_arguments)
{
	struct vcore_virtio *rng;

	make(PORTS, 0, 0);
	ck_assert_error(vcore_console_resize(NULL, 0, 1, 1), -EINVAL,
			"vcore_console_resize: no console");
	ck_assert_ok(vcore_rng_new(NULL, &rng));
	ck_assert_error(vcore_console_resize(rng, 0, 1, 1), -EINVAL,
			"vcore_console_resize: no console");
	vcore_virtio_unref(rng);
	ck_assert_error(vcore_console_resize(virtio, PORTS, 1, 1), -EINVAL,
			"vcore_console_resize: console");
	ck_assert_error(vcore_console_resize(virtio, 1, 1, 1), -EINVAL,
			"vcore_console_resize: console");
	ck_assert_error(vcore_console_resize(virtio, 0, 0, 1), -EINVAL,
			"vcore_console_resize: console");
	ck_assert_error(vcore_console_resize(virtio, 0, 1, 1), -EOPNOTSUPP,
			"vcore_console_resize: 'console'");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("console");
	TCase *t = tcase_create("device"), *u = tcase_create("alone");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_single_console_has_two_queues_and_no_multiport);
	tcase_add_test(t, test_single_console_passes_bytes_both_ways);
	tcase_add_test(t, test_input_flood_stays_in_the_stream);
	tcase_add_test(t, test_as_many_chains_as_fit_are_served_in_turn);
	tcase_add_test(t, test_large_input_yields_and_is_complete);
	tcase_add_test(t, test_input_end_is_no_end_of_output);
	tcase_add_test(t, test_input_chain_without_room_needs_reset);
	tcase_add_test(
		t, test_output_waits_for_a_blocked_stream_and_keeps_its_place);
	tcase_add_test(t, test_output_that_waits_survives_a_pause);
	tcase_add_test(t, test_output_that_waits_is_forgotten_by_reset);
	tcase_add_test(t, test_output_is_dropped_while_nobody_is_there);
	tcase_add_test(t, test_output_of_many_descriptors_is_complete);
	tcase_add_test(t, test_output_of_a_megabyte_yields_and_is_complete);
	tcase_add_test(t, test_output_without_bytes_is_returned);
	tcase_add_test(t, test_stream_in_use_is_a_broken_device);
	tcase_add_test(t, test_stopped_console_lets_go_of_its_stream);
	tcase_add_test(t, test_multiport_driver_learns_of_its_ports);
	tcase_add_test(t, test_multiport_messages_wait_for_buffers);
	tcase_add_test(t, test_multiport_asking_often_does_not_gather_messages);
	tcase_add_test(t, test_multiport_input_waits_until_the_guest_opens);
	tcase_add_test(t, test_multiport_ports_do_not_mix);
	tcase_add_test(t, test_multiport_hang_up_closes_and_return_opens);
	tcase_add_test(t, test_multiport_hang_up_drops_output_that_waits);
	tcase_add_test(t, test_multiport_driver_without_it_has_the_first_port);
	tcase_add_test(t, test_hostile_control_messages_are_counted);
	tcase_add_test(t,
		       test_hostile_control_message_of_odd_length_is_ignored);
	tcase_add_test(t, test_hostile_control_buffer_too_short_needs_reset);
	tcase_add_test(t,
		       test_hostile_control_buffer_for_half_a_name_gets_half);
	tcase_add_test(t, test_port_that_failed_in_the_driver_hears_nothing);
	tcase_add_test(t, test_size_is_in_the_configuration);
	tcase_add_test(t, test_resize_is_a_message_with_multiport);
	tcase_add_test(t, test_resize_refuses_bad_arguments);
	suite_add_tcase(s, t);
	tcase_add_test(u, test_new_refuses_bad_options);
	tcase_add_test(u, test_new_releases_everything_when_memory_is_short);
	suite_add_tcase(s, u);
	return support_run(s);
}
