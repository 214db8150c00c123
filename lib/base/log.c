/* SPDX-License-Identifier: BSD-3-Clause */
/* Log object: level, message function, and the rate limit for guest lines. */
#include "base/base.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 512
#define LEVEL_MAX      7u
#define BURST	       5u
#define NS_PER_LINE    1000000000u

struct vcore_log {
	_Atomic uint32_t refs;
	_Atomic uint32_t level;
	void (*message)(void *opaque, uint32_t level, const char *text);
	void (*release)(void *opaque);
	void *opaque;
};

int
vcore_log_new(const struct vcore_log_opts *opts, struct vcore_log **log)
{
	struct vcore_log_opts o;
	struct vcore_log *l;
	int rc;

	rc = VCORE__SIZED("vcore_log_new: opts", &o, release, opts);
	if (rc < 0)
		return rc;
	if (!log)
		return vcore__err(NULL, -EINVAL, "vcore_log_new: log is NULL");
	if (o.flags || o.reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_log_new: flags %#x, reserved0 %#x",
				  o.flags, o.reserved0);
	if (!o.message)
		return vcore__err(NULL, -EINVAL,
				  "vcore_log_new: opts: message is NULL");
	if (o.level > LEVEL_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_log_new: opts: level %u is above %u",
				  o.level, LEVEL_MAX);
	l = calloc(1, sizeof(*l));
	if (!l)
		return vcore__err(NULL, -ENOMEM, "vcore_log_new: no memory");
	atomic_init(&l->refs, 1);
	atomic_init(&l->level, o.level ? o.level : VCORE_LOG_WARNING);
	l->message = o.message;
	l->release = o.release;
	l->opaque = o.opaque;
	*log = l;
	return 0;
}

struct vcore_log *
vcore_log_ref(struct vcore_log *log)
{
	if (log)
		atomic_fetch_add(&log->refs, 1);
	return log;
}

void
vcore_log_unref(struct vcore_log *log)
{
	if (!log || atomic_fetch_sub(&log->refs, 1) != 1)
		return;
	if (log->release)
		log->release(log->opaque);
	free(log);
}

int
vcore_log_set_level(struct vcore_log *log, uint32_t level)
{
	if (!log)
		return vcore__err(NULL, -EINVAL,
				  "vcore_log_set_level: log is NULL");
	if (level > LEVEL_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_log_set_level: level %u is above %u",
				  level, LEVEL_MAX);
	atomic_store(&log->level, level ? level : VCORE_LOG_WARNING);
	return 0;
}

uint32_t
vcore_log_level(const struct vcore_log *log)
{
	return log ? atomic_load(&log->level) : 0;
}

void
vcore__text_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void
vcore__log_text(struct vcore_log *log, uint32_t level, const char *text)
{
	if (log && level <= atomic_load(&log->level))
		log->message(log->opaque, level, text);
}

void
vcore__log(struct vcore_log *log, uint32_t level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	int saved = errno;
	va_list ap;

	if (!log || level > atomic_load(&log->level))
		return;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	vcore__text_clean(text);
	log->message(log->opaque, level, text);
	errno = saved;
}

/*
 * A bucket that refills at one line a second is one number: the time at which
 * it will be full. A line is allowed while that is at most BURST - 1 lines
 * away, and moves it one line further.
 */
bool
vcore__ratelimit_ok_at(struct vcore__ratelimit *rl, uint64_t now_ns)
{
	uint64_t slack = (uint64_t)(BURST - 1) * NS_PER_LINE;
	uint64_t full = atomic_load(&rl->full_ns);
	uint64_t next;

	do {
		if (full > now_ns && full - now_ns > slack)
			return false;
		next = (full > now_ns ? full : now_ns) + NS_PER_LINE;
	} while (!atomic_compare_exchange_weak(&rl->full_ns, &full, next));
	return true;
}

bool
vcore__ratelimit_ok(struct vcore__ratelimit *rl)
{
	return vcore__ratelimit_ok_at(rl, vcore__now_ns());
}
