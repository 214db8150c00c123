/* SPDX-License-Identifier: BSD-3-Clause */
/* Guests run on this machine's KVM: exits, accesses, errors. */
#include <stdlib.h>

#include "support/kvm.h"
#include "support/support.h"

/* What a guest wrote to a port or address, and what it reads. */
struct sink {
	uint8_t bytes[16384];
	uint32_t len;
	uint32_t calls;
	uint64_t answer;
};

static int
sink_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	struct sink *s = opaque;

	(void)off;
	(void)later;
	s->calls++;
	if (s->len + len <= sizeof(s->bytes)) {
		memcpy(s->bytes + s->len, &val, len);
		s->len += len;
	}
	return 0;
}

static int
sink_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	  struct vcore_access *later)
{
	struct sink *s = opaque;

	(void)off;
	(void)later;
	(void)len;
	s->calls++;
	*val = s->answer++;
	return 0;
}

static const struct vcore_bus_ops sink_ops = {
	.size = sizeof(sink_ops),
	.read = sink_read,
	.write = sink_write,
};

static struct vcore_range *
add_sink(struct vcore_bus *bus, uint64_t base, uint64_t len, struct sink *s)
{
	struct vcore_range_opts opts;
	struct vcore_range *range;

	memset(s, 0, sizeof(*s));
	VCORE_INIT(&opts);
	opts.base = base;
	opts.len = len;
	opts.ops = &sink_ops;
	opts.opaque = s;
	ck_assert_ok(vcore_bus_add(bus, &opts, &range));
	return range;
}

static uint32_t
run(struct vcore_vcpu *vcpu, struct vcore_exit *e)
{
	VCORE_INIT(e);
	ck_assert_ok(vcore_vcpu_run(vcpu, e));
	return e->kind;
}

START_TEST(test_run_hello_reaches_the_bus)
{
	struct vcore_range *range;
	struct vcore_exit e;
	struct kvm_bed bed;
	struct sink s;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	range = add_sink(bed.pio, GUEST_PORT, 4, &s);
	kvm_bed_guest(&bed, hello);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_HALT);
	ck_assert_uint_eq(s.len, 6);
	ck_assert_mem_eq(s.bytes, "hello\n", 6);
	vcore_range_remove(range);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_without_bus_returns_io_exits)
{
	struct vcore_exit e;
	struct kvm_bed bed;
	char text[8] = "";
	int n = 0;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, KVM_BED_BARE);
	kvm_bed_guest(&bed, hello);
	while (run(bed.vcpu, &e) == VCORE_EXIT_IO && n < 7) {
		ck_assert_uint_eq(e.u.io.port, GUEST_PORT);
		ck_assert_uint_eq(e.u.io.len, 1);
		ck_assert_uint_eq(e.u.io.write, 1);
		ck_assert_uint_eq(e.u.io.count, 1);
		text[n++] = (char)e.u.io.data[0];
	}
	ck_assert_uint_eq(e.kind, VCORE_EXIT_HALT);
	ck_assert_str_eq(text, "hello\n");
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_string_io_of_4096_elements)
{
	struct vcore_range *r1, *r2;
	uint8_t data[4096];
	struct vcore_exit e;
	struct kvm_bed bed;
	struct sink s1, s2;
	uint32_t i;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	r1 = add_sink(bed.pio, GUEST_PORT, 4, &s1);
	r2 = add_sink(bed.pio, GUEST_PORT2, 4, &s2);
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	ck_assert_ok(vcore_memory_write(bed.memory, GUEST_DATA, data, 4096));
	kvm_bed_guest(&bed, string);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_HALT);
	ck_assert_uint_eq(s1.len, 8192);
	ck_assert_uint_eq(s1.calls, 4096 + 1024);
	ck_assert_mem_eq(s1.bytes, data, 4096);
	ck_assert_uint_eq(s2.calls, 4096);
	ck_assert_ok(vcore_memory_read(bed.memory, GUEST_DATA2, data, 4096));
	for (i = 0; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], i & 0xff);
	ck_assert_mem_eq(s1.bytes + 4096, data, 4096);
	vcore_range_remove(r1);
	vcore_range_remove(r2);
	kvm_bed_free(&bed);
}
END_TEST

/*
 * String I/O from and into what is no memory, and over the end of RAM: each
 * byte is one access, none is lost, and none goes behind the RAM's end.
 */
START_TEST(test_run_string_io_over_the_end_of_memory)
{
	struct vcore_range *r1, *r2;
	struct vcore_vcpu_info info;
	uint8_t data[2048];
	struct vcore_exit e;
	struct kvm_bed bed;
	struct sink s1, s2;
	uint32_t i;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	r1 = add_sink(bed.pio, GUEST_PORT, 4, &s1);
	r2 = add_sink(bed.pio, GUEST_PORT2, 4, &s2);
	kvm_bed_guest(&bed, edges);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_HALT);
	ck_assert_uint_eq(s2.calls, 16 + 4096);
	ck_assert_ok(vcore_memory_read(bed.memory, 0x100000 - 2048, data,
				       2048));
	for (i = 0; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], (16 + i) & 0xff);
	ck_assert_uint_eq(s1.len, 16 + 1040);
	for (i = 0; i < 16; i++)
		ck_assert_uint_eq(s1.bytes[i], 0xff);
	ck_assert_mem_eq(s1.bytes + 16, data + 1024, 1024);
	for (i = 1040; i < 1056; i++)
		ck_assert_uint_eq(s1.bytes[i], 0xff);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &info));
	ck_assert_uint_ge(info.unclaimed, 4);
	vcore_range_remove(r1);
	vcore_range_remove(r2);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_every_port_reads_ones_where_nobody_is)
{
	struct vcore_range *range;
	struct vcore_vcpu_info info;
	struct vcore_exit e;
	struct kvm_bed bed;
	uint32_t ones = 0;
	struct sink s;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	range = add_sink(bed.pio, GUEST_PORT, 4, &s);
	kvm_bed_guest(&bed, ports);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_HALT);
	ck_assert_ok(vcore_memory_read(bed.memory, GUEST_DATA, &ones, 4));
	ck_assert_uint_eq(ones, 65536 - 4);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &info));
	ck_assert_uint_eq(info.unclaimed, 65536 - 4);
	ck_assert_uint_eq(info.handled, 4);
	vcore_range_remove(range);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_mmio_of_all_widths)
{
	static const uint8_t written[] = { 0x11, 0x22, 0x22, 0x33, 0x33, 0x33,
					   0x33, 0x44, 0x44, 0x44, 0x44 };
	static const uint8_t shown[] = { 0x55, 0x56, 0, 0x57, 0, 0, 0 };
	struct vcore_range *r1, *r2;
	struct vcore_exit e;
	struct kvm_bed bed;
	struct sink port, mem;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	r1 = add_sink(bed.pio, GUEST_PORT, 4, &port);
	r2 = add_sink(bed.mmio, GUEST_MMIO, 0x2000, &mem);
	mem.answer = 0x55;
	kvm_bed_guest(&bed, mmio);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_HALT);
	ck_assert_uint_eq(mem.len, sizeof(written));
	ck_assert_mem_eq(mem.bytes, written, sizeof(written));
	ck_assert_uint_eq(port.len, sizeof(shown));
	ck_assert_mem_eq(port.bytes, shown, sizeof(shown));
	vcore_range_remove(r1);
	vcore_range_remove(r2);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_unclaimed_reads_ones_and_is_counted)
{
	struct vcore_vcpu_info info;
	struct vcore_range *range;
	struct vcore_exit e;
	struct kvm_bed bed;
	struct sink s;
	uint32_t i;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	range = add_sink(bed.pio, GUEST_PORT, 4, &s);
	kvm_bed_guest(&bed, mmio);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_HALT);
	ck_assert_uint_eq(s.len, 7);
	for (i = 0; i < s.len; i++)
		ck_assert_uint_eq(s.bytes[i], 0xff);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &info));
	/* three writes, three reads, one write in two pieces */
	ck_assert_uint_eq(info.unclaimed, 8);
	ck_assert_uint_eq(info.handled, 3);
	vcore_range_remove(range);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_unclaimed_is_returned_on_request)
{
	struct vcore_vcpu_opts opts;
	struct vcore_exit e;
	struct kvm_bed bed;
	uint32_t n = 0;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	vcore_vcpu_unref(bed.vcpu);
	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_RETURN_UNCLAIMED;
	ck_assert_ok(vcore_vcpu_new(bed.vm, 0, &opts, &bed.vcpu));
	kvm_bed_guest(&bed, string);
	while (run(bed.vcpu, &e) == VCORE_EXIT_IO) {
		ck_assert_uint_eq(e.u.io.count, 1);
		if (e.u.io.port == GUEST_PORT2)
			e.u.io.data[0] = 0x5a;
		n++;
	}
	ck_assert_uint_eq(e.kind, VCORE_EXIT_HALT);
	ck_assert_uint_eq(n, 4096 + 4096 + 1024);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_triple_fault_is_shutdown)
{
	struct vcore_exit e;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	kvm_bed_guest(&bed, fault);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_SHUTDOWN);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_internal_error_tells_instruction)
{
	static const uint8_t addps[] = { 0x0f, 0x58, 0x03 };
	struct vcore_exit e;
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	kvm_bed_guest(&bed, insn);
	ck_assert_uint_eq(run(bed.vcpu, &e), VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.suberror, 1);
	ck_assert_uint_ge(e.u.internal.ninsn, sizeof(addps));
	ck_assert_mem_eq(e.u.internal.insn, addps, sizeof(addps));
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_run_ring3_payload)
{
	struct vcore_exit e;
	struct kvm_bed bed;
	uint32_t n = 0;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, KVM_BED_BARE);
	kvm_bed_ring3(&bed, bed.vcpu, 5);
	while (run(bed.vcpu, &e) == VCORE_EXIT_IO &&
	       e.u.io.port == GUEST_PORT)
		n++;
	ck_assert_uint_eq(e.kind, VCORE_EXIT_IO);
	ck_assert_uint_eq(n, 5);
	kvm_bed_free(&bed);
}
END_TEST

int
main(void)
{
	struct vcore_host *host = kvm_host();
	Suite *suite = suite_create("vcpu/run");
	TCase *t = tcase_create("run");

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_test(t, test_run_hello_reaches_the_bus);
	tcase_add_test(t, test_run_without_bus_returns_io_exits);
	tcase_add_test(t, test_run_string_io_of_4096_elements);
	tcase_add_test(t, test_run_string_io_over_the_end_of_memory);
	tcase_add_test(t, test_run_every_port_reads_ones_where_nobody_is);
	tcase_add_test(t, test_run_mmio_of_all_widths);
	tcase_add_test(t, test_run_unclaimed_reads_ones_and_is_counted);
	tcase_add_test(t, test_run_unclaimed_is_returned_on_request);
	tcase_add_test(t, test_run_triple_fault_is_shutdown);
	tcase_add_test(t, test_run_internal_error_tells_instruction);
	tcase_add_test(t, test_run_ring3_payload);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
