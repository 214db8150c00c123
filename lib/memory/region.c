/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions: stretches of host memory, their backings, guard pages, lifetime. */
#include "memory/region.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"

#define REGION_FLAGS (VCORE_REGION_SHARED | VCORE_REGION_POPULATE | \
		      VCORE_REGION_UNSEALED_OK | VCORE_REGION_READONLY)
#define REGION_INFO_V1 VCORE__SIZE_TO(struct vcore_region_info, reserved0)

#define HUGETLBFS_SUPER_MAGIC 0x958458f6
#define THP_SIZE (2ull << 20)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define FAIL(rc, ...) vcore__err(NULL, (rc), "vcore_region_new: " __VA_ARGS__)

uint64_t
vcore__page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool
aligned(uint64_t value, uint64_t to)
{
	return (value & (to - 1)) == 0;
}

/* Flags and fields that mean nothing for this backing are refused. */
static int
check_fields(const struct vcore_region_opts *o, uint32_t backing)
{
	uint32_t allowed = VCORE_REGION_POPULATE;

	switch (backing) {
	case VCORE_BACKING_ANONYMOUS:
		break;
	case VCORE_BACKING_MEMFD:
	case VCORE_BACKING_HUGETLB:
		allowed |= VCORE_REGION_SHARED;
		break;
	case VCORE_BACKING_FILE:
		allowed = REGION_FLAGS;
		break;
	case VCORE_BACKING_CALLER:
		allowed |= VCORE_REGION_READONLY;
		break;
	default:
		return FAIL(-EINVAL, "backing %u is unknown", o->backing);
	}
	if (o->flags & ~allowed)
		return FAIL(-EINVAL, "flags %#x do not go with backing %u",
			    o->flags & ~allowed, backing);
	if (backing != VCORE_BACKING_CALLER && (o->hva || o->release))
		return FAIL(-EINVAL, "hva and release are for "
			    "VCORE_BACKING_CALLER, not backing %u", backing);
	if (backing != VCORE_BACKING_HUGETLB && o->page_size)
		return FAIL(-EINVAL, "page_size %#llx is for "
			    "VCORE_BACKING_HUGETLB, not backing %u",
			    (unsigned long long)o->page_size, backing);
	return 0;
}

static int
check_len(const struct vcore_region *r)
{
	if (r->len == 0 || r->len > INT64_MAX || !aligned(r->len, r->page_size))
		return FAIL(-EINVAL,
			    "len %#llx is 0, too large, or no multiple of the page size %#llx",
			    (unsigned long long)r->len,
			    (unsigned long long)r->page_size);
	return 0;
}

static int
new_memfd(struct vcore_region *r, unsigned int flags)
{
	const unsigned int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd;

	flags |= MFD_CLOEXEC | MFD_ALLOW_SEALING;
	fd = memfd_create("vcore-region", flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)	/* before Linux 6.3 */
		fd = memfd_create("vcore-region", flags);
	if (fd < 0)
		return FAIL(-errno, "memfd_create, flags %#x: %m", flags);
	r->fd = fd;
	if (ftruncate(fd, (off_t)r->len) < 0)
		return FAIL(-errno, "ftruncate of a memfd to %#llx: %m",
			    (unsigned long long)r->len);
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		return FAIL(-errno, "F_ADD_SEALS %#x: %m", seals);
	return 0;
}

static int
new_hugetlb(struct vcore_region *r, uint64_t page_size)
{
	unsigned int shift;

	r->page_size = page_size ? page_size : THP_SIZE;
	if (r->page_size < vcore__page_size() ||
	    (r->page_size & (r->page_size - 1)))
		return FAIL(-EINVAL, "page_size %#llx is no huge page size",
			    (unsigned long long)page_size);
	if (check_len(r) < 0)
		return -EINVAL;
	shift = (unsigned int)__builtin_ctzll(r->page_size);
	return new_memfd(r, MFD_HUGETLB | shift << MFD_HUGE_SHIFT);
}

/* Bytes that the file has now; UINT64_MAX if that can't be known. */
static int
file_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return FAIL(-errno, "fstat of fd %d: %m", fd);
	*size = UINT64_MAX;
	if (S_ISREG(st.st_mode))
		*size = (uint64_t)st.st_size;
	else if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) < 0)
		return FAIL(-errno, "BLKGETSIZE64 of fd %d: %m", fd);
	return 0;
}

static int
new_file(struct vcore_region *r, const struct vcore_region_opts *o)
{
	struct statfs fs;
	uint64_t size = 0;
	int rc, seals;

	r->fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
	if (r->fd < 0)
		return FAIL(-errno, "cannot duplicate fd %d: %m", o->fd);
	if (fstatfs(r->fd, &fs) == 0 &&
	    (uint64_t)fs.f_type == HUGETLBFS_SUPER_MAGIC)
		r->page_size = (uint64_t)fs.f_bsize;
	rc = check_len(r);
	if (rc < 0)
		return rc;
	if (!aligned(o->fd_offset, r->page_size))
		return FAIL(-EINVAL, "fd_offset %#llx is no multiple of the page size %#llx",
			    (unsigned long long)o->fd_offset,
			    (unsigned long long)r->page_size);
	rc = file_size(r->fd, &size);
	if (rc < 0)
		return rc;
	if (!vcore__range_fits(o->fd_offset, r->len, size))
		return FAIL(-EINVAL, "fd %d has %#llx bytes, less than fd_offset %#llx + len %#llx",
			    o->fd, (unsigned long long)size,
			    (unsigned long long)o->fd_offset,
			    (unsigned long long)r->len);
	seals = fcntl(r->fd, F_GET_SEALS);
	if ((seals < 0 || !(seals & F_SEAL_SHRINK)) &&
	    !(o->flags & VCORE_REGION_UNSEALED_OK))
		return FAIL(-EINVAL, "fd %d is not sealed against shrinking and "
			    "VCORE_REGION_UNSEALED_OK is not set", o->fd);
	r->fd_offset = o->fd_offset;
	return 0;
}

static int
new_caller(struct vcore_region *r, const struct vcore_region_opts *o)
{
	uintptr_t end;

	if (!o->hva || !aligned((uintptr_t)o->hva, r->page_size) ||
	    vcore__add_overflow((uintptr_t)o->hva, r->len, &end))
		return FAIL(-EINVAL, "hva %p, len %#llx: NULL, unaligned, or it wraps",
			    o->hva, (unsigned long long)r->len);
	/* Does nothing but look whether all of it is mapped. */
	if (msync(o->hva, r->len, MS_ASYNC) < 0)
		return FAIL(-EINVAL, "not all of [%p, %#lx) is mapped",
			    o->hva, (unsigned long)end);
	r->hva = vcore__guest_ptr(o->hva);
	r->release = o->release;
	r->opaque = o->opaque;
	return 0;
}

/*
 * Can the file be mapped? Elsewhere, to see: a MAP_FIXED that fails has removed
 * what it was to replace (before Linux 6.12), and by the time the reservation
 * is given back another thread's mapping may stand there.
 */
static int
try_map(const struct vcore_region *r, int prot, int flags)
{
	void *trial = mmap(NULL, r->len, prot, flags, r->fd,
			   (off_t)r->fd_offset);

	if (trial == MAP_FAILED)
		return -errno;
	munmap(trial, r->len);
	return 0;
}

/* In the reservation, at this place. */
static int
map_at(struct vcore_region *r, void *at, int prot, int flags)
{
	r->hva = vcore__guest_ptr(at);
	/* Anonymous memory: the reservation is that already. */
	if (r->fd < 0)
		return mprotect(at, r->len, prot) < 0 ? -errno : 0;
	at = mmap(at, r->len, prot, flags | MAP_FIXED, r->fd,
		  (off_t)r->fd_offset);
	return at == MAP_FAILED ? -errno : 0;
}

/*
 * Map the region inside a larger inaccessible reservation, so that running
 * over either end faults instead of hitting a neighbour.
 */
static int
map_guarded(struct vcore_region *r)
{
	int prot = PROT_READ, flags, rc;
	uint64_t page, align, total;
	size_t skip;
	char *guard;

	flags = r->flags & VCORE_REGION_SHARED ? MAP_SHARED : MAP_PRIVATE;
	if (!(r->flags & VCORE_REGION_READONLY))
		prot |= PROT_WRITE;
	/* As a memfd's: a guest may be larger than what it ever touches. */
	if (r->page_size == vcore__page_size())
		flags |= MAP_NORESERVE;
	rc = r->fd < 0 ? 0 : try_map(r, prot, flags);
	if (rc < 0)
		return FAIL(rc, "mmap of %#llx bytes, backing %u: %s",
			    (unsigned long long)r->len, r->backing,
			    vcore__strerror(rc));

	page = vcore__page_size();
	align = r->page_size;
	if (r->len >= THP_SIZE && align < THP_SIZE)
		align = THP_SIZE;
	total = r->len + align + 2 * page;	/* len < 2^63 */
	guard = mmap(NULL, total, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (guard == MAP_FAILED)
		return FAIL(-errno, "cannot reserve %#llx bytes of addresses: %m",
			    (unsigned long long)total);
	skip = page + (-((uintptr_t)guard + page) & (align - 1));
	rc = map_at(r, guard + skip, prot, flags);
	if (rc < 0) {
		munmap(guard, total);
		return FAIL(rc, "mmap of %#llx bytes, backing %u: %s",
			    (unsigned long long)r->len, r->backing,
			    vcore__strerror(rc));
	}
	r->guard = guard;
	r->guard_len = total;
	return 0;
}

/*
 * Huge pages, but for the first. What starts a guest touches a few pages there
 * (tables, a command line, a small kernel), and to clear 2 MiB takes longer
 * than all the rest of a start. Advice: without it it is only slower.
 */
static void
advise_huge(struct vcore_region *r)
{
	if (r->len >= 2 * THP_SIZE)
		(void)madvise(vcore__guest_force(vcore__guest_at(r->hva,
								 THP_SIZE)),
			      r->len - THP_SIZE, MADV_HUGEPAGE);
}

static int
populate(struct vcore_region *r)
{
	int advice, rc;

	advice = r->flags & VCORE_REGION_READONLY ? MADV_POPULATE_READ :
						    MADV_POPULATE_WRITE;
	do {
		rc = madvise(vcore__guest_force(r->hva), r->len, advice);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno == EINVAL)
		return FAIL(-EOPNOTSUPP, "this kernel has no MADV_POPULATE_WRITE");
	/* EFAULT: the pages' owner (hugetlb pool, tmpfs) has none left. */
	return FAIL(errno == EFAULT ? -ENOMEM : -errno,
		    "cannot populate %#llx bytes", (unsigned long long)r->len);
}

static void
region_free(struct vcore_region *r)
{
	if (r->guard)
		munmap(r->guard, r->guard_len);
	if (r->fd >= 0)
		close(r->fd);
	if (r->release)
		r->release(r->opaque);
	free(r);
}

static int
region_back(struct vcore_region *r, const struct vcore_region_opts *o)
{
	int rc;

	/* Hugetlb and files know their page size only later. */
	rc = r->backing == VCORE_BACKING_HUGETLB ||
	     r->backing == VCORE_BACKING_FILE ? 0 : check_len(r);
	if (rc < 0)
		return rc;
	switch (r->backing) {
	case VCORE_BACKING_MEMFD:
		rc = new_memfd(r, 0);
		break;
	case VCORE_BACKING_HUGETLB:
		rc = new_hugetlb(r, o->page_size);
		break;
	case VCORE_BACKING_FILE:
		rc = new_file(r, o);
		break;
	case VCORE_BACKING_CALLER:
		rc = new_caller(r, o);
		break;
	default:
		break;
	}
	if (rc == 0 && r->backing != VCORE_BACKING_CALLER)
		rc = map_guarded(r);
	return rc;
}

int
vcore_region_new(const struct vcore_region_opts *opts,
		 struct vcore_region **region)
{
	struct vcore_region_opts o;
	struct vcore_region *r;
	int rc;

	if (!region)
		return FAIL(-EINVAL, "region is NULL");
	rc = VCORE__SIZED("vcore_region_new: opts", &o, release, opts);
	if (rc < 0)
		return rc;
	if (o.flags & ~REGION_FLAGS)
		return FAIL(-E2BIG, "flags %#x are unknown",
			    o.flags & ~REGION_FLAGS);
	if (o.backing == VCORE_BACKING_AUTO)
		o.backing = o.flags & VCORE_REGION_SHARED ?
			VCORE_BACKING_MEMFD : VCORE_BACKING_ANONYMOUS;
	rc = check_fields(&o, o.backing);
	if (rc < 0)
		return rc;

	r = calloc(1, sizeof(*r));
	if (!r)
		return FAIL(-ENOMEM, "out of memory");
	atomic_init(&r->refs, 1);
	r->backing = o.backing;
	r->flags = o.flags;
	if (r->backing == VCORE_BACKING_MEMFD ||
	    r->backing == VCORE_BACKING_HUGETLB)
		r->flags |= VCORE_REGION_SHARED;
	r->len = o.len;
	r->page_size = vcore__page_size();
	r->fd = -1;
	rc = region_back(r, &o);
	if (rc == 0 && r->backing == VCORE_BACKING_ANONYMOUS)
		advise_huge(r);
	if (rc == 0 && (r->flags & VCORE_REGION_POPULATE))
		rc = populate(r);
	if (rc < 0) {
		r->release = NULL;	/* a call that fails has taken nothing */
		region_free(r);
		return rc;
	}
	*region = r;
	return 0;
}

struct vcore_region *
vcore_region_ref(struct vcore_region *region)
{
	if (region)
		atomic_fetch_add_explicit(&region->refs, 1,
					  memory_order_relaxed);
	return region;
}

void
vcore_region_unref(struct vcore_region *region)
{
	if (region && atomic_fetch_sub_explicit(&region->refs, 1,
						memory_order_acq_rel) == 1)
		region_free(region);
}

int
vcore_region_get_info(struct vcore_region *region,
		      struct vcore_region_info *info)
{
	struct vcore_region_info i;

	if (!region || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_region_get_info: region %p or info %p is NULL",
				  (void *)region, (void *)info);
	VCORE_INIT(&i);
	i.backing = region->backing;
	i.len = region->len;
	i.page_size = region->page_size;
	i.hva = (uintptr_t)region->hva;
	i.fd = region->fd;
	i.flags = region->flags;
	i.fd_offset = region->fd_offset;
	i.failed = atomic_load_explicit(&region->failed, memory_order_relaxed);
	if (vcore__sized_return(info, REGION_INFO_V1, &i, sizeof(i)) < 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_region_get_info: info of size %u",
				  info->size);
	return 0;
}
