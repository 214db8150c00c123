/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the user-mode link: what its files share. */
#ifndef VCORE_SLIRP_USER_H
#define VCORE_SLIRP_USER_H

#include <libslirp.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/link.h>
#include <vcore/slirp.h>

/* Frames for the guest that wait; more are dropped, as on any wire. */
#define USER_FRAMES   256u
/* From so many on sockets are not read, until half of them are gone. */
#define USER_CROWDED  128u
/* The longest frame from the guest. */
#define USER_FRAME    65550u
#define USER_FORWARDS 64u
/* Sockets of the guest's connections, if nothing else was said. */
#define USER_FLOWS    256u
#define USER_FLOWS_MAX 65536u

/* A frame for the guest, without the link's header. */
struct user_frame {
	struct user_frame *next;
	uint32_t len;
	uint8_t bytes[];
};

/* A socket of libslirp that is watched; its number is its descriptor. */
struct user_socket {
	struct user_link *link;
	struct vcore_source *source;
	uint32_t events;		/* VCORE_LOOP_*: watched for */
	uint32_t wanted;		/* to be watched for, in a fill */
	int revents;			/* SLIRP_POLL_*: what was told */
};

struct user_timer {
	struct user_timer *next;
	struct user_link *link;
	SlirpTimerId id;
	void *opaque;
	uint64_t due_ns;		/* 0: not armed */
};

/*
 * Everything belongs to the loop while the link is attached, and to nobody
 * while it isn't.
 */
struct user_link {
	Slirp *slirp;
	struct vcore_loop *loop;	/* NULL: not attached */
	struct vcore_source *turn;	/* timer: time for user_poll_turn() */
	vcore_link_ready_fn ready;
	void *opaque;
	uint32_t want;
	uint64_t due_ns;		/* libslirp's own time-out; 0: none */
	struct user_frame *first, **last;
	uint32_t frames;
	struct user_timer *timers;
	struct user_socket **sockets;	/* by descriptor */
	uint32_t socket_max;
	uint32_t flows, flows_max;	/* libslirp's sockets */
	uint8_t frame[USER_FRAME];	/* from the guest */
};

/* Leave an error text; returns rc. */
int
user_fail(int rc, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t
user_now_ns(void);

/* poll.c: callbacks for libslirp and the loop */
int
user_poll_attach(struct user_link *l);
void
user_poll_detach(struct user_link *l);
/* Look after sockets, timers and frames soon. */
void
user_poll_soon(struct user_link *l);
void
user_poll_forget(struct user_link *l, int fd);

#endif
