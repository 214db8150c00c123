/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device: made, negotiated, started, stopped, counted. */
#include "devices/net_bed.h"

#include <pthread.h>
#include <stdatomic.h>

#include <vcore/rng.h>

static struct net_bed b;
static uint8_t frame[1514];

static void
teardown(void)
{
	bed_down(&b);
}

static int
make(struct vcore_net_opts *o, struct fake_link *l)
{
	struct vcore_virtio *v = NULL;
	int rc = vcore_net_new(l ? l->link : NULL, o, &v);

	ck_assert((rc == 0) == (v != NULL));
	vcore_virtio_unref(v);
	return rc;
}

START_TEST(test_new_refuses_bad_options)
{
	struct vcore_net_opts o;
	struct fake_link l;

	fake_link_init(&l, 0, 2);
	VCORE_INIT(&o);
	ck_assert_error(make(&o, NULL), -EINVAL, "vcore_net_new: link");
	ck_assert_error(vcore_net_new(l.link, &o, NULL), -EINVAL,
			"vcore_net_new: virtio");
	o.size = 3;
	ck_assert_error(make(&o, &l), -EINVAL, "vcore_net_new: opts");
	VCORE_INIT(&o);
	o.flags = 1;
	ck_assert_error(make(&o, &l), -E2BIG, "vcore_net_new: flags");
	VCORE_INIT(&o);
	o.pairs = 3;
	ck_assert_error(make(&o, &l), -EINVAL, "vcore_net_new: 3 pairs");
	VCORE_INIT(&o);
	o.queue_size = 3;
	ck_assert_error(make(&o, &l), -EINVAL, "vcore_net_new: ");
	VCORE_INIT(&o);
	o.mac[0] = 1;
	ck_assert_error(make(&o, &l), -EINVAL, "vcore_net_new: mac");
	VCORE_INIT(&o);
	o.mtu = 67;
	ck_assert_error(make(&o, &l), -EINVAL, "vcore_net_new: mtu");
	VCORE_INIT(&o);
	ck_assert_ok(make(&o, &l));
	ck_assert_ok(make(NULL, &l));
	fake_link_fini(&l);
}
END_TEST

START_TEST(test_new_releases_everything_when_memory_is_short)
{
	struct vcore_virtio *v;
	struct fake_link l;
	bool failed = true;
	int rc;

	fake_link_init(&l, 0, 1);
	for (unsigned int n = 1; failed; n++) {
		v = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_net_new(l.link, NULL, &v);
		failed = fail_stop();
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		ck_assert((v == NULL) == failed);
		vcore_virtio_unref(v);
	}
	fake_link_fini(&l);
}
END_TEST

START_TEST(test_get_info_refuses_bad_arguments)
{
	struct vcore_net_info info;
	struct vcore_virtio *rng;

	bed_up(&b, 0, 0, 64);
	VCORE_INIT(&info);
	ck_assert_error(vcore_net_get_info(NULL, &info), -EINVAL,
			"vcore_net_get_info: virtio");
	ck_assert_error(vcore_net_get_info(b.virtio, NULL), -EINVAL,
			"vcore_net_get_info: info");
	info.size = 0;
	ck_assert_error(vcore_net_get_info(b.virtio, &info), -EINVAL,
			"vcore_net_get_info: info");
	ck_assert_ok(vcore_rng_new(NULL, &rng));
	VCORE_INIT(&info);
	ck_assert_error(vcore_net_get_info(rng, &info), -EINVAL,
			"vcore_net_get_info: 'rng'");
	vcore_virtio_unref(rng);
}
END_TEST

static const struct {
	uint32_t offloads, pairs;
	uint64_t has, has_not;
} offers[] = {
	{ 0, 1, BIT(MAC) | BIT(MRG_RXBUF) | BIT(STATUS) | BIT(CTRL_VQ) |
		BIT(CTRL_RX) | BIT(CTRL_MAC_ADDR),
	  BIT(CSUM) | BIT(GUEST_CSUM) | BIT(HOST_TSO4) | BIT(MQ) | BIT(MTU) |
		  BIT(CTRL_GUEST_OFFLOADS) | BIT(CTRL_VLAN) },
	{ VCORE_LINK_OFFLOAD_CSUM, 4,
	  BIT(CSUM) | BIT(GUEST_CSUM) | BIT(MQ) | BIT(CTRL_GUEST_OFFLOADS),
	  BIT(HOST_TSO4) | BIT(GUEST_TSO4) },
	{ ALL_OFFLOADS, 1,
	  BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_UFO) |
		  BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_ECN) |
		  BIT(GUEST_UFO), BIT(MQ) },
	/* What can't be without checksums isn't. */
	{ VCORE_LINK_OFFLOAD_TSO4 | VCORE_LINK_OFFLOAD_ECN, 1, 0,
	  BIT(HOST_TSO4) | BIT(HOST_ECN) | BIT(GUEST_ECN) },
};

START_TEST(test_features_are_what_the_link_can)
{
	uint64_t f;

	bed_make(&b, offers[_i].offloads, offers[_i].pairs, 0);
	f = vdriver_device_features(&b.d);
	ck_assert_uint_eq(f & offers[_i].has, offers[_i].has);
	ck_assert_uint_eq(f & offers[_i].has_not, 0);
}
END_TEST

START_TEST(test_features_off_takes_dependents_along)
{
	struct vcore_net_opts o;
	uint64_t f;

	bed_make(&b, ALL_OFFLOADS, 2, 0);
	vdriver_detach(&b.d);
	vcore_virtio_unref(b.virtio);
	VCORE_INIT(&o);
	o.features_off = BIT(CTRL_VQ) | BIT(CSUM);
	o.mtu = 9000;
	ck_assert_ok(vcore_net_new(b.link.link, &o, &b.virtio));
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_PCI);
	f = vdriver_device_features(&b.d);
	ck_assert_uint_eq(f & (BIT(MQ) | BIT(CTRL_RX) | BIT(CTRL_MAC_ADDR) |
			       BIT(CTRL_GUEST_OFFLOADS) | BIT(HOST_TSO4) |
			       BIT(HOST_ECN)), 0);
	ck_assert_uint_eq(f & BIT(MTU), BIT(MTU));
	ck_assert_uint_eq(vdriver_config_read(&b.d, 10, 2), 9000);
	ck_assert(vdriver_begin(&b.d, 0));
}
END_TEST

START_TEST(test_features_that_need_others_are_refused_alone)
{
	bed_make(&b, ALL_OFFLOADS, 2, 0);
	ck_assert(!vdriver_begin(&b.d, BIT(CTRL_VQ)));
	ck_assert(!vdriver_begin(&b.d, BIT(CSUM)));
	ck_assert(!vdriver_begin(&b.d, BIT(GUEST_CSUM)));
	ck_assert(!vdriver_begin(&b.d, BIT(HOST_TSO4) | BIT(HOST_TSO6)));
	ck_assert(vdriver_begin(&b.d, BIT(HOST_TSO4)));
	b.link.set_rc = -EIO;
	ck_assert(!vdriver_begin(&b.d, 0));
}
END_TEST

START_TEST(test_config_shows_address_status_and_pairs)
{
	bed_make(&b, 0, 3, 0);
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_uint_eq(vdriver_config_read(&b.d, i, 1),
				  bed_mac[i]);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 6, 2),
			  VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 8, 2), 3);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 10, 4), 0);
	/* Nothing is writable. */
	vdriver_config_write(&b.d, 0, 4, 0x12345678);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 0, 1), bed_mac[0]);
}
END_TEST

START_TEST(test_made_address_is_local_and_random)
{
	struct vcore_virtio *v[2];
	struct vdriver d[2];
	uint64_t mac[2];

	bed_make(&b, 0, 1, 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_ok(vcore_net_new(b.link.link, NULL, &v[i]));
		vdriver_attach(&d[i], &b.env, v[i], VDRIVER_MMIO);
		mac[i] = vdriver_config_read(&d[i], 0, 4) |
			 vdriver_config_read(&d[i], 4, 2) << 32;
		ck_assert_uint_eq(mac[i] & 3, 2);
	}
	ck_assert_uint_ne(mac[0], mac[1]);
	for (int i = 0; i < 2; i++) {
		vdriver_detach(&d[i]);
		vcore_virtio_unref(v[i]);
	}
}
END_TEST

START_TEST(test_link_is_attached_only_while_queues_run)
{
	bed_make(&b, 0, 1, 64);
	ck_assert(!b.link.q[0].attached);
	bed_start(&b, 0, 64);
	ck_assert(b.link.q[0].attached);
	vdriver_reset(&b.d);
	ck_assert(!b.link.q[0].attached);
	bed_start(&b, 0, 64);
	vdriver_queue_reset(&b.d, 0);
	ck_assert(b.link.q[0].attached);
	ck_assert_uint_eq(b.link.q[0].want, 0);
	bed_add_tx(&b, NULL, frame, 60);
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].sent_count, 1);
	vdriver_queue_reset(&b.d, 1);
	ck_assert(!b.link.q[0].attached);
}
END_TEST

START_TEST(test_link_that_refuses_is_a_broken_device_not_a_dead_one)
{
	bed_make(&b, 0, 1, 64);
	b.link.attach_rc = -EBUSY;
	bed_start(&b, 0, 64);
	ck_assert(bed_is_broken(&b));
	b.link.attach_rc = 0;
	bed_start(&b, 0, 64);
	ck_assert(!bed_is_broken(&b));
	bed_add_tx(&b, NULL, frame, 60);
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].sent_count, 1);
}
END_TEST

START_TEST(test_link_down_is_told_and_up_again)
{
	uint32_t generation;

	bed_up(&b, 0, 0, 64);
	bed_add_rx(&b, 4, 2048);
	vdriver_kick(b.rx);
	generation = vdriver_generation(&b.d);
	fake_link_go_down(&b.link);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 6, 2), 0);
	ck_assert_uint_ne(vdriver_generation(&b.d), generation);
	fake_link_put(&b.link, 0, NULL, frame, 60);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 6, 2),
			  VIRTIO_NET_S_LINK_UP);
	ck_assert(vdriver_used(b.rx, NULL, NULL));
}
END_TEST

START_TEST(test_link_down_drops_what_waits_for_it)
{
	bed_up(&b, 0, 0, 64);
	fake_link_set_full(&b.link, true);
	bed_add_tx(&b, NULL, frame, 60);
	bed_add_tx(&b, NULL, frame, 60);
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	ck_assert(!vdriver_used(b.tx, NULL, NULL));
	fake_link_go_down(&b.link);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_used_idx(b.tx), 2);
	ck_assert_uint_eq(bed_info(&b).tx_dropped, 2);
}
END_TEST

START_TEST(test_second_pair_works_only_when_switched_on)
{
	struct vdriver_buf buf = { .len = HDR + 60 };
	uint16_t n = htole16(2);

	bed_make(&b, 0, 2, 64);
	ck_assert(vdriver_begin(&b.d, 0));
	for (uint32_t i = 0; i < 5; i++)
		ck_assert(vdriver_queue(&b.d, i, 64));
	vdriver_ok(&b.d);
	ck_assert(!b.link.q[1].attached);
	buf.gpa = vdriver_alloc(&b.env, buf.len, 1);
	vdriver_add(&b.d.queue[3], &buf, 1);
	vdriver_kick(&b.d.queue[3]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_used_idx(&b.d.queue[3]), 0);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_MQ, 0, &n, 2), 0);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_used_idx(&b.d.queue[3]), 1);
	ck_assert_uint_eq(b.link.q[1].sent_count, 1);
	ck_assert_uint_eq(bed_info(&b).queue_frames[1], 1);
	/* And off again. */
	n = htole16(1);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_MQ, 0, &n, 2), 0);
	vdriver_run(&b.env);
	ck_assert(!b.link.q[1].attached);
	ck_assert(b.link.q[0].attached);
}
END_TEST

START_TEST(test_pci_driver_gets_frames_and_interrupts)
{
	bed_make(&b, 0, 1, 64);
	vdriver_detach(&b.d);
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_PCI);
	bed_start(&b, 0, 64);
	bed_add_rx(&b, 1, 2048);
	vdriver_kick(b.rx);
	fake_link_put(&b.link, 0, NULL, frame, 60);
	vdriver_run(&b.env);
	ck_assert(vdriver_used(b.rx, NULL, NULL));
	ck_assert_uint_eq(vdriver_interrupts(&b.d, 0), 1);
}
END_TEST

START_TEST(test_stopped_device_touches_neither_link_nor_guest)
{
	uint32_t calls;

	bed_up(&b, 0, 0, 64);
	bed_add_rx(&b, 4, 2048);
	vdriver_kick(b.rx);
	vdriver_run(&b.env);
	vdriver_detach(&b.d);
	calls = b.link.q[0].calls;
	fake_link_put(&b.link, 0, NULL, frame, 60);
	fake_link_set_full(&b.link, false);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].calls, calls);
	ck_assert_uint_eq(vdriver_used_idx(b.rx), 0);
}
END_TEST

/* Pairs on two loops with a thread each, while the filter changes. */
struct runner {
	struct vcore_loop *loop;
	pthread_t thread;
};

static void *
run(void *arg)
{
	struct runner *r = arg;

	support_asserts_here();
	ck_assert_ok(vcore_loop_run(r->loop));
	return NULL;
}

/* Drops everything and looks at nothing: frames are counted by the device. */
static void
flood(struct vdriver *d, struct fake_link *l, uint32_t rounds)
{
	uint64_t heap = d->env->heap;
	struct vdriver_queue *q;
	struct vdriver_buf buf;

	for (uint32_t round = 0; round < rounds; round++) {
		d->env->heap = heap;
		for (uint32_t p = 0; p < 2; p++) {
			fake_link_put(l, p, NULL, frame, 60);
			for (uint32_t i = 0; i < 2; i++) {
				q = &d->queue[2 * p + i];
				buf = (struct vdriver_buf){
					.len = i ? HDR + 60 : 2048,
					.write = i == 0,
				};
				buf.gpa = vdriver_alloc(d->env, buf.len, 1);
				vdriver_add(q, &buf, 1);
				vdriver_kick(q);
				ck_assert(vdriver_wait(q, NULL, NULL));
			}
		}
	}
}

START_TEST(test_pairs_on_two_loops_run_side_by_side)
{
	struct runner r[2] = { { .loop = NULL } };
	struct vcore_loop *loops[2];
	struct vcore_virtio_env e;
	uint16_t n = htole16(2);
	uint8_t on = 1;

	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_link_init(&b.link, 0, 2);
	ck_assert_ok(vcore_net_new(b.link.link, NULL, &b.virtio));
	VCORE_INIT(&e);
	for (int i = 0; i < 2; i++) {
		ck_assert_ok(vcore_loop_new(NULL, &r[i].loop));
		loops[i] = r[i].loop;
		pthread_create(&r[i].thread, NULL, run, &r[i]);
	}
	e.memory = b.env.memory;
	e.loops = loops;
	e.loop_count = 2;
	ck_assert_ok(vcore_virtio_set_env(b.virtio, &e));
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	b.ctrl = &b.d.queue[4];
	ck_assert(vdriver_begin(&b.d, 0));
	for (uint32_t i = 0; i < 5; i++)
		ck_assert(vdriver_queue(&b.d, i, 64));
	vdriver_ok(&b.d);
	for (uint32_t k = 0; k < 20; k++) {
		uint64_t at = vdriver_alloc(&b.env, 16, 1);
		uint8_t *p = vdriver_ram(&b.env, at);
		struct vdriver_buf bufs[2] = {
			{ .gpa = at, .len = k % 2 ? 3 : 4 },
			{ .gpa = at + 8, .len = 1, .write = true },
		};

		p[0] = k % 2 ? VIRTIO_NET_CTRL_RX : VIRTIO_NET_CTRL_MQ;
		p[1] = 0;
		memcpy(p + 2, k % 2 ? (void *)&on : (void *)&n,
		       k % 2 ? 1 : 2);
		vdriver_add(b.ctrl, bufs, 2);
		vdriver_kick(b.ctrl);
		ck_assert(vdriver_wait(b.ctrl, NULL, NULL));
		ck_assert_uint_eq(p[8], VIRTIO_NET_OK);
		flood(&b.d, &b.link, 10);
		fake_link_clear(&b.link);
	}
	ck_assert_ptr_eq(b.link.q[0].loop, loops[0]);
	ck_assert_ptr_eq(b.link.q[1].loop, loops[1]);
	ck_assert_uint_eq(bed_info(&b).queue_frames[0], 400);
	ck_assert_uint_eq(bed_info(&b).queue_frames[1], 400);
	/* The loops let go of the device, and that of the link, when they can. */
	vdriver_detach(&b.d);
	vcore_virtio_unref(b.virtio);
	for (int i = 0; i < 2; i++) {
		vcore_loop_quit(r[i].loop);
		pthread_join(r[i].thread, NULL);
		vcore_loop_unref(r[i].loop);
	}
	vdriver_env_fini(&b.env);
	fake_link_fini(&b.link);
}
END_TEST

/* Hostile case 38: resets while frames come and the link fills and empties. */
static void *
disturb(void *arg)
{
	_Atomic bool *stop = arg;

	for (uint32_t i = 0; !atomic_load(stop); i++) {
		bool crowded;

		pthread_mutex_lock(&b.link.lock);
		crowded = b.link.q[0].in_count > 500;
		pthread_mutex_unlock(&b.link.lock);
		if (!crowded)
			fake_link_put(&b.link, 0, NULL, frame, 60 + i % 1400);
		fake_link_set_full(&b.link, i % 3 == 0);
	}
	return NULL;
}

START_TEST(test_reset_storm_under_traffic)
{
	_Atomic bool stop = false;
	pthread_t thread;

	/* It runs one thread at a time, and that is the one that spins. */
	if (support_valgrind())
		return;
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, VDRIVER_THREAD);
	fake_link_init(&b.link, 0, 1);
	ck_assert_ok(vcore_net_new(b.link.link, NULL, &b.virtio));
	vdriver_attach(&b.d, &b.env, b.virtio, VDRIVER_MMIO);
	b.rx = &b.d.queue[0];
	b.tx = &b.d.queue[1];
	b.ctrl = &b.d.queue[2];
	pthread_create(&thread, NULL, disturb, (void *)&stop);
	for (uint32_t i = 0; i < 200; i++) {
		vdriver_free_all(&b.env);
		bed_start(&b, i % 2 ? BIT(MRG_RXBUF) : 0, 64);
		bed_add_rx(&b, 20, 300);
		vdriver_kick(b.rx);
		for (uint32_t k = 0; k < 20; k++)
			bed_add_tx(&b, NULL, frame, 60);
		vdriver_kick(b.tx);
		if (i % 3 == 0)
			vdriver_queue_reset(&b.d, i & 1);
		vdriver_reset(&b.d);
		/* From here on the ring is not touched: 2.6.1 and 3.1. */
		memset(vdriver_ram(&b.env, b.rx->used), 0x5a, 512);
		vdriver_run(&b.env);
		for (uint32_t k = 0; k < 512; k++)
			ck_assert_uint_eq(*((uint8_t *)vdriver_ram(
						    &b.env, b.rx->used) + k),
					  0x5a);
		pthread_mutex_lock(&b.link.lock);
		while (b.link.q[0].sent_count)
			free(b.link.q[0].sent[--b.link.q[0].sent_count].bytes);
		pthread_mutex_unlock(&b.link.lock);
	}
	stop = true;
	pthread_join(thread, NULL);
	ck_assert(!bed_is_broken(&b));
	bed_down(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("net");
	TCase *t = tcase_create("device"), *u = tcase_create("alone");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_get_info_refuses_bad_arguments);
	tcase_add_loop_test(t, test_features_are_what_the_link_can, 0,
			    sizeof(offers) / sizeof(offers[0]));
	tcase_add_test(t, test_features_off_takes_dependents_along);
	tcase_add_test(t, test_features_that_need_others_are_refused_alone);
	tcase_add_test(t, test_config_shows_address_status_and_pairs);
	tcase_add_test(t, test_made_address_is_local_and_random);
	tcase_add_test(t, test_link_is_attached_only_while_queues_run);
	tcase_add_test(
		t, test_link_that_refuses_is_a_broken_device_not_a_dead_one);
	tcase_add_test(t, test_link_down_is_told_and_up_again);
	tcase_add_test(t, test_link_down_drops_what_waits_for_it);
	tcase_add_test(t, test_second_pair_works_only_when_switched_on);
	tcase_add_test(t, test_pci_driver_gets_frames_and_interrupts);
	tcase_add_test(t, test_stopped_device_touches_neither_link_nor_guest);
	suite_add_tcase(s, t);
	tcase_add_test(u, test_new_refuses_bad_options);
	tcase_add_test(u, test_new_releases_everything_when_memory_is_short);
	tcase_add_test(u, test_pairs_on_two_loops_run_side_by_side);
	tcase_add_test(u, test_reset_storm_under_traffic);
	suite_add_tcase(s, u);
	return support_run(s);
}
