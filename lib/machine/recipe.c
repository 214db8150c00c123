/* SPDX-License-Identifier: BSD-3-Clause */
/* Recipes: a device's description as `kind,key=value,flag,...`. */
#include "machine/recipe.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static bool
key_is_sane(const char *key)
{
	if (!islower((unsigned char)key[0]))
		return false;
	for (; *key != '\0'; key++)
		if (!islower((unsigned char)*key) &&
		    !isdigit((unsigned char)*key) && *key != '_')
			return false;
	return true;
}

/*
 * Cut the next item off *rest in place: up to a single comma, with doubled
 * commas made single. NULL when nothing is left.
 */
static char *
next_item(char **rest)
{
	char *item = *rest, *from = item, *to = item;

	if (item == NULL)
		return NULL;
	for (; *from != '\0'; from++) {
		if (*from == ',') {
			if (from[1] != ',')
				break;
			from++;
		}
		*to++ = *from;
	}
	*rest = *from == '\0' ? NULL : from + 1;
	*to = '\0';
	return item;
}

static const struct vcore__recipe_item *
find(const struct vcore_recipe *recipe, const char *key)
{
	for (uint32_t i = 0; i < recipe->count; i++)
		if (strcmp(recipe->item[i].key, key) == 0)
			return &recipe->item[i];
	return NULL;
}

static int
add_item(struct vcore_recipe *recipe, char *item)
{
	char *equals = strchr(item, '=');

	if (equals != NULL)
		*equals = '\0';
	if (!key_is_sane(item))
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: item %u of recipe '%s' has no proper key",
				  recipe->count + 1, recipe->kind);
	if (find(recipe, item) != NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: recipe '%s' has '%s' twice",
				  recipe->kind, item);
	if (recipe->count == VCORE__RECIPE_MAX_ITEMS)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: recipe '%s' has more than %u items",
				  recipe->kind, VCORE__RECIPE_MAX_ITEMS);
	recipe->item[recipe->count++] = (struct vcore__recipe_item){
		.key = item,
		.value = equals != NULL ? equals + 1 : "",
	};
	return 0;
}

int
vcore__recipe_parse(const char *text, struct vcore_recipe **out)
{
	struct vcore_recipe *recipe;
	char *rest, *item;
	size_t len;
	int rc = 0;

	if (text == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: recipe is NULL");
	len = strnlen(text, VCORE__RECIPE_MAX_LEN + 1);
	if (len > VCORE__RECIPE_MAX_LEN)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: recipe is longer than %u bytes",
				  VCORE__RECIPE_MAX_LEN);
	recipe = calloc(1, sizeof(*recipe) + len + 1);
	if (recipe == NULL)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_machine_add: no memory for the recipe");
	memcpy(recipe->text, text, len);
	rest = recipe->text;
	recipe->kind = next_item(&rest);
	if (!key_is_sane(recipe->kind))
		rc = vcore__err(NULL, -EINVAL,
				"vcore_machine_add: recipe does not begin with a kind of device");
	while (rc == 0 && (item = next_item(&rest)) != NULL)
		rc = add_item(recipe, item);
	if (rc < 0) {
		free(recipe);
		return rc;
	}
	*out = recipe;
	return 0;
}

const char *
vcore_recipe_get(struct vcore_recipe *recipe, const char *key)
{
	struct vcore__recipe_item *item;

	if (recipe == NULL || key == NULL)
		return NULL;
	item = (struct vcore__recipe_item *)find(recipe, key);
	if (item == NULL)
		return NULL;
	item->known = true;
	return item->value;
}

/* A suffix's power of two; -1: none of ours. "" is 0. */
static int
suffix_shift(const char *s)
{
	static const char letters[] = "KMGT";
	const char *at;

	if (s[0] == '\0')
		return 0;
	at = strchr(letters, toupper((unsigned char)s[0]));
	if (at == NULL || s[1] != '\0')
		return -1;
	return 10 * (int)(at - letters + 1);
}

int
vcore_recipe_number(struct vcore_recipe *recipe, const char *key, uint64_t max,
		    uint64_t *value)
{
	const char *text = vcore_recipe_get(recipe, key);
	unsigned long long n = 0;
	int shift = -1, base;
	char *end;

	if (recipe == NULL || key == NULL || value == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_recipe_number: a pointer is NULL");
	if (text == NULL)
		return 0;
	errno = 0;
	base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
	/* strtoull() takes a sign and leading blanks; a recipe does not. */
	if (isdigit((unsigned char)text[0])) {
		n = strtoull(text, &end, base);
		shift = suffix_shift(end);
	}
	if (shift < 0 || errno != 0 || n > max >> shift)
		return vcore__err(NULL, -EINVAL,
				  "vcore_recipe_number: '%s=%s' of recipe '%s' is not a number up to %llu",
				  key, text, recipe->kind,
				  (unsigned long long)max);
	*value = (uint64_t)n << shift;
	return 1;
}

int
vcore__recipe_flag(struct vcore_recipe *recipe, const char *key)
{
	const char *text = vcore_recipe_get(recipe, key);

	if (text == NULL)
		return 0;
	if (text[0] != '\0')
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: '%s' of recipe '%s' takes no value",
				  key, recipe->kind);
	return 1;
}

int
vcore__recipe_check(const struct vcore_recipe *recipe)
{
	for (uint32_t i = 0; i < recipe->count; i++)
		if (!recipe->item[i].known)
			return vcore__err(NULL, -EINVAL,
					  "vcore_machine_add: '%s' means nothing to recipe '%s'",
					  recipe->item[i].key, recipe->kind);
	return 0;
}
