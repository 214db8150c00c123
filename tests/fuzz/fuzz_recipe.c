/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recipes: any text parses or is refused; what it parsed to answers questions
 * and lies within what was given.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
must(int good)
{
	if (!good)
		abort();
}

static void
ask(struct vcore_recipe *r, const char *key, const char *value)
{
	uint64_t number = 99;
	int rc;

	must(vcore_recipe_get(r, key) == value);
	rc = vcore_recipe_number(r, key, 1000, &number);
	must(rc == 1 ? number <= 1000 : number == 99);
	rc = vcore__recipe_flag(r, key);
	must(rc == (value[0] == '\0' ? 1 : -22));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct vcore_recipe *r = NULL;
	char *text = malloc(len + 1);

	must(text != NULL);
	memcpy(text, data, len);
	text[len] = '\0';
	if (vcore__recipe_parse(text, &r) < 0) {
		must(r == NULL);
		must(strncmp(vcore_error_text(), "vcore_machine_add: ", 19) ==
		     0);
	} else {
		must(r->count <= VCORE__RECIPE_MAX_ITEMS);
		must(vcore__recipe_check(r) == (r->count > 0 ? -22 : 0));
		must(strlen(r->kind) <= strlen(text));
		for (uint32_t i = 0; i < r->count; i++)
			ask(r, r->item[i].key, r->item[i].value);
		must(vcore_recipe_get(r, "Nobody has this") == NULL);
		must(vcore__recipe_check(r) == 0);
		free(r);
	}
	free(text);
	return 0;
}
