/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boot images: bzImage and ELF with every number in them gone wrong. The first
 * byte chooses the kind (bits 0, 1), an initrd (2), reserved ranges (3) and
 * whether the image comes from a file (4); the rest is the image.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vcore/boot.h>

#define MIB (1ull << 20)
#define SENTINEL 0x40000u	/* RAM that no boot may touch */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct vcore_memory *memory;

static void
must(int good)
{
	if (!good)
		abort();
}

static void
add_ram(uint64_t gpa, uint64_t len)
{
	struct vcore_region_opts opts;
	struct vcore_region *region;

	VCORE_INIT(&opts);
	opts.len = len;
	must(vcore_region_new(&opts, &region) == 0);
	must(vcore_memory_add(memory, gpa, region, 0) == 0);
	vcore_region_unref(region);
}

/* RAM, a hole, RAM, and some above 4 GiB. */
static void
make_memory(void)
{
	must(vcore_memory_new(NULL, &memory) == 0);
	add_ram(0, 4 * MIB);
	add_ram(6 * MIB, MIB);
	add_ram(7 * MIB, MIB);
	add_ram(1ull << 32, MIB);
	must(vcore_memory_fill(memory, SENTINEL, 0xa5, 4096) == 0);
}

static int
overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static void
check(const struct vcore_boot_info *info)
{
	uint8_t byte = 0;

	must(info->rip >= MIB && info->rip < 1ull << 32);
	must(info->kernel_gpa >= MIB && info->kernel_len > 0);
	must(vcore_memory_read(memory, info->rip, &byte, 1) == 0);
	if (info->kind == VCORE_BOOT_BZIMAGE && info->initrd_len)
		must(!overlap(info->kernel_gpa, info->kernel_len,
			      info->initrd_gpa, info->initrd_len));
	if (info->initrd_len) {
		must(info->initrd_gpa >= MIB && info->initrd_len == 5000);
		must(vcore_memory_read(memory, info->initrd_gpa + 4999, &byte,
				       1) == 0 && byte == 0x3c);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct vcore_boot_range range = {
		2 * MIB, 4096, VCORE_BOOT_RANGE_RESERVED, 0,
	};
	static uint8_t initrd[5000], page[4096];
	struct vcore_boot_opts opts;
	struct vcore_boot_info info;
	int fd = -1, rc;

	if (!memory)
		make_memory();
	if (len == 0)
		return 0;
	VCORE_INIT(&opts);
	VCORE_INIT(&info);
	opts.kind = data[0] & 3;
	opts.cmdline = "console=ttyS0 quiet";
	if (data[0] & 4) {
		memset(initrd, 0x3c, sizeof(initrd));
		opts.initrd_data = initrd;
		opts.initrd_len = sizeof(initrd);
	}
	opts.ranges = &range;
	opts.range_count = data[0] >> 3 & 1;
	if (data[0] & 16) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		must(fd >= 0 && write(fd, data + 1, len - 1) ==
				(ssize_t)(len - 1));
		opts.kernel_fd = fd;
		opts.flags = VCORE_BOOT_KERNEL_FD;
	} else {
		opts.kernel_data = data + 1;
		opts.kernel_len = len - 1;
	}
	rc = vcore_boot_linux(memory, &opts, &info);
	must(rc <= 0);
	if (rc == 0)
		check(&info);
	else
		must(vcore_error_text()[0] == 'v');
	if (fd >= 0)
		close(fd);
	must(vcore_memory_read(memory, SENTINEL, page, sizeof(page)) == 0);
	for (size_t i = 0; i < sizeof(page); i++)
		must(page[i] == 0xa5);
	return 0;
}
