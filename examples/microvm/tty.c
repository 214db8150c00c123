/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: the terminal it was started on, in raw mode while a guest has it. */
#include "microvm.h"

#include <termios.h>
#include <unistd.h>

static struct termios saved;
static int is_raw;

void
microvm_tty_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;	/* our own messages want line ends */
	is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void
microvm_tty_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	is_raw = 0;
}
