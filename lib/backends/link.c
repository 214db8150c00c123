/* SPDX-License-Identifier: BSD-3-Clause */
/* Links: the object, its checks and dispatch to the implementation. */
#include <vcore/link.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"

#define EVENTS (VCORE_LINK_READABLE | VCORE_LINK_WRITABLE)
#define QUEUES_MAX 32768u	/* pairs a virtio device can have */

struct vcore_link {
	_Atomic uint32_t refs;
	uint32_t reserved0;
	struct vcore_link_ops ops;
	void *opaque;
	void (*release)(void *opaque);
};

int
vcore_link_new(const struct vcore_link_ops *ops, void *opaque,
	       void (*release)(void *opaque), struct vcore_link **link)
{
	struct vcore_link_ops o;
	struct vcore_link *l;
	int rc;

	if (link == NULL)
		return vcore__err(NULL, -EINVAL, "vcore_link_new: link is NULL");
	rc = VCORE__SIZED("vcore_link_new: ops", &o, queues, ops);
	if (rc < 0)
		return rc;
	if (o.flags != 0)
		return vcore__err(NULL, -E2BIG, "vcore_link_new: flags %#x",
				  o.flags);
	if (o.send == NULL || o.receive == NULL || o.attach == NULL ||
	    o.detach == NULL || o.want == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_new: a required method is missing");
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return vcore__err(NULL, -ENOMEM, "vcore_link_new: no memory");
	atomic_init(&l->refs, 1);
	l->ops = o;
	l->opaque = opaque;
	l->release = release;
	*link = l;
	return 0;
}

struct vcore_link *
vcore_link_ref(struct vcore_link *link)
{
	if (link != NULL)
		atomic_fetch_add(&link->refs, 1);
	return link;
}

void
vcore_link_unref(struct vcore_link *link)
{
	if (link == NULL || atomic_fetch_sub(&link->refs, 1) != 1)
		return;
	if (link->release != NULL)
		link->release(link->opaque);
	free(link);
}

int
vcore_link_send(struct vcore_link *link, void *queue, const struct iovec *iov,
		uint32_t count)
{
	if (link == NULL || iov == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_send: %s is NULL",
				  link == NULL ? "link" : "iov");
	return link->ops.send(link->opaque, queue, iov, count);
}

int64_t
vcore_link_receive(struct vcore_link *link, void *queue,
		   const struct iovec *iov, uint32_t count)
{
	if (link == NULL || iov == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_receive: %s is NULL",
				  link == NULL ? "link" : "iov");
	return link->ops.receive(link->opaque, queue, iov, count);
}

int
vcore_link_attach(struct vcore_link *link, uint32_t index,
		  struct vcore_loop *loop, vcore_link_ready_fn ready,
		  void *opaque, void **queue)
{
	uint32_t since = vcore__err_count();
	void *q = NULL;
	int rc;

	if (link == NULL || loop == NULL || ready == NULL || queue == NULL)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_attach: a pointer is NULL");
	if (index >= vcore_link_queues(link))
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_attach: queue %u of %u", index,
				  vcore_link_queues(link));
	rc = link->ops.attach(link->opaque, index, loop, ready, opaque, &q);
	if (rc == 0)
		*queue = q;
	return vcore__err_from(rc, "vcore_link_attach", since);
}

void
vcore_link_detach(struct vcore_link *link, void *queue)
{
	if (link != NULL)
		link->ops.detach(link->opaque, queue);
}

int
vcore_link_want(struct vcore_link *link, void *queue, uint32_t events)
{
	uint32_t since = vcore__err_count();

	if (link == NULL || (events & ~EVENTS) != 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_want: %s, events %#x",
				  link == NULL ? "link is NULL" : "unknown bit",
				  events);
	return vcore__err_from(link->ops.want(link->opaque, queue, events),
			       "vcore_link_want", since);
}

uint32_t
vcore_link_offloads(struct vcore_link *link)
{
	if (link == NULL || link->ops.offloads == NULL)
		return 0;
	return link->ops.offloads(link->opaque);
}

int
vcore_link_set_offloads(struct vcore_link *link, uint32_t rx_offloads)
{
	uint32_t since = vcore__err_count();

	if (link == NULL || (rx_offloads & ~vcore_link_offloads(link)) != 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_link_set_offloads: %s, offloads %#x",
				  link == NULL ? "link is NULL" :
						 "not the link's",
				  rx_offloads);
	if (link->ops.set_offloads == NULL)
		return 0;
	return vcore__err_from(link->ops.set_offloads(link->opaque,
						      rx_offloads),
			       "vcore_link_set_offloads", since);
}

uint32_t
vcore_link_queues(struct vcore_link *link)
{
	uint32_t n = 1;

	if (link != NULL && link->ops.queues != NULL)
		n = link->ops.queues(link->opaque);
	if (n == 0)
		return 1;
	return n < QUEUES_MAX ? n : QUEUES_MAX;
}
