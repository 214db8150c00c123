/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks, pauses and the machine's hold: lib/vcpu/kick.c, lib/vcpu/run.c and
 * lib/machine/cpus.c, one vCPU. Every atomic access there is sequentially
 * consistent, so one access is one step here; a loop around a compare-and-swap
 * is the step in which it succeeds. Each inline carries the name of the
 * function that it stands for.
 *
 * The guest leaves when it likes, or never unless a signal is pending. So a
 * kick or a pause that gets lost leaves somebody waiting for ever, which the
 * checker reports.
 *
 * Checked: every kick makes the run return; pause and hold end; meanwhile the
 * vCPU is neither in the guest nor in a handler; only a thread that has the
 * signal blocked is signalled; none is pending when it is unblocked; in the
 * end all have come to theirs (also with weak fairness, as a liveness claim).
 *
 * HANDLED=1: the signal is not blocked, vcore_vcpu_kick_handler() runs instead
 * (VCORE_VCPU_SIGNAL_HANDLED): between any two steps of the thread, or when
 * the signal has got it out of KVM_RUN, at any time after that, which is later
 * than the kernel allows itself. What is said of blocking is not checked then;
 * that the thread that is signalled is still the owner is.
 *
 * MUTANT=1: go_in() does not look for pauses when it sets IN.
 * MUTANT=2: the loop enters the guest after go_in() without a second look.
 * MUTANT=3: leave() does not wait for senders.
 * MUTANT=4: park() sleeps on a value that it has read again.
 * MUTANT=5: hold() kicks before it says that the vCPUs are held.
 * MUTANT=6: leave() and park() do not wake who pauses.
 * MUTANT=7: the loop clears immediate_exit between its look and KVM_RUN.
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef KICKERS
#define KICKERS 0		/* threads that kick */
#endif
#ifndef PAUSERS
#define PAUSERS 0		/* threads that pause and resume */
#endif
#ifndef HOLDS
#define HOLDS 0			/* times that the machine holds it */
#endif
#ifndef LATER
#define LATER 0			/* accesses that are answered later */
#endif
#ifndef OWN
#define OWN 0			/* kicks by the vCPU's own handlers */
#endif
#ifndef HANDLED
#define HANDLED 0		/* the signal has a handler */
#endif
#ifndef FAILS
#define FAILS 0			/* signals that can't be queued */
#endif

/* k->request */
#define KICK 1
#define WAKE 2
#define IN 4
#define PAUSE 8
#define PAUSES(r) ((r) >> 3)

#define VCPU 1			/* thread ids */
#define OTHER 2

/* struct vcore__kick */
byte request, senders, sent, taken;
byte target;			/* 0 or VCPU, as owner */
bool owner, unsent, immediate;

/* The kernel's: who sleeps on request (0: the vCPU) and on senders, signals. */
bool asleep[PAUSERS + 1], asleep_senders;
bool blocked, pending;
byte fails = FAILS;

/* struct vcore_vcpu, and the machine's. */
bool midway, step_pending, ready;
bool current;			/* the thread's, of run.c */
bool lock, hold, quit, held;
bool waiting_cpu, waiting_control;	/* for m->changed */

/* What is checked. */
bool inside;			/* the guest runs, or a handler */
byte paused;			/* pauses that have completed */
bool is_held;			/* a hold that has completed */
byte done;			/* kickers and pausers that are */
byte ended;			/* vCPU's thread, control */
bool over;			/* all of that has ended */
byte later = LATER, own = OWN;

inline futex_wait(seen, i)
{
	atomic {
		if
		:: request == seen -> asleep[i] = true
		:: else
		fi
	}
	!asleep[i]
}

inline futex_wake()
{
	d_step {
		asleep[0] = false;
#if PAUSERS > 0
		asleep[1] = false;
#endif
#if PAUSERS > 1
		asleep[2] = false;
#endif
		skip
	}
}

/* send_signal(): the thread id is read between two changes of senders. */
inline send_signal(me)
{
	rc = 0;
	senders++;
	t = target;
	if
	:: t == me -> immediate = true
	:: t != 0 && t != me ->
		sent++;
		atomic {
			/* tgkill() */
			assert(HANDLED -> owner : blocked);
			if
			:: fails > 0 -> fails--; rc = 1
			:: pending = true
			fi
		}
		unsent = rc
	:: t == 0
	fi;
	atomic { t = senders; senders-- }
	if
	:: t == 1 ->
		if
		:: target == 0 -> asleep_senders = false
		:: else
		fi
	:: else
	fi;
	t = 0
}

/* notify() */
inline notify(before, me)
{
	rc = 0;
	if
	:: before & IN -> send_signal(me)
	:: else ->
		if
		:: owner -> futex_wake()
		:: else
		fi
	fi
}

/* vcore__kick_kick() */
inline kick_kick(me)
{
	atomic { r = request; request = request | KICK }
	if
	:: !(r & KICK) -> notify(r, me)
	:: else
	fi;
	do
	:: rc ->
		r = request;
		notify(r, me)
	:: else -> break
	od;
	r = 0
}

/* vcore__kick_wake() */
inline kick_wake()
{
	request = request | WAKE;
	if
	:: owner -> futex_wake()
	:: else
	fi
}

/* vcore__kick_pause() and vcore__kick_wait_paused() */
inline kick_pause_and_wait(i)
{
	atomic { r = request; request = request + PAUSE }
	if
	:: r & IN -> send_signal(OTHER)
	:: else
	fi;
	do
	:: r = request;
		if
		:: r & IN ->
			if
			:: unsent -> send_signal(OTHER)	/* after a while */
			:: else -> futex_wait(r, i)
			fi
		:: else -> break
		fi
	od;
	r = 0; rc = 0
}

/* vcore__kick_resume() */
inline kick_resume()
{
	atomic { r = request; request = request - PAUSE }
	if
	:: PAUSES(r) == 1 -> futex_wake()
	:: else
	fi;
	r = 0
}

/* vcore__kick_go_in() */
inline kick_go_in()
{
#if MUTANT == 1
	in = !PAUSES(request);
	if
	:: in -> request = request | IN
	:: else
	fi
#else
	atomic {
		in = !PAUSES(request);
		if
		:: in -> request = request | IN
		:: else
		fi
	}
#endif
}

/* go_out() */
inline go_out()
{
	atomic { r = request; request = request & ~IN }
#if MUTANT != 6
	if
	:: PAUSES(r) -> futex_wake()
	:: else
	fi
#endif
}

/* vcore__kick_drain() */
inline kick_drain()
{
	if
	:: !HANDLED -> pending = false
	:: else
	fi
}

/* vcore__kick_enter() */
inline kick_enter()
{
	assert(!owner);
	owner = true;
	blocked = !HANDLED;
	target = VCPU;
	current = true
}

/* vcore__kick_leave() */
inline kick_leave()
{
	current = false;
	go_out();
	target = 0;
#if MUTANT != 3
	do
	:: r = senders;
		if
		:: r != 0 ->
			atomic {
				if
				:: senders == r -> asleep_senders = true
				:: else
				fi
			}
			!asleep_senders
		:: else -> break
		fi
	od;
#endif
	r = sent;
	if
	:: r != taken -> kick_drain()
	:: else
	fi;
	taken = r;
	atomic { assert(!pending || HANDLED); blocked = false }
	owner = false;
	r = 0
}

/* vcore__kick_park(): in is what it returns. */
inline kick_park()
{
	go_out();
	do
	:: r = request;
		if
		:: r & KICK -> in = false; break
		:: !(r & KICK) && (r & WAKE) -> request = request & ~WAKE
		:: !(r & (KICK | WAKE)) ->
			in = !step_pending || ready;
			if
			:: in -> kick_go_in()
			:: else
			fi;
			if
			:: in -> break
			:: else
			fi;
#if MUTANT == 4
			r = request;
#endif
			futex_wait(r, 0)
		fi
	od;
	r = 0
}

/* attend(): kicked is whether the run returns. */
inline attend()
{
	r = request;
	if
	:: r & KICK ->
		immediate = false;
		request = request & ~KICK;
		kicked = true
	:: else ->
		kick_park();
		if
		:: in && step_pending && ready ->
			d_step { step_pending = false; ready = false }
		:: else
		fi
	fi
}

/* handle() of run.c: a handler runs. returned: the exit is the embedder's. */
inline handle()
{
	assert(paused == 0 && !is_held);
	if
	:: skip
	:: own > 0 -> own--; kick_kick(VCPU)
	:: later > 0 -> d_step { later--; step_pending = true }
#ifndef LIVE
	:: returned = true
#endif
	fi;
	inside = false
}

/*
 * enter() of run.c and KVM_RUN, which unblocks the signal, leaves it pending.
 * From its look at immediate_exit on the thread is in the kernel, where no
 * handler runs.
 */
inline enter()
{
	atomic {
		failed = immediate;
		if
		:: failed
		:: else ->
			assert(paused == 0 && !is_held);
			inside = true
		fi
	}
	if
	:: failed
	:: else ->
		if
		:: true ->		/* it stays, unless a signal comes */
			pending;
			failed = true;
			inside = false
		:: failed = false	/* an exit; inside until handled */
		fi
	fi;
	if
	:: failed -> immediate = false
	:: else
	fi;
	midway = !failed
}

inline handle_or_drain()
{
	if
	:: failed -> kick_drain()		/* run_failed() */
	:: else -> handle()
	fi
}

/* advance() */
inline advance()
{
	r = request;
	if
	:: r == IN && !step_pending ->
#if MUTANT == 7
		immediate = false;
#endif
		enter();
		handle_or_drain()
	:: !(r & IN) ->
		kick_go_in();
		if
		:: !in -> attend()
		:: else
#if MUTANT == 2
			-> enter();
			handle_or_drain()
#endif
		fi
	:: (r & IN) && (r != IN || step_pending) ->
		if
		:: step_pending || !midway -> attend()
		:: else ->
			/* enter_to_complete() */
			immediate = true;
			enter();
			immediate = false;
			handle_or_drain()
		fi
	fi;
	d_step { r = 0; in = false; failed = false; rc = 0 }
}

/* vcore_vcpu_run() */
inline vcpu_run()
{
	kick_enter();
	do
	:: kicked || returned -> break
	:: else -> advance()
	od;
	kick_leave();
	d_step { kicked = false; returned = false }
}

/* vcore_vcpu_kick_handler(), on the vCPU's thread */
proctype handler()
{
end:	do
	:: atomic {
		pending && !inside -> pending = false;
		if
		:: current -> immediate = true
		:: else
		fi
	   }
	od
}

inline mutex_lock() { atomic { !lock; lock = true } }
inline mutex_unlock() { lock = false }

/* pthread_cond_broadcast(&m->changed) */
inline broadcast()
{
	d_step { waiting_cpu = false; waiting_control = false }
}

/* cpu_main() and wait_turn(); stalled is as hold. */
proctype vcpu()
{
	byte r, t, rc;
	bool in, failed, kicked, returned, go;

	do
	:: mutex_lock();
		do
		:: hold && !quit ->
			if
			:: !held -> held = true; broadcast()
			:: else
			fi;
			atomic { waiting_cpu = true; lock = false }
			!waiting_cpu;
			mutex_lock()
		:: else -> break
		od;
		go = !quit;
		held = !go;
		mutex_unlock();
		if
		:: go -> vcpu_run()
		:: else -> break
		fi
	od;
	ended++
}

inline set_hold(to)
{
	mutex_lock();
	hold = to;
	broadcast();
	mutex_unlock()
}

/* Control: vcore__machine_cpus_hold(), _release() and at last _quit(). */
proctype control()
{
	byte r, t, rc, holds;

	do
	:: holds < HOLDS ->
#if MUTANT == 5
		kick_kick(OTHER);
		set_hold(true);
#else
		set_hold(true);
		kick_kick(OTHER);
#endif
		mutex_lock();
		do
		:: !held ->
			atomic { waiting_control = true; lock = false }
			!waiting_control;
			mutex_lock()
		:: else -> break
		od;
		mutex_unlock();
		atomic { is_held = true; assert(!inside && !owner) }
		is_held = false;
		set_hold(false);
		holds++
	:: else -> break
	od;
	done == KICKERS + PAUSERS;
	mutex_lock();
	quit = true;
	broadcast();
	mutex_unlock();
	kick_kick(OTHER);
	ended++
}

proctype kicker()
{
	byte r, t, rc;

	kick_kick(OTHER);
	/* Only attend() clears it, as the run returns. */
	!(request & KICK);
	done++
}

proctype pauser(byte i)
{
	byte r, t, rc;

	kick_pause_and_wait(i);
	atomic {
		assert(PAUSES(request) && !(request & IN));
		assert(!inside);
		paused++
	}
	paused--;
	kick_resume();
	done++
}

/* vcore_access_done(), for accesses that are answered later. */
proctype device()
{
	byte n;

	do
	:: n < LATER ->
		if
		:: step_pending && !ready
		:: over -> break
		fi;
		ready = true;
		kick_wake();
		n++
	:: else -> break
	od
}

init
{
	byte n;

	atomic {
		run vcpu();
		run control();
#if HANDLED
		run handler();
#endif
#if LATER > 0
		run device();
#endif
		do
		:: n < KICKERS -> run kicker(); n++
		:: n >= KICKERS && n < KICKERS + PAUSERS ->
			run pauser(n - KICKERS + 1); n++
		:: n == KICKERS + PAUSERS -> break
		od
	}
	ended == 2;
	over = true;
	assert(!(pending && !HANDLED) && !owner && !blocked && senders == 0);
	assert(!PAUSES(request) && !(request & IN))
}

/*
 * A mutex is not fair: without an end, a thread that goes round and round may
 * keep the others from it for ever. So with this claim the embedder gets no
 * exits.
 */
#ifdef LIVE
ltl all_end { <> over }
#endif
