/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the translation of guest addresses while the map changes: regions with
 * holes between them, read-only ones, some at the end of addresses, added,
 * removed and exchanged. Every answer is that of a plain table of pages.
 *
 * Input: steps of 8 bytes: which, region, page (and which half of addresses),
 * offset (2), length (3).
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "memory/memory.h"

#define PAGE    4096ull
#define PAGES   48u		/* of each half that is modelled */
#define LIMIT   (1ull << 52)	/* of the map, by default */
#define HIGH    (LIMIT - PAGES * PAGE)
#define REGIONS 6u
#define MAX_IOV 64u
#define BUF     (1u << 18)

/* What a page of guest addresses is; both halves. */
static struct page {
	uint8_t *hva;			/* NULL: nothing */
	bool readonly, first;		/* first: the region begins here */
	uint32_t region;
} pages[2 * PAGES];

static struct {
	struct vcore_region *region;
	uint8_t *hva;
	uint32_t pages;
	bool used;
} regions[REGIONS];

static struct vcore_memory *memory;
static struct vcore__memory_user user;
static uint8_t buf[BUF], other[BUF];

static void
need(bool ok)
{
	if (!ok)
		abort();
}

static void
make(void)
{
	static const uint32_t lens[REGIONS] = { 1, 2, 3, 5, 8, 16 };
	struct vcore_region_info info;
	struct vcore_region_opts o;

	need(vcore_memory_new(NULL, &memory) == 0);
	need(vcore__memory_user_init(&user, memory) == 0);
	for (uint32_t i = 0; i < REGIONS; i++) {
		VCORE_INIT(&o);
		o.len = lens[i] * PAGE;
		need(vcore_region_new(&o, &regions[i].region) == 0);
		VCORE_INIT(&info);
		need(vcore_region_get_info(regions[i].region, &info) == 0);
		regions[i].hva = (uint8_t *)(uintptr_t)info.hva;
		regions[i].pages = lens[i];
	}
}

static uint64_t
gpa_of(uint32_t page)
{
	return page < PAGES ? page * PAGE : HIGH + (page - PAGES) * PAGE;
}

/* The page of an address; NULL: outside of both halves. */
static struct page *
page_of(uint64_t gpa)
{
	if (gpa < PAGES * PAGE)
		return &pages[gpa / PAGE];
	if (gpa < HIGH || gpa >= LIMIT)
		return NULL;
	return &pages[PAGES + (gpa - HIGH) / PAGE];
}

/* How many of len bytes from gpa on are there, up to the first that is not. */
static uint64_t
there(uint64_t gpa, uint64_t len, bool write)
{
	uint64_t done = 0, n;

	while (done < len) {
		struct page *p = page_of(gpa);

		if (!p || !p->hva || (write && p->readonly))
			break;
		n = PAGE - gpa % PAGE;
		n = n < len - done ? n : len - done;
		done += n;
		gpa += n;
	}
	return done;
}

static bool
fits(uint32_t page, uint32_t region)
{
	uint32_t end = page + regions[region].pages;

	if (regions[region].used || end > (page < PAGES ? PAGES : 2 * PAGES))
		return false;
	for (uint32_t i = page; i < end; i++)
		if (pages[i].hva)
			return false;
	return true;
}

/* Behind the half that is modelled there are more addresses. */
static bool
leaves_model(uint32_t page, uint32_t region)
{
	return page < PAGES && page + regions[region].pages > PAGES;
}

static void
model_add(uint32_t page, uint32_t region, bool readonly)
{
	for (uint32_t i = 0; i < regions[region].pages; i++)
		pages[page + i] = (struct page){
			.hva = regions[region].hva + i * PAGE,
			.readonly = readonly, .first = i == 0,
			.region = region,
		};
	regions[region].used = true;
}

static void
model_remove(uint32_t page)
{
	uint32_t region = pages[page].region;

	memset(&pages[page], 0, regions[region].pages * sizeof(pages[0]));
	regions[region].used = false;
}

static void
add(uint32_t page, uint32_t region, bool readonly)
{
	bool room = fits(page, region);
	int rc;

	/* A region may be mapped twice; in the model it is not. */
	if (regions[region].used || leaves_model(page, region))
		return;
	rc = vcore_memory_add(memory, gpa_of(page), regions[region].region,
			      readonly ? VCORE_MEMORY_READONLY : 0);
	need((rc == 0) == room);
	if (room)
		model_add(page, region, readonly);
}

static void
del(uint32_t page)
{
	int rc = vcore_memory_remove(memory, gpa_of(page));

	need(rc == (pages[page].first ? 0 : -ENOENT));
	if (rc == 0)
		model_remove(page);
}

/* One region away and another in, as one step. */
static void
exchange(uint32_t page, uint32_t region, bool readonly)
{
	struct vcore_memory_change *c;
	struct page before[2 * PAGES];
	uint32_t old = pages[page].region;
	int rc;

	if (!pages[page].first || regions[region].used ||
	    leaves_model(page, region))
		return;
	memcpy(before, pages, sizeof(pages));
	need(vcore_memory_change_new(memory, &c) == 0);
	need(vcore_memory_change_remove(c, gpa_of(page)) == 0);
	model_remove(page);
	rc = vcore_memory_change_add(c, gpa_of(page), regions[region].region,
				     readonly ? VCORE_MEMORY_READONLY : 0);
	if (rc == 0)
		rc = vcore_memory_change_commit(c);
	vcore_memory_change_free(c);
	need((rc == 0) == fits(page, region));
	if (rc == 0) {
		model_add(page, region, readonly);
		return;
	}
	memcpy(pages, before, sizeof(pages));
	regions[old].used = true;
}

/* All of it, or -EFAULT; a write may have done what comes before a hole. */
static void
copy(uint64_t gpa, uint64_t len, bool write)
{
	uint64_t n = there(gpa, len, write);
	int rc = write ? vcore_memory_write(memory, gpa, buf, len) :
			 vcore_memory_read(memory, gpa, other, len);

	need(rc == (n == len ? 0 : -EFAULT));
	if (rc < 0)
		return;
	for (uint64_t i = 0; i < len; i++) {
		const struct page *p = page_of(gpa + i);

		need(p->hva[(gpa + i) % PAGE] == (write ? buf : other)[i]);
	}
}

static void
look_up(uint64_t gpa, uint64_t len, bool write)
{
	uint64_t n = there(gpa, len, write), sum = 0;
	struct iovec iov[MAX_IOV];
	const struct page *p;
	uint8_t *hva;
	int rc;

	vcore__memory_enter(&user);
	rc = vcore__memory_iov(&user, gpa, len, write, iov, MAX_IOV);
	need(n == len ? rc >= 0 : rc == -EFAULT);
	for (int i = 0; i < rc; i++) {
		uint8_t *at = iov[i].iov_base;

		need(iov[i].iov_len > 0);
		for (uint64_t k = 0; k < iov[i].iov_len; k++, sum++) {
			p = page_of(gpa + sum);
			need(p && at + k == p->hva + (gpa + sum) % PAGE);
		}
	}
	need(rc < 0 || sum == len);
	hva = vcore__guest_force(vcore__memory_hva(&user, gpa, len, write));
	if (hva && len) {
		p = page_of(gpa);
		need(n == len && hva == p->hva + gpa % PAGE);
	}
	vcore__memory_exit(&user);
}

static void
step(const uint8_t *p)
{
	uint32_t region = p[1] % REGIONS, page = p[2] % (2 * PAGES);
	uint64_t gpa = gpa_of(page) + (p[3] | (p[4] & 15u) << 8);
	uint64_t len = (p[5] | (uint64_t)p[6] << 8 | (uint64_t)p[7] << 16) %
		       BUF;

	if (p[7] & 0x80)
		gpa = (gpa << 40) + p[4];	/* most of them nowhere */
	switch (p[0] & 7) {
	case 0:
	case 1:
		add(page, region, p[0] & 0x80);
		break;
	case 2:
		del(page);
		break;
	case 3:
		exchange(page, region, p[0] & 0x80);
		break;
	case 4:
		memset(buf, p[5], len);
		copy(gpa, len, true);
		break;
	case 5:
		copy(gpa, len, false);
		break;
	default:
		look_up(gpa, p[0] & 0x40 ? (uint64_t)0 - len : len,
			p[0] & 0x80);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!memory)
		make();
	for (; len >= 8; data += 8, len -= 8)
		step(data);
	for (uint32_t i = 0; i < 2 * PAGES; i++)
		if (pages[i].first)
			del(i);
	return 0;
}
