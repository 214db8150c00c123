/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting threads, by the embedder's way or by pthreads. */
#ifndef VCORE_LIB_LOOP_THREAD_H
#define VCORE_LIB_LOOP_THREAD_H

#include <vcore/pool.h>

/* How to start threads: the embedder's table, copied, or the default. */
struct vcore__spawner {
	struct vcore_spawn_ops ops;
	void *opaque;
};

/*
 * spawn may be NULL: pthreads. who is the public function and the parameter
 * for the error text. 0, -EINVAL, -E2BIG, with text.
 */
int
vcore__spawner_init(struct vcore__spawner *s, const char *who,
		    const struct vcore_spawn_ops *spawn, void *opaque);

/*
 * control: start a thread that calls fn(arg), called name (cut to 15 bytes),
 * with every signal blocked that isn't the result of an instruction. 0, or what
 * the embedder's function or pthread_create() said, without text.
 */
int
vcore__thread_start(const struct vcore__spawner *s, const char *name,
		    void (*fn)(void *arg), void *arg, void **thread);

/* control, or the thread itself, which is then left to end by itself. */
void
vcore__thread_join(const struct vcore__spawner *s, void *thread);

#endif
