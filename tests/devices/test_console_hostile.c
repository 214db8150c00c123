/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Console and entropy device against a driver that changes messages while they
 * are read, and against requests of absurd length.
 */
#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>

#include <vcore/console.h>
#include <vcore/rng.h>

#include "support/fake_stream.h"
#include "support/support.h"
#include "support/trap.h"
#include "support/vdriver.h"

#define PAGE    4096u
#define PORTS   2u
#define CTRL_RX 2u
#define CTRL_TX 3u

static struct vdriver_env env;
static struct vdriver d;
static struct fake_stream streams[PORTS];
static struct vcore_virtio *virtio;
static struct trap trap;

static void
start(uint32_t queues)
{
	ck_assert(vdriver_begin(&d, 0));
	for (uint32_t i = 0; i < queues; i++)
		ck_assert(vdriver_queue(&d, i, 64));
	vdriver_ok(&d);
}

static void
console_up(void)
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
	VCORE_INIT(&o);
	o.ports = ports;
	o.port_count = PORTS;
	ck_assert_ok(vcore_console_new(&o, &virtio));
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	start(2 * (PORTS + 1));
}

static void
console_down(void)
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

/* The device is told that the driver is ready, and answers: it lives. */
static void
assert_console_answers(void)
{
	struct virtio_console_control m = {
		.event = htole16(VIRTIO_CONSOLE_DEVICE_READY),
		.value = htole16(1),
	};
	struct vdriver_buf in = { vdriver_alloc(&env, 128, 16), 128, true };
	struct vdriver_buf out = { vdriver_alloc(&env, sizeof(m), 16),
				   sizeof(m), false };

	vdriver_add(&d.queue[CTRL_RX], &in, 1);
	memcpy(vdriver_ram(&env, out.gpa), &m, sizeof(m));
	vdriver_add(&d.queue[CTRL_TX], &out, 1);
	vdriver_kick(&d.queue[CTRL_TX]);
	vdriver_run(&env);
	ck_assert(vdriver_used(&d.queue[CTRL_RX], NULL, NULL));
	memcpy(&m, vdriver_ram(&env, in.gpa), sizeof(m));
	ck_assert_uint_eq(le16toh(m.event), VIRTIO_CONSOLE_PORT_ADD);
}

static void
replace(struct trap *t, uint32_t off, bool write)
{
	(void)off;
	(void)write;
	memcpy(t->page, t->opaque, 8);
}

/* Case 48: the port a message is for is out of range once it was read. */
START_TEST(test_hostile_message_changed_as_soon_as_it_was_read)
{
	static const struct virtio_console_control evil[] = {
		{ .id = UINT32_MAX, .event = VIRTIO_CONSOLE_PORT_OPEN,
		  .value = 1 },
		{ .id = PORTS, .event = VIRTIO_CONSOLE_PORT_READY, .value = 1 },
		{ .id = 0x80000000, .event = 0xffff, .value = 0xffff },
	};
	struct virtio_console_control m = {
		.id = htole32(1), .event = htole16(VIRTIO_CONSOLE_PORT_OPEN),
		.value = htole16(1),
	}, bad = evil[_i];
	struct vdriver_buf buf = { .len = sizeof(m) };

	console_up();
	buf.gpa = vdriver_alloc(&env, PAGE, PAGE);
	memcpy(vdriver_ram(&env, buf.gpa), &m, sizeof(m));
	vdriver_add(&d.queue[CTRL_TX], &buf, 1);
	trap_begin(&trap, vdriver_ram(&env, buf.gpa), replace, &bad);
	vdriver_kick(&d.queue[CTRL_TX]);
	vdriver_run(&env);
	trap_end(&trap);
	ck_assert_uint_ge(trap.total, 1);
	ck_assert_uint_le(trap.total, 8);
	ck_assert(vdriver_used(&d.queue[CTRL_TX], NULL, NULL));
	ck_assert(!is_broken());
	assert_console_answers();
	console_down();
}
END_TEST

/* Output that is changed while it is taken is output, of that length. */
START_TEST(test_hostile_output_changed_while_it_is_taken)
{
	static const uint8_t other[8] = "XXXXXXX";
	struct vdriver_buf buf = { .len = 3000 };

	console_up();
	buf.gpa = vdriver_alloc(&env, PAGE, PAGE);
	vdriver_add(&d.queue[1], &buf, 1);
	trap_begin(&trap, vdriver_ram(&env, buf.gpa), replace, (void *)other);
	vdriver_kick(&d.queue[1]);
	vdriver_run(&env);
	trap_end(&trap);
	ck_assert_uint_eq(streams[0].out_len, 3000);
	assert_console_answers();
	console_down();
}
END_TEST

/* Case 63: a chain of every descriptor, and one of 4 GiB. */
START_TEST(test_hostile_output_of_absurd_length)
{
	struct vdriver_buf bufs[64];

	console_up();
	for (uint32_t i = 0; i < 64; i++)
		bufs[i] = (struct vdriver_buf){ i * 4096, i % 5 ? 1 : 4096,
						false };
	vdriver_add(&d.queue[1], bufs, 64);
	vdriver_kick(&d.queue[1]);
	vdriver_run(&env);
	ck_assert_uint_eq(streams[0].out_len, 13 * 4096 + 51);
	bufs[0].len = UINT32_MAX;
	vdriver_add(&d.queue[1], bufs, 1);
	vdriver_kick(&d.queue[1]);
	vdriver_run(&env);
	ck_assert(is_broken());
	ck_assert_uint_eq(streams[0].out_len, 13 * 4096 + 51);
	start(2 * (PORTS + 1));
	assert_console_answers();
	console_down();
}
END_TEST

/* Case 91: what the configuration has behind its fields. */
START_TEST(test_hostile_configuration_tail_is_zero)
{
	console_up();
	for (uint32_t off = 8; off < 0x100; off++)
		ck_assert_uint_eq(vdriver_config_read(&d, off, 1), 0);
	console_down();
}
END_TEST

static void
rng_up(void)
{
	vdriver_env_init(&env, 0);
	ck_assert_ok(vcore_rng_new(NULL, &virtio));
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	vdriver_up(&d, 1, 64);
}

static void
rng_down(void)
{
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	vdriver_env_fini(&env);
}

/* Case 64: a descriptor of 4 GiB, and a chain that sums up to more. */
START_TEST(test_hostile_entropy_of_4_gib)
{
	struct vdriver_buf bufs[64];
	uint32_t used;

	rng_up();
	for (uint32_t i = 0; i < 64; i++)
		bufs[i] = (struct vdriver_buf){ 0x10000, 0x3f0000, true };
	if (_i == 0)
		bufs[0].len = UINT32_MAX;
	vdriver_add(&d.queue[0], bufs, _i ? 64 : 1);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert_int_eq(is_broken(), _i == 0);
	if (_i) {
		ck_assert(vdriver_used(&d.queue[0], NULL, &used));
		ck_assert_uint_eq(used, 64 << 10);
	}
	vdriver_up(&d, 1, 64);
	bufs[0].len = 64;
	vdriver_add(&d.queue[0], bufs, 1);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert(vdriver_used(&d.queue[0], NULL, &used));
	ck_assert_uint_eq(used, 64);
	rng_down();
}
END_TEST

/* The buffer is the guest's: it is written, and never read. */
START_TEST(test_hostile_entropy_buffer_is_only_written)
{
	struct vdriver_buf buf = { .len = PAGE, .write = true };

	rng_up();
	buf.gpa = vdriver_alloc(&env, PAGE, PAGE);
	vdriver_add(&d.queue[0], &buf, 1);
	trap_begin(&trap, vdriver_ram(&env, buf.gpa), NULL, NULL);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	trap_end(&trap);
	ck_assert_uint_eq(trap_reads(&trap, 0, TRAP_BYTES), 0);
	ck_assert_uint_ge(trap_writes(&trap, 0, TRAP_BYTES), 1);
	rng_down();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("devices/console_hostile");
	TCase *t = tcase_create("hostile");

	tcase_add_loop_test(
		t, test_hostile_message_changed_as_soon_as_it_was_read, 0, 3);
	tcase_add_test(t, test_hostile_output_changed_while_it_is_taken);
	tcase_add_test(t, test_hostile_output_of_absurd_length);
	tcase_add_test(t, test_hostile_configuration_tail_is_zero);
	tcase_add_loop_test(t, test_hostile_entropy_of_4_gib, 0, 2);
	tcase_add_test(t, test_hostile_entropy_buffer_is_only_written);
	suite_add_tcase(s, t);
	return support_run(s);
}
