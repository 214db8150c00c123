/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The embedder's own event loop: devices, the machine's events and a timer of
 * the program's own are all served by one poll() on one thread.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <vcore/machine.h>

#define CODE 0x1000

/* 16-bit: write '.' to port 0x3f8 sixteen times, then pull the reset line. */
static const uint8_t code[] = {
	0xba, 0xf8, 0x03,	/*	mov  $0x3f8, %dx  */
	0xb9, 0x10, 0x00,	/*	mov  $16, %cx     */
	0xb0, 0x2e,		/*	mov  $'.', %al    */
	0xee,			/* 1:	out  %al, (%dx)   */
	0xe2, 0xfd,		/*	loop 1b           */
	0xb0, 0xfe,		/*	mov  $0xfe, %al   */
	0xe6, 0x64,		/*	out  %al, $0x64   */
	0xf4,			/*	hlt               */
	0xeb, 0xfd,		/*	jmp  .-1          */
};

static int
prepare(struct vcore_machine *machine)
{
	struct vcore_vcpu *vcpu = vcore_machine_vcpu(machine, 0);
	struct vcore_regs regs = { .rip = CODE, .rflags = 2 };
	struct vcore_sregs sregs;
	int rc;

	rc = vcore_memory_write(vcore_machine_memory(machine), CODE, code,
				sizeof(code));
	if (rc == 0)
		rc = vcore_vcpu_get_sregs(vcpu, &sregs);
	if (rc < 0)
		return rc;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	rc = vcore_vcpu_set_sregs(vcpu, &sregs);
	return rc < 0 ? rc : vcore_vcpu_set_regs(vcpu, &regs);
}

static int
serve(struct vcore_machine *machine, struct vcore_loop *loop, int timer)
{
	struct pollfd fds[] = {
		{ .fd = vcore_loop_fd(loop), .events = POLLIN },
		{ .fd = vcore_machine_fd(machine), .events = POLLIN },
		{ .fd = timer, .events = POLLIN },
	};
	struct vcore_event event;
	uint64_t ticks, sum = 0;
	int rc = 0;

	while (rc >= 0 &&
	       vcore_machine_state(machine) != VCORE_MACHINE_OFF) {
		if (poll(fds, 3, -1) < 0)
			return -1;
		if (fds[0].revents != 0)
			rc = vcore_loop_dispatch(loop, 0);
		if (rc >= 0 && fds[1].revents != 0) {
			VCORE_INIT(&event);
			rc = vcore_machine_next(machine, &event);
		}
		if (fds[2].revents != 0 &&
		    read(timer, &ticks, sizeof(ticks)) == sizeof(ticks))
			sum += ticks;
	}
	printf("\nthe guest is off; our own timer was served too: %s\n",
	       sum > 0 ? "yes" : "it was too quick for one tick");
	return rc;
}

int
main(void)
{
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	struct vcore_machine *machine = NULL;
	struct vcore_machine_opts opts;
	struct vcore_stream *serial = NULL;
	struct vcore_loop *loop = NULL;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), rc;

	timerfd_settime(timer, 0, &often, NULL);
	VCORE_INIT(&opts);
	opts.flags = VCORE_MACHINE_NO_REBOOT;
	opts.memory = 64 << 10;
	rc = vcore_loop_new(NULL, &loop);
	if (rc == 0)
		rc = vcore_stream_new_fd(-1, STDOUT_FILENO, &serial);
	opts.loop = loop;
	opts.serial = serial;
	if (rc == 0)
		rc = vcore_machine_new(&opts, &machine);
	if (rc == 0)
		rc = prepare(machine);
	if (rc == 0)
		rc = vcore_machine_start(machine);
	if (rc == 0)
		rc = serve(machine, loop, timer);
	if (rc < 0)
		fprintf(stderr, "own_loop: %s\n", vcore_error_text());
	vcore_machine_unref(machine);
	vcore_stream_unref(serial);
	vcore_loop_unref(loop);
	close(timer);
	return rc < 0;
}
