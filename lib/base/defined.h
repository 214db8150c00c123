/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes that leave for the guest are somebody's: under MSan these end the
 * process at the first that was never written (padding, a tail, a buffer that
 * was filled in part). Otherwise they are nothing.
 */
#ifndef VCORE_LIB_BASE_DEFINED_H
#define VCORE_LIB_BASE_DEFINED_H

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define VCORE__DEFINED(p, len) __msan_check_mem_is_initialized((p), (len))
#endif
#endif

#ifndef VCORE__DEFINED
#define VCORE__DEFINED(p, len) ((void)(p), (void)(len))
#endif

#endif
