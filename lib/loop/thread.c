/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads: the default way to start one, and the embedder's. */
#include "loop/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

#define NAME_MAX_BYTES 16

struct thread {
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
	char name[NAME_MAX_BYTES];
};

static void *
trampoline(void *arg)
{
	struct thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

/*
 * Everything but the signals that an instruction of the thread itself causes:
 * the kernel kills a process that blocks those, and vcore_memory_recover()
 * lives in a SIGBUS handler.
 */
static void
signals_to_block(sigset_t *set)
{
	static const int own[] = { SIGBUS, SIGSEGV, SIGFPE,
				   SIGILL, SIGTRAP, SIGSYS };
	size_t i;

	sigfillset(set);
	for (i = 0; i < VCORE__ARRAY_SIZE(own); i++)
		sigdelset(set, own[i]);
}

static int
default_spawn(void *opaque, const char *name, void (*fn)(void *arg), void *arg,
	      void **thread)
{
	struct thread *t = calloc(1, sizeof(*t));
	sigset_t block, before;
	int rc;

	(void)opaque;
	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->arg = arg;
	snprintf(t->name, sizeof(t->name), "%s", name);
	*thread = t;
	/* Here and not in the thread: it inherits the mask, with no gap. */
	signals_to_block(&block);
	pthread_sigmask(SIG_BLOCK, &block, &before);
	rc = pthread_create(&t->id, NULL, trampoline, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		free(t);
	return -rc;
}

static void
default_join(void *opaque, void *thread)
{
	struct thread *t = thread;

	(void)opaque;
	if (pthread_equal(t->id, pthread_self()))
		pthread_detach(t->id);
	else
		pthread_join(t->id, NULL);
	free(t);
}

int
vcore__spawner_init(struct vcore__spawner *s, const char *who,
		    const struct vcore_spawn_ops *spawn, void *opaque)
{
	int rc;

	if (!spawn) {
		memset(s, 0, sizeof(*s));
		s->ops.size = sizeof(s->ops);
		s->ops.spawn = default_spawn;
		s->ops.join = default_join;
		return 0;
	}
	rc = VCORE__SIZED(who, &s->ops, join, spawn);
	if (rc < 0)
		return rc;
	if (s->ops.flags)
		return vcore__err(NULL, -E2BIG, "%s: flags %#x", who,
				  s->ops.flags);
	if (!s->ops.spawn || !s->ops.join)
		return vcore__err(NULL, -EINVAL, "%s: %s is NULL", who,
				  s->ops.spawn ? "join" : "spawn");
	s->opaque = opaque;
	return 0;
}

int
vcore__thread_start(const struct vcore__spawner *s, const char *name,
		    void (*fn)(void *arg), void *arg, void **thread)
{
	return s->ops.spawn(s->opaque, name, fn, arg, thread);
}

void
vcore__thread_join(const struct vcore__spawner *s, void *thread)
{
	s->ops.join(s->opaque, thread);
}
