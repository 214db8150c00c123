/* SPDX-License-Identifier: BSD-3-Clause */
/* /dev/kvm: opened, checked, asked what it can do. */
#include "kvm/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/base.h"
#include "kvm/compat.h"

#define DEFAULT_PATH "/dev/kvm"

/*
 * Name of a group for an error text; its number if the file of groups does
 * not tell. getgrgid() would load code into statically linked programs.
 */
static void
group_name(gid_t gid, char *name, size_t len)
{
	FILE *f = fopen("/etc/group", "re");
	unsigned int found;
	char line[256], who[64];

	snprintf(name, len, "%u", (unsigned int)gid);
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		/* The system's own file, for a text. */
		/* NOLINTNEXTLINE(cert-err34-c) */
		if (sscanf(line, "%63[^:]:%*[^:]:%u", who, &found) != 2 ||
		    found != (unsigned int)gid)
			continue;
		snprintf(name, len, "%s", who);
		break;
	}
	fclose(f);
}

static int
refused_open(struct vcore_log *log, int rc, const char *path)
{
	char group[64] = "?";
	struct stat st;

	switch (rc) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return vcore__err(log, -ENOENT,
				  "vcore_host_open: no KVM at %s: %s", path,
				  rc == -ENOENT ? "there is no such file"
						: "no driver behind it");
	case -EACCES:
	case -EPERM:
		if (!stat(path, &st))
			group_name(st.st_gid, group, sizeof(group));
		return vcore__err(log, -EACCES,
				  "vcore_host_open: no permission for %s: its group is %s",
				  path, group);
	default:
		return vcore__err(log, rc, "vcore_host_open: %s: %s", path,
				  vcore__strerror(rc));
	}
}

static int
open_fd(struct vcore_host *host, const struct vcore_host_opts *opts)
{
	const char *path = opts->path ? opts->path : DEFAULT_PATH;
	int fd;

	if (opts->flags & VCORE_HOST_FD) {
		fd = fcntl(opts->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return vcore__err(host->log, -errno,
					  "vcore_host_open: descriptor %d can't be duplicated: %m",
					  opts->fd);
	} else {
		fd = host->kvm.ops->open(host->kvm.opaque, path);
		if (fd < 0)
			return refused_open(host->log, fd, path);
	}
	host->fd = fd;
	return 0;
}

static int
check_fd(struct vcore_host *host)
{
	int rc;

	rc = vcore__kvm_ioctl_n(&host->kvm, host->fd, KVM_GET_API_VERSION, 0);
	if (rc < 0)
		return vcore__err(host->log, -EOPNOTSUPP,
				  "vcore_host_open: not KVM: KVM_GET_API_VERSION: %s",
				  vcore__strerror(rc));
	if (rc != KVM_API_VERSION)
		return vcore__err(host->log, -EOPNOTSUPP,
				  "vcore_host_open: KVM has interface version %d, not %d",
				  rc, KVM_API_VERSION);
	if (!vcore__host_cap(host, KVM_CAP_USER_MEMORY))
		return vcore__err(host->log, -EOPNOTSUPP,
				  "vcore_host_open: KVM lacks KVM_CAP_USER_MEMORY");
	rc = vcore__kvm_ioctl_n(&host->kvm, host->fd,
				KVM_GET_VCPU_MMAP_SIZE, 0);
	if (rc < 0)
		return vcore__err(host->log, rc,
				  "vcore_host_open: KVM_GET_VCPU_MMAP_SIZE: %s",
				  vcore__strerror(rc));
	if ((size_t)rc < sizeof(struct kvm_run))
		return vcore__err(host->log, -EOPNOTSUPP,
				  "vcore_host_open: run area of %d bytes is smaller than struct kvm_run",
				  rc);
	host->run_len = (size_t)rc;
	return 0;
}

int
vcore__host_open(const struct vcore_host_opts *opts,
		 const struct vcore__kvm *kvm, struct vcore_host **out)
{
	struct vcore_host_opts o;
	struct vcore_host *host;
	int rc;

	VCORE_INIT(&o);
	if (!out)
		return vcore__err(NULL, -EINVAL,
				  "vcore_host_open: host is NULL");
	if (opts) {
		rc = VCORE__SIZED("vcore_host_open: opts", &o, log, opts);
		if (rc)
			return rc;
	}
	if (o.flags & ~VCORE_HOST_FD || o.reserved0)
		return vcore__err(o.log, -E2BIG,
				  "vcore_host_open: flags %#x, reserved0 %#x: unknown bits",
				  o.flags, o.reserved0);
	host = calloc(1, sizeof(*host));
	if (!host)
		return vcore__err(o.log, -ENOMEM,
				  "vcore_host_open: out of memory");
	host->kvm = *kvm;
	host->refs = 1;
	host->log = vcore_log_ref(o.log);
	rc = open_fd(host, &o);
	if (rc)
		goto err_free;
	rc = check_fd(host);
	if (rc)
		goto err_close;
	*out = host;
	return 0;

err_close:
	kvm->ops->close(kvm->opaque, host->fd);
err_free:
	vcore_log_unref(host->log);
	free(host);
	return rc;
}

int
vcore_host_open(const struct vcore_host_opts *opts, struct vcore_host **host)
{
	static const struct vcore__kvm real = { &vcore__kvm_real, NULL };

	return vcore__host_open(opts, &real, host);
}

struct vcore_host *
vcore_host_ref(struct vcore_host *host)
{
	if (host)
		atomic_fetch_add(&host->refs, 1);
	return host;
}

void
vcore_host_unref(struct vcore_host *host)
{
	if (!host || atomic_fetch_sub(&host->refs, 1) > 1)
		return;
	host->kvm.ops->close(host->kvm.opaque, host->fd);
	vcore_log_unref(host->log);
	free(host);
}

int
vcore_host_fd(struct vcore_host *host)
{
	if (!host)
		return vcore__err(NULL, -EINVAL,
				  "vcore_host_fd: host is NULL");
	return host->fd;
}

uint32_t
vcore__host_cap(struct vcore_host *host, uint32_t cap)
{
	int32_t known = 0;
	int rc;

	if (cap < VCORE__HOST_CAPS)
		known = atomic_load_explicit(&host->caps[cap],
					     memory_order_relaxed);
	if (known > 0)
		return (uint32_t)(known - 1);
	rc = vcore__kvm_ioctl_n(&host->kvm, host->fd, KVM_CHECK_EXTENSION, cap);
	if (rc < 0)
		return 0;
	if (cap < VCORE__HOST_CAPS && rc < INT32_MAX)
		atomic_store_explicit(&host->caps[cap], rc + 1,
				      memory_order_relaxed);
	return (uint32_t)rc;
}

int
vcore_host_capability(struct vcore_host *host, uint32_t cap)
{
	if (!host)
		return vcore__err(NULL, -EINVAL,
				  "vcore_host_capability: host is NULL");
	return (int)vcore__host_cap(host, cap);
}
