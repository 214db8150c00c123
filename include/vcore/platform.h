/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The chips of a PC that are not virtio, and the ACPI tables that name them.
 *
 * A chip is made on a bus with `vcore_x_new()`, describes itself to the ACPI
 * writer with `vcore_x_describe()` and is taken away with `vcore_x_free()`.
 * Freeing never waits: a vCPU that is inside the chip's handler finishes its
 * access first, and the memory goes when it has.
 *
 * The tables describe a hardware-reduced ACPI machine: no PM timer, no PM1
 * registers, no SCI; a sleep control register for power-off and a reset
 * register. Guests sleep by halting.
 */
#ifndef VCORE_PLATFORM_H
#define VCORE_PLATFORM_H

#include <vcore/base.h>
#include <vcore/bus.h>
#include <vcore/event.h>
#include <vcore/irq.h>
#include <vcore/log.h>
#include <vcore/loop.h>
#include <vcore/memory.h>
#include <vcore/pci.h>
#include <vcore/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The writer of ACPI tables. */
struct vcore_acpi;
/** A 16550A serial port. */
struct vcore_uart;
/** A clock with CMOS memory. */
struct vcore_rtc;
/** Reset, power-off and panic registers. */
struct vcore_power;
/** The guest's way to PCI configuration space. */
struct vcore_pci_host;
/** An I/O APIC in user space. */
struct vcore_ioapic;

/** @name Serial port
 *  @{ */

/** Where a serial port is and what it talks to. */
struct vcore_uart_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	struct vcore_bus *bus;	/**< ports or MMIO */
	uint64_t base;		/**< first of 8 registers; 0: 0x3f8 */
	struct vcore_irq *irq;	/**< a line, usually GSI 4; NULL: none */
	struct vcore_stream *stream;	/**< NULL: output is dropped */
	struct vcore_loop *loop;	/**< with `stream`: its callbacks */
	uint32_t stall_ms;	/**< how long a stream may refuse output before
				     bytes are dropped; 0: 1000;
				     UINT32_MAX: for ever */
	uint32_t reserved0;	/**< zero */
};

/**
 * Make a 16550A.
 *
 * Output goes to the stream without ever blocking a vCPU. What the stream
 * does not take is kept, up to 64 KiB; then the transmitter looks busy to the
 * guest; after `stall_ms` of that, output is dropped and counted until the
 * stream takes some again. Input is read as the guest takes it.
 *
 * @param[in]  opts  Where and what. Copied.
 * @param[out] uart  The new port. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL (`stream` without `loop`), `irq` is a
 *                  message, `base` passes the end of the bus, or `size` is
 *                  not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -EEXIST  Something is at `base` already.
 * @retval -EBUSY   The stream has another user.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p uart; vcore_uart_free(). It takes references of
 *         its own on all that @p opts points to.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_uart_new(const struct vcore_uart_opts *opts, struct vcore_uart **uart);

/**
 * Take a serial port away.
 *
 * @param[in] uart  The port; NULL does nothing.
 *
 * @owns   Takes @p uart. The stream is given up by a call on its loop, the next
 *         time that is dispatched; until then it has its user.
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_uart_free(struct vcore_uart *uart);

/**
 * Put a serial port into ACPI tables (PNP0501).
 *
 * @param[in] uart  The port.
 * @param[in] acpi  The tables.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -ENOSPC  256 ports are described.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_uart_describe(struct vcore_uart *uart, struct vcore_acpi *acpi);

/** Counters of a serial port. */
struct vcore_uart_info {
	uint32_t size;		/**< set by VCORE_INIT(); then: filled */
	uint32_t queued;	/**< bytes that wait for the stream */
	uint64_t sent;		/**< bytes the stream took */
	uint64_t received;	/**< bytes read from the stream */
	uint64_t dropped;	/**< bytes of output that were dropped */
};

/**
 * Read a serial port's counters.
 *
 * @param[in]     uart  The port.
 * @param[in,out] info  Where they go; prepared with VCORE_INIT().
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or `size` is not set.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_uart_get_info(struct vcore_uart *uart, struct vcore_uart_info *info);

/** @}
 *  @name Clock
 *  @{ */

/** What a clock says. */
struct vcore_rtc_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	struct vcore_bus *pio;	/**< ports; the clock is at 0x70 and 0x71 */
	int64_t offset_s;	/**< seconds ahead of the host's UTC */
	uint64_t memory_low;	/**< bytes of memory below 4 GiB, for the CMOS
				     size fields; 0: they stay zero */
	uint64_t memory_high;	/**< bytes of memory above 4 GiB */
};

/**
 * Make an MC146818 clock with 128 bytes of CMOS memory.
 *
 * The time is the host's CLOCK_REALTIME, in UTC, plus an offset that the
 * guest changes by setting the clock. Binary or BCD, 12 or 24 hours, century
 * at 0x32. There are no interrupts: alarm, periodic and update interrupts
 * cannot be switched on.
 *
 * @param[in]  opts  Where and what. Copied.
 * @param[out] rtc   The new clock. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `offset_s` is more than 5,000 years, or
 *                  `size` is not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -EEXIST  Something is at those ports already.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p rtc; vcore_rtc_free().
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_rtc_new(const struct vcore_rtc_opts *opts, struct vcore_rtc **rtc);

/**
 * Take a clock away.
 *
 * @param[in] rtc  The clock; NULL does nothing.
 *
 * @owns   Takes @p rtc.
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_rtc_free(struct vcore_rtc *rtc);

/**
 * Put a clock into ACPI tables (PNP0B00, and the FADT's century index).
 *
 * @param[in] rtc   The clock.
 * @param[in] acpi  The tables.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EEXIST  The tables have a clock already.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_rtc_describe(struct vcore_rtc *rtc, struct vcore_acpi *acpi);

/** @}
 *  @name Reset, power-off, panic
 *  @{ */

/** Leave out the keyboard controller's reset command (ports 0x60, 0x64). */
#define VCORE_POWER_NO_I8042   (1u << 0)
/** Leave out the panic register (port 0x505). */
#define VCORE_POWER_NO_PVPANIC (1u << 1)
/** Reset control at port 0xcf9; not where a PCI host is: it has one. */
#define VCORE_POWER_CF9        (1u << 2)

/** value[0] of a VCORE_EVENT_RESET: which register. */
enum vcore_reset_source {
	VCORE_RESET_I8042 = 1,	/**< keyboard controller */
	VCORE_RESET_CF9 = 2,	/**< reset control register */
	VCORE_RESET_ACPI = 3	/**< the FADT's reset register */
};

/** Where reset and power-off are and whom they tell. */
struct vcore_power_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< VCORE_POWER_* */
	struct vcore_bus *pio;	/**< ports */
	struct vcore_events *events;	/**< where the events go */
	uint32_t base;		/**< first of 4 ACPI ports; 0: 0x600 */
	uint32_t reserved0;	/**< zero */
};

/**
 * Make the registers a guest resets, switches off or gives up with.
 *
 * Each posts an event (VCORE_EVENT_RESET, VCORE_EVENT_POWEROFF,
 * VCORE_EVENT_PANIC) and returns: the vCPU runs on until whoever reads the
 * events stops it.
 *
 * @param[in]  opts   Where and whom. Copied.
 * @param[out] power  The new registers. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `base` is not a multiple of 4 below
 *                  0xfffc, or `size` is not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -EEXIST  Something is at one of the ports already.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p power; vcore_power_free(). It takes references
 *         on the bus and the events.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_power_new(const struct vcore_power_opts *opts,
		struct vcore_power **power);

/**
 * Take the registers away.
 *
 * @param[in] power  The registers; NULL does nothing.
 *
 * @owns   Takes @p power.
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_power_free(struct vcore_power *power);

/**
 * Put reset, power-off and panic into ACPI tables (FADT registers, `\_S5`,
 * QEMU0001).
 *
 * @param[in] power  The registers.
 * @param[in] acpi   The tables.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EEXIST  The tables have such registers already.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_power_describe(struct vcore_power *power, struct vcore_acpi *acpi);

/** @}
 *  @name PCI host bridge
 *  @{ */

/** How a guest reaches PCI configuration space. */
struct vcore_pci_host_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	struct vcore_pci_bus *pci;	/**< the functions */
	struct vcore_bus *pio;	/**< for ports 0xcf8 to 0xcff; or NULL */
	struct vcore_bus *mmio;	/**< for the ECAM window; or NULL */
	uint64_t ecam;		/**< its base, a multiple of 1 MiB; 0: none */
	uint32_t buses;		/**< bus numbers in the window; 0: 1; <= 256 */
	uint32_t reserved0;	/**< zero */
	struct vcore_events *events;	/**< for port 0xcf9; NULL: none */
	uint64_t window32;	/**< described to the guest: first address of
				     the 32-bit window for BARs */
	uint64_t window32_len;	/**< its bytes; 0: none */
	uint64_t window64;	/**< the same for the 64-bit window */
	uint64_t window64_len;	/**< its bytes; 0: none */
};

/**
 * Make a PCI host bridge: configuration ports and ECAM window.
 *
 * @param[in]  opts  Where and which. Copied.
 * @param[out] host  The new bridge. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, both buses are, `ecam` or `buses` is
 *                  out of range, a window wraps or the 32-bit one passes
 *                  4 GiB, or `size` is not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -EEXIST  Something is there already.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p host; vcore_pci_host_free(). It takes references
 *         on what @p opts points to.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_pci_host_new(const struct vcore_pci_host_opts *opts,
		   struct vcore_pci_host **host);

/**
 * Take a host bridge away. The functions stay.
 *
 * @param[in] host  The bridge; NULL does nothing.
 *
 * @owns   Takes @p host.
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_pci_host_free(struct vcore_pci_host *host);

/**
 * Put a host bridge into ACPI tables (PNP0A08, MCFG).
 *
 * @param[in] host  The bridge.
 * @param[in] acpi  The tables.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -EEXIST  The tables have a bridge already.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_pci_host_describe(struct vcore_pci_host *host, struct vcore_acpi *acpi);

/** @}
 *  @name I/O APIC
 *  @{ */

/** Pins of an I/O APIC. */
#define VCORE_IOAPIC_PINS 24u

/** Where an I/O APIC is. */
struct vcore_ioapic_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< none yet: 0 */
	struct vcore_irqchip *below;	/**< takes the messages: the irqchip of
				     a VM with VCORE_VM_IRQCHIP_SPLIT */
	struct vcore_bus *mmio;	/**< where the registers appear */
	uint64_t base;		/**< 0: 0xfec00000 */
};

/**
 * Make an I/O APIC (82093AA) in user space.
 *
 * It is an irqchip: lines at GSI 0 to 23 go through its pins and become
 * messages of the chip below; messages go to the chip below directly. A pin
 * has one edge line, or any number of level lines.
 *
 * @param[in]  opts    Where. Copied.
 * @param[out] ioapic  The new chip. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL      A pointer is NULL, `base` passes the end of the bus,
 *                      or `size` is not set.
 * @retval -EOPNOTSUPP  The chip below has no messages.
 * @retval -E2BIG       @p opts sets a field or flag this library does not
 *                      know.
 * @retval -EEXIST      Something is at `base` already.
 * @retval -ENOMEM      Out of memory.
 *
 * @owns   The caller owns @p ioapic; vcore_ioapic_free(). It takes references
 *         on what @p opts points to.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_ioapic_new(const struct vcore_ioapic_opts *opts,
		 struct vcore_ioapic **ioapic);

/**
 * Take an I/O APIC's registers away. Irqs that are on it keep it alive.
 *
 * @param[in] ioapic  The chip; NULL does nothing.
 *
 * @owns   Takes @p ioapic.
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_ioapic_free(struct vcore_ioapic *ioapic);

/**
 * An I/O APIC as a place for interrupts: lines 0 to 23, and messages.
 *
 * @param[in] ioapic  The chip.
 *
 * @return For vcore_irq_new(); NULL if @p ioapic is NULL.
 *
 * @owns   Borrowed: valid while @p ioapic is; vcore_irqchip_ref() to keep it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_irqchip *
vcore_ioapic_irqchip(struct vcore_ioapic *ioapic);

/**
 * Tell that a CPU has ended a level interrupt: for vcore_vm_set_eoi_handler().
 *
 * @param[in] ioapic  The chip.
 * @param[in] vector  The interrupt's vector.
 *
 * @thread Any thread; vCPUs call it.
 * @since  0.1
 */
VCORE_API void
vcore_ioapic_eoi(struct vcore_ioapic *ioapic, uint32_t vector);

/** @}
 *  @name ACPI tables
 *  @{ */

/** The machine also has 8259 interrupt controllers. */
#define VCORE_ACPI_8259 (1u << 0)

/** What ACPI tables say beside what chips describe. */
struct vcore_acpi_opts {
	uint32_t size;		/**< set by VCORE_INIT() */
	uint32_t flags;		/**< VCORE_ACPI_* */
	uint32_t cpus;		/**< their APIC ids are 0 up; 0: 1; <= 4096 */
	uint32_t reserved0;	/**< zero */
	uint64_t ioapic;	/**< I/O APIC's address, its GSIs start at 0;
				     0: 0xfec00000 */
};

/**
 * Start a set of ACPI tables.
 *
 * @param[in]  opts  What is in them; NULL: defaults. Copied.
 * @param[out] acpi  The new set. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p acpi is NULL, `cpus` or `ioapic` is out of range, or
 *                  `size` is not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns @p acpi; vcore_acpi_free().
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_acpi_new(const struct vcore_acpi_opts *opts, struct vcore_acpi **acpi);

/**
 * Free a set of ACPI tables. What was written into memory stays there.
 *
 * @param[in] acpi  The set; NULL does nothing.
 *
 * @owns   Takes @p acpi.
 * @thread Control.
 * @since  0.1
 */
VCORE_API void
vcore_acpi_free(struct vcore_acpi *acpi);

/**
 * Describe a virtio device on the MMIO transport (LNRO0005).
 *
 * @param[in] acpi  The set.
 * @param[in] base  Its registers, below 4 GiB.
 * @param[in] len   Their bytes.
 * @param[in] gsi   Its line: edge triggered.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p acpi is NULL, @p len is 0, or the registers pass 4 GiB.
 * @retval -ENOSPC  There are 4096 such devices.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_acpi_add_virtio_mmio(struct vcore_acpi *acpi, uint64_t base,
			   uint64_t len, uint32_t gsi);

/**
 * Put AML of the caller's own into the DSDT's `\_SB` scope.
 *
 * @param[in] acpi  The set.
 * @param[in] aml   Whole AML terms, for instance a Device. Copied.
 * @param[in] len   Their bytes.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p len is above 1 MiB.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_acpi_add_aml(struct vcore_acpi *acpi, const void *aml, uint64_t len);

/**
 * Add a table of the caller's own.
 *
 * @param[in] acpi   The set.
 * @param[in] table  A table with its header. Copied; its length and checksum
 *                   are corrected.
 * @param[in] len    Its bytes, 36 up to 1 MiB.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p len is out of range.
 * @retval -ENOSPC  There are 16 such tables.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_acpi_add_table(struct vcore_acpi *acpi, const void *table, uint64_t len);

/**
 * Write all tables into guest memory.
 *
 * The set may be written again, also after more was added.
 *
 * @param[in]  acpi    The set.
 * @param[in]  memory  Guest memory.
 * @param[in]  gpa     Where they may go; a multiple of 16. A guest that looks
 *                     for the tables itself finds them in 0xe0000 to 0xfffff.
 * @param[in]  len     Bytes that may be used.
 * @param[out] rsdp    Address of the RSDP, for a boot protocol that hands it
 *                     over. Unchanged on failure; may be NULL.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or @p gpa is not a multiple of 16.
 * @retval -ENOSPC  They need more than @p len bytes.
 * @retval -EFAULT  There is no memory at @p gpa.
 * @retval -ENOMEM  Out of memory.
 *
 * @thread Control.
 * @spec   ACPI 6.4, chapter 5.
 * @since  0.1
 */
VCORE_API int
vcore_acpi_write(struct vcore_acpi *acpi, struct vcore_memory *memory,
		 uint64_t gpa, uint64_t len, uint64_t *rsdp);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
