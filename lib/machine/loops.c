/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads that run a machine's device loops. */
#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "loop/call.h"

/* A dispatch runs 64 calls; a machine has at most 64 devices. */
#define DRAIN_TURNS 16u

int
vcore__machine_loops_new(struct vcore_machine *m)
{
	struct vcore_loop_opts opts;
	int rc;

	m->loops = calloc(m->loop_count, sizeof(*m->loops));
	if (m->loops == NULL)
		return vcore__err(m->opts.log, -ENOMEM,
				  "vcore_machine_new: no memory for %u loops",
				  m->loop_count);
	VCORE_INIT(&opts);
	opts.log = m->opts.log;
	for (uint32_t i = 0; i < m->loop_count; i++) {
		if (m->opts.loop != NULL) {
			m->loops[i].loop = vcore_loop_ref(m->opts.loop);
		} else {
			rc = vcore_loop_new(&opts, &m->loops[i].loop);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

void
vcore__machine_loops_free(struct vcore_machine *m)
{
	for (uint32_t i = 0; m->loops != NULL && i < m->loop_count; i++)
		vcore_loop_unref(m->loops[i].loop);
	free(m->loops);
	m->loops = NULL;
}

static void
loop_main(void *arg)
{
	vcore_loop_run(arg);
}

int
vcore__machine_loops_start(struct vcore_machine *m)
{
	char name[16];
	int rc;

	for (uint32_t i = 0; m->opts.loop == NULL && i < m->loop_count; i++) {
		snprintf(name, sizeof(name), "loop%u", i);
		rc = vcore__thread_start(&m->spawner, name, loop_main,
					 m->loops[i].loop, &m->loops[i].thread);
		if (rc < 0)
			return vcore__err(m->opts.log, rc,
					  "vcore_machine_start: thread of loop %u: %s",
					  i, vcore__strerror(rc));
		m->loops[i].started = true;
	}
	return 0;
}

void
vcore__machine_loops_quit(struct vcore_machine *m)
{
	for (uint32_t i = 0; i < m->loop_count; i++) {
		if (!m->loops[i].started)
			continue;
		vcore_loop_quit(m->loops[i].loop);
		vcore__thread_join(&m->spawner, m->loops[i].thread);
		m->loops[i].started = false;
	}
}

/*
 * What was freed gives its stream or link up by a call on its loop, and until
 * then its source keeps the loop. An embedder's loop that another thread
 * dispatches refuses: then that thread runs the calls. Sources of the
 * embedder's own may be ready all the time, so there is an end to it.
 */
void
vcore__machine_loops_drain(struct vcore_machine *m)
{
	for (uint32_t i = 0; m->loops != NULL && i < m->loop_count; i++)
		for (uint32_t turn = 0; turn < DRAIN_TURNS; turn++)
			if (m->loops[i].loop == NULL ||
			    vcore__loop_help(m->loops[i].loop) <= 0)
				break;
}
