/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A whole machine: memory, vCPUs, chips and devices assembled and run.
 *
 * A machine is made, given devices, and started:
 *
 *     VCORE_INIT(&opts);
 *     opts.cpus = 2;
 *     opts.memory = 512 << 20;
 *     opts.kernel = "vmlinuz";
 *     opts.cmdline = "root=/dev/vda console=ttyS0";
 *     opts.serial = stream;
 *     if (vcore_machine_new(&opts, &m) < 0 ||
 *         vcore_machine_add(m, "block,path=root.img") < 0 ||
 *         vcore_machine_run(m) < 0)
 *             fprintf(stderr, "%s\n", vcore_error_text());
 *     vcore_machine_unref(m);
 *
 * **States.** A machine is *new* (devices may be added), then *running* and
 * *paused* as often as one likes, at last *off*, for good. The guest's own
 * reset keeps a machine running; its power-off makes it off.
 *
 *                start          pause
 *         new ----------> running <----> paused
 *          |                 |   resume    |
 *          +-----------------+-------------+----> off     stop
 *
 * **Who acts.** vCPUs and device loops have threads, which never change the
 * machine's state. What they meet (a reset, a power-off, a vCPU that failed)
 * is an *event*, and whoever takes it with vcore_machine_next() does there and
 * then what a machine does about it. vcore_machine_run() does only that.
 *
 * **Threads.** The functions that change a machine wait for its threads, so
 * they are for a control thread: not for callbacks, where they return
 * -EDEADLK. Several control threads may call them, also while another is in
 * vcore_machine_run(): they take turns. Where nothing may wait there is
 * vcore_machine_quit().
 *
 * Everything a machine is made of can be reached by its getters, and a part of
 * the embedder's own can take the place of KVM handle, loop, threads, CPUID,
 * kernel loader, serial line, backends and every device, and answer exits that
 * the machine does not know.
 */
#ifndef VCORE_MACHINE_H
#define VCORE_MACHINE_H

#include <vcore/base.h>
#include <vcore/bus.h>
#include <vcore/cpuid.h>
#include <vcore/disk.h>
#include <vcore/event.h>
#include <vcore/host.h>
#include <vcore/irq.h>
#include <vcore/link.h>
#include <vcore/log.h>
#include <vcore/loop.h>
#include <vcore/memory.h>
#include <vcore/pci.h>
#include <vcore/pool.h>
#include <vcore/recipe.h>
#include <vcore/stream.h>
#include <vcore/vcpu.h>
#include <vcore/virtio.h>
#include <vcore/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A virtual machine with everything that makes it run. */
struct vcore_machine;

/** Where a machine's virtio devices appear. */
enum vcore_transport {
	VCORE_TRANSPORT_PCI = 1,	/**< Functions on PCI bus 0, MSI-X. */
	VCORE_TRANSPORT_MMIO = 2	/**< Register windows, found by ACPI. */
};

/** @name Flags of struct vcore_machine_opts
 *  @{ */
/** `kernel_fd` is valid; `kernel` only names it in texts. */
#define VCORE_MACHINE_KERNEL_FD (1u << 0)
/** `initrd_fd` is valid; `initrd` only names it in texts. */
#define VCORE_MACHINE_INITRD_FD (1u << 1)
/** A guest's reset makes the machine off instead of booting again. */
#define VCORE_MACHINE_NO_REBOOT (1u << 2)
/** Guest memory is a shared memfd instead of anonymous memory. */
#define VCORE_MACHINE_SHARED_MEMORY (1u << 3)
/** The process has a handler for SIGRTMIN, as VCORE_VCPU_SIGNAL_HANDLED of
 *  vcore/vcpu.h says; threads that run vCPUs do not block it. A start without
 *  one is -EINVAL. */
#define VCORE_MACHINE_SIGNAL_HANDLED (1u << 4)
/** @} */

/** How a machine is made. */
struct vcore_machine_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_MACHINE_*; others: -E2BIG. */
	uint64_t memory;	/**< Guest memory in bytes, a multiple of
				     4096; 0: 256 MiB. */
	uint32_t cpus;		/**< Number of vCPUs, at most 255; 0: 1. */
	uint32_t irqchip;	/**< VCORE_VM_IRQCHIP_KERNEL or _SPLIT; 0:
				     KERNEL. */
	uint32_t transport;	/**< VCORE_TRANSPORT_* of devices that do not
				     say; 0: PCI. */
	uint32_t loops;		/**< Device loops, each with a thread, if
				     `loop` is NULL; 0: 1. */
	int32_t kernel_fd;	/**< With VCORE_MACHINE_KERNEL_FD: the kernel
				     image; duplicated. */
	int32_t initrd_fd;	/**< With VCORE_MACHINE_INITRD_FD: the initial
				     RAM disk; duplicated. */
	const char *kernel;	/**< Path of a bzImage, ELF or PVH kernel.
				     NULL without descriptor: no kernel is
				     loaded, vCPUs begin at the reset vector
				     or where the embedder puts them. */
	const char *initrd;	/**< Path of an initial RAM disk, or NULL. */
	const char *cmdline;	/**< Kernel command line; NULL: "". */
	struct vcore_stream *serial; /**< What the first UART (0x3f8, IRQ 4)
				     talks to; NULL: output is dropped. */
	struct vcore_host *host; /**< NULL: /dev/kvm is opened. */
	struct vcore_loop *loop; /**< The embedder's loop for all device work,
				     dispatched by the embedder; a function
				     that waits for devices dispatches it, too,
				     unless another thread is in it. NULL: the
				     machine runs loops of its own. */
	struct vcore_cpuid *cpuid; /**< What vCPUs say; NULL: all that KVM
				     supports. Copied into each vCPU. */
	struct vcore_log *log;	/**< Or NULL. */
	const struct vcore_spawn_ops *spawn; /**< How threads are started;
				     NULL: pthreads. */
	void *spawn_opaque;	/**< First argument of the spawn methods; valid
				     until all threads have been joined. */
	/**
	 * Called at every start and reset when the kernel, if there is one,
	 * has been loaded and before vCPUs run: puts code of the embedder's
	 * own into memory, registers into vCPUs. NULL: nothing more is done.
	 *
	 * Runs on control, inside the machine's call: getters only. 0, or a
	 * negative errno value that the call then fails with.
	 */
	int (*boot)(void *opaque, struct vcore_machine *machine);
	void *boot_opaque;	/**< First argument of `boot`. */
	/**
	 * Called when a vCPU has left the guest for something that a machine
	 * has no answer to: all kinds of exits but accesses, HLT, a triple
	 * fault, kicks and pauses. NULL: none of them is answered.
	 *
	 * Runs on vCPU, outside of vcore_vcpu_run(), so the vCPU's registers
	 * may be read and changed, and what @p exit points to may be answered.
	 * It must not wait. 1: done, the vCPU runs on; 0: not known, an event
	 * VCORE_EVENT_VCPU_ERROR follows; a negative errno value: the same,
	 * and the event's text gives vcore_error_text(), which it has set.
	 */
	int (*vcpu_exit)(void *opaque, struct vcore_vcpu *vcpu,
			 const struct vcore_exit *exit);
	void *vcpu_exit_opaque;	/**< First argument of `vcpu_exit`. */
};

/**
 * Make a machine: memory, VM, vCPUs, chips. Nothing runs yet.
 *
 * Kernel and initrd are opened here and read at every start and reset.
 *
 * @param[in]  opts     How, set up with VCORE_INIT(); copied, with its strings.
 * @param[out] machine  The new machine; unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, a `size` is not initialised, a value
 *                      is out of range, or there is an initrd or command line
 *                      but no kernel (text says which).
 * @retval -E2BIG       An unknown field or flag is set.
 * @retval -ENOENT      No KVM here, or no such kernel or initrd.
 * @retval -EACCES      No permission for KVM, the kernel or the initrd.
 * @retval -EBADF       `kernel_fd` or `initrd_fd` is no open descriptor.
 * @retval -EBUSY       `serial` is in use elsewhere.
 * @retval -EOPNOTSUPP  KVM lacks something a machine needs (text names it).
 * @retval -ENOMEM      Out of host memory.
 * @retval -EMFILE      Out of descriptors. Others: those of open(2), and what
 *                      KVM says.
 *
 * @owns   The caller owns a reference and gives it back with
 *         vcore_machine_unref(). The machine takes references of its own on
 *         `serial`, `host`, `loop` and `log`; `cpuid` is used during the call
 *         only; `spawn` is copied.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_machine_new(const struct vcore_machine_opts *opts,
		  struct vcore_machine **machine);

/**
 * Take another reference.
 *
 * @param machine  A machine, or NULL.
 * @return @p machine.
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_machine *
vcore_machine_ref(struct vcore_machine *machine);

/**
 * Give a reference back; the last one stops what runs, joins all threads and
 * frees all.
 *
 * In a callback of the library the last one can't be given back, because
 * that waits: it stays the caller's, vcore_error_text() says so, and a
 * control thread may call this again.
 *
 * @param machine  A machine, or NULL.
 * @owns   Takes the caller's reference.
 * @thread Control, if it is the last reference; else any thread.
 * @since  0.1
 */
VCORE_API void
vcore_machine_unref(struct vcore_machine *machine);

/**
 * Add a device described by a recipe.
 *
 * A recipe is `kind` followed by `,key=value` or `,flag` items; a comma inside
 * a value is written twice. Wherever a path is taken, `fd=N` gives a
 * descriptor of this process instead; it is duplicated.
 *
 * - `block,path=FILE[,disk=KIND][,ro][,direct][,queues=N][,queue_size=N]
 *   [,serial=TEXT][,cache=writeback|writethrough]`; `disk=file` is built in.
 *   The first one starts a pool of 4 threads that makes the system calls of
 *   all of them, by the machine's `spawn`.
 * - `net,link=tap[,name=IF][,create]` or `net,link=socket,path=SOCKET`, with
 *   `[,queues=PAIRS][,queue_size=N][,mac=MAC][,mtu=BYTES]`; a tap's `fd=` may
 *   be several descriptors, `fd=N:N:...`, one for each pair.
 * - `console,stream=SPEC[,portN=SPEC,nameN=TEXT]...[,cols=N,rows=N]`, SPEC as
 *   vcore_stream_open() takes it; port 0 is the console, N is 1 to 30.
 * - `rng`.
 *
 * Each takes `transport=pci|mmio`, `id=NAME` (for logs and events, up to 31
 * bytes; otherwise `block0`, `block1`, ...) and `loop=N` (the first device loop
 * its queues use; otherwise devices take turns).
 *
 * @param machine  A new machine.
 * @param text     The recipe.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   A pointer is NULL; malformed, no such kind of device or
 *                   backend, an unknown key, or a value out of range.
 * @retval -ENOENT   No such file.
 * @retval -EEXIST   Another device has this `id`, or a handler of the
 *                   embedder's own is where the device's registers belong.
 * @retval -EBUSY    The machine has been started.
 * @retval -ENOSPC   No slot, window or interrupt line is free.
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 * @retval -ENOMEM   Out of host memory. Others: the backend's own, and what
 *                   `spawn` says.
 *
 * @owns   Nothing changes hands; descriptors are duplicated.
 * @thread Control.
 * @state  New.
 * @since  0.1
 */
VCORE_API int
vcore_machine_add(struct vcore_machine *machine, const char *text);

/** How a device is attached. */
struct vcore_attach_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< None yet; others: -E2BIG. */
	uint32_t transport;	/**< VCORE_TRANSPORT_*; 0: the machine's. */
	uint32_t loop;		/**< Device loop of its first queue; others
				     take the following ones in a circle. */
};

/**
 * Attach a virtio device that was made elsewhere.
 *
 * It gets the machine's memory, loops and events as its environment, unless it
 * has one with the machine's memory already (loops of the embedder's choice).
 *
 * @param machine  A new machine.
 * @param virtio   The device, not attached to anything.
 * @param opts     Where; NULL: defaults.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   A pointer is NULL, `size` is not initialised, or a field
 *                   is out of range.
 * @retval -E2BIG    An unknown field or flag is set.
 * @retval -EBUSY    The machine has been started, or the device is attached or
 *                   has the environment of another machine.
 * @retval -EEXIST   A handler of the embedder's own is where the device's
 *                   registers belong.
 * @retval -ENOSPC   No slot, window or interrupt line is free.
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 * @retval -ENOMEM   Out of host memory.
 *
 * @owns   The machine takes a reference of its own.
 * @thread Control.
 * @state  New.
 * @since  0.1
 */
VCORE_API int
vcore_machine_attach(struct vcore_machine *machine,
		     struct vcore_virtio *virtio,
		     const struct vcore_attach_opts *opts);

/**
 * Teach this machine's recipes another kind of disk.
 *
 * @param machine  A new machine.
 * @param kind     What stands behind `disk=`; copied.
 * @param make     Called by vcore_machine_add().
 * @param opaque   First argument of @p make; must stay valid while devices
 *                 are added.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   A pointer is NULL.
 * @retval -EEXIST   The kind is known.
 * @retval -EBUSY    The machine has been started.
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 * @retval -ENOMEM   Out of host memory.
 *
 * @owns   Nothing changes hands.
 * @thread Control.
 * @state  New.
 * @since  0.1
 */
VCORE_API int
vcore_machine_add_disk_kind(struct vcore_machine *machine, const char *kind,
			    vcore_disk_maker make, void *opaque);

/**
 * Teach this machine's recipes another kind of link.
 *
 * @param machine  A new machine.
 * @param kind     What stands behind `link=`; copied.
 * @param make     Called by vcore_machine_add().
 * @param opaque   First argument of @p make; must stay valid while devices
 *                 are added.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   A pointer is NULL.
 * @retval -EEXIST   The kind is known.
 * @retval -EBUSY    The machine has been started.
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 * @retval -ENOMEM   Out of host memory.
 *
 * @owns   Nothing changes hands.
 * @thread Control.
 * @state  New.
 * @since  0.1
 */
VCORE_API int
vcore_machine_add_link_kind(struct vcore_machine *machine, const char *kind,
			    vcore_link_maker make, void *opaque);

/**
 * Start: load the kernel, start the threads, let the vCPUs run.
 *
 * @param machine  A new machine. After a failure it is still new: the call
 *                 may be repeated.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL   @p machine is NULL; VCORE_MACHINE_SIGNAL_HANDLED, and no
 *                   handler; the kernel or initrd is no regular file
 *                   or block device, or the command line is too long.
 * @retval -ENOEXEC  The kernel is none, or malformed.
 * @retval -ENOSPC   Kernel and initrd do not fit into guest memory.
 * @retval -EBUSY    It has been started.
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 * @retval -EAGAIN   A thread could not be started (or what else `spawn` says).
 * @retval -ENOMEM   Out of host memory. Others: reading's, and what `boot`
 *                   says.
 *
 * @thread Control.
 * @state  New.
 * @since  0.1
 */
VCORE_API int
vcore_machine_start(struct vcore_machine *machine);

/**
 * Start if new, then see to events until the machine is off.
 *
 * Other threads may pause, resume, reset and stop the machine meanwhile; this
 * returns once it is off. Events that a machine does not act upon are dropped:
 * who wants to see them calls vcore_machine_next() instead.
 *
 * @param machine  A machine.
 *
 * @return 0 once it is off, or a negative errno value:
 * @retval -EINVAL   @p machine is NULL.
 * @retval -EIO      A vCPU failed (text says how), or the guest could not boot
 *                   again; the machine is off. Others: see
 *                   vcore_machine_start() and vcore_machine_next().
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_machine_run(struct vcore_machine *machine);

/**
 * A descriptor that is readable when vcore_machine_next() has work. When the
 * machine goes off there is an event, whoever stopped it. Only poll it.
 *
 * @param machine  A machine.
 * @return The descriptor, or a negative errno value:
 * @retval -EINVAL  @p machine is NULL.
 * @owns   The machine.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_machine_fd(struct vcore_machine *machine);

/**
 * Take the next event and do what a machine does about it. Does not wait for
 * events.
 *
 * - VCORE_EVENT_RESET, _SHUTDOWN (triple fault): boot again; with
 *   VCORE_MACHINE_NO_REBOOT stop. A paused machine stays paused.
 * - VCORE_EVENT_POWEROFF, _VCPU_ERROR, _STOP: stop.
 * - all others: nothing. VCORE_EVENT_PANIC is one of them: after it the guest
 *   resets, or halts for ever.
 *
 * @param         machine  A machine.
 * @param[in,out] event    Set up with VCORE_INIT(); filled.
 *
 * @return 1 if @p event was filled, 0 if there was none, or a negative errno
 *         value:
 * @retval -EINVAL     A pointer is NULL or `size` is not set.
 * @retval -EIO        Booting again failed; the machine is off.
 * @retval -ETIMEDOUT  As vcore_machine_stop(); the machine is off.
 * @retval -EDEADLK    Called in a callback, or inside another call of
 *                     @p machine.
 *
 * @thread Control. Waits for vCPUs and devices to stop, not for the guest.
 * @since  0.1
 */
VCORE_API int
vcore_machine_next(struct vcore_machine *machine, struct vcore_event *event);

/** State of a machine. */
enum vcore_machine_state {
	VCORE_MACHINE_NEW = 1,		/**< Not started. */
	VCORE_MACHINE_RUNNING = 2,	/**< vCPUs run. */
	VCORE_MACHINE_PAUSED = 3,	/**< vCPUs and devices are held. */
	VCORE_MACHINE_OFF = 4		/**< Stopped for good. */
};

/**
 * Which state a machine is in. It may have changed by the time one looks.
 *
 * @param machine  A machine.
 * @return One of enum vcore_machine_state, or a negative errno value:
 * @retval -EINVAL  @p machine is NULL.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_machine_state(struct vcore_machine *machine);

/**
 * Hold vCPUs, then devices once they have finished what they have begun, so
 * that nothing of the guest changes. Its clocks go on.
 *
 * @param machine  A running machine.
 * @return 0, or a negative errno value:
 * @retval -EINVAL     @p machine is NULL.
 * @retval -EBUSY      It is not running.
 * @retval -ETIMEDOUT  Something did not stop within 10 seconds (text names
 *                     it); the machine runs on.
 * @retval -EDEADLK    Called in a callback, or inside another call of
 *                     @p machine.
 * @retval -ENOMEM     Out of host memory; the machine runs on.
 * @thread Control.
 * @state  Running.
 * @since  0.1
 */
VCORE_API int
vcore_machine_pause(struct vcore_machine *machine);

/**
 * Let a paused machine run on.
 *
 * @param machine  A paused machine.
 * @return 0, or a negative errno value:
 * @retval -EINVAL   @p machine is NULL.
 * @retval -EBUSY    It is not paused.
 * @retval -EDEADLK  Called in a callback, or inside another call of @p machine.
 * @thread Control.
 * @state  Paused.
 * @since  0.1
 */
VCORE_API int
vcore_machine_resume(struct vcore_machine *machine);

/**
 * Boot again, as the reset button does. Guest memory keeps what is not loaded
 * anew. What devices have in flight is dropped, and so are resets, power-offs
 * and failures that the guest so far has asked for or met.
 *
 * @param machine  A running machine, or a paused one, which stays paused.
 * @return 0, or a negative errno value:
 * @retval -EINVAL     @p machine is NULL.
 * @retval -EBUSY      It is new or off.
 * @retval -ETIMEDOUT  A vCPU did not stop within 10 seconds; the machine runs
 *                     on.
 * @retval -EIO        It could not boot again (text says why); the machine is
 *                     off.
 * @retval -EDEADLK    Called in a callback, or inside another call of
 *                     @p machine.
 * @thread Control.
 * @state  Running or paused.
 * @since  0.1
 */
VCORE_API int
vcore_machine_reset(struct vcore_machine *machine);

/**
 * Pull the plug: stop vCPUs and devices for good. The guest is not asked.
 *
 * When this returns 0, no thread runs a vCPU or a loop of the machine, no
 * request of its devices is under way, and a pool of its own has nothing to do.
 * A machine that is off stays so.
 *
 * @param machine  A machine.
 * @return 0, or a negative errno value:
 * @retval -EINVAL     @p machine is NULL.
 * @retval -ETIMEDOUT  A device did not stop within 10 seconds (text names it).
 *                     The machine is off all the same; what the device has
 *                     handed to its backend may still end later.
 * @retval -EDEADLK    Called in a callback, or inside another call of
 *                     @p machine.
 * @retval -ENOMEM     As -ETIMEDOUT, for want of host memory.
 * @thread Control; also while another thread is in vcore_machine_run().
 * @since  0.1
 */
VCORE_API int
vcore_machine_stop(struct vcore_machine *machine);

/**
 * Ask for vcore_machine_stop(), which vcore_machine_next() then does: an event
 * VCORE_EVENT_STOP. Asked before the start, the machine stops at once.
 *
 * @param machine  A machine, or NULL, which is a no-op.
 * @thread Any thread, also callbacks and signal handlers; never waits.
 * @since  0.1
 */
VCORE_API void
vcore_machine_quit(struct vcore_machine *machine);

/**
 * What the machine is made of: guest memory.
 * @param machine  A machine.
 * @return Borrowed; valid while the machine lives.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_memory *
vcore_machine_memory(struct vcore_machine *machine);

/**
 * What the machine is made of: the VM.
 * @param machine  A machine.
 * @return Borrowed; valid while the machine lives.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_vm *
vcore_machine_vm(struct vcore_machine *machine);

/**
 * What the machine is made of: a vCPU.
 * @param machine  A machine.
 * @param index    0 up to the number of vCPUs.
 * @return Borrowed; valid while the machine lives. NULL: no such vCPU.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_vcpu *
vcore_machine_vcpu(struct vcore_machine *machine, uint32_t index);

/**
 * What the machine is made of: a bus, for handlers of the embedder's own.
 * @param machine  A machine.
 * @param kind     VCORE_BUS_MMIO or VCORE_BUS_PIO.
 * @return Borrowed; valid while the machine lives. NULL: no such kind.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_bus *
vcore_machine_bus(struct vcore_machine *machine, uint32_t kind);

/**
 * What the machine is made of: its PCI bus.
 * @param machine  A machine.
 * @return Borrowed; valid while the machine lives.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_pci_bus *
vcore_machine_pci(struct vcore_machine *machine);

/**
 * What the machine is made of: a device loop.
 * @param machine  A machine.
 * @param index    0 up to the number of loops.
 * @return Borrowed; valid while the machine lives. NULL: no such loop.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_loop *
vcore_machine_loop(struct vcore_machine *machine, uint32_t index);

/**
 * What the machine is made of: where interrupts go.
 * @param machine  A machine.
 * @return Borrowed; valid while the machine lives. Lines and messages.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_irqchip *
vcore_machine_irqchip(struct vcore_machine *machine);

/**
 * What the machine is made of: its event queue, for parts of the embedder's
 * own to post to. Events are taken with vcore_machine_next(): the machine does
 * nothing about those that are taken from the queue itself.
 * @param machine  A machine.
 * @return Borrowed; valid while the machine lives.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_events *
vcore_machine_events(struct vcore_machine *machine);

/**
 * The index-th attached device, in order of attaching.
 * @param machine  A machine.
 * @param index    0 up.
 * @return Borrowed; valid while the machine lives. NULL: no such device.
 * @thread Control.
 * @since  0.1
 */
VCORE_API struct vcore_virtio *
vcore_machine_device(struct vcore_machine *machine, uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
