/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer of AML: ACPI 6.4, chapters 20 (grammar) and 6.4 (resources). */
#include "platform/aml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OP_NAME    0x08
#define OP_BYTE    0x0a
#define OP_WORD    0x0b
#define OP_DWORD   0x0c
#define OP_STRING  0x0d
#define OP_QWORD   0x0e
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_METHOD  0x14
#define OP_MULTI   0x2f
#define OP_DUAL    0x2e
#define OP_EXT     0x5b
#define OP_DEVICE  0x82
#define OP_RETURN  0xa4

void
vcore__aml_fini(struct vcore__aml *a)
{
	free(a->buf);
	memset(a, 0, sizeof(*a));
}

/* Room for len more bytes, or a->rc is set. */
static int
reserve(struct vcore__aml *a, size_t len)
{
	size_t cap = a->cap ? a->cap : 256;
	uint8_t *buf;

	if (a->rc < 0)
		return a->rc;
	while (cap - a->len < len)
		cap *= 2;
	if (cap != a->cap) {
		buf = realloc(a->buf, cap);
		if (!buf)
			return a->rc = -ENOMEM;
		a->buf = buf;
		a->cap = cap;
	}
	return 0;
}

static void
insert(struct vcore__aml *a, size_t at, const void *bytes, size_t len)
{
	if (len == 0 || reserve(a, len) < 0)
		return;
	memmove(a->buf + at + len, a->buf + at, a->len - at);
	memcpy(a->buf + at, bytes, len);
	a->len += len;
}

void
vcore__aml_bytes(struct vcore__aml *a, const void *bytes, size_t len)
{
	insert(a, a->len, bytes, len);
}

void
vcore__aml_truncate(struct vcore__aml *a, size_t len)
{
	if (len <= a->len)
		a->len = len;
	a->rc = 0;
}

static void
byte(struct vcore__aml *a, uint8_t b)
{
	vcore__aml_bytes(a, &b, 1);
}

static void
put(uint8_t *p, uint64_t value, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

/* The shortest form; returns its length. */
static size_t
encode_integer(uint8_t out[9], uint64_t value)
{
	size_t len = 1;

	if (value <= 1) {
		out[0] = (uint8_t)value;	/* ZeroOp, OneOp */
		return 1;
	}
	if (value <= UINT8_MAX) {
		out[0] = OP_BYTE;
	} else if (value <= UINT16_MAX) {
		out[0] = OP_WORD;
		len = 2;
	} else if (value <= UINT32_MAX) {
		out[0] = OP_DWORD;
		len = 4;
	} else {
		out[0] = OP_QWORD;
		len = 8;
	}
	put(out + 1, value, len);
	return len + 1;
}

void
vcore__aml_integer(struct vcore__aml *a, uint64_t value)
{
	uint8_t out[9];
	size_t len = encode_integer(out, value);

	vcore__aml_bytes(a, out, len);
}

void
vcore__aml_string(struct vcore__aml *a, const char *text)
{
	byte(a, OP_STRING);
	vcore__aml_bytes(a, text, strlen(text) + 1);
}

static uint32_t
hex(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void
vcore__aml_eisaid(struct vcore__aml *a, const char *id)
{
	uint32_t v;
	uint8_t out[5] = { OP_DWORD };

	/* Three letters of five bits, four digits; stored big-endian. */
	v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
	    (uint32_t)(id[2] - '@') << 16 | hex(id[3]) << 12 |
	    hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
	put(out + 1, __builtin_bswap32(v), 4);
	vcore__aml_bytes(a, out, sizeof(out));
}

static void
path(struct vcore__aml *a, const char *p)
{
	size_t n;

	if (*p == '\\') {
		byte(a, '\\');
		p++;
	}
	n = (strlen(p) + 1) / 5;	/* segments, each with dot or NUL */
	if (n == 2)
		byte(a, OP_DUAL);
	if (n > 2) {
		byte(a, OP_MULTI);
		byte(a, (uint8_t)n);
	}
	for (; n > 0; n--, p += 5)
		vcore__aml_bytes(a, p, 4);
}

void
vcore__aml_name(struct vcore__aml *a, const char *p)
{
	byte(a, OP_NAME);
	path(a, p);
}

void
vcore__aml_name_integer(struct vcore__aml *a, const char *p, uint64_t value)
{
	vcore__aml_name(a, p);
	vcore__aml_integer(a, value);
}

void
vcore__aml_name_string(struct vcore__aml *a, const char *p, const char *text)
{
	vcore__aml_name(a, p);
	vcore__aml_string(a, text);
}

void
vcore__aml_name_eisaid(struct vcore__aml *a, const char *p, const char *id)
{
	vcore__aml_name(a, p);
	vcore__aml_eisaid(a, id);
}

size_t
vcore__aml_scope(struct vcore__aml *a, const char *p)
{
	size_t mark;

	byte(a, OP_SCOPE);
	mark = a->len;
	path(a, p);
	return mark;
}

size_t
vcore__aml_device(struct vcore__aml *a, const char *p)
{
	size_t mark;

	byte(a, OP_EXT);
	byte(a, OP_DEVICE);
	mark = a->len;
	path(a, p);
	return mark;
}

size_t
vcore__aml_method(struct vcore__aml *a, const char *p, uint8_t args)
{
	size_t mark;

	byte(a, OP_METHOD);
	mark = a->len;
	path(a, p);
	byte(a, args & 7);
	return mark;
}

size_t
vcore__aml_package(struct vcore__aml *a, uint8_t count)
{
	size_t mark;

	byte(a, OP_PACKAGE);
	mark = a->len;
	byte(a, count);
	return mark;
}

void
vcore__aml_return_integer(struct vcore__aml *a, uint64_t value)
{
	byte(a, OP_RETURN);
	vcore__aml_integer(a, value);
}

/* PkgLength counts itself: one byte up to 63, else four bits and bytes. */
void
vcore__aml_end(struct vcore__aml *a, size_t mark)
{
	size_t len, extra;
	uint8_t out[4];

	if (a->rc < 0)
		return;
	len = a->len - mark;
	if (len + 1 < 64) {
		out[0] = (uint8_t)(len + 1);
		insert(a, mark, out, 1);
		return;
	}
	extra = 1;
	while (extra < 3 && (len + 1 + extra) >> (4 + 8 * extra))
		extra++;
	len += 1 + extra;
	out[0] = (uint8_t)(extra << 6 | (len & 15));
	put(out + 1, len >> 4, extra);
	insert(a, mark, out, 1 + extra);
}

size_t
vcore__aml_resources(struct vcore__aml *a)
{
	byte(a, OP_BUFFER);
	return a->len;
}

void
vcore__aml_resources_end(struct vcore__aml *a, size_t mark)
{
	static const uint8_t end_tag[] = { 0x79, 0 };
	uint8_t out[9];
	size_t len;

	vcore__aml_bytes(a, end_tag, sizeof(end_tag));
	if (a->rc < 0)
		return;
	len = encode_integer(out, a->len - mark);
	insert(a, mark, out, len);
	vcore__aml_end(a, mark);
}

void
vcore__aml_io(struct vcore__aml *a, uint16_t base, uint8_t len)
{
	uint8_t d[8] = { 0x47, 1 };	/* decodes 16 bits */

	put(d + 2, base, 2);
	put(d + 4, base, 2);
	d[6] = 1;
	d[7] = len;
	vcore__aml_bytes(a, d, sizeof(d));
}

void
vcore__aml_memory32(struct vcore__aml *a, uint32_t base, uint32_t len)
{
	uint8_t d[12] = { 0x86, 9, 0, 1 };	/* read and write */

	put(d + 4, base, 4);
	put(d + 8, len, 4);
	vcore__aml_bytes(a, d, sizeof(d));
}

void
vcore__aml_interrupt_edge(struct vcore__aml *a, uint32_t gsi)
{
	uint8_t d[9] = { 0x89, 6, 0, 3, 1 };	/* consumer, edge; one number */

	put(d + 5, gsi, 4);
	vcore__aml_bytes(a, d, sizeof(d));
}

void
vcore__aml_bus_numbers(struct vcore__aml *a, uint16_t first, uint16_t last)
{
	/* Word address space: bus numbers, minimum and maximum fixed. */
	uint8_t d[16] = { 0x88, 13, 0, 2, 0x0c, 0 };

	put(d + 8, first, 2);
	put(d + 10, last, 2);
	put(d + 14, (uint64_t)last - first + 1, 2);
	vcore__aml_bytes(a, d, sizeof(d));
}

void
vcore__aml_window32(struct vcore__aml *a, uint32_t base, uint32_t len)
{
	/* Double word address space: memory, fixed, not cached, writable. */
	uint8_t d[26] = { 0x87, 23, 0, 0, 0x0c, 1 };

	put(d + 10, base, 4);
	put(d + 14, (uint64_t)base + len - 1, 4);
	put(d + 22, len, 4);
	vcore__aml_bytes(a, d, sizeof(d));
}

static void
qword(struct vcore__aml *a, uint8_t general, uint8_t type, uint64_t base,
      uint64_t len)
{
	uint8_t d[46] = { 0x8a, 43, 0, 0, general, type };

	put(d + 14, base, 8);
	put(d + 22, base + (len - 1), 8);
	put(d + 38, len, 8);
	vcore__aml_bytes(a, d, sizeof(d));
}

void
vcore__aml_window64(struct vcore__aml *a, uint64_t base, uint64_t len)
{
	qword(a, 0x0c, 7, base, len);	/* producer; prefetchable, writable */
}

void
vcore__aml_memory64(struct vcore__aml *a, uint64_t base, uint64_t len)
{
	qword(a, 0x0d, 1, base, len);	/* consumer; not cached, writable */
}
