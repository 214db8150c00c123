/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What every other header needs: versions, sized structs, errors with text.
 *
 * Conventions of all headers. A function that can fail returns 0 (or a count)
 * or a negative errno value, and leaves a line of text for
 * vcore_error_text(). A call that fails has changed nothing and taken nothing;
 * output parameters are as they were. Structs that end in `_opts`, `_ops` and
 * `_info` begin with their size and are set up with VCORE_INIT(). `_unref` and
 * `_free` accept NULL.
 */
#ifndef VCORE_BASE_H
#define VCORE_BASE_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks a function that the shared library exports. */
#define VCORE_API __attribute__((visibility("default")))

/** Version of these headers: changes when something is removed. */
#define VCORE_VERSION_MAJOR 0
/** Version of these headers: changes when something is added. */
#define VCORE_VERSION_MINOR 1
/** Version of these headers: changes when something is repaired. */
#define VCORE_VERSION_PATCH 0

/**
 * Prepare a sized struct (`_opts`, `_ops`, `_info`) before its fields are set.
 *
 * Every byte becomes zero, which means "default" for every field, and `size`
 * becomes the size this header knows.
 *
 * @param p  Pointer to the struct.
 */
#define VCORE_INIT(p)                             \
	((void)memset((p), 0, sizeof(*(p))),      \
	 (void)((p)->size = (uint32_t)sizeof(*(p))))

/** A guest physical address. */
typedef uint64_t vcore_gpa_t;

/**
 * Version of the library that is loaded, which may be newer than the headers.
 *
 * @return Major << 16 | minor << 8 | patch.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_version(void);

/**
 * What went wrong in this thread's last failing call, in one line.
 *
 * The text begins with the name of the public function that failed, gives the
 * values that were refused, and is otherwise no interface.
 *
 * @return Text without newline; "" if no call has failed in this thread.
 *         Valid until this thread's next failing call.
 *
 * @owns   The library.
 * @thread Any thread; each has its own text.
 * @since  0.1
 */
VCORE_API const char *
vcore_error_text(void);

/**
 * Leave a text for vcore_error_text(), as the library's own functions do.
 *
 * For whoever makes something the library calls or that looks like it: an
 * optional part, a disk of one's own, a maker for recipes.
 *
 * @param rc    The error, a negative errno value.
 * @param text  What went wrong, beginning with the function's name; NULL: "".
 *              Copied, cut at 255 bytes, control characters replaced. It may
 *              contain vcore_error_text().
 *
 * @return @p rc, so that a function can end with it.
 *
 * @thread Any thread; each has its own text.
 * @since  0.1
 */
VCORE_API int
vcore_error_set(int rc, const char *text);

#ifdef __cplusplus
}
#endif
#endif
