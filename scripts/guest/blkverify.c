/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkverify PATH MIB: writes the first MIB MiB of a file or disk in random
 * order, in pieces of 4 to 64 KiB past the page cache, reads them back in
 * another random order and compares. Says "ok" and the checksum of all
 * bytes, or what differs; status 0 only for ok.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define UNIT 4096u
#define PIECE_MAX (16u * UNIT)

struct piece {
	uint64_t offset;
	uint32_t len;
};

static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

/* What byte range [offset, offset + len) of the target should hold. */
static void
fill(uint64_t *buf, uint64_t offset, uint32_t len, uint64_t seed)
{
	for (uint32_t i = 0; i < len / 8; i++)
		buf[i] = (offset + 8ull * i + seed) * 0x9e3779b97f4a7c15ull;
}

static uint32_t
cut(struct piece *pieces, uint64_t total, uint64_t *rnd)
{
	uint64_t offset = 0;
	uint32_t n = 0;

	while (offset < total) {
		uint32_t len = UNIT * (1 + (uint32_t)(next_random(rnd) % 16));

		if (len > total - offset)
			len = (uint32_t)(total - offset);
		pieces[n++] = (struct piece){ offset, len };
		offset += len;
	}
	return n;
}

static void
shuffle(struct piece *pieces, uint32_t n, uint64_t *rnd)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = (uint32_t)(next_random(rnd) % i);
		struct piece t = pieces[i - 1];

		pieces[i - 1] = pieces[j];
		pieces[j] = t;
	}
}

static int
fail(const char *what, uint64_t offset)
{
	printf("%s at %llu: %s\n", what, (unsigned long long)offset,
	       strerror(errno));
	return 1;
}

static int
write_all(int fd, const struct piece *pieces, uint32_t n, void *buf,
	  uint64_t seed)
{
	for (uint32_t i = 0; i < n; i++) {
		fill(buf, pieces[i].offset, pieces[i].len, seed);
		errno = 0;
		if (pwrite(fd, buf, pieces[i].len, (off_t)pieces[i].offset) !=
		    (ssize_t)pieces[i].len)
			return fail("write", pieces[i].offset);
	}
	return fsync(fd) ? fail("fsync", 0) : 0;
}

static int
read_all(int fd, const struct piece *pieces, uint32_t n, uint64_t *buf,
	 uint64_t *want, uint64_t seed, uint64_t *sum)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = pieces[i].len;

		fill(want, pieces[i].offset, len, seed);
		errno = 0;
		if (pread(fd, buf, len, (off_t)pieces[i].offset) !=
		    (ssize_t)len)
			return fail("read", pieces[i].offset);
		errno = 0;
		if (memcmp(buf, want, len))
			return fail("differs", pieces[i].offset);
		for (uint32_t w = 0; w < len / 8; w++)
			*sum += buf[w] ^ (buf[w] >> 29);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	uint64_t total = argc == 3 ? strtoull(argv[2], NULL, 10) << 20 : 0;
	uint64_t rnd, seed, sum = 0;
	struct piece *pieces;
	void *buf, *want;
	uint32_t n;
	int fd;

	if (total == 0) {
		fprintf(stderr, "usage: blkverify PATH MIB\n");
		return 2;
	}
	if (getrandom(&rnd, sizeof(rnd), 0) != sizeof(rnd))
		return fail("getrandom", 0);
	rnd |= 1;
	seed = next_random(&rnd);
	pieces = calloc(total / UNIT, sizeof(*pieces));
	if (!pieces || posix_memalign(&buf, UNIT, PIECE_MAX) ||
	    posix_memalign(&want, UNIT, PIECE_MAX))
		return fail("memory", 0);
	fd = open(argv[1], O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail("open", 0);
	n = cut(pieces, total, &rnd);
	shuffle(pieces, n, &rnd);
	if (write_all(fd, pieces, n, buf, seed))
		return 1;
	shuffle(pieces, n, &rnd);
	if (read_all(fd, pieces, n, buf, want, seed, &sum))
		return 1;
	printf("ok %016llx\n", (unsigned long long)sum);
	return close(fd) ? fail("close", 0) : 0;
}
