/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A PCI function, and a bus of them.
 *
 * A bus has 32 devices of one function each; device 0 is the host bridge. How a
 * guest gets at the configuration space (ports, ECAM) is not its business, see
 * vcore/platform.h. A function's BARs and its MSI-X vectors are an MMIO bus's
 * ranges and an irqchip's messages.
 *
 * The bus decodes two windows of addresses, one below 4 GiB. BARs have an
 * address in them from the beginning, so that a guest without firmware finds
 * them assigned. A guest may move them at any time and anywhere: one that is
 * outside the windows, or over something else, is decoded nowhere until the
 * guest writes it (or the command register) again.
 *
 * Functions are conventional: 256 bytes of configuration; memory BARs only; no
 * interrupt pin. DMA and messages are not held back by the bus master bit.
 */
#ifndef VCORE_PCI_H
#define VCORE_PCI_H

#include <vcore/base.h>
#include <vcore/bus.h>
#include <vcore/irq.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A PCI bus, counted. */
struct vcore_pci_bus;
/** One function, counted. */
struct vcore_pci;

/** How a bus is made. */
struct vcore_pci_bus_opts {
	uint32_t size;			/**< set by VCORE_INIT() */
	uint32_t flags;			/**< none yet: 0 */
	struct vcore_bus *mmio;		/**< where BARs appear; referenced */
	struct vcore_irqchip *irqchip;	/**< takes MSI-X; referenced */
	uint64_t window32;		/**< window below 4 GiB: address */
	uint64_t window32_len;		/**< bytes; 0: none */
	uint64_t window64;		/**< window for 64-bit BARs: address */
	uint64_t window64_len;		/**< bytes; 0: none */
};

/**
 * Make a bus, with a host bridge and nothing else on it.
 *
 * @param[in]  opts  How. Copied.
 * @param[out] bus   The new bus. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer, `mmio` or `irqchip` is NULL, a window passes
 *                  4 GiB or 2^64, or `size` is not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference; vcore_pci_bus_unref() drops it.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_pci_bus_new(const struct vcore_pci_bus_opts *opts,
		  struct vcore_pci_bus **bus);

/**
 * Take another reference.
 *
 * @param[in] bus  A bus; NULL is allowed.
 *
 * @return @p bus.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_pci_bus *
vcore_pci_bus_ref(struct vcore_pci_bus *bus);

/**
 * Drop a reference. Functions keep their bus alive.
 *
 * @param[in] bus  A bus; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_pci_bus_unref(struct vcore_pci_bus *bus);

/**
 * A guest reads configuration space: for host bridges.
 *
 * @param[in]  bus  The bus.
 * @param[in]  bdf  Bus << 8 | device << 3 | function.
 * @param[in]  off  Register.
 * @param[in]  len  1, 2 or 4 bytes, inside one dword.
 * @param[out] val  What it finds; all ones where there is nothing, and for an
 *                  access of another shape.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 *
 * @thread Any thread: runs on vCPU.
 * @since  0.1
 */
VCORE_API int
vcore_pci_bus_config_read(struct vcore_pci_bus *bus, uint32_t bdf, uint32_t off,
			  uint32_t len, uint32_t *val);

/**
 * A guest writes configuration space: for host bridges.
 *
 * @param[in] bus  The bus.
 * @param[in] bdf  Bus << 8 | device << 3 | function.
 * @param[in] off  Register.
 * @param[in] len  1, 2 or 4 bytes, inside one dword; others are ignored.
 * @param[in] val  What it writes.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p bus is NULL.
 *
 * @thread Any thread: runs on vCPU.
 * @since  0.1
 */
VCORE_API int
vcore_pci_bus_config_write(struct vcore_pci_bus *bus, uint32_t bdf,
			   uint32_t off, uint32_t len, uint32_t val);

/** How a function is made. */
struct vcore_pci_opts {
	uint32_t size;			/**< set by VCORE_INIT() */
	uint32_t flags;			/**< none yet: 0 */
	uint16_t vendor;		/**< vendor id, not 0xffff */
	uint16_t device;		/**< device id */
	uint16_t subsystem_vendor;	/**< subsystem's vendor id */
	uint16_t subsystem;		/**< subsystem id */
	uint32_t class_code;		/**< 24 bits, with interface */
	uint32_t revision;		/**< 8 bits */
	uint32_t slot;			/**< device, 1 to 31; 0: first free */
	uint32_t vectors;		/**< MSI-X: up to 2048; 0: none */
	uint32_t msix_bar;		/**< which BAR has the MSI-X table */
	uint32_t reserved0;		/**< zero */
	void *opaque;			/**< for @p release */
	/**
	 * Called once: the function was removed, and no method of its BARs or
	 * its configuration runs or will run; or NULL.
	 */
	void (*release)(void *opaque);
};

/**
 * Put a function on a bus.
 *
 * The guest can see it at once; give it its BARs and capabilities before the
 * guest looks.
 *
 * @param[in]  bus   The bus.
 * @param[in]  opts  What it is. Copied.
 * @param[out] pci   The new function. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, a number is out of range, or `size` is
 *                  not set.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -EEXIST  The slot is taken.
 * @retval -ENOSPC  No slot is free, or the window has no room for the MSI-X
 *                  table.
 * @retval -EMFILE  The process has no free descriptor: one a vector is needed.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference; vcore_pci_remove() or vcore_pci_unref()
 *         drop it. On failure `release` is not called.
 * @thread Control.
 * @spec   PCI Local Bus 3.0, 6.1 configuration space.
 * @since  0.1
 */
VCORE_API int
vcore_pci_new(struct vcore_pci_bus *bus, const struct vcore_pci_opts *opts,
	      struct vcore_pci **pci);

/**
 * Take another reference.
 *
 * @param[in] pci  A function; NULL is allowed.
 *
 * @return @p pci.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_pci *
vcore_pci_ref(struct vcore_pci *pci);

/**
 * Drop a reference. The last one removes the function from its bus.
 *
 * @param[in] pci  A function; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_pci_unref(struct vcore_pci *pci);

/**
 * Take a function off its bus, and drop a reference.
 *
 * Never waits: methods that run on other threads go on; `release` is called
 * when the last has returned.
 *
 * @param[in] pci  A function; NULL does nothing.
 *
 * @owns   Takes the caller's reference.
 * @thread Any thread, also in a method of the function.
 * @since  0.1
 */
VCORE_API void
vcore_pci_remove(struct vcore_pci *pci);

/**
 * Where a function is on its bus.
 *
 * @param[in] pci  The function.
 *
 * @return Device << 3; 0 for NULL.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_pci_bdf(struct vcore_pci *pci);

/** A 64-bit BAR: takes two indices, and the 64-bit window if it can. */
#define VCORE_PCI_BAR_64       (1u << 0)
/** Says that reads have no side effects. */
#define VCORE_PCI_BAR_PREFETCH (1u << 1)

/**
 * Give a function a memory BAR. It has an address; the guest enables it.
 *
 * @param[in] pci     The function.
 * @param[in] index   0 to 5; with VCORE_PCI_BAR_64 up to 4.
 * @param[in] len     Bytes: a power of two from 4096, up to 2^31 if it is not a
 *                    64-bit one.
 * @param[in] flags   VCORE_PCI_BAR_*.
 * @param[in] ops     What answers, with offsets into the BAR. Copied.
 * @param[in] opaque  For @p ops.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer or method is NULL, @p index or @p len is out of
 *                  range, or a `size` is not set.
 * @retval -E2BIG   A flag or method this library does not know.
 * @retval -EEXIST  The function has that BAR.
 * @retval -ENOSPC  No window has room for it.
 *
 * @thread Control.
 * @spec   PCI Local Bus 3.0, 6.2.5 base addresses.
 * @since  0.1
 */
VCORE_API int
vcore_pci_add_bar(struct vcore_pci *pci, uint32_t index, uint64_t len,
		  uint32_t flags, const struct vcore_bus_ops *ops,
		  void *opaque);

/**
 * Put a doorbell into a BAR, which it follows wherever the guest moves that.
 *
 * Where a doorbell can't be had after a move (no descriptor is left) the write
 * reaches the BAR's handler.
 *
 * @param[in]  pci   The function.
 * @param[in]  bar   Index of the BAR.
 * @param[in]  opts  Where; `addr` is an offset into the BAR. Copied.
 * @param[in]  efd   An eventfd; see vcore_bus_add_doorbell().
 * @param[out] id    For vcore_pci_remove_doorbell(). Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, there is no such BAR, the doorbell is not
 *                  in it, or @p opts make no sense.
 * @retval -E2BIG   @p opts sets a field this library does not know.
 * @retval -EBADF   @p efd is no descriptor.
 * @retval -EMFILE  The process has no free descriptor.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   @p efd is duplicated. The function owns the doorbell.
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_pci_add_doorbell(struct vcore_pci *pci, uint32_t bar,
		       const struct vcore_doorbell_opts *opts, int efd,
		       uint32_t *id);

/**
 * Take a doorbell away.
 *
 * @param[in] pci  The function; NULL does nothing.
 * @param[in] id   Which; an unknown one does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_pci_remove_doorbell(struct vcore_pci *pci, uint32_t id);

/**
 * Give a function a capability, behind those it has.
 *
 * @param[in]  pci     The function.
 * @param[in]  id      Which capability.
 * @param[in]  body    What follows the two bytes of id and link. Copied.
 * @param[in]  len     Bytes of @p body.
 * @param[in]  wmask   As long: bits the guest may write; NULL: none. Copied.
 * @param[out] offset  Where in configuration space it begins (with the id).
 *                     Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer other than @p wmask is NULL.
 * @retval -ENOSPC  The 256 bytes are used up.
 *
 * @thread Control.
 * @spec   PCI Local Bus 3.0, 6.7 capabilities list.
 * @since  0.1
 */
VCORE_API int
vcore_pci_add_capability(struct vcore_pci *pci, uint8_t id, const void *body,
			 uint32_t len, const void *wmask, uint32_t *offset);

/** Who looks on while a guest accesses configuration space. */
struct vcore_pci_config_ops {
	uint32_t size;		/**< set by VCORE_INIT() or sizeof */
	uint32_t flags;		/**< none yet: 0 */
	/**
	 * Before a read; runs on vCPU. May put what is to be found there with
	 * vcore_pci_config_set(). May be NULL.
	 *
	 * @param[in] opaque  As given with the table.
	 * @param[in] off     Register.
	 * @param[in] len     1, 2 or 4 bytes, inside one dword.
	 */
	void (*read)(void *opaque, uint32_t off, uint32_t len);
	/**
	 * After a write was stored; runs on vCPU. May be NULL.
	 *
	 * @param[in] opaque  As given with the table.
	 * @param[in] off     Register.
	 * @param[in] len     1, 2 or 4 bytes, inside one dword.
	 */
	void (*write)(void *opaque, uint32_t off, uint32_t len);
};

/**
 * Look on at accesses to a function's configuration space.
 *
 * @param[in] pci     The function.
 * @param[in] ops     Who; replaces an earlier one. Copied.
 * @param[in] opaque  For @p ops.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL or `size` is not set.
 * @retval -E2BIG   @p ops sets a flag or method this library does not know.
 *
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_pci_set_config_ops(struct vcore_pci *pci,
			 const struct vcore_pci_config_ops *ops, void *opaque);

/**
 * Read configuration bytes as they stand, without side effects.
 *
 * @param[in]  pci  The function.
 * @param[in]  off  Where.
 * @param[out] buf  Where they go.
 * @param[in]  len  How many.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or that is not in 256 bytes.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_pci_config_get(struct vcore_pci *pci, uint32_t off, void *buf,
		     uint32_t len);

/**
 * Set configuration bytes, also read-only ones, without side effects: not for
 * BARs, the command register and MSI-X.
 *
 * @param[in] pci  The function.
 * @param[in] off  Where.
 * @param[in] buf  The bytes.
 * @param[in] len  How many.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or that is not in 256 bytes.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_pci_config_set(struct vcore_pci *pci, uint32_t off, const void *buf,
		     uint32_t len);

/**
 * The interrupt of an MSI-X vector: raised, it goes where the guest says, or is
 * pending while the guest has it masked.
 *
 * @param[in]  pci     The function.
 * @param[in]  vector  Which.
 * @param[out] irq     The interrupt. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL.
 * @retval -ENOENT  The function has no such vector.
 *
 * @owns   The function; valid as long as that lives.
 * @thread Any thread.
 * @spec   PCI Local Bus 3.0, 6.8.2 MSI-X.
 * @since  0.1
 */
VCORE_API int
vcore_pci_vector(struct vcore_pci *pci, uint32_t vector,
		 struct vcore_irq **irq);

#ifdef __cplusplus
}
#endif
#endif
