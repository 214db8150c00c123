/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether this thread may wait: not in a loop's callback or vCPU's handler. */
#ifndef VCORE_LIB_BASE_WAIT_H
#define VCORE_LIB_BASE_WAIT_H

#include <stdbool.h>

/*
 * any: this thread enters and leaves a callback that must not block. They nest.
 * The loop and the vCPU do that around what they call.
 */
void
vcore__nowait_begin(void);
void
vcore__nowait_end(void);

/* any: false between begin and end. Functions that wait say -EDEADLK then. */
bool
vcore__may_wait(void);

#endif
