/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files about an x86 vCPU's state share. */
#ifndef VCORE_LIB_VCPU_X86_64_STATE_H
#define VCORE_LIB_VCPU_X86_64_STATE_H

#include <stddef.h>

#include "vcpu/vcpu.h"

/* Bytes of the XSAVE area here, and the ioctl that reads so many. */
size_t
vcore__vcpu_xsave_len(struct vcore_vcpu *v, unsigned long *request);

#endif
