/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: numbers, choices and descriptors on the command line. */
#include "microvm.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
microvm_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("microvm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nmicrovm: --help shows what there is\n", stderr);
	return MICROVM_USAGE;
}

/* A decimal number with K, M, G or T behind it; 0 if it is none. */
static uint64_t
parse_size(const char *text)
{
	static const char suffix[] = "KMGT";
	unsigned long long n;
	const char *at;
	unsigned shift = 0;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (end[0] != '\0') {
		at = strchr(suffix, end[0] & ~0x20);
		if (at == NULL || end[1] != '\0')
			return 0;
		shift = 10 * (unsigned)(at - suffix + 1);
	}
	return errno != 0 || n > UINT64_MAX >> shift ? 0 : (uint64_t)n << shift;
}

int
microvm_choice(const struct microvm_choice *c, const char *text,
	       uint32_t *value)
{
	for (int i = 0; i < 2; i++) {
		if (strcmp(text, c->text[i]) == 0) {
			*value = c->value[i];
			return 0;
		}
	}
	return microvm_usage("--%s is %s or %s, not '%s'", c->option,
			     c->text[0], c->text[1], text);
}

int
microvm_number(const char *option, const char *text, uint64_t max,
	       uint64_t *value)
{
	*value = parse_size(text);
	if (*value > 0 && *value <= max)
		return 0;
	return microvm_usage("--%s '%s' is not a number from 1 to %llu",
			     option, text, (unsigned long long)max);
}

/* A path, or fd:N. */
int
microvm_kvm(struct microvm_options *o, const char *arg)
{
	char *end = NULL;
	long fd;

	o->kvm = arg;
	o->kvm_fd = -1;
	if (strncmp(arg, "fd:", 3) != 0)
		return 0;
	errno = 0;
	fd = strtol(arg + 3, &end, 10);
	if (arg[3] < '0' || arg[3] > '9' || *end != '\0' || errno != 0 ||
	    fd > INT_MAX)
		return microvm_usage("--kvm '%s' is neither a path nor fd:N",
				     arg);
	o->kvm_fd = (int)fd;
	return 0;
}
