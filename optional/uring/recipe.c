/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks by io_uring from recipes. */
#include "ring.h"

/* 1: the flag is there, 0: not, -EINVAL: it has a value. */
static int
flag(struct vcore_recipe *recipe, const char *key)
{
	const char *value = vcore_recipe_get(recipe, key);

	if (value != NULL && value[0] != '\0')
		return vcore__uring_error(-EINVAL,
					  "vcore_uring_make: '%s' takes no value",
					  key);
	return value != NULL;
}

int
vcore_uring_make(void *opaque, struct vcore_recipe *recipe,
		 struct vcore_disk **disk)
{
	struct vcore_uring_opts o;
	uint64_t fd = 0;
	int has_fd, ro, direct;

	(void)opaque;
	if (recipe == NULL || disk == NULL)
		return vcore__uring_error(-EINVAL,
					  "vcore_uring_make: a pointer is NULL");
	VCORE_INIT(&o);
	o.path = vcore_recipe_get(recipe, "path");
	has_fd = vcore_recipe_number(recipe, "fd", INT32_MAX, &fd);
	ro = flag(recipe, "ro");
	direct = flag(recipe, "direct");
	if (has_fd < 0 || ro < 0 || direct < 0)
		return -EINVAL;
	if ((has_fd > 0) == (o.path != NULL))
		return vcore__uring_error(-EINVAL,
					  "vcore_uring_make: either path= or fd=");
	o.fd = (int32_t)fd;
	o.flags = (has_fd ? VCORE_DISK_FILE_FD : 0) |
		  (ro ? VCORE_DISK_FILE_READONLY : 0) |
		  (direct ? VCORE_DISK_FILE_DIRECT : 0);
	return vcore_uring_new(&o, disk);
}
