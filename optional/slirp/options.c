/* SPDX-License-Identifier: BSD-3-Clause */
/* The user-mode link from a recipe. */
#include "user.h"

#include <errno.h>
#include <stdlib.h>

/* A port's number at the end of a text. */
static int
port(const char *text, uint16_t *out)
{
	unsigned long n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	n = strtoul(text, &end, 10);
	if (*end || n == 0 || n > UINT16_MAX)
		return -EINVAL;
	*out = (uint16_t)n;
	return 0;
}

/* Cut a text at its last colon: what is behind it, or NULL. */
static char *
cut(char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

/* PROTO:[ADDRESS:]HOSTPORT:GUESTPORT; text is cut into pieces. */
static int
parse_forward(char *text, struct vcore_slirp_forward *f)
{
	char *guest = cut(text), *host = guest ? cut(text) : NULL, *address;

	if (!host || port(guest, &f->guest_port) < 0 ||
	    port(host, &f->host_port) < 0)
		return -EINVAL;
	address = cut(text);
	f->address = address;
	if (strcmp(text, "tcp") == 0)
		f->protocol = VCORE_SLIRP_TCP;
	else if (strcmp(text, "udp") == 0)
		f->protocol = VCORE_SLIRP_UDP;
	else
		return -EINVAL;
	return 0;
}

/* All of a list; list is cut into pieces, to which *o then points. */
static int
parse_forwards(char *list, struct vcore_slirp_forward *forwards,
	       struct vcore_slirp_opts *o)
{
	char *save = NULL, *item = strtok_r(list, "+", &save);

	o->forwards = forwards;
	for (; item; item = strtok_r(NULL, "+", &save)) {
		if (o->forward_count == USER_FORWARDS)
			return user_fail(-EINVAL,
					 "vcore_slirp_make: hostfwd: more than %u ports",
					 USER_FORWARDS);
		if (parse_forward(item, &forwards[o->forward_count++]) < 0)
			return user_fail(-EINVAL,
					 "vcore_slirp_make: hostfwd: part %u is no PROTO:[ADDRESS:]HOSTPORT:GUESTPORT",
					 o->forward_count);
	}
	return 0;
}

int
vcore_slirp_make(void *opaque, struct vcore_recipe *recipe,
		 struct vcore_link **link)
{
	struct vcore_slirp_forward forwards[USER_FORWARDS];
	const char *list = vcore_recipe_get(recipe, "hostfwd");
	struct vcore_slirp_opts o;
	uint64_t flows = 0;
	char *copy = NULL;
	int rc;

	(void)opaque;
	VCORE_INIT(&o);
	rc = vcore_recipe_number(recipe, "flows", USER_FLOWS_MAX, &flows);
	if (rc < 0)
		return rc;
	o.max_flows = (uint32_t)flows;
	if (vcore_recipe_get(recipe, "restrict"))
		o.flags |= VCORE_SLIRP_RESTRICT;
	if (vcore_recipe_get(recipe, "noloopback"))
		o.flags |= VCORE_SLIRP_NO_LOOPBACK;
	rc = 0;
	if (list) {
		copy = strdup(list);
		rc = copy ? parse_forwards(copy, forwards, &o) :
			    user_fail(-ENOMEM, "vcore_slirp_make: no memory");
	}
	if (rc == 0)
		rc = vcore_slirp_new(&o, link);
	free(copy);
	return rc;
}
