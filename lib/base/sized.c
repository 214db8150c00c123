/* SPDX-License-Identifier: BSD-3-Clause */
/* Sized structs: copied once on entry, in either direction; and the clock. */
#include "base/base.h"

#include <time.h>

int
vcore__sized_copy(void *dst, size_t dst_size, size_t v1, const void *src)
{
	const unsigned char *bytes = src;
	uint32_t known = (uint32_t)dst_size;
	uint32_t size, i;

	memcpy(&size, src, sizeof(size));
	if (size < v1 || size > VCORE__SIZE_LIMIT)
		return -EINVAL;
	for (i = known; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(dst, 0, dst_size);
	memcpy(dst, src, size < known ? size : known);
	memcpy(dst, &known, sizeof(known));
	return 0;
}

int
vcore__sized_take(const char *who, void *dst, size_t dst_size, size_t v1,
		  const void *src)
{
	uint32_t size;
	int rc;

	if (!src)
		return vcore__err(NULL, -EINVAL, "%s is NULL", who);
	rc = vcore__sized_copy(dst, dst_size, v1, src);
	memcpy(&size, src, sizeof(size));
	if (rc == -EINVAL)
		vcore__err(NULL, rc,
			   "%s: size %u is not in [%zu, %u], see VCORE_INIT()",
			   who, size, v1, VCORE__SIZE_LIMIT);
	else if (rc == -E2BIG)
		vcore__err(NULL, rc,
			   "%s: something is set behind the known %zu bytes",
			   who, dst_size);
	return rc;
}

int
vcore__sized_return(void *dst, size_t v1, const void *src, size_t src_size)
{
	uint32_t size;

	memcpy(&size, dst, sizeof(size));
	if (size < v1 || size > VCORE__SIZE_LIMIT)
		return -EINVAL;
	if (size > src_size)
		size = (uint32_t)src_size;
	memcpy(dst, src, size);
	memcpy(dst, &size, sizeof(size));
	return 0;
}

uint64_t
vcore__now_ns(void)
{
	struct timespec ts;

	/* Can't fail: the clock exists and the pointer is good. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
