/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reclamation: lib/base/rcu.c and rcu.h, and lib/base/rangemap.c as its user. Every
 * atomic access there is sequentially consistent, so one access is one step
 * here. Each inline carries the name of the function that it stands for.
 *
 * A map with room for one range. The writer removes the range, inserts another
 * and removes that, which retires a value, a copy and a value.
 *
 * Checked: what a reader uses is not freed; a look-up that begins after a
 * removal has returned does not find the range; when all is over nothing is
 * left unfreed, and nobody is stuck.
 *
 * MUTANT=1: readers announce themselves after they have followed the pointer.
 * MUTANT=2: retire looks at the readers before it says that something waits.
 * MUTANT=3: the epoch of a group is that of its last member, not its first.
 * MUTANT=4: a removal frees the value at once.
 */
#ifndef MUTANT
#define MUTANT 0
#endif

#ifndef READERS
#define READERS 2		/* threads with a struct vcore__reader */
#endif
#ifndef ANONYMOUS
#define ANONYMOUS 0		/* threads without */
#endif
#ifndef SECTIONS
#define SECTIONS 1		/* that each of them has */
#endif

#define COPY_A 1		/* objects that are freed */
#define VALUE_A 2
#define COPY_B 3
#define VALUE_B 4
#define OBJECTS 5		/* and 0, NULL */

#define NEVER 15		/* an epoch above all others */

/* The map: struct vcore__ranges of one entry. */
byte current = COPY_A;		/* map->current */
byte value[OBJECTS];			/* copy -> value of its entry, 0: no entry */
bool dead[OBJECTS];		/* copy -> entry[0].dead */

/* struct vcore__domain */
byte epoch = 1, newest = 0;
bool lock;
byte list[3], tag[3], first, end;	/* waiting: list[first .. end - 1] */
byte reader[READERS + 1];		/* epoch of each, 0: outside */
byte count[2], since[2], current_group;	/* group[].count, .epoch */

/* What is checked. */
bool freed[OBJECTS], retired[OBJECTS], removed[OBJECTS];
byte over;

inline mutex_lock() { atomic { !lock; lock = true } }
inline mutex_unlock() { lock = false }

/* oldest_reader() and take_free(): the lock is held, readers go on. */
inline take_free()
{
	oldest = NEVER;
	i = 0;
	do
	:: i < READERS ->
		atomic {
			if
			:: reader[i] != 0 && reader[i] < oldest ->
				oldest = reader[i]
			:: else
			fi;
			i++
		}
	:: else -> break
	od;
	atomic {
		if
		:: count[0] > 0 && since[0] < oldest -> oldest = since[0]
		:: else
		fi;
		if
		:: count[1] > 0 && since[1] < oldest -> oldest = since[1]
		:: else
		fi;
		from = first;
		do
		:: first < end && tag[first] < oldest -> first++
		:: else -> break
		od;
		to = first
	}
	if
	:: from != to && first == end -> newest = 0
	:: else
	fi
}

/* run() of rcu.c: without the lock, on whichever thread noticed. */
inline run_taken()
{
	do
	:: from < to ->
		atomic {
			assert(!freed[list[from]]);
			freed[list[from]] = true;
			from++
		}
	:: else -> break
	od;
	atomic { from = 0; to = 0; oldest = 0; i = 0 }
}

/* vcore__domain_reclaim() */
inline domain_reclaim()
{
	mutex_lock();
	take_free();
	mutex_unlock();
	run_taken()
}

/* vcore__domain_retire() */
inline domain_retire(object)
{
	assert(!retired[object]);
	retired[object] = true;
	mutex_lock();
	d_step { tag[end] = epoch; epoch++ }
	d_step { list[end] = object; end++ }
#if MUTANT == 2
	take_free();
	if
	:: first < end -> newest = tag[end - 1]
	:: else
	fi;
#else
	newest = tag[end - 1];
	take_free();
#endif
	mutex_unlock();
	run_taken()
}

/* vcore__rangemap_find(), and the use of what it found. */
inline rangemap_find_and_use()
{
	map = current;
use_copy:
	assert(!freed[map]);
	found = value[map];
	if
	:: found != 0 ->
		assert(!freed[map]);
		if
		:: dead[map] -> found = 0
		:: else
		fi
	:: else
	fi;
	assert(!(found != 0 && before[found]));
	if
	:: found != 0 ->
use_value:	assert(!freed[found])
	:: else
	fi;
	d_step { map = 0; found = 0 }
}

/* What was removed when the section began may not be found in it. */
inline remember()
{
	d_step {
		before[VALUE_A] = removed[VALUE_A];
		before[VALUE_B] = removed[VALUE_B]
	}
}

inline forget()
{
	d_step { before[VALUE_A] = false; before[VALUE_B] = false }
}

proctype thread_with_reader(byte me)
{
	byte n, entered, map, found, oldest, from, to, i;
	bool before[OBJECTS];

	do
	:: n < SECTIONS ->
		remember();
#if MUTANT == 1
		map = current;
		entered = epoch;
		reader[me] = entered;
		assert(!freed[map]);
		goto leave;
#endif
		/* vcore__reader_enter() */
		entered = epoch;
		reader[me] = entered;

		rangemap_find_and_use();
leave:
		/* vcore__reader_exit() */
		reader[me] = 0;
		if
		:: newest >= entered ->
reclaim:		domain_reclaim()
		:: else
		fi;
		forget();
		d_step { entered = 0; n++ }
	:: else -> break
	od;
	over++
}

proctype thread_without_reader()
{
	byte n, token, map, found, oldest, from, to, i;
	bool last, before[OBJECTS];

	do
	:: n < SECTIONS ->
	remember();
	/* vcore__domain_enter() */
	mutex_lock();
	d_step {
		if
		:: count[1 - current_group] == 0 &&
		   since[current_group] < epoch ->
			current_group = 1 - current_group
		:: else
		fi;
		if
		:: count[current_group] == 0 || MUTANT == 3 ->
			since[current_group] = epoch
		:: else
		fi;
		count[current_group]++;
		token = current_group
	}
	mutex_unlock();

	rangemap_find_and_use();

	/* vcore__domain_exit() */
	mutex_lock();
	d_step {
		count[token]--;
		last = count[token] == 0 && first < end
	}
	mutex_unlock();
	if
	:: last ->
reclaim:	domain_reclaim()
	:: else
	fi;
	forget();
	d_step { token = 0; last = false; n++ }
	:: else -> break
	od;
	over++
}

/* vcore__rangemap_remove(): mark the entry, then retire what it points to. */
inline rangemap_remove()
{
	d_step { at = value[current]; dead[current] = true }
	removed[at] = true;
#if MUTANT == 4
	freed[at] = true
#else
	domain_retire(at)
#endif
}

/*
 * vcore__rangemap_insert(): a copy leaves dead entries out; publish it, retire
 * the old one.
 */
inline rangemap_insert(copy, v)
{
	value[copy] = v;
	d_step { at = current; current = copy }
	domain_retire(at)
}

proctype writer()
{
	byte at, oldest, from, to, i;

	rangemap_remove();
	rangemap_insert(COPY_B, VALUE_B);
	rangemap_remove();
	over++
}

init
{
	byte n;

	atomic {
		value[COPY_A] = VALUE_A;
		do
		:: n < READERS ->
			run thread_with_reader(n);
			n++
		:: n >= READERS && n < READERS + ANONYMOUS ->
			run thread_without_reader();
			n++
		:: n == READERS + ANONYMOUS -> break
		od;
		run writer()
	}
	/* Everybody has left: nothing may be kept. */
	over == READERS + ANONYMOUS + 1;
	assert(first == end && newest == 0);
	assert(freed[VALUE_A] && freed[COPY_A] && freed[VALUE_B]);
	assert(!freed[COPY_B])
}
