/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the start of a process to the first instruction of its guest, which
 * writes a byte to the serial port: examples/microvm, linked statically and as
 * it is installed, against QEMU's microvm with all that can be left out left
 * out and the guest as its firmware. And what of memory each has by then.
 *
 *     bench_start [MICROVM_STATIC MICROVM QEMU]
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define BLOCKS 40u
#define ENTRY  0x100000u
#define ROM    65536u

static char dir[] = "/tmp/bench_start.XXXXXX";
static char kernel[64], rom[64];

/* A process, and the memory it had when its guest had begun. */
struct vmm {
	const char *const *argv;
	double kib;
};

/* 32 bit: mov $0x3f8, %edx; mov $'!', %al; out %al, %dx; hlt; jmp to hlt */
static const uint8_t code32[] = { 0xba, 0xf8, 0x03, 0, 0, 0xb0, '!', 0xee,
				  0xf4, 0xeb, 0xfd };
/* 16 bit, the same, where the processor begins. */
static const uint8_t code16[] = { 0xba, 0xf8, 0x03, 0xb0, '!', 0xee,
				  0xf4, 0xeb, 0xfd };

static void
write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	bench_need(fd >= 0 && write(fd, data, len) == (ssize_t)len, path);
	close(fd);
}

/* An ELF image with a PVH entry: one page of code, one note. */
static void
make_kernel(void)
{
	static struct {
		Elf64_Ehdr e;
		Elf64_Phdr p[2];
		struct {
			Elf64_Nhdr h;
			char name[4];
			uint32_t entry, pad;
		} note;
		uint8_t code[64];
	} k;

	memcpy(k.e.e_ident, ELFMAG, SELFMAG);
	k.e.e_ident[EI_CLASS] = ELFCLASS64;
	k.e.e_ident[EI_DATA] = ELFDATA2LSB;
	k.e.e_ident[EI_VERSION] = EV_CURRENT;
	k.e.e_type = ET_EXEC;
	k.e.e_machine = EM_X86_64;
	k.e.e_version = EV_CURRENT;
	k.e.e_entry = ENTRY;
	k.e.e_phoff = offsetof(__typeof__(k), p);
	k.e.e_ehsize = sizeof(k.e);
	k.e.e_phentsize = sizeof(k.p[0]);
	k.e.e_phnum = 2;
	k.p[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X,
			       .p_offset = offsetof(__typeof__(k), code),
			       .p_vaddr = ENTRY, .p_paddr = ENTRY,
			       .p_filesz = sizeof(k.code),
			       .p_memsz = sizeof(k.code) };
	k.p[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_align = 4,
			       .p_offset = offsetof(__typeof__(k), note),
			       .p_filesz = sizeof(k.note),
			       .p_memsz = sizeof(k.note) };
	k.note.h = (Elf64_Nhdr){ 4, 8, 18 };	/* XEN_ELFNOTE_PHYS32_ENTRY */
	memcpy(k.note.name, "Xen", 4);
	k.note.entry = ENTRY;
	memcpy(k.code, code32, sizeof(code32));
	write_file(kernel, &k, sizeof(k));
}

/* A jump at the processor's first address, 16 bytes below the end. */
static void
make_rom(void)
{
	static uint8_t r[ROM];

	memcpy(r + ROM - 16, code16, sizeof(code16));
	write_file(rom, r, sizeof(r));
}

static double
private_kib(pid_t pid)
{
	unsigned long kib = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	bench_need(f != NULL, path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Dirty: %lu", &kib) == 1)
			break;
	fclose(f);
	return (double)kib;
}

static void
become(const struct vmm *vmm, int out)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (!getenv("VCORE_BENCH_STDERR"))
		dup2(null, STDERR_FILENO);
	execvp(vmm->argv[0], (char *const *)(uintptr_t)vmm->argv);
	_exit(127);
}

/* Milliseconds until the guest's byte comes. */
static double
start(void *opaque)
{
	struct vmm *vmm = opaque;
	double begin, ms;
	int fds[2];
	pid_t pid;
	char byte = 0;

	bench_need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	begin = bench_now_ns();
	pid = fork();
	bench_need(pid >= 0, "fork");
	if (pid == 0)
		become(vmm, fds[1]);
	close(fds[1]);
	bench_need(read(fds[0], &byte, 1) == 1 && byte == '!', vmm->argv[0]);
	ms = (bench_now_ns() - begin) / 1e6;
	vmm->kib = private_kib(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	return ms;
}

static void
clean_up(void)
{
	unlink(kernel);
	unlink(rom);
	rmdir(dir);
}

static void
measure(const char *name, const char *microvm, const char *irqchip,
	const char *qemu)
{
	const char *const ours_argv[] = {
		microvm, "--kernel", kernel, "--memory", "128M", "--irqchip",
		irqchip, NULL
	};
	const char *const qemu_argv[] = {
		qemu, "-M", "microvm,x-option-roms=off,pit=off,pic=off,"
		"rtc=off,acpi=off", "-accel", "kvm", "-m", "128", "-smp", "1",
		"-nodefaults", "-no-user-config", "-display", "none",
		"-serial", "stdio", "-bios", rom, NULL
	};
	struct vmm ours = { ours_argv, 0 }, peer = { qemu_argv, 0 };
	struct bench_side a = { start, &ours }, b = { start, &peer };

	bench_alternate(&a, &b, (uint32_t)bench_count(BLOCKS, 1), "ms", name);
	bench_print(ours.kib, "KiB", peer.kib, "private dirty, %s", name);
}

static void
sync_around(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	bench_need(fd >= 0 && syncfs(fd) == 0, path);
	close(fd);
}

int
main(int argc, char **argv)
{
	static char self[4096], fixed[4200], shared[4200];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *qemu = argc == 4 ? argv[3] : "qemu-system-x86_64";
	char *slash;

	bench_begin("start", false);
	bench_need(len > 0, "/proc/self/exe");
	slash = strrchr(self, '/');
	*slash = '\0';
	snprintf(fixed, sizeof(fixed), "%s/bench_microvm", self);
	snprintf(shared, sizeof(shared), "%s/../examples/microvm", self);
	bench_need(mkdtemp(dir) != NULL, "mkdtemp");
	snprintf(kernel, sizeof(kernel), "%s/kernel", dir);
	snprintf(rom, sizeof(rom), "%s/rom", dir);
	atexit(clean_up);
	make_kernel();
	make_rom();
	/* What was just built and is not on the disk counts as dirty memory. */
	sync_around(argc == 4 ? argv[1] : fixed);
	/* Without KVM's PIT, as QEMU here; and as microvm comes. */
	measure("static", argc == 4 ? argv[1] : fixed, "split", qemu);
	measure("shared", argc == 4 ? argv[2] : shared, "split", qemu);
	measure("static, PIT", argc == 4 ? argv[1] : fixed, "kernel", qemu);
	return bench_end();
}
