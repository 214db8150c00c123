/* SPDX-License-Identifier: BSD-3-Clause */
/* Recipes: a device's description as `kind,key=value,flag,...`. */
#ifndef VCORE_LIB_MACHINE_RECIPE_H
#define VCORE_LIB_MACHINE_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include <vcore/recipe.h>

#define VCORE__RECIPE_MAX_LEN   8192u
#define VCORE__RECIPE_MAX_ITEMS 48u

struct vcore__recipe_item {
	const char *key;
	const char *value;	/* "" for a flag */
	bool known;		/* somebody has asked for it */
};

struct vcore_recipe {
	const char *kind;
	uint32_t count;
	struct vcore__recipe_item item[VCORE__RECIPE_MAX_ITEMS];
	char text[];		/* what the pointers above point into */
};

/* Parse. -EINVAL (text says at which item), -ENOMEM. Release with free(). */
int vcore__recipe_parse(const char *text, struct vcore_recipe **recipe);

/* 1: flag is there without a value, 0: absent, -EINVAL: it has a value. */
int vcore__recipe_flag(struct vcore_recipe *recipe, const char *key);

/* -EINVAL naming the first item nobody has asked for; 0: all are known. */
int vcore__recipe_check(const struct vcore_recipe *recipe);

#endif
