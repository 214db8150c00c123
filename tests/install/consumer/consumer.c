/* SPDX-License-Identifier: BSD-3-Clause */
/* What a C program needs of an installed libvirtcore. */
#include <stdio.h>
#include <vcore/base.h>
#ifdef PART_HEADER
#include PART_HEADER
#endif

int
main(void)
{
	uint32_t version = vcore_version();

	printf("%u.%u.%u\n", version >> 16, (version >> 8) & 0xff,
	       version & 0xff);
	return version >> 16 != VCORE_VERSION_MAJOR ||
	       vcore_error_text()[0] != '\0';
}
