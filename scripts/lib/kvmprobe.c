/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Says in one line whether this machine's /dev/kvm runs stock kernels. Some
 * KVMs offer the same ioctls but interpret privileged guest code, without
 * the instructions that a distribution's kernel needs. So: a few of those
 * instructions, and a loop with a deadline, in a guest of a few bytes.
 *
 * Status 0: stock kernels run; 1: own test guests run, stock kernels do not;
 * 2: no usable /dev/kvm. VCORE_TEST_KVM_FD names an open descriptor instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GUEST_SIZE 0x10000u
#define CODE_AT 0x1000u
#define PATIENCE_S 2

struct trial {
	const char *what;
	const char *code;
	size_t len;
};

/* 16-bit code, ending in HLT. */
#define TRIAL(what, code) { what, code, sizeof(code) - 1 }
static const struct trial trials[] = {
	TRIAL("hlt", "\xf4"),
	TRIAL("fninit", "\xdb\xe3\xf4"),
	TRIAL("int", "\xc7\x06\x80\x00\x0f\x10" /* vector 0x20 at 0:100f */
		     "\xc7\x06\x82\x00\x00\x00"
		     "\xcd\x20\xf4\xcf"),
	/* 16 million turns: a moment natively, seconds interpreted. */
	TRIAL("loop", "\x66\xb9\x00\x00\x00\x01\x66\x49\x75\xfc\xf4"),
};

static int
say(int status, const char *text)
{
	printf("%s\n", text);
	return status;
}

static int
vcpu_start(int vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = CODE_AT, .rsp = 0x8000, .rflags = 2,
	};

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs))
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* The exit reason, or -1 with errno. */
static int
trial_run(int kvm, const struct trial *trial)
{
	struct kvm_userspace_memory_region slot = { .memory_size = GUEST_SIZE };
	struct kvm_run *run;
	char *mem;
	int vm, vcpu;

	mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -1;
	memcpy(mem + CODE_AT, trial->code, trial->len);
	slot.userspace_addr = (uintptr_t)mem;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return -1;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || vcpu_start(vcpu))
		return -1;
	run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return -1;
	if (ioctl(vcpu, KVM_RUN, 0))
		return -1;
	return (int)run->exit_reason;
}

static void
on_alarm(int sig)
{
	(void)sig;
}

int
main(void)
{
	const char *given = getenv("VCORE_TEST_KVM_FD");
	struct sigaction act = { .sa_handler = on_alarm };
	char text[160];
	int kvm;

	kvm = given ? atoi(given) : open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0 || ioctl(kvm, KVM_GET_API_VERSION, 0) !=
			       KVM_API_VERSION) {
		snprintf(text, sizeof(text), "no usable /dev/kvm: %s",
			 strerror(errno));
		return say(2, text);
	}
	sigaction(SIGALRM, &act, NULL);
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		int reason;

		alarm(PATIENCE_S);
		reason = trial_run(kvm, &trials[i]);
		alarm(0);
		if (reason == KVM_EXIT_HLT)
			continue;
		if (reason < 0 && errno == EINTR)
			snprintf(text, sizeof(text),
				 "/dev/kvm interprets guest code (a short "
				 "loop took over %d s)", PATIENCE_S);
		else if (reason < 0)
			snprintf(text, sizeof(text),
				 "/dev/kvm does not run a guest of a few "
				 "bytes: %s", strerror(errno));
		else
			snprintf(text, sizeof(text),
				 "/dev/kvm cannot run '%s' in a guest "
				 "(exit %d)", trials[i].what, reason);
		return say(i == 0 ? 2 : 1, text);
	}
	return say(0, "/dev/kvm runs stock guest code at full speed");
}
