/* SPDX-License-Identifier: BSD-3-Clause */
/* A PCI bus as a part of a machine. */
#ifndef VCORE_LIB_PCI_PART_H
#define VCORE_LIB_PCI_PART_H

#include <vcore/pci.h>

#include "base/part.h"

/*
 * Rank PLATFORM. Nothing to stop: it acts only when a vCPU does. reset: all
 * functions' configuration, BARs and MSI-X tables are as after creation.
 */
void
vcore__pci_bus_part(struct vcore_pci_bus *bus, struct vcore__part *part);

#endif
