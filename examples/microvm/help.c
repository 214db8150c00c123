/* SPDX-License-Identifier: BSD-3-Clause */
/* microvm: what --help says. */
#include "microvm.h"

#include <stdio.h>

static const char help[] =
"usage: microvm --kernel FILE [options]\n"
"\n"
"  --kernel FILE        bzImage, ELF or PVH kernel\n"
"  --initrd FILE        initial RAM disk\n"
"  --append TEXT        kernel command line\n"
"  --cpus N             number of vCPUs (1)\n"
"  --memory SIZE        guest memory, as 512M or 2G (256M)\n"
"  --disk PATH[,ITEM...]  block device: ro, direct, disk=file|uring,\n"
"                       queues=N, serial=TEXT, cache=writethrough, ...\n"
"  --net KIND[,ITEM...]   network: tap,name=IF | user | socket,path=P;\n"
"                       queues=PAIRS, mac=MAC, mtu=N\n"
"  --serial SPEC        first serial port (stdio, unless a console has it)\n"
"  --console SPEC[,ITEM...]  virtio console: port1=SPEC, name1=TEXT, ...;\n"
"                       may be repeated\n"
"                       SPEC: stdio | null | pty | unix:PATH | fd:IN:OUT\n"
"  --rng                virtio entropy device\n"
"  --transport KIND     pci (default) or mmio\n"
"  --irqchip KIND       kernel (default) or split\n"
"  --kvm PATH|fd:N      the KVM device (/dev/kvm)\n"
"  --no-reboot          a reset ends the run\n"
"  --shared-memory      guest memory in a memfd\n"
"  --device RECIPE      any device, as vcore_machine_add() takes it\n"
"  --counters           at the end, what the devices have done, on stderr\n"
"  --verbose            the library's log on stderr; twice: all of it\n"
"\n"
"On a terminal, Ctrl-A x ends it (Ctrl-A Ctrl-A is one Ctrl-A), or Ctrl-C\n"
"where a virtio console has the terminal.\n"
"\n"
"Exit status: 0 the guest switched itself off, 1 the machine failed,\n"
"2 wrong usage, 3 the guest panicked, a vCPU failed, or a triple fault ended\n"
"it (with --no-reboot the first, else ten in a row), 128 + N ended by signal\n"
"N (SIGINT, SIGTERM, SIGHUP).\n";

void
microvm_help(void)
{
	fputs(help, stdout);
}
