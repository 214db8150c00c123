/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices of a machine made from recipes. */
#include "machine/devices.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/block.h>
#include <vcore/console.h>
#include <vcore/net.h>
#include <vcore/rng.h>

#include "base/base.h"

#define MAX_PORTS 31u
#define NAME_LEN  32u

static bool
name_taken(const struct vcore_machine *m, const char *name)
{
	for (uint32_t i = 0; i < m->device_count; i++)
		if (strcmp(vcore_virtio_name(m->device[i].virtio), name) == 0)
			return true;
	return false;
}

/* A device's name for logs and events: id=, or its kind and a number. */
static int
name_device(struct vcore_machine *m, struct vcore_recipe *r,
	    char name[NAME_LEN])
{
	const char *id = vcore_recipe_get(r, "id");
	uint32_t n = 0;

	if (id == NULL) {
		do
			snprintf(name, NAME_LEN, "%.16s%u", r->kind, n++);
		while (name_taken(m, name));
		return 0;
	}
	if (id[0] == '\0' || strlen(id) >= NAME_LEN)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: id='%.40s' is not 1 to %u bytes",
				  id, NAME_LEN - 1);
	if (name_taken(m, id))
		return vcore__err(NULL, -EEXIST,
				  "vcore_machine_add: id=%s is taken", id);
	snprintf(name, NAME_LEN, "%s", id);
	return 0;
}

static int
make_block(struct vcore_machine *m, struct vcore_recipe *r,
	   const char name[NAME_LEN], struct vcore_virtio **virtio)
{
	const char *cache = vcore_recipe_get(r, "cache");
	const char *serial = vcore_recipe_get(r, "serial");
	struct vcore_block_opts opts;
	struct vcore_disk *disk;
	int rc;

	VCORE_INIT(&opts);
	if (vcore__recipe_u32(r, "queues", 256, &opts.queues) < 0 ||
	    vcore__recipe_u32(r, "queue_size", 32768, &opts.queue_size) < 0)
		return -EINVAL;
	if (cache != NULL && strcmp(cache, "writethrough") == 0)
		opts.flags |= VCORE_BLOCK_WRITETHROUGH;
	else if (cache != NULL && strcmp(cache, "writeback") != 0)
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_add: cache=%s is not writeback or writethrough",
				  cache);
	if (serial != NULL && strlen(serial) > sizeof(opts.serial))
		return vcore__err(m->opts.log, -EINVAL,
				  "vcore_machine_add: serial=%s is longer than %zu bytes",
				  serial, sizeof(opts.serial));
	if (serial != NULL)
		memcpy(opts.serial, serial, strlen(serial));
	memcpy(opts.name, name, sizeof(opts.name));
	rc = vcore__machine_make_disk(m, r, &disk);
	if (rc < 0)
		return rc;
	rc = vcore_block_new(disk, &opts, virtio);
	vcore_disk_unref(disk);
	return rc;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, tolower(c));

	return at == NULL ? -1 : (int)(at - digits);
}

static int
parse_mac(const char *text, uint8_t mac[6])
{
	bool good = strlen(text) == 17;
	int high, low;

	for (size_t i = 0; good && i < 6; i++) {
		high = hex_digit(text[3 * i]);
		low = hex_digit(text[3 * i + 1]);
		good = high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':');
		mac[i] = (uint8_t)(high * 16 + low);
	}
	if (!good)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: mac=%.40s is not aa:bb:cc:dd:ee:ff",
				  text);
	return 0;
}

static int
make_net(struct vcore_machine *m, struct vcore_recipe *r,
	 const char name[NAME_LEN], struct vcore_virtio **virtio)
{
	const char *mac = vcore_recipe_get(r, "mac");
	struct vcore_net_opts opts;
	struct vcore_link *link;
	uint32_t mtu = 0;
	int rc;

	VCORE_INIT(&opts);
	if (vcore__recipe_u32(r, "queues", 128, &opts.pairs) < 0 ||
	    vcore__recipe_u32(r, "queue_size", 32768, &opts.queue_size) < 0 ||
	    vcore__recipe_u32(r, "mtu", UINT16_MAX, &mtu) < 0)
		return -EINVAL;
	opts.mtu = (uint16_t)mtu;
	if (mac != NULL && parse_mac(mac, opts.mac) < 0)
		return -EINVAL;
	memcpy(opts.name, name, sizeof(opts.name));
	rc = vcore__machine_make_link(m, r, &link);
	if (rc < 0)
		return rc;
	rc = vcore_net_new(link, &opts, virtio);
	vcore_link_unref(link);
	return rc;
}

/* Ports of a console recipe: stream=, then port1= ... portN=. */
static int
open_ports(struct vcore_machine *m, struct vcore_recipe *r, const char *device,
	   struct vcore_console_port ports[MAX_PORTS], uint32_t *count)
{
	char key[16], name[16], path[64];
	const char *spec;
	int rc;

	for (uint32_t i = 0; i < MAX_PORTS; i++) {
		snprintf(key, sizeof(key), "port%u", i);
		snprintf(name, sizeof(name), "name%u", i);
		spec = vcore_recipe_get(r, i == 0 ? "stream" : key);
		if (spec == NULL)
			break;
		rc = vcore_stream_open(spec, &ports[i].stream, path,
				       sizeof(path));
		if (rc < 0)
			return rc;
		if (path[0] != '\0')
			vcore__log(m->opts.log, VCORE_LOG_INFO,
				   "%s: port %u is %s", device, i, path);
		ports[i].name = vcore_recipe_get(r, name);
		ports[i].flags = i == 0 ? VCORE_CONSOLE_PORT_CONSOLE : 0;
		*count = i + 1;
	}
	if (*count == 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: recipe '%s' has no stream=",
				  r->kind);
	return 0;
}

static int
make_console(struct vcore_machine *m, struct vcore_recipe *r,
	     const char name[NAME_LEN], struct vcore_virtio **virtio)
{
	struct vcore_console_port ports[MAX_PORTS] = { 0 };
	struct vcore_console_opts opts;
	uint32_t cols = 0, rows = 0;
	int rc;

	VCORE_INIT(&opts);
	if (vcore__recipe_u32(r, "cols", UINT16_MAX, &cols) < 0 ||
	    vcore__recipe_u32(r, "rows", UINT16_MAX, &rows) < 0)
		return -EINVAL;
	opts.cols = (uint16_t)cols;
	opts.rows = (uint16_t)rows;
	opts.ports = ports;
	memcpy(opts.name, name, sizeof(opts.name));
	rc = open_ports(m, r, name, ports, &opts.port_count);
	if (rc == 0)
		rc = vcore_console_new(&opts, virtio);
	for (uint32_t i = 0; i < MAX_PORTS; i++)
		vcore_stream_unref(ports[i].stream);
	return rc;
}

static int
make_rng(struct vcore_machine *m, struct vcore_recipe *r,
	 const char name[NAME_LEN], struct vcore_virtio **virtio)
{
	struct vcore_rng_opts opts;

	(void)m;
	(void)r;
	VCORE_INIT(&opts);
	memcpy(opts.name, name, sizeof(opts.name));
	return vcore_rng_new(&opts, virtio);
}

static const struct {
	const char *kind;
	int (*make)(struct vcore_machine *m, struct vcore_recipe *r,
		    const char name[NAME_LEN], struct vcore_virtio **virtio);
} makers[] = {
	{ "block", make_block },
	{ "net", make_net },
	{ "console", make_console },
	{ "rng", make_rng },
};

static int
make_device(struct vcore_machine *m, struct vcore_recipe *r,
	    struct vcore_virtio **virtio)
{
	char name[NAME_LEN] = "";
	int rc = name_device(m, r, name);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < VCORE__ARRAY_SIZE(makers); i++)
		if (strcmp(makers[i].kind, r->kind) == 0)
			return makers[i].make(m, r, name, virtio);
	return vcore__err(NULL, -EINVAL,
			  "vcore_machine_add: there is no device kind '%.40s'",
			  r->kind);
}

static int
recipe_transport(struct vcore_recipe *r, uint32_t *transport)
{
	const char *text = vcore_recipe_get(r, "transport");

	if (text == NULL)
		return 0;
	if (strcmp(text, "pci") == 0)
		*transport = VCORE_TRANSPORT_PCI;
	else if (strcmp(text, "mmio") == 0)
		*transport = VCORE_TRANSPORT_MMIO;
	else
		return vcore__err(NULL, -EINVAL,
				  "vcore_machine_add: transport=%s is not pci or mmio",
				  text);
	return 0;
}

/* Control is held, the machine is new. */
static int
add(struct vcore_machine *m, struct vcore_recipe *r)
{
	struct vcore_virtio *virtio = NULL;
	struct vcore_attach_opts attach;
	int rc;

	VCORE_INIT(&attach);
	/* One loop after the other, if the recipe does not say. */
	attach.loop = m->device_count % m->loop_count;
	rc = vcore__recipe_u32(r, "loop", m->loop_count - 1, &attach.loop);
	if (rc >= 0)
		rc = recipe_transport(r, &attach.transport);
	if (rc == 0)
		rc = make_device(m, r, &virtio);
	if (rc == 0)
		rc = vcore__recipe_check(r);
	if (rc == 0)
		rc = vcore__machine_attach(m, virtio, &attach);
	vcore_virtio_unref(virtio);
	return rc;
}

int
vcore_machine_add(struct vcore_machine *m, const char *text)
{
	const char *who = "vcore_machine_add";
	struct vcore_recipe *r;
	int rc;

	rc = vcore__machine_enter_new(m, who);
	if (rc < 0)
		return rc;
	rc = vcore__recipe_parse(text, &r);
	if (rc == 0) {
		rc = add(m, r);
		free(r);
	}
	vcore__machine_leave(m);
	return vcore__machine_error(m, rc, who);
}
