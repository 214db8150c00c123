/* SPDX-License-Identifier: BSD-3-Clause */
/* A per-thread count of the callbacks that the thread is in. */
#include "base/wait.h"

#include <stdint.h>

static _Thread_local uint32_t depth;

void
vcore__nowait_begin(void)
{
	depth++;
}

void
vcore__nowait_end(void)
{
	depth--;
}

bool
vcore__may_wait(void)
{
	return depth == 0;
}
