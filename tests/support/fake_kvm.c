/* SPDX-License-Identifier: BSD-3-Clause */
/* A KVM without a kernel: answers, remembers, fails on command. */
#include "support/fake_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/host.h"
#include "support/support.h"

#define RUN_LEN (3 * 4096)

static const uint32_t msr_list[FAKE_MSRS] = { 0x10, 0x174, 0x1a0, 0x277 };

/* Real descriptors, so that leaks show. */
static int
new_fd(struct fake_kvm *f)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd >= 0)
		f->open++;
	return fd < 0 ? -errno : fd;
}

/* The caller has the lock. 0, or the error that was asked for. */
static int
record(struct fake_kvm *f, int fd, unsigned long request, void *arg,
       struct fake_call **call)
{
	static struct fake_call scrap;
	struct fake_call *c = &scrap;
	int error = f->fail_error ? f->fail_error : ENOMEM;

	if (f->calls < FAKE_CALLS)
		c = &f->call[f->calls++];
	memset(c, 0, sizeof(*c));
	c->request = request;
	c->fd = fd;
	c->arg = (uintptr_t)arg;
	*call = c;
	if (f->fail_at &&
	    (!f->fail_here || pthread_equal(f->fail_thread, pthread_self())) &&
	    --f->fail_at == 0) {
		f->failed = true;
		return -error;
	}
	if (f->fail_request == request) {
		f->failed = true;
		return -error;
	}
	return 0;
}

static int
fake_open(void *opaque, const char *path)
{
	struct fake_kvm *f = opaque;
	struct fake_call *c;
	int rc;

	(void)path;
	pthread_mutex_lock(&f->lock);
	rc = record(f, -1, FAKE_OPEN, NULL, &c);
	if (rc == 0)
		rc = new_fd(f);
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* The caller has the lock. The entry of a vCPU, or a free one. */
static struct kvm_run **
run_of(struct fake_kvm *f, int fd)
{
	for (uint32_t i = 0; i < FAKE_RUNS; i++)
		if (f->run_of[i].area != NULL && f->run_of[i].fd == fd)
			return &f->run_of[i].area;
	for (uint32_t i = 0; i < FAKE_RUNS; i++)
		if (f->run_of[i].area == NULL) {
			f->run_of[i].fd = fd;
			return &f->run_of[i].area;
		}
	ck_abort_msg("more than %u vCPUs", FAKE_RUNS);
	return NULL;
}

static int
fake_mmap(void *opaque, int fd, size_t len, void **area)
{
	struct fake_kvm *f = opaque;
	struct fake_call *c;
	void *p;
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = record(f, fd, FAKE_MMAP, NULL, &c);
	if (rc == 0) {
		p = calloc(1, len);
		rc = p ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		*area = p;
		f->area = p;
		*run_of(f, fd) = p;
		f->maps++;
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static void
fake_munmap(void *opaque, void *area, size_t len)
{
	struct fake_kvm *f = opaque;

	(void)len;
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < FAKE_RUNS; i++)
		if (f->run_of[i].area == area)
			f->run_of[i].area = NULL;
	f->maps--;
	pthread_mutex_unlock(&f->lock);
	free(area);
}

static void
fake_close(void *opaque, int fd)
{
	struct fake_kvm *f = opaque;

	ck_assert_int_eq(close(fd), 0);
	pthread_mutex_lock(&f->lock);
	f->open--;
	pthread_mutex_unlock(&f->lock);
}

static int
msr_list_get(struct kvm_msr_list *list)
{
	uint32_t n = list->nmsrs;

	list->nmsrs = FAKE_MSRS;
	if (n < FAKE_MSRS)
		return -E2BIG;
	memcpy(list->indices, msr_list, sizeof(msr_list));
	return 0;
}

/* Stops before the one that is refused or not known, as KVM does. */
static int
msrs(struct fake_kvm *f, struct kvm_msrs *m, bool set)
{
	uint32_t i, j;

	for (i = 0; i < m->nmsrs; i++) {
		for (j = 0; j < FAKE_MSRS; j++)
			if (msr_list[j] == m->entries[i].index)
				break;
		if (j == FAKE_MSRS || m->entries[i].index + 1 == f->msr_refused)
			break;
		if (set)
			f->msr[j] = m->entries[i];
		else
			m->entries[i].data = f->msr[j].data;
	}
	return (int)i;
}

static int
supported_cpuid(struct kvm_cpuid2 *t)
{
	static const struct kvm_cpuid_entry2 table[] = {
		{ .function = 0, .eax = 0x1f, .ebx = 0x68747541,
		  .edx = 0x69746e65, .ecx = 0x444d4163 },
		{ .function = 1, .ecx = 1u << 21, .edx = 0x1fff },
		{ .function = 4, .index = 0, .flags = 1, .eax = 0x21 },
		{ .function = 4, .index = 3, .flags = 1, .eax = 0x63 },
		{ .function = 7, .index = 0, .flags = 1, .ebx = 0xffffffff },
		{ .function = 0xb, .index = 0, .flags = 1 },
		{ .function = 0x1f, .index = 0, .flags = 1 },
		{ .function = 0x40000001, .eax = 0xff },
		{ .function = 0x80000001, .ecx = 0xffff },
		{ .function = 0x80000008, .ecx = 0x7007 },
		{ .function = 0x8000001d, .index = 3, .flags = 1, .eax = 0x63 },
		{ .function = 0x8000001e, .eax = 9, .ebx = 9, .ecx = 9 },
	};
	uint32_t n = sizeof(table) / sizeof(table[0]);

	if (t->nent < n)
		return -E2BIG;
	t->nent = n;
	memcpy(t->entries, table, sizeof(table));
	return 0;
}

static int
set_cpuid(struct fake_kvm *f, const struct kvm_cpuid2 *t)
{
	ck_assert_uint_le(t->nent, 64);
	memcpy(f->cpuid, t->entries, t->nent * sizeof(f->cpuid[0]));
	f->ncpuid = t->nent;
	return 0;
}

static int
set_routes(struct fake_kvm *f, const struct kvm_irq_routing *r)
{
	ck_assert_uint_le(r->nr, 128);
	memcpy(f->routes, r->entries, r->nr * sizeof(f->routes[0]));
	f->nroutes = r->nr;
	return 0;
}

/* Keeps what is behind the pointer. */
static void
copy(struct fake_call *c, const void *arg)
{
	switch (c->request) {
	case KVM_SET_USER_MEMORY_REGION:
		memcpy(&c->u.slot, arg, sizeof(c->u.slot));
		break;
	case KVM_IOEVENTFD:
		memcpy(&c->u.bell, arg, sizeof(c->u.bell));
		break;
	case KVM_IRQFD:
		memcpy(&c->u.irqfd, arg, sizeof(c->u.irqfd));
		break;
	case KVM_IRQ_LINE:
		memcpy(&c->u.level, arg, sizeof(c->u.level));
		break;
	case KVM_SIGNAL_MSI:
		memcpy(&c->u.msi, arg, sizeof(c->u.msi));
		break;
	case KVM_ENABLE_CAP:
		memcpy(&c->u.cap, arg, sizeof(c->u.cap));
		break;
	case KVM_SET_MP_STATE:
		memcpy(&c->u.mp, arg, sizeof(c->u.mp));
		break;
	case KVM_CREATE_PIT2:
		memcpy(&c->u.pit, arg, sizeof(c->u.pit));
		break;
	case KVM_SET_SIGNAL_MASK:
		if (arg)
			memcpy(c->u.sigset, (const char *)arg + 4, 8);
		break;
	default:
		break;
	}
}

static int
registers(struct fake_kvm *f, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_REGS:
		memcpy(arg, &f->regs, sizeof(f->regs));
		return 0;
	case KVM_SET_REGS:
		memcpy(&f->regs, arg, sizeof(f->regs));
		return 0;
	case KVM_GET_SREGS:
		memcpy(arg, &f->sregs, sizeof(f->sregs));
		return 0;
	case KVM_SET_SREGS:
		if (f->sregs.cr3 != ((const struct kvm_sregs *)arg)->cr3)
			f->mmu_loads++;
		memcpy(&f->sregs, arg, sizeof(f->sregs));
		return 0;
	case KVM_GET_MSR_INDEX_LIST:
		return msr_list_get(arg);
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		return msrs(f, arg, request == KVM_SET_MSRS);
	case KVM_GET_SUPPORTED_CPUID:
		return supported_cpuid(arg);
	case KVM_SET_CPUID2:
		return set_cpuid(f, arg);
	default:
		return 0;
	}
}

static int
perform(struct fake_kvm *f, unsigned long request, void *arg)
{
	uintptr_t n = (uintptr_t)arg;

	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CHECK_EXTENSION:
		return n < FAKE_CAPS ? f->caps[n] : 0;
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_LEN;
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
		return new_fd(f);
	case KVM_SET_GSI_ROUTING:
		return set_routes(f, arg);
	default:
		return registers(f, request, arg);
	}
}

static int
fake_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	struct fake_kvm *f = opaque;
	struct kvm_run *area = NULL;
	struct fake_call *c;
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = record(f, fd, request, arg, &c);
	copy(c, arg);
	if (request == KVM_RUN)
		area = *run_of(f, fd);
	if (rc == 0 && request != KVM_RUN)
		rc = perform(f, request, arg);
	c->rc = rc;
	pthread_mutex_unlock(&f->lock);
	if (rc || request != KVM_RUN)
		return rc;
	if (area->immediate_exit)
		return -EINTR;
	return f->run ? f->run(f, area) : -EINTR;
}

void
fake_kvm_init(struct fake_kvm *f)
{
	static const struct vcore__kvm_ops ops = {
		.open = fake_open,
		.ioctl = fake_ioctl,
		.mmap = fake_mmap,
		.munmap = fake_munmap,
		.close = fake_close,
	};

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	f->kvm.ops = &ops;
	f->kvm.opaque = f;
	f->caps[KVM_CAP_USER_MEMORY] = 1;
	f->caps[KVM_CAP_NR_MEMSLOTS] = FAKE_SLOTS;
	f->caps[KVM_CAP_READONLY_MEM] = 1;
	f->caps[KVM_CAP_IRQFD] = 1;
	f->caps[KVM_CAP_IRQ_ROUTING] = FAKE_ROUTES;
	f->caps[KVM_CAP_SPLIT_IRQCHIP] = 1;
	f->caps[KVM_CAP_MAX_VCPUS] = FAKE_VCPUS;
	f->caps[KVM_CAP_MAX_VCPU_ID] = FAKE_IDS;
	f->caps[KVM_CAP_TSC_DEADLINE_TIMER] = 1;
}

struct vcore_host *
fake_kvm_host(struct fake_kvm *f)
{
	struct vcore_host *host = NULL;

	ck_assert_ok(vcore__host_open(NULL, &f->kvm, &host));
	return host;
}

uint32_t
fake_kvm_count(struct fake_kvm *f, unsigned long request)
{
	uint32_t i, n = 0;

	for (i = 0; i < f->calls; i++)
		n += f->call[i].request == request;
	return n;
}

const struct fake_call *
fake_kvm_last(struct fake_kvm *f, unsigned long request)
{
	uint32_t i;

	for (i = f->calls; i-- > 0;)
		if (f->call[i].request == request)
			return &f->call[i];
	ck_abort_msg("no call of request %#lx", request);
	return NULL;
}

void
fake_kvm_clear(struct fake_kvm *f)
{
	pthread_mutex_lock(&f->lock);
	f->calls = 0;
	pthread_mutex_unlock(&f->lock);
}
