/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's only program, as /init: says that Linux has come this far. */
#include <unistd.h>

int
main(void)
{
	static const char here[] = "VCORE-INIT\n";

	if (write(1, here, sizeof(here) - 1) < 0)
		return 1;
	for (;;)
		pause();
}
