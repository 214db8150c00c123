/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses of one exit reach the bus one by one, of any length and count. */
#include <errno.h>

#include "support/fake_vcpu.h"
#include "support/support.h"
#include "vcpu/vcpu.h"

#define BASE 0xd0000000u
#define PORT 0x10u

static struct fake_vcpu f;
static struct vcore_exit e;
static struct vcore_range *port, *window;
static struct kvm_run next;
static uint8_t next_data[64];

/* What the bus saw. */
static struct {
	uint64_t addr[64];
	uint64_t val[64];
	uint32_t len[64];
	uint32_t n;
	int answer;		/* of the handler */
} seen;

static int
see(uint64_t off, uint32_t len, uint64_t val)
{
	ck_assert_uint_lt(seen.n, 64);
	seen.addr[seen.n] = off;
	seen.len[seen.n] = len;
	seen.val[seen.n++] = val;
	return seen.answer;
}

static int
on_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	struct vcore_access *later)
{
	(void)opaque;
	(void)later;
	*val = 0x8877665544332211u + seen.n;
	return see(off, len, 0);
}

static int
on_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	 struct vcore_access *later)
{
	(void)opaque;
	(void)later;
	return see(off, len, val);
}

/* One exit of the test's, then a halt. */
static int
run_next(struct fake_kvm *fake, struct kvm_run *run)
{
	(void)fake;
	run->exit_reason = next.exit_reason;
	/* What the step left in the run area is looked at afterwards. */
	if (next.exit_reason != KVM_EXIT_HLT)
		memcpy(run->padding, next.padding, sizeof(next.padding));
	if (next.exit_reason == KVM_EXIT_IO)
		memcpy((uint8_t *)run + 4096, next_data, sizeof(next_data));
	next.exit_reason = KVM_EXIT_HLT;
	return 0;
}

static void
add(struct vcore_bus *bus, uint64_t base, uint64_t len,
    struct vcore_range **range)
{
	static const struct vcore_bus_ops ops = { .size = sizeof(ops),
						  .read = on_read,
						  .write = on_write };
	struct vcore_range_opts opts;

	VCORE_INIT(&opts);
	opts.base = base;
	opts.len = len;
	opts.ops = &ops;
	ck_assert_ok(vcore_bus_add(bus, &opts, range));
}

static void
setup(void)
{
	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_NONE, 0, 0);
	f.kvm.run = run_next;
	add(f.pio, PORT, 4, &port);
	add(f.mmio, BASE, 0x100, &window);
	memset(&next, 0, sizeof(next));
	memset(&seen, 0, sizeof(seen));
}

static void
teardown(void)
{
	vcore_range_remove(port);
	vcore_range_remove(window);
	fake_vcpu_free(&f);
}

static void
run(void)
{
	VCORE_INIT(&e);
	ck_assert_ok(vcore_vcpu_run(f.vcpu, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_HALT);
}

static void
io(uint8_t direction, uint8_t size, uint32_t count)
{
	next.exit_reason = KVM_EXIT_IO;
	next.io.direction = direction;
	next.io.size = size;
	next.io.count = count;
	next.io.port = PORT;
	next.io.data_offset = 4096;
	run();
}

static void
mmio(uint64_t addr, uint32_t len, uint8_t write, uint64_t data)
{
	next.exit_reason = KVM_EXIT_MMIO;
	next.mmio.phys_addr = addr;
	next.mmio.len = len;
	next.mmio.is_write = write;
	memcpy(next.mmio.data, &data, 8);
	run();
}

START_TEST(test_step_writes_of_each_width)
{
	static const uint8_t width[] = { 1, 2, 4 };
	uint32_t i;

	for (i = 0; i < 64; i++)
		next_data[i] = (uint8_t)(i + 1);
	for (i = 0; i < 3; i++)
		io(KVM_EXIT_IO_OUT, width[i], 1);
	ck_assert_uint_eq(seen.n, 3);
	ck_assert_uint_eq(seen.val[0], 0x01);
	ck_assert_uint_eq(seen.val[1], 0x0201);
	ck_assert_uint_eq(seen.val[2], 0x04030201);
	mmio(BASE, 8, 1, 0x1122334455667788u);
	ck_assert_uint_eq(seen.val[3], 0x1122334455667788u);
	ck_assert_uint_eq(seen.len[3], 8);
}
END_TEST

START_TEST(test_step_string_stays_at_its_port)
{
	uint32_t i;

	for (i = 0; i < 64; i++)
		next_data[i] = (uint8_t)i;
	io(KVM_EXIT_IO_OUT, 2, 20);
	ck_assert_uint_eq(seen.n, 20);
	for (i = 0; i < 20; i++) {
		ck_assert_uint_eq(seen.addr[i], 0);
		ck_assert_uint_eq(seen.val[i], (2 * i + 1) << 8 | 2 * i);
	}
}
END_TEST

START_TEST(test_step_string_read_fills_each_element)
{
	uint8_t *data = (uint8_t *)f.vcpu->run + 4096;

	memset(next_data, 0xee, sizeof(next_data));
	io(KVM_EXIT_IO_IN, 2, 3);
	ck_assert_mem_eq(data, "\x11\x22\x12\x22\x13\x22\xee\xee", 8);
}
END_TEST

START_TEST(test_step_of_no_elements)
{
	io(KVM_EXIT_IO_OUT, 1, 0);
	mmio(BASE, 0, 1, 0);
	ck_assert_uint_eq(seen.n, 0);
}
END_TEST

START_TEST(test_step_odd_lengths_go_byte_by_byte)
{
	static const uint32_t odd[] = { 3, 5, 6, 7 };
	uint32_t i, j;

	for (i = 0; i < 4; i++) {
		seen.n = 0;
		mmio(BASE + 1, odd[i], 1, 0x0706050403020100u);
		ck_assert_uint_eq(seen.n, odd[i]);
		for (j = 0; j < odd[i]; j++) {
			ck_assert_uint_eq(seen.addr[j], 1 + j);
			ck_assert_uint_eq(seen.len[j], 1);
			ck_assert_uint_eq(seen.val[j], j);
		}
	}
	seen.n = 0;
	mmio(BASE, 3, 0, 0xffffffffffffffffu);
	ck_assert_mem_eq(f.vcpu->run->mmio.data, "\x11\x12\x13\xff", 4);
}
END_TEST

START_TEST(test_step_crossing_the_end_is_unclaimed)
{
	struct vcore_vcpu_info info;

	mmio(BASE + 0xfe, 4, 0, 0);
	ck_assert_uint_eq(seen.n, 0);
	ck_assert_mem_eq(f.vcpu->run->mmio.data, "\xff\xff\xff\xff\0", 5);
	/* Byte by byte, those inside are answered. */
	mmio(BASE + 0xfe, 3, 0, 0);
	ck_assert_uint_eq(seen.n, 2);
	ck_assert_uint_eq(f.vcpu->run->mmio.data[2], 0xff);
	mmio(UINT64_MAX - 1, 3, 1, 0);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vcpu_get_info(f.vcpu, &info));
	ck_assert_uint_eq(info.unclaimed, 1 + 1 + 3);
	ck_assert_uint_eq(info.handled, 2);
}
END_TEST

START_TEST(test_step_handler_that_fails_reads_ones)
{
	struct vcore_vcpu_info info;

	seen.answer = -EIO;
	mmio(BASE, 4, 0, 0);
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_mem_eq(f.vcpu->run->mmio.data, "\xff\xff\xff\xff\0", 5);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vcpu_get_info(f.vcpu, &info));
	ck_assert_uint_eq(info.unclaimed, 1);
}
END_TEST

START_TEST(test_step_longer_than_kvm_can_mean_is_cut)
{
	mmio(BASE, 200, 1, 1);
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(seen.len[0], 8);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/step");
	TCase *t = tcase_create("step");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_step_writes_of_each_width);
	tcase_add_test(t, test_step_string_stays_at_its_port);
	tcase_add_test(t, test_step_string_read_fills_each_element);
	tcase_add_test(t, test_step_of_no_elements);
	tcase_add_test(t, test_step_odd_lengths_go_byte_by_byte);
	tcase_add_test(t, test_step_crossing_the_end_is_unclaimed);
	tcase_add_test(t, test_step_handler_that_fails_reads_ones);
	tcase_add_test(t, test_step_longer_than_kvm_can_mean_is_cut);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
