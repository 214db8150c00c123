/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines on this machine's KVM with tiny guests. */
#include "support/machine.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GENEROUS_MS 120000

struct vcore_host *machine_host;

int
machine_tests_begin(void)
{
	machine_host = kvm_host();
	return machine_host == NULL ? KVM_SKIPPED : 0;
}

int
machine_tests_run(Suite *suite)
{
	int status = support_run(suite);

	vcore_host_unref(machine_host);
	return status;
}

int
machine_boot(void *opaque, struct vcore_machine *machine)
{
	struct machine_guest *g = opaque;
	struct kvm_bed bed = { .memory = vcore_machine_memory(machine) };
	const uint16_t *pokes = g->pokes;
	uint32_t n = 0;

	if (atomic_fetch_add(&g->boots, 1) > 0 && g->pokes_again != NULL)
		pokes = g->pokes_again;
	while (pokes != NULL && pokes[n] != POKE_END)
		n += 2;
	if (pokes != NULL)
		ck_assert_ok(vcore_memory_write(bed.memory, GUEST_POKES, pokes,
						2 * (n + 1)));
	kvm_bed_load(&bed, GUEST_CODE, g->start, g->end);
	kvm_bed_flat32(&bed, vcore_machine_vcpu(machine, 0));
	return 0;
}

void
machine_opts(struct vcore_machine_opts *opts, struct machine_guest *guest)
{
	VCORE_INIT(opts);
	opts->memory = MACHINE_MEMORY;
	opts->host = machine_host;
	opts->boot = guest != NULL ? machine_boot : NULL;
	opts->boot_opaque = guest;
}

struct vcore_machine *
machine_new(struct machine_guest *guest, uint32_t flags)
{
	struct vcore_machine *machine = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, guest);
	opts.flags = flags;
	ck_assert_ok(vcore_machine_new(&opts, &machine));
	return machine;
}

int
machine_kernel(const uint8_t *start, const uint8_t *end)
{
	size_t len = (size_t)(end - start);
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr;
		uint8_t code[MACHINE_KERNEL_LEN - sizeof(Elf64_Ehdr) -
			     sizeof(Elf64_Phdr)];
	} image;
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memset(&image, 0, sizeof(image));
	memcpy(image.ehdr.e_ident, ELFMAG, SELFMAG);
	image.ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	image.ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	image.ehdr.e_ident[EI_VERSION] = EV_CURRENT;
	image.ehdr.e_type = ET_EXEC;
	image.ehdr.e_machine = EM_X86_64;
	image.ehdr.e_version = EV_CURRENT;
	image.ehdr.e_entry = MACHINE_KERNEL_GPA;
	image.ehdr.e_phoff = sizeof(image.ehdr);
	image.ehdr.e_ehsize = sizeof(image.ehdr);
	image.ehdr.e_phentsize = sizeof(image.phdr);
	image.ehdr.e_phnum = 1;
	image.phdr.p_type = PT_LOAD;
	image.phdr.p_flags = PF_R | PF_X;
	image.phdr.p_offset = sizeof(image.ehdr) + sizeof(image.phdr);
	image.phdr.p_vaddr = MACHINE_KERNEL_GPA;
	image.phdr.p_paddr = MACHINE_KERNEL_GPA;
	image.phdr.p_filesz = len;
	image.phdr.p_memsz = len;
	ck_assert_uint_le(len, sizeof(image.code));
	memcpy(image.code, start, len);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, &image, sizeof(image)), sizeof(image));
	return fd;
}

uint32_t
machine_data(struct vcore_machine *machine)
{
	uint32_t value;

	ck_assert_ok(vcore_memory_read(vcore_machine_memory(machine),
				       GUEST_DATA, &value, sizeof(value)));
	return value;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint32_t
machine_wait_data(struct vcore_machine *machine, uint32_t old)
{
	uint64_t end = now_ms() + GENEROUS_MS;
	uint32_t value;

	while ((value = machine_data(machine)) == old) {
		ck_assert_uint_lt(now_ms(), end);
		sched_yield();
	}
	return value;
}

void
machine_wait_text(struct vcore_stream *ring, const char *text)
{
	uint64_t end = now_ms() + GENEROUS_MS;
	size_t have = 0, want = strlen(text);
	char got[256];
	int64_t n;

	while (have < want) {
		n = vcore_stream_ring_read(ring, got + have, want - have);
		ck_assert_int_ge(n, 0);
		have += (size_t)n;
		ck_assert_uint_lt(now_ms(), end);
		sched_yield();
	}
	got[have] = '\0';
	ck_assert_str_eq(got, text);
}

void
machine_wait_event(struct vcore_machine *machine, uint32_t kind)
{
	struct pollfd p = { .fd = vcore_machine_fd(machine), .events = POLLIN };
	struct vcore_event event;
	int rc;

	do {
		ck_assert_int_eq(poll(&p, 1, GENEROUS_MS), 1);
		VCORE_INIT(&event);
		rc = vcore_machine_next(machine, &event);
	} while (rc == 0);
	ck_assert_msg(rc == 1, "%d: %s", rc, vcore_error_text());
	ck_assert_msg(event.kind == kind, "event %u of %s: %s", event.kind,
		      event.object, event.text);
}

/* The thread sanitizer starts a thread of its own with the first of ours. */
#ifdef __SANITIZE_THREAD__
static void *
end_at_once(void *opaque)
{
	return opaque;
}

static void
start_hidden_threads(void)
{
	pthread_t first;

	ck_assert_int_eq(pthread_create(&first, NULL, end_at_once, NULL), 0);
	pthread_join(first, NULL);
}
#else
static void
start_hidden_threads(void)
{
}
#endif

int
machine_threads(void)
{
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	start_hidden_threads();
	dir = opendir("/proc/self/task");

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

void
machine_wait_threads(int count)
{
	uint64_t end = now_ms() + GENEROUS_MS;

	while (machine_threads() > count) {
		ck_assert_uint_lt(now_ms(), end);
		sched_yield();
	}
}
