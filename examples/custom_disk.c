/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk of one's own: 64 MiB of this program's memory, seen as /dev/vda. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vcore/block.h>
#include <vcore/machine.h>

#define SIZE (64u << 20)

static void
ram_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	unsigned char *at = opaque;

	(void)queue;
	if (req->offset > SIZE || req->len > SIZE - req->offset) {
		vcore_disk_done(req, -EIO);
		return;
	}
	at += req->offset;
	for (uint32_t i = 0; i < req->iov_count; i++) {
		if (req->op == VCORE_DISK_READ)
			memcpy(req->iov[i].iov_base, at, req->iov[i].iov_len);
		else
			memcpy(at, req->iov[i].iov_base, req->iov[i].iov_len);
		at += req->iov[i].iov_len;
	}
	vcore_disk_done(req, 0);	/* any thread, also right here */
}

static int
ram_limits(void *opaque, struct vcore_disk_limits *limits)
{
	(void)opaque;
	limits->capacity = SIZE;
	limits->logical_block = 512;
	return 0;
}

static const struct vcore_disk_ops ram_ops = {
	.size = sizeof(ram_ops),
	.submit = ram_submit,
	.limits = ram_limits,
};

static int
run(struct vcore_machine_opts *opts, void *bytes)
{
	struct vcore_machine *machine = NULL;
	struct vcore_virtio *block = NULL;
	struct vcore_disk *disk = NULL;
	int rc;

	rc = vcore_disk_new(&ram_ops, bytes, NULL, &disk);
	if (rc == 0)
		rc = vcore_block_new(disk, NULL, &block);
	if (rc == 0)
		rc = vcore_machine_new(opts, &machine);
	if (rc == 0)
		rc = vcore_machine_attach(machine, block, NULL);
	if (rc == 0)
		rc = vcore_machine_run(machine);
	if (rc < 0)
		fprintf(stderr, "custom_disk: %s\n", vcore_error_text());
	vcore_machine_unref(machine);
	vcore_virtio_unref(block);
	vcore_disk_unref(disk);
	return rc;
}

int
main(int argc, char **argv)
{
	struct vcore_machine_opts opts;
	struct vcore_stream *serial;
	unsigned char *bytes;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: custom_disk KERNEL INITRD CMDLINE\n");
		return 2;
	}
	bytes = calloc(1, SIZE);
	if (bytes == NULL ||
	    vcore_stream_new_fd(-1, STDOUT_FILENO, &serial) < 0)
		return 1;
	memcpy(bytes, "hello from a disk in memory", 27);
	VCORE_INIT(&opts);
	opts.flags = VCORE_MACHINE_NO_REBOOT;
	opts.kernel = argv[1];
	opts.initrd = argv[2];
	opts.cmdline = argv[3];
	opts.serial = serial;
	rc = run(&opts, bytes);
	vcore_stream_unref(serial);
	free(bytes);
	return rc < 0;
}
