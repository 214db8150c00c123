/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks and pauses without KVM: the "guest" waits for the pending signal. */
#include "vcpu/kick.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "support/support.h"

#define ROUNDS 1000u

static struct vcore__kick kick;
static volatile uint8_t immediate;

static void
start_over(enum vcore__kick_way way)
{
	memset(&kick, 0, sizeof(kick));
	immediate = 0;
	vcore__kick_init(&kick, SIGRTMIN, way, &immediate);
}

static void
setup(void)
{
	start_over(VCORE__KICK_BLOCK);
}

/* As vcore_vcpu_kick_handler(): only on the owner's thread. */
static void
on_signal(int sig)
{
	(void)sig;
	immediate = 1;
}

/* Tests that go both ways: 1 with a handler. */
static void
go(int with_handler)
{
	if (!with_handler)
		return;
	signal(SIGRTMIN, on_signal);
	start_over(VCORE__KICK_HANDLED);
}

/*
 * As KVM_RUN: returns when the signal is pending, and leaves it pending, or has
 * been handled.
 */
static void
guest(void)
{
	sigset_t pending;

	do {
		sched_yield();
		sigpending(&pending);
	} while (!sigismember(&pending, SIGRTMIN) && !immediate);
	immediate = 0;
}

struct runner {
	pthread_t thread;
	_Atomic uint32_t kicked;
	_Atomic uint32_t inside;	/* in the guest: never while paused */
	_Atomic uint32_t entered;	/* was ever there */
	_Atomic uint32_t stop;
	_Atomic uint32_t fast;		/* guests that come out by themselves */
	int rc;
};

static int
run_once(struct runner *r)
{
	uint32_t request;
	sigset_t mask;
	bool fresh;
	int rc;

	rc = vcore__kick_enter(&kick, &mask, &fresh);
	if (rc)
		return rc;
	for (;;) {
		request = vcore__kick_request(&kick);
		if (request & VCORE__KICK_KICK) {
			atomic_fetch_and(&kick.request, ~VCORE__KICK_KICK);
			atomic_fetch_add(&r->kicked, 1);
			break;
		}
		if (request != VCORE__KICK_IN) {
			(void)vcore__kick_park(&kick, NULL, NULL);
			continue;
		}
		atomic_store(&r->inside, 1);
		atomic_store(&r->entered, 1);
		if (!atomic_load(&r->fast))
			guest();
		atomic_store(&r->inside, 0);
		vcore__kick_drain(&kick);
	}
	vcore__kick_leave(&kick);
	return 0;
}

static void *
runner_main(void *opaque)
{
	struct runner *r = opaque;

	while (!atomic_load(&r->stop) && !r->rc)
		r->rc = run_once(r);
	return NULL;
}

static void
start(struct runner *r, uint32_t fast)
{
	memset(r, 0, sizeof(*r));
	atomic_store(&r->fast, fast);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, runner_main, r), 0);
}

static void
stop(struct runner *r)
{
	atomic_store(&r->stop, 1);
	ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	pthread_join(r->thread, NULL);
	ck_assert_int_eq(r->rc, 0);
}

static void
every_kick_is_answered(uint32_t fast)
{
	struct runner r;
	uint32_t i;

	start(&r, fast);
	for (i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(vcore__kick_kick(&kick), 0);
		while (atomic_load(&r.kicked) <= i)
			sched_yield();
	}
	ck_assert_uint_eq(atomic_load(&r.kicked), ROUNDS);
	stop(&r);
}

START_TEST(test_kick_spinning_guest)
{
	go(_i);
	every_kick_is_answered(0);
}
END_TEST

START_TEST(test_kick_exiting_guest)
{
	go(_i);
	every_kick_is_answered(1);
}
END_TEST

START_TEST(test_kick_before_run_is_kept)
{
	struct runner r = { .rc = 0 };

	ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	ck_assert_int_eq(run_once(&r), 0);
	/* Two that nobody saw are one. */
	ck_assert_uint_eq(r.kicked, 1);
	ck_assert_uint_eq(vcore__kick_request(&kick), 0);
}
END_TEST

START_TEST(test_kick_by_the_owner_sets_immediate_exit)
{
	sigset_t mask, pending;
	bool fresh;

	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	ck_assert(fresh);
	ck_assert(vcore__kick_is_owner(&kick));
	ck_assert(vcore__kick_go_in(&kick));
	ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	ck_assert_uint_eq(immediate, 1);
	sigpending(&pending);
	ck_assert_int_eq(sigismember(&pending, SIGRTMIN), 0);
	atomic_store(&kick.request, 0);
	vcore__kick_leave(&kick);
	ck_assert(!vcore__kick_is_owner(&kick));
}
END_TEST

START_TEST(test_enter_blocks_and_leave_restores)
{
	sigset_t mask, now, set;
	bool fresh;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	ck_assert_int_eq(sigismember(&mask, SIGUSR2), 1);
	ck_assert_int_eq(sigismember(&mask, SIGRTMIN), 0);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, SIGRTMIN), 1);
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), -EBUSY);
	vcore__kick_leave(&kick);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, SIGRTMIN), 0);
	ck_assert_int_eq(sigismember(&now, SIGUSR2), 1);
	/* One that the embedder blocks stays blocked. */
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	ck_assert_int_eq(sigismember(&mask, SIGRTMIN), 0);
	vcore__kick_leave(&kick);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, SIGRTMIN), 1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
END_TEST

START_TEST(test_handled_signal_is_left_alone)
{
	sigset_t mask, now;
	bool fresh;

	go(1);
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	/* KVM is to be given no mask. */
	ck_assert(!fresh);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, SIGRTMIN), 0);
	vcore__kick_leave(&kick);
}
END_TEST

START_TEST(test_trusted_signal_must_be_blocked)
{
	sigset_t mask, set;
	bool fresh;

	kick.way = VCORE__KICK_BLOCKED;
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), -EINVAL);
	ck_assert(!vcore__kick_is_owner(&kick));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	ck_assert(fresh);
	vcore__kick_leave(&kick);
	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	ck_assert(!fresh);
	vcore__kick_leave(&kick);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
END_TEST

/* The thread that forks has another thread id in the child. */
START_TEST(test_kick_after_fork)
{
	struct runner r = { .rc = 0 };
	pid_t pid;
	int status;

	/* As in a program that has run a vCPU itself. */
	ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	ck_assert_int_eq(run_once(&r), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sigset_t mask;
		bool fresh;

		setup();
		if (vcore__kick_enter(&kick, &mask, &fresh) || !fresh)
			_exit(1);
		_exit(atomic_load(&kick.target) == gettid() ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Another thread, even with all that was the last one's, is looked at anew. */
static void *
enter_trusted(void *opaque)
{
	sigset_t mask;
	bool fresh;
	int *rc = opaque;

	*rc = vcore__kick_enter(&kick, &mask, &fresh);
	if (*rc == 0) {
		*rc = fresh && atomic_load(&kick.target) == gettid();
		vcore__kick_leave(&kick);
	}
	return NULL;
}

START_TEST(test_trusted_threads_one_after_the_other)
{
	pthread_t thread;
	sigset_t set;
	int rc;

	kick.way = VCORE__KICK_BLOCKED;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (uint32_t i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, enter_trusted, &rc);
		pthread_join(thread, NULL);
		ck_assert_int_eq(rc, 1);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pthread_create(&thread, NULL, enter_trusted, &rc);
	pthread_join(thread, NULL);
	ck_assert_int_eq(rc, -EINVAL);
}
END_TEST

/* The exclusion that pause promises, from two pausing threads. */
struct pauser {
	struct runner *r;
	uint32_t seen_inside;
};

static void *
pauser_main(void *opaque)
{
	struct pauser *p = opaque;
	uint32_t i;

	for (i = 0; i < ROUNDS; i++) {
		if (vcore__kick_pause(&kick) ||
		    vcore__kick_wait_paused(&kick, 0))
			return p;
		if (atomic_load(&p->r->inside) ||
		    !vcore__kick_is_paused(&kick))
			p->seen_inside++;
		if (vcore__kick_resume(&kick))
			return p;
	}
	return NULL;
}

static void
pause_excludes(uint32_t fast)
{
	struct pauser p[2];
	pthread_t thread[2];
	struct runner r;
	void *failed;
	uint32_t i, kicks = 0;

	start(&r, fast);
	while (!atomic_load(&r.entered))
		sched_yield();
	for (i = 0; i < 2; i++) {
		p[i].r = &r;
		p[i].seen_inside = 0;
		pthread_create(&thread[i], NULL, pauser_main, &p[i]);
	}
	for (i = 0; i < ROUNDS; i++, kicks++)
		ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], &failed);
		ck_assert_ptr_null(failed);
		ck_assert_uint_eq(p[i].seen_inside, 0);
	}
	stop(&r);
	ck_assert_uint_ge(atomic_load(&r.kicked), 1);
	ck_assert_uint_le(atomic_load(&r.kicked), kicks + 1);
	ck_assert_uint_eq(VCORE__KICK_PAUSES(vcore__kick_request(&kick)), 0);
}

START_TEST(test_pause_excludes_spinning_guest)
{
	go(_i);
	pause_excludes(0);
}
END_TEST

START_TEST(test_pause_excludes_exiting_guest)
{
	go(_i);
	pause_excludes(1);
}
END_TEST

START_TEST(test_pause_of_nobody_is_immediate)
{
	struct runner r = { .rc = 0 };

	ck_assert_int_eq(vcore__kick_pause(&kick), 0);
	ck_assert_int_eq(vcore__kick_pause(&kick), 0);
	ck_assert_int_eq(vcore__kick_wait_paused(&kick, 1), 0);
	/* A kick comes through, the guest is not entered. */
	ck_assert_int_eq(vcore__kick_kick(&kick), 0);
	ck_assert_int_eq(run_once(&r), 0);
	ck_assert_uint_eq(r.kicked, 1);
	ck_assert_int_eq(vcore__kick_resume(&kick), 0);
	ck_assert_int_eq(vcore__kick_resume(&kick), 0);
	ck_assert_int_eq(vcore__kick_resume(&kick), -EINVAL);
}
END_TEST

START_TEST(test_pause_count_has_a_limit)
{
	atomic_store(&kick.request, VCORE__KICK_PAUSES_MAX << 8);
	ck_assert_int_eq(vcore__kick_pause(&kick), -ENOSPC);
	ck_assert_uint_eq(vcore__kick_request(&kick),
			  VCORE__KICK_PAUSES_MAX << 8);
}
END_TEST

START_TEST(test_pause_times_out)
{
	uint64_t deadline = vcore__now_ns() + 2000000;
	sigset_t mask;
	bool fresh;

	ck_assert_int_eq(vcore__kick_enter(&kick, &mask, &fresh), 0);
	ck_assert(vcore__kick_go_in(&kick));
	ck_assert_int_eq(vcore__kick_pause(&kick), 0);
	ck_assert(!vcore__kick_is_paused(&kick));
	ck_assert_int_eq(vcore__kick_wait_paused(&kick, deadline), -ETIMEDOUT);
	ck_assert_uint_ge(vcore__now_ns(), deadline);
	ck_assert_int_eq(vcore__kick_resume(&kick), 0);
	vcore__kick_leave(&kick);
}
END_TEST

static _Atomic uint32_t ready;

static bool
is_ready(void *opaque)
{
	(void)opaque;
	return atomic_load(&ready);
}

static void *
park_main(void *opaque)
{
	sigset_t mask;
	bool fresh;

	if (vcore__kick_enter(&kick, &mask, &fresh))
		return opaque;
	if (!vcore__kick_park(&kick, is_ready, NULL))
		return opaque;
	vcore__kick_leave(&kick);
	return NULL;
}

START_TEST(test_park_waits_for_what_is_awaited)
{
	pthread_t thread;
	void *failed;
	uint32_t i;

	for (i = 0; i < 200; i++) {
		atomic_store(&ready, 0);
		pthread_create(&thread, NULL, park_main, &kick);
		/* Wakes that tell nothing new change nothing. */
		vcore__kick_wake(&kick);
		if (i & 1)
			while (vcore__kick_request(&kick))
				sched_yield();
		atomic_store(&ready, 1);
		vcore__kick_wake(&kick);
		pthread_join(thread, &failed);
		ck_assert_ptr_null(failed);
		atomic_store(&kick.request, 0);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/kick");
	TCase *t = tcase_create("kick");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, test_kick_spinning_guest, 0, 2);
	tcase_add_loop_test(t, test_kick_exiting_guest, 0, 2);
	tcase_add_test(t, test_kick_before_run_is_kept);
	tcase_add_test(t, test_kick_by_the_owner_sets_immediate_exit);
	tcase_add_test(t, test_enter_blocks_and_leave_restores);
	tcase_add_test(t, test_handled_signal_is_left_alone);
	tcase_add_test(t, test_trusted_signal_must_be_blocked);
	tcase_add_test(t, test_kick_after_fork);
	tcase_add_test(t, test_trusted_threads_one_after_the_other);
	tcase_add_loop_test(t, test_pause_excludes_spinning_guest, 0, 2);
	tcase_add_loop_test(t, test_pause_excludes_exiting_guest, 0, 2);
	tcase_add_test(t, test_pause_of_nobody_is_immediate);
	tcase_add_test(t, test_pause_count_has_a_limit);
	tcase_add_test(t, test_pause_times_out);
	tcase_add_test(t, test_park_waits_for_what_is_awaited);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
