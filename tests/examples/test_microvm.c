/* SPDX-License-Identifier: BSD-3-Clause */
/* examples/microvm with tiny kernels: what it prints, how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/machine.h"

#define ARGS 24

/* The example's main(). */
int
microvm_main(int argc, char **argv);

/* One that runs: its process, and the other side of its standard files. */
struct microvm {
	pid_t pid;
	int in, out;
	char said[1024];
	size_t len;
};

static char kernel[64];

static void
use_kernel(const uint8_t *start, const uint8_t *end)
{
	snprintf(kernel, sizeof(kernel), "/proc/%d/fd/%d", (int)getpid(),
		 machine_kernel(start, end));
}

/* In the child. */
static void
become_microvm(int in, int out, char *args[ARGS])
{
	int argc = 0;

	while (args[argc] != NULL)
		argc++;
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	optind = 0;
	exit(microvm_main(argc, args));
}

/* Arguments after the kernel and, if the suite was given one, the KVM. */
static void
take_args(char *args[ARGS], char kvm[32], va_list ap)
{
	const char *fd = getenv("VCORE_TEST_KVM_FD");
	int n = 0;

	args[n++] = "microvm";
	args[n++] = "--kernel";
	args[n++] = kernel;
	if (fd != NULL) {
		snprintf(kvm, 32, "fd:%s", fd);
		args[n++] = "--kvm";
		args[n++] = kvm;
	}
	do
		args[n] = va_arg(ap, char *);
	while (args[n++] != NULL);
}

static void
start_on(struct microvm *m, int child_in, int child_out, va_list ap)
{
	char *args[ARGS], kvm[32];

	take_args(args, kvm, ap);
	m->len = 0;
	fflush(NULL);
	m->pid = fork();
	ck_assert_int_ge(m->pid, 0);
	if (m->pid == 0)
		become_microvm(child_in, child_out, args);
}

/* Standard files are pipes. The list of arguments ends with NULL. */
static void
start(struct microvm *m, ...)
{
	int in[2], out[2];
	va_list ap;

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	va_start(ap, m);
	start_on(m, in[0], out[1], ap);
	va_end(ap);
	close(in[0]);
	close(out[1]);
	m->in = in[1];
	m->out = out[0];
}

/* One more piece of what it says; false at the end. */
static bool
hear(struct microvm *m)
{
	ssize_t n = read(m->out, m->said + m->len,
			 sizeof(m->said) - 1 - m->len);

	if (n <= 0)
		return false;
	m->len += (size_t)n;
	m->said[m->len] = '\0';
	return true;
}

static void
hear_until(struct microvm *m, const char *text)
{
	m->said[m->len] = '\0';
	while (strstr(m->said, text) == NULL)
		ck_assert_msg(hear(m), "only said: %s", m->said);
}

static void
send(struct microvm *m, const char *text)
{
	ck_assert_int_eq(write(m->in, text, strlen(text)),
			 (ssize_t)strlen(text));
}

/* Hear all of it: its exit status, or -N if signal N killed it. */
static int
finish(struct microvm *m)
{
	int status;

	m->said[m->len] = '\0';
	while (hear(m))
		;
	ck_assert_int_eq(waitpid(m->pid, &status, 0), m->pid);
	close(m->in);
	close(m->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
assert_ends(struct microvm *m, int status, const char *text)
{
	int got = finish(m);

	ck_assert_msg(got == status, "status %d, not %d: %s", got, status,
		      m->said);
	ck_assert_msg(strstr(m->said, text) != NULL, "said: %s", m->said);
}

START_TEST(test_guest_that_resets_and_switches_off)
{
	struct microvm m;

	use_kernel(guest_kernel, guest_kernel_end);
	start(&m, "--append", "hi", "--memory", "32M", "--rng", NULL);
	assert_ends(&m, 0, "hiRhiRhiR");
}
END_TEST

START_TEST(test_no_reboot_ends_with_the_first_reset)
{
	struct microvm m;

	use_kernel(guest_kernel, guest_kernel_end);
	start(&m, "--no-reboot", "--cpus", "2", "--irqchip", "split",
	      "--transport", "mmio", "--rng", NULL);
	assert_ends(&m, 0, "R");
	ck_assert_str_eq(m.said, "R");
}
END_TEST

START_TEST(test_initrd_is_loaded)
{
	struct microvm m;

	use_kernel(guest_kernel, guest_kernel_end);
	start(&m, "--no-reboot", "--initrd", "/proc/self/exe", NULL);
	assert_ends(&m, 0, "R\x7f");
}
END_TEST

START_TEST(test_input_reaches_the_guest)
{
	struct microvm m;

	use_kernel(guest_echo, guest_echo_end);
	start(&m, "--shared-memory", NULL);
	hear_until(&m, "!");
	/* A pipe has no way out: the bytes are the guest's. */
	send(&m, "ab\x01xcq");
	assert_ends(&m, 0, "!ab\x01xc");
}
END_TEST

START_TEST(test_counters_are_shown_at_the_end)
{
	struct microvm m;

	use_kernel(guest_kernel, guest_kernel_end);
	start(&m, "--no-reboot", "--counters", "--rng", "--disk",
	      "/proc/self/exe,ro", NULL);
	assert_ends(&m, 0,
		    "microvm: device 0: type=4 kicks=0 interrupts=0 chains=0 "
		    "bad=0\n"
		    "microvm: device 1: type=2 kicks=0 interrupts=0 chains=0 "
		    "bad=0 reads=0 writes=0 ");
}
END_TEST

START_TEST(test_panic_has_status_3)
{
	struct microvm m;

	use_kernel(guest_panic, guest_panic_end);
	start(&m, NULL);
	assert_ends(&m, 3, "microvm: platform: the guest panicked");
}
END_TEST

START_TEST(test_triple_fault_has_status_3)
{
	struct microvm m;

	use_kernel(guest_fault64, guest_fault64_end);
	start(&m, "--no-reboot", NULL);
	assert_ends(&m, 3, "microvm: vcpu0: triple fault\n");
	ck_assert_ptr_null(strstr(m.said, "in a row"));
}
END_TEST

START_TEST(test_triple_faults_end_after_the_tenth)
{
	const char *line = "microvm: vcpu0: triple fault\n", *at;
	struct microvm m;
	int count = 0;

	use_kernel(guest_fault64, guest_fault64_end);
	start(&m, NULL);
	assert_ends(&m, 3, "microvm: 10 triple faults in a row\n");
	for (at = m.said; (at = strstr(at, line)) != NULL; at++)
		count++;
	/* One more may have been on its way. */
	ck_assert_int_ge(count, 10);
	ck_assert_int_le(count, 11);
}
END_TEST

static const int stops[] = { SIGINT, SIGTERM, SIGHUP };

START_TEST(test_signal_ends_it_with_128_and_its_number)
{
	struct microvm m;

	use_kernel(guest_echo, guest_echo_end);
	start(&m, NULL);
	hear_until(&m, "!");
	kill(m.pid, stops[_i]);
	assert_ends(&m, 128 + stops[_i], "!");
}
END_TEST

/* A machine on a terminal. */
static void
start_on_tty(struct microvm *m, int *slave, ...)
{
	va_list ap;

	ck_assert_int_eq(openpty(&m->in, slave, NULL, NULL, NULL), 0);
	m->out = fcntl(m->in, F_DUPFD_CLOEXEC, 0);
	fcntl(m->in, F_SETFD, FD_CLOEXEC);
	va_start(ap, slave);
	start_on(m, *slave, *slave, ap);
	va_end(ap);
}

static int
wait_exit(struct microvm *m)
{
	int status;

	ck_assert_int_eq(waitpid(m->pid, &status, 0), m->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

START_TEST(test_terminal_has_a_way_out_and_is_restored)
{
	struct termios before, after;
	struct microvm m;
	int slave;

	use_kernel(guest_echo, guest_echo_end);
	start_on_tty(&m, &slave, NULL);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	hear_until(&m, "!");
	/* One Ctrl-A, what has no meaning after one, and no signal. */
	send(&m, "a\x01\x01" "b\x01z\x03");
	hear_until(&m, "a\x01" "bz\x03");
	send(&m, "\x01x");
	ck_assert_int_eq(wait_exit(&m), 128 + SIGINT);
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(before.c_lflag, after.c_lflag);
	ck_assert_uint_eq(before.c_iflag, after.c_iflag);
	close(m.in);
	close(m.out);
	close(slave);
}
END_TEST

/* What fails: status, and what is said about it. */
static const struct {
	int status;
	const char *text;
	char *args[6];
} failures[] = {
	{ 1, "no such file", { "--kvm", "/nonexistent/kvm" } },
	{ 1, "not KVM", { "--kvm", "/dev/null" } },
	{ 1, "descriptor 777", { "--kvm", "fd:777" } },
	{ 1, "not KVM", { "--kvm", "fd:0" } },
	{ 2, "--kvm 'fd:x' is neither", { "--kvm", "fd:x" } },
	{ 2, "--kvm 'fd:' is neither", { "--kvm", "fd:" } },
	{ 2, "--kvm 'fd:3x' is neither", { "--kvm", "fd:3x" } },
	{ 2, "--kvm 'fd:-1' is neither", { "--kvm", "fd:-1" } },
	{ 1, "'/nonexistent/kernel'", { "--kernel", "/nonexistent/kernel" } },
	{ 1, "/proc/version", { "--kernel", "/proc/version" } },
	{ 1, "neither a regular file", { "--kernel", "/proc" } },
	{ 1, "'/nonexistent/initrd'", { "--initrd", "/nonexistent/initrd" } },
	{ 1, "a kernel needs", { "--memory", "512K" } },
	{ 2, "not a multiple", { "--memory", "100000000" } },
	{ 2, "300 vCPUs", { "--cpus", "300" } },
	{ 2, "--cpus '0'", { "--cpus", "0" } },
	{ 2, "--cpus '-1'", { "--cpus", "-1" } },
	{ 2, "--memory '1X'", { "--memory", "1X" } },
	{ 1, "'/nonexistent/disk'", { "--disk", "/nonexistent/disk" } },
	{ 2, "'bogus' means", { "--disk", "/proc/self/exe,ro,bogus" } },
	{ 2, "queues", { "--disk", "/proc/self/exe,ro,queues=many" } },
	{ 2, "disk kind 'tape'", { "--disk", "/proc/self/exe,disk=tape" } },
	{ 1, "/dev/null", { "--disk", "/dev/null,ro" } },
	{ 1, "0 bytes", { "--disk", "/proc/version,ro" } },
	{ 2, "link kind 'pigeon'", { "--net", "pigeon" } },
	/* The one that is tested is built without optional parts. */
	{ 2, "link=user: built without vcore-slirp", { "--net", "user" } },
	{ 2, "link=user: built without vcore-slirp",
	  { "--net", "user,mtu=1500" } },
	{ 2, "disk=uring: built without vcore-uring",
	  { "--disk", "/dev/null,ro,disk=uring" } },
	{ 1, "'/nonexistent,disk=uring'",
	  { "--disk", "/nonexistent,,disk=uring" } },
	{ 1, "/nonexistent/net", { "--net", "socket,path=/nonexistent/net" } },
	{ 2, "device kind 'floppy'", { "--device", "floppy" } },
	{ 2, "'x' is not null", { "--serial", "x" } },
	{ 2, "'x' is not null", { "--console", "x" } },
	{ 2, "stdio is used 2", { "--serial", "stdio", "--console", "stdio" } },
	{ 2, "stdio is used 2", { "--console", "stdio", "--console",
				  "stdio,port1=null" } },
	{ 2, "'disk' twice", { "--disk", "/proc/self/exe,disk=file,disk=file" } },
	{ 1, "is a directory", { "--disk", "/proc,ro" } },
	{ 2, "id=a is taken", { "--device", "rng,id=a", "--device",
				"rng,id=a" } },
};

START_TEST(test_failure_says_what_and_has_its_status)
{
	char *const *a = failures[_i].args;
	struct microvm m;

	use_kernel(guest_panic, guest_panic_end);
	start(&m, a[0], a[1], a[2], a[3], a[4], NULL);
	assert_ends(&m, failures[_i].status, failures[_i].text);
	ck_assert_int_eq(strncmp(m.said, "microvm: ", 9), 0);
}
END_TEST

START_TEST(test_kvm_without_permission_fails_and_names_the_group)
{
	char path[] = "/tmp/vcore-kvm-XXXXXX";
	struct microvm m;

	close(mkstemp(path));
	ck_assert_int_eq(chmod(path, 0), 0);
	use_kernel(guest_panic, guest_panic_end);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	start(&m, "--kvm", path, NULL);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	assert_ends(&m, 1, "no permission");
	unlink(path);
}
END_TEST

START_TEST(test_pty_of_a_console_is_named)
{
	struct microvm m;

	use_kernel(guest_panic, guest_panic_end);
	start(&m, "--console", "pty", "--serial", "pty", NULL);
	assert_ends(&m, 3, "console0: port 0 is /dev/pts/");
	ck_assert_ptr_nonnull(strstr(m.said, "serial port is /dev/pts/"));
}
END_TEST

START_TEST(test_help_is_printed_and_ends_well)
{
	struct microvm m;

	start(&m, "--help", NULL);
	assert_ends(&m, 0, "usage: microvm");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("microvm");
	TCase *tc = tcase_create("microvm");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	signal(SIGPIPE, SIG_IGN);
	tcase_add_test(tc, test_guest_that_resets_and_switches_off);
	tcase_add_test(tc, test_no_reboot_ends_with_the_first_reset);
	tcase_add_test(tc, test_initrd_is_loaded);
	tcase_add_test(tc, test_input_reaches_the_guest);
	tcase_add_test(tc, test_counters_are_shown_at_the_end);
	tcase_add_test(tc, test_panic_has_status_3);
	tcase_add_test(tc, test_triple_fault_has_status_3);
	tcase_add_test(tc, test_triple_faults_end_after_the_tenth);
	tcase_add_loop_test(tc, test_signal_ends_it_with_128_and_its_number, 0,
			    3);
	tcase_add_test(tc, test_terminal_has_a_way_out_and_is_restored);
	tcase_add_loop_test(tc, test_failure_says_what_and_has_its_status, 0,
			    (int)(sizeof(failures) / sizeof(failures[0])));
	tcase_add_test(tc,
		       test_kvm_without_permission_fails_and_names_the_group);
	tcase_add_test(tc, test_pty_of_a_console_is_named);
	tcase_add_test(tc, test_help_is_printed_and_ends_well);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
