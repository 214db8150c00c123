/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Recipes: devices described in text, as seen by who makes their backends.
 *
 * vcore_machine_add() takes a recipe and makes the device. A kind of backend
 * that the embedder has taught it (vcore_machine_add_disk_kind() and its like)
 * is made by the embedder's maker, which asks the recipe for what it needs. A
 * key that nobody has asked for is a mistake, and refused.
 */
#ifndef VCORE_RECIPE_H
#define VCORE_RECIPE_H

#include <vcore/base.h>
#include <vcore/disk.h>
#include <vcore/link.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A device's description in text, `kind,key=value,flag,...`, parsed. */
struct vcore_recipe;

/**
 * Makes a disk for a recipe's `disk=KIND`.
 *
 * @param      opaque  What was registered.
 * @param[in]  recipe  Asked with vcore_recipe_get() and friends.
 * @param[out] disk    The new disk; the machine takes over the reference.
 * @return 0 or a negative errno value, with text.
 * @thread Runs on control, inside vcore_machine_add(): getters only.
 */
typedef int (*vcore_disk_maker)(void *opaque, struct vcore_recipe *recipe,
				struct vcore_disk **disk);

/**
 * Makes a link for a recipe's `link=KIND`.
 *
 * @param      opaque  What was registered.
 * @param[in]  recipe  Asked with vcore_recipe_get() and friends.
 * @param[out] link    The new link; the machine takes over the reference.
 * @return 0 or a negative errno value, with text.
 * @thread Runs on control, inside vcore_machine_add(): getters only.
 */
typedef int (*vcore_link_maker)(void *opaque, struct vcore_recipe *recipe,
				struct vcore_link **link);

/**
 * A recipe's value of a key.
 *
 * @param recipe  A recipe.
 * @param key     The key. It counts as known from now on.
 *
 * @return The value; "" for a flag; NULL if the recipe does not have it.
 *         Valid until the maker returns.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API const char *
vcore_recipe_get(struct vcore_recipe *recipe, const char *key);

/**
 * A recipe's number: decimal or 0x, with K, M, G, T for powers of 1024.
 *
 * @param         recipe  A recipe.
 * @param         key     The key. It counts as known from now on.
 * @param         max     The largest value allowed.
 * @param[in,out] value   The number; unchanged if the recipe has none.
 *
 * @return 1 if the recipe has it, 0 if not, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL; not a number, or above @p max: the text
 *                  names the key.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_recipe_number(struct vcore_recipe *recipe, const char *key, uint64_t max,
		    uint64_t *value);

#ifdef __cplusplus
}
#endif
#endif
