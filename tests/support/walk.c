/* SPDX-License-Identifier: BSD-3-Clause */
/* Walking failures: see walk.h. */
#include "support/walk.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define PATIENCE_S 20
#define NO_TEXT "no text"

/* What the process holds. */
struct held {
	int64_t blocks, mapped;
	int fds, threads;
	uint32_t kvm_open, kvm_maps;
};

/* What fails of a run: the nth of these, or of the ioctls. */
struct failing {
	uint32_t what;
	uint32_t n;
	bool ioctl;
	bool undoing;
};

static int
threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static struct held
held(const struct walk *w)
{
	struct held h = {
		.blocks = fail_blocks(),
		.mapped = fail_mapped(),
		.fds = support_open_fds(),
		.threads = threads(),
	};

	if (w->kvm != NULL) {
		pthread_mutex_lock(&w->kvm->lock);
		h.kvm_open = w->kvm->open;
		h.kvm_maps = w->kvm->maps;
		pthread_mutex_unlock(&w->kvm->lock);
	}
	return h;
}

static bool
is_same(const struct held *a, const struct held *b)
{
	return a->blocks == b->blocks && a->mapped == b->mapped &&
	       a->fds == b->fds && a->threads == b->threads &&
	       a->kvm_open == b->kvm_open && a->kvm_maps == b->kvm_maps;
}

/* A joined thread is counted a moment longer. */
static void
check_held(const struct walk *w, const struct held *was, const char *where)
{
	struct held now = held(w);
	time_t end = time(NULL) + PATIENCE_S;

	while (!is_same(&now, was) && now.threads > was->threads &&
	       time(NULL) < end) {
		sched_yield();
		now = held(w);
	}
	ck_assert_msg(is_same(&now, was),
		      "%s, %s: blocks %lld, mapped %lld, descriptors %d, threads %d, KVM's descriptors %d, its maps %d too many",
		      w->name, where, (long long)(now.blocks - was->blocks),
		      (long long)(now.mapped - was->mapped),
		      now.fds - was->fds, now.threads - was->threads,
		      (int)(now.kvm_open - was->kvm_open),
		      (int)(now.kvm_maps - was->kvm_maps));
}

static void
begin(const struct walk *w, const struct failing *f)
{
	if (f->ioctl) {
		fake_kvm_clear(w->kvm);
		pthread_mutex_lock(&w->kvm->lock);
		w->kvm->failed = false;
		w->kvm->fail_here = true;
		w->kvm->fail_thread = pthread_self();
		w->kvm->fail_error = EREMOTEIO;
		w->kvm->fail_at = f->n;
		pthread_mutex_unlock(&w->kvm->lock);
	} else {
		fail_nth(f->what, f->n);
	}
}

/* What failed: its error and its name; 0: nothing did. */
static int
end(const struct walk *w, const struct failing *f, const char **name)
{
	bool failed;

	if (!f->ioctl)
		return fail_stop() ? fail_error(name) : 0;
	pthread_mutex_lock(&w->kvm->lock);
	w->kvm->fail_at = 0;
	failed = w->kvm->failed;
	pthread_mutex_unlock(&w->kvm->lock);
	*name = "ioctl";
	return failed ? EREMOTEIO : 0;
}

/* The error is the failing call's own, or a listed one, and has a text. */
static void
check_error(const struct walk *w, const char *where, int rc, int error)
{
	const char *text = vcore_error_text();
	size_t len = strlen(w->name);
	bool known = rc == -error;

	for (uint32_t i = 0; i < 3; i++)
		known = known || (w->also[i] != 0 && rc == w->also[i]);
	ck_assert_msg(error != 0, "%s, %s: %d without a failing call: %s",
		      w->name, where, rc, text);
	ck_assert_msg(known, "%s, %s: %d, not %d: %s", w->name, where, rc,
		      -error, text);
	ck_assert_msg(strncmp(text, w->name, len) == 0 && text[len] == ':' &&
			      text[len + 1] == ' ' && text[len + 2] != '\0',
		      "%s, %s: text is '%s'", w->name, where, text);
}

/* One run; true if a call failed in it. */
static bool
run(const struct walk *w, const struct failing *f)
{
	const char *name = "", *failed = "nothing failed";
	struct held was = held(w);
	char where[96];
	int rc, error = 0;

	if (w->before != NULL)
		w->before();
	(void)vcore_error_set(0, NO_TEXT);
	if (!f->undoing)
		begin(w, f);
	rc = w->call();
	if (!f->undoing)
		error = end(w, f, &name);
	if (error != 0)
		failed = name;
	snprintf(where, sizeof(where), "%s %u (%s)",
		 f->ioctl ? "ioctl" : "call", f->n, failed);
	if (rc < 0)
		check_error(w, where, rc, error);
	if (w->check != NULL)
		w->check(rc >= 0);
	if (rc < 0 && !w->once) {
		rc = w->call();
		ck_assert_msg(rc >= 0, "%s, again after %s: %d: %s", w->name,
			      where, rc, vcore_error_text());
		if (w->check != NULL)
			w->check(true);
	}
	if (f->undoing)
		begin(w, f);
	if (rc >= 0 && w->undo != NULL)
		w->undo();
	if (f->undoing)
		error = end(w, f, &name);
	if (w->after != NULL)
		w->after();
	check_held(w, &was, where);
	return error != 0;
}

/* All of one sort; how many failed. */
static uint32_t
run_all(const struct walk *w, struct failing f)
{
	for (f.n = 1; run(w, &f); f.n++)
		ck_assert_msg(f.n < 10000, "%s: no end", w->name);
	return f.n - 1;
}

static void *
nothing(void *arg)
{
	return arg;
}

void
walk(const struct walk *cases, uint32_t count)
{
	const uint32_t all = FAIL_ALLOC | FAIL_SYSTEM | FAIL_ADVICE | FAIL_MORE;
	const struct failing none = { .what = 0 };
	uint32_t calls, ioctls, undone;
	pthread_t thread;

	/* A sanitizer's own thread comes with the first. */
	ck_assert_int_eq(pthread_create(&thread, NULL, nothing, NULL), 0);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < count; i++) {
		const struct walk *w = &cases[i];

		/* What is made once and kept is made now. */
		(void)run(w, &none);
		ioctls = undone = 0;
		calls = run_all(w, (struct failing){ .what = all });
		if (w->undo != NULL)
			undone = run_all(w, (struct failing){
						    .what = all,
						    .undoing = true });
		if (w->kvm != NULL)
			ioctls = run_all(w, (struct failing){ .ioctl = true });
		if (w->kvm != NULL && w->undo != NULL)
			undone += run_all(w, (struct failing){
						     .ioctl = true,
						     .undoing = true });
		printf("%s: %u calls and %u ioctls failed, %u of its undoing\n",
		       w->name, calls, ioctls, undone);
		ck_assert_msg(calls + ioctls >= w->least,
			      "%s: only %u calls failed", w->name,
			      calls + ioctls);
	}
}
