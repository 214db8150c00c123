/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferred reclamation: epochs, readers that announce themselves, nodes that
 * wait.
 *
 * How it works. The domain has an epoch that grows by one with each retired
 * node; the node's tag is the epoch before that step. A reader stores the
 * epoch it reads into its own field on entry and 0 on exit. A node may be freed
 * when no reader's field holds a value in [1, tag].
 *
 * Why it is correct. Every atomic access below, and by the users' rule every
 * access to the pointer P that leads readers to the structure, is seq_cst, so
 * they all are in one total order that agrees with each thread's program order
 * and one may argue (or let a model checker enumerate) by interleaving.
 *
 *   writer:  W1 P = new          reader:  R1 e = epoch
 *            W2 tag = epoch++             R2 field = e
 *            W3 look at field             R3 p = P; use p
 *                                         R4 field = 0
 *
 * Safety: suppose the writer frees old at W3 while a reader uses it, that is,
 * the reader's R3 read old, so R3 < W1 and R1 < R2 < R3 < W1 < W2 < W3. From
 * R1 < W2 follows e <= tag. W3 comes after R2, so unless R4 has happened it
 * finds e, which is in [1, tag], and does not free. If R4 has happened, the
 * reader is done with old, and W3 reading that store (or a later one of the
 * same reader) orders all uses before the freeing. A reader whose R1 comes
 * before W2 but whose R3 comes after W1 makes the writer keep old for nothing,
 * which is only late. W3 is repeated by everyone who reclaims; the lock orders
 * those looks, and the argument holds for each of them.
 *
 * Nothing is forgotten: `newest` is the tag of the youngest node that waits, 0
 * if none does; it changes under the lock only. A reader that leaves a section
 * entered at e <= newest reclaims.
 *
 *   writer:  W2' newest = tag    reader:  R4 field = 0
 *            W3  look at field            R5 if (e <= newest) reclaim
 *
 * Either W2' < R5 and the reader reclaims, taking the lock after the writer, or
 * R5 < W2', so R4 < W3 and the writer sees that the reader has left. With
 * several readers in the way the last of them to leave finds all fields out of
 * [1, tag]. A reader that entered after the last retiring doesn't reclaim,
 * so a long section elsewhere costs the others one reclaim each and not one per
 * exit.
 *
 * Anonymous sections are counted in two groups under the lock. A group's epoch
 * is that of its first member, so it is a lower bound for all of them, and an
 * active group counts as one reader with that epoch. New members join the
 * current group; when the other is empty and the epoch has moved on, it becomes
 * the current one, so a group that has members no longer grows for ever and
 * overlapping sections can't hold a node back for longer than they last.
 *
 * The lock is held for a walk over readers and nodes, never for a callback.
 */
#include "base/rcu.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

int
vcore__domain_new(struct vcore__domain **domain)
{
	struct vcore__domain *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	atomic_init(&d->epoch, 1);
	pthread_mutex_init(&d->lock, NULL);
	d->end = &d->first;
	*domain = d;
	return 0;
}

void
vcore__domain_free(struct vcore__domain *domain)
{
	if (!domain)
		return;
	/* Nobody reads: one call takes all, but a callback may retire more. */
	while (atomic_load(&domain->newest))
		vcore__domain_reclaim(domain);
	pthread_mutex_destroy(&domain->lock);
	free(domain);
}

void
vcore__reader_init(struct vcore__reader *r, struct vcore__domain *domain)
{
	atomic_init(&r->epoch, 0);
	r->depth = 0;
	r->near = 0;
	r->domain = domain;
	pthread_mutex_lock(&domain->lock);
	r->next = domain->readers;
	r->prev = &domain->readers;
	if (r->next)
		r->next->prev = &r->next;
	domain->readers = r;
	pthread_mutex_unlock(&domain->lock);
}

void
vcore__reader_fini(struct vcore__reader *r)
{
	struct vcore__domain *d = r->domain;

	pthread_mutex_lock(&d->lock);
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	pthread_mutex_unlock(&d->lock);
	r->domain = NULL;
}

void
vcore__domain_enter(struct vcore__domain *domain, uint64_t *token)
{
	uint64_t now;
	struct vcore__group *other;

	pthread_mutex_lock(&domain->lock);
	now = atomic_load(&domain->epoch);
	other = &domain->group[!domain->current];
	if (other->count == 0 && domain->group[domain->current].epoch < now)
		domain->current = !domain->current;
	if (domain->group[domain->current].count++ == 0)
		domain->group[domain->current].epoch = now;
	*token = domain->current;
	pthread_mutex_unlock(&domain->lock);
}

void
vcore__domain_exit(struct vcore__domain *domain, uint64_t token)
{
	bool last;

	pthread_mutex_lock(&domain->lock);
	last = --domain->group[token].count == 0 && domain->first;
	pthread_mutex_unlock(&domain->lock);
	if (last)
		vcore__domain_reclaim(domain);
}

/* The smallest epoch that somebody reads at. Lock held. */
static uint64_t
oldest_reader(struct vcore__domain *d)
{
	uint64_t oldest = UINT64_MAX;
	struct vcore__reader *r;
	uint64_t e;
	int i;

	for (r = d->readers; r; r = r->next) {
		e = atomic_load(&r->epoch);
		if (e && e < oldest)
			oldest = e;
	}
	for (i = 0; i < 2; i++)
		if (d->group[i].count && d->group[i].epoch < oldest)
			oldest = d->group[i].epoch;
	return oldest;
}

/* Cut off the nodes that nobody sees any more. Lock held. */
static struct vcore__retired *
take_free(struct vcore__domain *d)
{
	uint64_t oldest = oldest_reader(d);
	struct vcore__retired *taken = d->first;
	struct vcore__retired **pos = &d->first;

	while (*pos && (*pos)->epoch < oldest)
		pos = &(*pos)->next;
	if (pos == &d->first)
		return NULL;
	d->first = *pos;
	*pos = NULL;
	if (!d->first) {
		d->end = &d->first;
		atomic_store(&d->newest, 0);
	}
	return taken;
}

static void
run(struct vcore__retired *node)
{
	struct vcore__retired *next;

	for (; node; node = next) {
		next = node->next; /* fn frees the node */
		node->fn(node);
	}
}

void
vcore__domain_retire(struct vcore__domain *domain, struct vcore__retired *node,
		     void (*fn)(struct vcore__retired *))
{
	struct vcore__retired *taken;

	node->fn = fn;
	node->next = NULL;
	pthread_mutex_lock(&domain->lock);
	node->epoch = atomic_fetch_add(&domain->epoch, 1);
	*domain->end = node;
	domain->end = &node->next;
	atomic_store(&domain->newest, node->epoch);
	taken = take_free(domain);
	pthread_mutex_unlock(&domain->lock);
	run(taken);
}

void
vcore__domain_reclaim(struct vcore__domain *domain)
{
	struct vcore__retired *taken;

	pthread_mutex_lock(&domain->lock);
	taken = take_free(domain);
	pthread_mutex_unlock(&domain->lock);
	run(taken);
}
