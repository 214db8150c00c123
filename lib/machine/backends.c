/* SPDX-License-Identifier: BSD-3-Clause */
/* Backends from recipes: the kinds built in and those the embedder taught. */
#include "machine/devices.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define MAX_TAP_FDS 16u

int
vcore__recipe_u32(struct vcore_recipe *r, const char *key, uint32_t max,
		  uint32_t *value)
{
	uint64_t n = 0;
	int rc = vcore_recipe_number(r, key, max, &n);

	if (rc > 0)
		*value = (uint32_t)n;
	return rc;
}

static const struct vcore__machine_kind *
find_kind(const struct vcore_machine *m, const char *name, bool disk)
{
	const struct vcore__machine_kind *k = m->kinds;

	while (k != NULL &&
	       (strcmp(k->name, name) != 0 || (k->disk != NULL) != disk))
		k = k->next;
	return k;
}

static bool
is_builtin(const char *name, bool disk)
{
	if (disk)
		return strcmp(name, "file") == 0;
	return strcmp(name, "tap") == 0 || strcmp(name, "socket") == 0;
}

/* Control is held. */
static int
add_kind(struct vcore_machine *m, const char *who,
	 const struct vcore__machine_kind *kind, const char *name)
{
	struct vcore__machine_kind *k;
	bool disk = kind->disk != NULL;

	if (is_builtin(name, disk) || find_kind(m, name, disk) != NULL)
		return vcore__err(m->opts.log, -EEXIST,
				  "%s: kind '%.40s' is known", who, name);
	k = calloc(1, sizeof(*k) + strlen(name) + 1);
	if (k == NULL)
		return vcore__err(m->opts.log, -ENOMEM,
				  "%s: no memory for kind '%.40s'", who, name);
	*k = *kind;
	memcpy(k->name, name, strlen(name) + 1);
	k->next = m->kinds;
	m->kinds = k;
	return 0;
}

static int
check_and_add_kind(struct vcore_machine *m, const char *who,
		   const struct vcore__machine_kind *kind, const char *name)
{
	int rc;

	if (m == NULL || name == NULL ||
	    (kind->disk == NULL && kind->link == NULL))
		return vcore__err(NULL, -EINVAL, "%s: a pointer is NULL", who);
	rc = vcore__machine_enter_new(m, who);
	if (rc < 0)
		return rc;
	rc = add_kind(m, who, kind, name);
	vcore__machine_leave(m);
	return rc;
}

int
vcore_machine_add_disk_kind(struct vcore_machine *m, const char *kind,
			    vcore_disk_maker make, void *opaque)
{
	struct vcore__machine_kind k = { .disk = make, .opaque = opaque };

	return check_and_add_kind(m, "vcore_machine_add_disk_kind", &k, kind);
}

int
vcore_machine_add_link_kind(struct vcore_machine *m, const char *kind,
			    vcore_link_maker make, void *opaque)
{
	struct vcore__machine_kind k = { .link = make, .opaque = opaque };

	return check_and_add_kind(m, "vcore_machine_add_link_kind", &k, kind);
}

void
vcore__machine_kinds_free(struct vcore_machine *m)
{
	struct vcore__machine_kind *k;

	while ((k = m->kinds) != NULL) {
		m->kinds = k->next;
		free(k);
	}
}

/* `fd=N` if the recipe has it: 1 and *fd; 0: absent. */
static int
recipe_fd(struct vcore_recipe *r, int32_t *fd)
{
	uint32_t n = 0;
	int rc = vcore__recipe_u32(r, "fd", INT32_MAX, &n);

	if (rc > 0)
		*fd = (int32_t)n;
	return rc;
}

/* The machine's pool, or a first one, which it gets if all goes well. */
static int
get_pool(struct vcore_machine *m, struct vcore_pool **pool)
{
	struct vcore_pool_opts opts;

	if (m->pool != NULL) {
		*pool = vcore_pool_ref(m->pool);
		return 0;
	}
	VCORE_INIT(&opts);
	opts.spawn = &m->spawner.ops;
	opts.spawn_opaque = m->spawner.opaque;
	return vcore_pool_new(&opts, pool);
}

static int
open_file(struct vcore_machine *m, struct vcore_disk_file_opts *opts,
	  struct vcore_disk **disk)
{
	int rc = get_pool(m, &opts->pool);

	if (rc < 0)
		return rc;
	rc = vcore_disk_new_file(opts, disk);
	if (rc == 0 && m->pool == NULL)
		m->pool = vcore_pool_ref(opts->pool);
	vcore_pool_unref(opts->pool);
	return rc;
}

static int
make_file(struct vcore_machine *m, struct vcore_recipe *r,
	  struct vcore_disk **disk)
{
	struct vcore_disk_file_opts opts;
	int has_fd, ro, direct;

	VCORE_INIT(&opts);
	opts.path = vcore_recipe_get(r, "path");
	has_fd = recipe_fd(r, &opts.fd);
	ro = vcore__recipe_flag(r, "ro");
	direct = vcore__recipe_flag(r, "direct");
	if (has_fd < 0 || ro < 0 || direct < 0)
		return -EINVAL;
	if ((has_fd > 0) == (opts.path != NULL))
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: recipe '%s' needs either path= or fd=",
				  r->kind);
	opts.flags = (has_fd ? VCORE_DISK_FILE_FD : 0) |
		     (ro ? VCORE_DISK_FILE_READONLY : 0) |
		     (direct ? VCORE_DISK_FILE_DIRECT : 0);
	return open_file(m, &opts, disk);
}

int
vcore__machine_make_disk(struct vcore_machine *m, struct vcore_recipe *r,
			 struct vcore_disk **disk)
{
	const char *name = vcore_recipe_get(r, "disk");
	const struct vcore__machine_kind *k;

	if (name == NULL || strcmp(name, "file") == 0)
		return make_file(m, r, disk);
	k = find_kind(m, name, true);
	if (k == NULL)
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_add: there is no disk kind '%s'",
				  name);
	return k->disk(k->opaque, r, disk);
}

/* `fd=N:N:...`: the count, 0 if absent. */
static int
recipe_fds(struct vcore_recipe *r, int32_t fds[MAX_TAP_FDS])
{
	const char *text = vcore_recipe_get(r, "fd");
	unsigned count = 0;
	long n;
	char *end;

	while (text != NULL && count < MAX_TAP_FDS) {
		errno = 0;
		n = strtol(text, &end, 10);
		if (end == text || errno != 0 || n < 0 || n > INT32_MAX ||
		    (*end != '\0' && *end != ':'))
			break;
		fds[count++] = (int32_t)n;
		text = *end == '\0' ? NULL : end + 1;
	}
	if (text != NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: 'fd' of recipe '%s' is not N or N:N:... (at most %u)",
				  r->kind, MAX_TAP_FDS);
	return (int)count;
}

static int
make_tap(struct vcore_recipe *r, struct vcore_link **link)
{
	struct vcore_link_tap_opts opts;
	int32_t fds[MAX_TAP_FDS];
	int count, create;

	VCORE_INIT(&opts);
	opts.name = vcore_recipe_get(r, "name");
	count = recipe_fds(r, fds);
	if (count < 0)
		return count;
	create = vcore__recipe_flag(r, "create");
	if (create < 0)
		return create;
	if (create)
		opts.flags |= VCORE_LINK_TAP_CREATE;
	if (vcore__recipe_u32(r, "queues", MAX_TAP_FDS, &opts.queues) < 0)
		return -EINVAL;
	if (count > 0) {
		opts.fds = fds;
		opts.queues = (uint32_t)count;
	}
	return vcore_link_new_tap(&opts, link);
}

static int
make_socket(struct vcore_recipe *r, struct vcore_link **link)
{
	const char *path = vcore_recipe_get(r, "path");
	int32_t fd = -1;
	int has_fd = recipe_fd(r, &fd);

	if (has_fd < 0)
		return has_fd;
	if ((has_fd > 0) == (path != NULL))
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: link=socket needs either path= or fd=");
	return vcore_link_new_socket(path, fd, link);
}

int
vcore__machine_make_link(struct vcore_machine *m, struct vcore_recipe *r,
			 struct vcore_link **link)
{
	const char *name = vcore_recipe_get(r, "link");
	const struct vcore__machine_kind *k;

	if (name == NULL)
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_add: recipe '%s' has no link=",
				  r->kind);
	if (strcmp(name, "tap") == 0)
		return make_tap(r, link);
	if (strcmp(name, "socket") == 0)
		return make_socket(r, link);
	k = find_kind(m, name, false);
	if (k == NULL)
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_add: there is no link kind '%s'",
				  name);
	return k->link(k->opaque, r, link);
}
