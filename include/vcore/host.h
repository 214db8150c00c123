/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The host's KVM: /dev/kvm and what it can do.
 *
 * One handle serves any number of VMs. It is read-only after it was opened:
 * every function may be called from any thread.
 */
#ifndef VCORE_HOST_H
#define VCORE_HOST_H

#include <vcore/base.h>
#include <vcore/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The host's KVM. */
struct vcore_host;

/** `fd` of struct vcore_host_opts is used instead of `path`. */
#define VCORE_HOST_FD (1u << 0)

/** Where KVM is. */
struct vcore_host_opts {
	uint32_t size;		/**< Set by VCORE_INIT(). */
	uint32_t flags;		/**< VCORE_HOST_*; others: -E2BIG. */
	const char *path;	/**< Device file; NULL: /dev/kvm. */
	int32_t fd;		/**< With VCORE_HOST_FD: a descriptor of it,
				     for embedders that may not open files. */
	uint32_t reserved0;	/**< Zero. */
	struct vcore_log *log;	/**< Where errors are repeated, or NULL. */
};

/**
 * Open KVM and check that it is one.
 *
 * @param[in]  opts  Where it is; NULL: /dev/kvm. Copied.
 * @param[out] host  The new handle. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -ENOENT      There is no KVM: no such file, or no driver behind it.
 * @retval -EACCES      No permission; the text names the file's group.
 * @retval -EOPNOTSUPP  It is something else, has another interface version
 *                      than 12, or lacks KVM_CAP_USER_MEMORY.
 * @retval -EBADF       VCORE_HOST_FD, and `fd` is not open.
 * @retval -EINVAL      @p host is NULL or `size` is not set.
 * @retval -E2BIG       @p opts sets a field or flag this library does not
 *                      know.
 * @retval -ENOMEM      Out of memory.
 * @retval other        What open(2) said.
 *
 * @owns   The caller owns a reference and drops it with vcore_host_unref().
 *         `fd` is duplicated; the caller keeps its own.
 * @thread Any thread.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.1 KVM_GET_API_VERSION.
 * @since  0.1
 */
VCORE_API int
vcore_host_open(const struct vcore_host_opts *opts, struct vcore_host **host);

/**
 * Take another reference.
 *
 * @param[in] host  A handle; NULL is allowed.
 *
 * @return @p host.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_host *
vcore_host_ref(struct vcore_host *host);

/**
 * Drop a reference. The last one closes the descriptor; VMs hold their own.
 *
 * @param[in] host  A handle; NULL does nothing.
 *
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_host_unref(struct vcore_host *host);

/**
 * The descriptor of /dev/kvm, for ioctls that the library does not offer.
 *
 * @param[in] host  The handle.
 *
 * @return A descriptor, valid as long as @p host lives; -EINVAL: NULL.
 *
 * @owns   The handle.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_host_fd(struct vcore_host *host);

/**
 * What KVM can do on this host. Asked once, then remembered.
 *
 * @param[in] host  The handle.
 * @param[in] cap   A KVM_CAP_* number of <linux/kvm.h>.
 *
 * @return KVM_CHECK_EXTENSION's answer, 0: it can't, or does not know the
 *         number; -EINVAL: @p host is NULL.
 *
 * @thread Any thread.
 * @spec   Linux Documentation/virt/kvm/api.rst, 4.4 KVM_CHECK_EXTENSION.
 * @since  0.1
 */
VCORE_API int
vcore_host_capability(struct vcore_host *host, uint32_t cap);

#ifdef __cplusplus
}
#endif
#endif
