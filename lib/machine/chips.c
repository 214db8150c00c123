/* SPDX-License-Identifier: BSD-3-Clause */
/* The chips of a machine: everything that is not a virtio device. */
#include "machine/machine.h"

#include <stdlib.h>

#include "base/base.h"
#include "kvm/vm.h"
#include "pci/part.h"
#include "platform/part.h"

struct vcore__machine_chips {
	struct vcore_ioapic *ioapic;	/* split irqchip only */
	struct vcore_irq *uart_irq;
	struct vcore_uart *uart;
	struct vcore_rtc *rtc;
	struct vcore_power *power;
	struct vcore_pci_host *pci_host;
	struct vcore_acpi *acpi;
};

static void
on_eoi(void *opaque, uint32_t vector)
{
	vcore_ioapic_eoi(opaque, vector);
}

/* Where lines and messages go. */
static int
make_irqchip(struct vcore_machine *m)
{
	struct vcore_ioapic_opts opts;
	int rc;

	m->irqchip = vcore_vm_irqchip(m->vm);
	if (m->opts.irqchip != VCORE_VM_IRQCHIP_SPLIT)
		return 0;
	VCORE_INIT(&opts);
	opts.below = m->irqchip;
	opts.mmio = m->mmio;
	opts.base = VCORE__LAYOUT_IOAPIC;
	rc = vcore_ioapic_new(&opts, &m->chips->ioapic);
	if (rc < 0)
		return rc;
	m->irqchip = vcore_ioapic_irqchip(m->chips->ioapic);
	return vcore_vm_set_eoi_handler(m->vm, on_eoi, m->chips->ioapic, NULL);
}

static int
make_uart(struct vcore_machine *m)
{
	struct vcore_irq_opts irq;
	struct vcore_uart_opts opts;
	int rc;

	VCORE_INIT(&irq);
	irq.flags = VCORE_IRQ_LINE;
	irq.gsi = VCORE__GSI_UART;
	rc = vcore_irq_new(m->irqchip, &irq, &m->chips->uart_irq);
	if (rc < 0)
		return rc;
	VCORE_INIT(&opts);
	opts.bus = m->pio;
	opts.irq = m->chips->uart_irq;
	opts.stream = m->opts.serial;
	opts.loop = m->opts.serial != NULL ? m->loops[0].loop : NULL;
	return vcore_uart_new(&opts, &m->chips->uart);
}

static int
make_rtc(struct vcore_machine *m)
{
	struct vcore_rtc_opts opts;

	VCORE_INIT(&opts);
	opts.pio = m->pio;
	opts.memory_low = m->opts.memory;
	if (opts.memory_low > VCORE__LAYOUT_HOLE)
		opts.memory_low = VCORE__LAYOUT_HOLE;
	opts.memory_high = m->opts.memory - opts.memory_low;
	return vcore_rtc_new(&opts, &m->chips->rtc);
}

static int
make_power(struct vcore_machine *m)
{
	struct vcore_power_opts opts;

	VCORE_INIT(&opts);
	opts.pio = m->pio;
	opts.events = m->events;
	return vcore_power_new(&opts, &m->chips->power);
}

static int
make_pci(struct vcore_machine *m)
{
	struct vcore_pci_host_opts host;
	struct vcore_pci_bus_opts bus;
	int rc;

	VCORE_INIT(&bus);
	bus.mmio = m->mmio;
	bus.irqchip = m->irqchip;
	bus.window32 = VCORE__LAYOUT_PCI32;
	bus.window32_len = VCORE__LAYOUT_PCI32_LEN;
	rc = vcore_pci_bus_new(&bus, &m->pci);
	if (rc < 0)
		return rc;
	VCORE_INIT(&host);
	host.pci = m->pci;
	host.pio = m->pio;
	host.mmio = m->mmio;
	host.ecam = VCORE__LAYOUT_ECAM;
	host.events = m->events;
	host.window32 = bus.window32;
	host.window32_len = bus.window32_len;
	return vcore_pci_host_new(&host, &m->chips->pci_host);
}

static int
describe(struct vcore_machine *m)
{
	struct vcore__machine_chips *c = m->chips;
	struct vcore_acpi_opts opts;
	int rc;

	VCORE_INIT(&opts);
	opts.cpus = m->cpu_count;
	opts.ioapic = VCORE__LAYOUT_IOAPIC;
	if (m->opts.irqchip == VCORE_VM_IRQCHIP_KERNEL)
		opts.flags |= VCORE_ACPI_8259;
	rc = vcore_acpi_new(&opts, &c->acpi);
	if (rc == 0)
		rc = vcore_uart_describe(c->uart, c->acpi);
	if (rc == 0)
		rc = vcore_rtc_describe(c->rtc, c->acpi);
	if (rc == 0)
		rc = vcore_power_describe(c->power, c->acpi);
	if (rc == 0)
		rc = vcore_pci_host_describe(c->pci_host, c->acpi);
	return rc;
}

static void
add_parts(struct vcore_machine *m)
{
	struct vcore__machine_chips *c = m->chips;
	struct vcore__part part[7];
	uint32_t n = 0;

	vcore__uart_part(c->uart, &part[n++]);
	vcore__rtc_part(c->rtc, &part[n++]);
	vcore__power_part(c->power, &part[n++]);
	vcore__pci_host_part(c->pci_host, &part[n++]);
	vcore__pci_bus_part(m->pci, &part[n++]);
	vcore__vm_part(m->vm, &part[n++]);
	if (c->ioapic != NULL)
		vcore__ioapic_part(c->ioapic, &part[n++]);
	for (uint32_t i = 0; i < n; i++)
		vcore__machine_add_part(m, &part[i]);
}

int
vcore__machine_chips_new(struct vcore_machine *m)
{
	int rc;

	m->chips = calloc(1, sizeof(*m->chips));
	if (m->chips == NULL)
		return vcore__err(m->opts.log, -ENOMEM,
				  "vcore_machine_new: no memory for chips");
	m->gsis = 1u << 0 | 1u << 1 | 1u << 2 | 1u << VCORE__GSI_UART |
		  1u << VCORE__GSI_RTC | 1u << VCORE__GSI_SCI;
	rc = make_irqchip(m);
	if (rc == 0)
		rc = make_uart(m);
	if (rc == 0)
		rc = make_rtc(m);
	if (rc == 0)
		rc = make_power(m);
	if (rc == 0)
		rc = make_pci(m);
	if (rc == 0)
		rc = describe(m);
	if (rc == 0)
		add_parts(m);
	return rc;
}

void
vcore__machine_chips_free(struct vcore_machine *m)
{
	struct vcore__machine_chips *c = m->chips;

	if (c == NULL)
		return;
	if (c->ioapic != NULL)
		vcore_vm_set_eoi_handler(m->vm, NULL, NULL, NULL);
	vcore_acpi_free(c->acpi);
	vcore_pci_host_free(c->pci_host);
	vcore_power_free(c->power);
	vcore_rtc_free(c->rtc);
	vcore_uart_free(c->uart);
	vcore_irq_unref(c->uart_irq);
	vcore_ioapic_free(c->ioapic);
	free(c);
	m->chips = NULL;
}

/* Lines above the ISA ones first, then what is left of those. */
int
vcore__machine_take_line(struct vcore_machine *m, uint32_t *gsi)
{
	for (uint32_t i = 0; i < VCORE__GSIS; i++) {
		uint32_t line = (16 + i) % VCORE__GSIS;

		if ((m->gsis & 1u << line) == 0) {
			m->gsis |= 1u << line;
			*gsi = line;
			return 0;
		}
	}
	return vcore__err(m->opts.log, -ENOSPC,
			  "vcore_machine_attach: no interrupt line is free");
}

int
vcore__machine_chips_add_mmio(struct vcore_machine *m, uint64_t base,
			      uint32_t gsi)
{
	return vcore_acpi_add_virtio_mmio(m->chips->acpi, base,
					  VCORE__LAYOUT_VIRTIO_STEP, gsi);
}

int
vcore__machine_chips_write(struct vcore_machine *m, uint64_t *rsdp)
{
	return vcore_acpi_write(m->chips->acpi, m->memory, VCORE__LAYOUT_ACPI,
				VCORE__LAYOUT_ACPI_LEN, rsdp);
}
