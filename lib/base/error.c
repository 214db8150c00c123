/* SPDX-License-Identifier: BSD-3-Clause */
/* Error text: one line per thread for its last failing call; the version. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_MAX 256

/*
 * Static thread-local storage and no pthread key: nothing is to be freed when
 * a thread ends, so unloading the library can't race with a destructor.
 */
static _Thread_local char error_text[TEXT_MAX];
static _Thread_local uint32_t error_count;

uint32_t
vcore_version(void)
{
	return (uint32_t)VCORE_VERSION_MAJOR << 16 |
	       (uint32_t)VCORE_VERSION_MINOR << 8 |
	       (uint32_t)VCORE_VERSION_PATCH;
}

const char *
vcore_error_text(void)
{
	return error_text;
}

int
vcore_error_set(int rc, const char *text)
{
	return vcore__err(NULL, rc, "%s", text != NULL ? text : "");
}

const char *
vcore__strerror(int rc)
{
	const char *text = rc < 0 && rc > -4096 ? strerrordesc_np(-rc) : NULL;

	return text != NULL ? text : "no error that there is";
}
/* Analysers have it as a macro, too. */
#undef vcore__err

int
vcore__err(struct vcore_log *log, int rc, const char *fmt, ...)
{
	char text[TEXT_MAX];
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	/* Not into error_text: an argument may point there. */
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	vcore__text_clean(text);
	memcpy(error_text, text, strlen(text) + 1);
	error_count++;
	vcore__log_text(log, VCORE_LOG_ERR, text);
	errno = saved;
	return rc;
}

int
vcore__err_name(int rc, const char *who)
{
	size_t len = strlen(who);

	if (rc >= 0 || (strncmp(error_text, who, len) == 0 &&
			error_text[len] == ':'))
		return rc;
	return vcore__err(NULL, rc, "%s: %s", who, error_text);
}

int
vcore__err_from(int rc, const char *who, uint32_t since)
{
	if (rc < 0 && error_count == since)
		return vcore__err(NULL, rc, "%s: errno %d", who, -rc);
	return vcore__err_name(rc, who);
}

uint32_t
vcore__err_count(void)
{
	return error_count;
}
