/* SPDX-License-Identifier: BSD-3-Clause */
/* What a C++ program needs of an installed libvirtcore. */
#include <iostream>
#include <vcore/base.h>

struct sized {
	uint32_t size;
	uint32_t flags;
};

int
main()
{
	sized s;

	VCORE_INIT(&s);
	std::cout << (vcore_version() >> 16) << '\n';
	return s.size != sizeof(s) || s.flags != 0;
}
