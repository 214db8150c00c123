/* SPDX-License-Identifier: BSD-3-Clause */
/* What examples in the headers' documentation take for granted. */
#include <poll.h>
#include <signal.h>

#include <vcore/disk.h>
#include <vcore/event.h>
#include <vcore/machine.h>

extern struct vcore_events *events;
extern struct vcore_loop *loop;
extern struct vcore_memory *memory;
extern struct vcore_disk *disk;
extern struct vcore_disk_request req;
extern struct iovec iov;
extern void *queue;

void example(void);
void handle(const struct vcore_event *event);
void my_done(struct vcore_disk_request *request);
void default_action(int number);
