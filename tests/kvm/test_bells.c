/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells of the buses go into the kernel, or stay where they are. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/vm.h"
#include "support/fake_kvm.h"
#include "support/support.h"

static struct fake_kvm fake;
static struct vcore_host *host;
static struct vcore_memory *memory;
static struct vcore_bus *pio, *mmio;
static struct vcore_vm *vm;
static int efd, fds;

static struct vcore_bus *
new_bus(uint32_t kind)
{
	struct vcore_bus_opts opts;
	struct vcore_bus *bus;

	VCORE_INIT(&opts);
	opts.kind = kind;
	ck_assert_ok(vcore_bus_new(&opts, &bus));
	return bus;
}

static void
new_vm(void)
{
	struct vcore_vm_opts opts;

	VCORE_INIT(&opts);
	opts.pio = pio;
	opts.mmio = mmio;
	ck_assert_ok(vcore_vm_new(host, memory, &opts, &vm));
}

static void
setup(void)
{
	fds = support_open_fds();
	fake_kvm_init(&fake);
	host = fake_kvm_host(&fake);
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	pio = new_bus(VCORE_BUS_PIO);
	mmio = new_bus(VCORE_BUS_MMIO);
	efd = eventfd(0, EFD_NONBLOCK);
	new_vm();
	fake_kvm_clear(&fake);
}

static void
teardown(void)
{
	vcore_vm_unref(vm);
	vcore_bus_unref(pio);
	vcore_bus_unref(mmio);
	vcore_memory_unref(memory);
	vcore_host_unref(host);
	close(efd);
	ck_assert_uint_eq(fake.open, 0);
	ck_assert_int_eq(support_open_fds(), fds);
}

static struct vcore_range *
ring(struct vcore_bus *bus, uint64_t addr, uint32_t len, uint32_t flags,
     uint64_t value)
{
	struct vcore_doorbell_opts opts;
	struct vcore_range *range;

	VCORE_INIT(&opts);
	opts.addr = addr;
	opts.len = len;
	opts.flags = flags;
	opts.value = value;
	ck_assert_ok(vcore_bus_add_doorbell(bus, &opts, efd, &range));
	return range;
}

static struct vcore_vm_info
info(void)
{
	struct vcore_vm_info i;

	VCORE_INIT(&i);
	ck_assert_ok(vcore_vm_get_info(vm, &i));
	return i;
}

START_TEST(test_bell_of_mmio)
{
	const struct kvm_ioeventfd *arg;
	struct vcore_range *r;

	r = ring(mmio, 0xd0000000, 2, VCORE_DOORBELL_MATCH, 3);
	arg = &fake_kvm_last(&fake, KVM_IOEVENTFD)->u.bell;
	ck_assert_uint_eq(arg->addr, 0xd0000000);
	ck_assert_uint_eq(arg->len, 2);
	ck_assert_uint_eq(arg->datamatch, 3);
	ck_assert_uint_eq(arg->flags, KVM_IOEVENTFD_FLAG_DATAMATCH);
	ck_assert_uint_eq(info().bells, 1);
	vcore_range_remove(r);
	arg = &fake_kvm_last(&fake, KVM_IOEVENTFD)->u.bell;
	ck_assert_uint_eq(arg->flags, KVM_IOEVENTFD_FLAG_DATAMATCH |
					      KVM_IOEVENTFD_FLAG_DEASSIGN);
	ck_assert_uint_eq(arg->datamatch, 3);
	ck_assert_uint_eq(info().bells, 0);
}
END_TEST

START_TEST(test_bell_of_port_of_any_length)
{
	const struct kvm_ioeventfd *arg;
	struct vcore_range *r;

	r = ring(pio, 0x30, 0, 0, 0);
	arg = &fake_kvm_last(&fake, KVM_IOEVENTFD)->u.bell;
	ck_assert_uint_eq(arg->flags, KVM_IOEVENTFD_FLAG_PIO);
	ck_assert_uint_eq(arg->len, 0);
	vcore_range_remove(r);
}
END_TEST

START_TEST(test_bell_refused_is_counted_and_works)
{
	struct vcore_range *r, *s;
	uint64_t n = 0;

	fake.fail_request = KVM_IOEVENTFD;
	fake.fail_error = ENOSPC;
	r = ring(mmio, 0x1000, 4, 0, 0);
	fake.fail_request = 0;
	s = ring(mmio, 0x2000, 4, 0, 0);
	ck_assert_uint_eq(info().bells, 1);
	ck_assert_uint_eq(info().bells_refused, 1);
	ck_assert_ok(vcore_bus_write(mmio, 0x1000, 4, 1));
	ck_assert_int_eq(read(efd, &n, 8), 8);
	fake_kvm_clear(&fake);
	vcore_range_remove(r);
	/* What KVM never had is not taken away from it. */
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_uint_eq(info().bells_refused, 0);
	vcore_range_remove(s);
	ck_assert_uint_eq(info().bells, 0);
}
END_TEST

START_TEST(test_bells_there_before_the_vm)
{
	struct vcore_range *r[20];
	uint32_t i;

	vcore_vm_unref(vm);
	for (i = 0; i < 20; i++)
		r[i] = ring(i & 1 ? pio : mmio, 0x1000 + i * 8, 4, 0, 0);
	new_vm();
	ck_assert_uint_eq(info().bells, 20);
	fake.fail_request = KVM_IOEVENTFD;
	vcore_vm_unref(vm);
	new_vm();
	ck_assert_uint_eq(info().bells, 0);
	ck_assert_uint_eq(info().bells_refused, 20);
	for (i = 0; i < 20; i++)
		vcore_range_remove(r[i]);
	ck_assert_uint_eq(info().bells_refused, 0);
}
END_TEST

START_TEST(test_vm_gone_before_its_bells)
{
	struct vcore_range *r = ring(mmio, 0x1000, 4, 0, 0);

	fake_kvm_clear(&fake);
	vcore_vm_unref(vm);
	vm = NULL;
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_ok(vcore_bus_write(mmio, 0x1000, 4, 1));
	vcore_range_remove(r);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kvm/bells");
	TCase *t = tcase_create("bells");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_bell_of_mmio);
	tcase_add_test(t, test_bell_of_port_of_any_length);
	tcase_add_test(t, test_bell_refused_is_counted_and_works);
	tcase_add_test(t, test_bells_there_before_the_vm);
	tcase_add_test(t, test_vm_gone_before_its_bells);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
