/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices of a machine: made from recipes, attached to a transport. */
#ifndef VCORE_LIB_MACHINE_DEVICES_H
#define VCORE_LIB_MACHINE_DEVICES_H

#include "machine/machine.h"
#include "machine/recipe.h"

/* attach.c: control is held, the machine is new. */
int vcore__machine_attach(struct vcore_machine *m, struct vcore_virtio *virtio,
			  const struct vcore_attach_opts *opts);

/* backends.c: what stands behind `disk=`, `link=`, `stream=`. */
int vcore__machine_make_disk(struct vcore_machine *m, struct vcore_recipe *r,
			     struct vcore_disk **disk);
int vcore__machine_make_link(struct vcore_machine *m, struct vcore_recipe *r,
			     struct vcore_link **link);
void vcore__machine_kinds_free(struct vcore_machine *m);

/* A number that fits 32 bits; as vcore_recipe_number(). */
int vcore__recipe_u32(struct vcore_recipe *r, const char *key, uint32_t max,
		      uint32_t *value);

#endif
