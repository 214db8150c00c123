/* SPDX-License-Identifier: BSD-3-Clause */
/* Stop and start of chips that only work inside a vCPU's access. */
#include "platform/part.h"

void
vcore__chip_stop(void *p, enum vcore__stop how, struct vcore__call *done)
{
	/* The vCPUs stop first, and nothing else wakes such a chip. */
	(void)p;
	(void)how;
	vcore__call_done(done, 0);
}

int
vcore__chip_start(void *p)
{
	(void)p;
	return 0;
}
