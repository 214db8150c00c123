/* SPDX-License-Identifier: BSD-3-Clause */
/* Port and memory accesses of an exit, one by one to the bus. */
#include "vcpu/vcpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bus/range.h"

static void
wake(struct vcore_access *a)
{
	struct vcore__answer *answer =
		VCORE__CONTAINER(a, struct vcore__answer, access);

	vcore__kick_wake(answer->kick);
}

/* The answer came after it was dropped. */
static void
gone(struct vcore_access *a)
{
	free(VCORE__CONTAINER(a, struct vcore__answer, access));
}

struct vcore__answer *
vcore__answer_new(struct vcore__kick *kick)
{
	struct vcore__answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return NULL;
	answer->access.wake = wake;
	answer->access.gone = gone;
	answer->kick = kick;
	return answer;
}

void
vcore__answer_drop(struct vcore__answer *answer, bool pending)
{
	if (!pending || !vcore__access_abandon(&answer->access))
		free(answer);
}

/* What an embedder sees of element pos. */
static void
return_element(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct vcore__step *s = &v->step;
	uint8_t *data = s->data + (size_t)s->pos * s->len;

	if (s->kind == VCORE_BUS_PIO) {
		e->kind = VCORE_EXIT_IO;
		e->u.io.port = (uint16_t)s->addr;
		e->u.io.len = (uint8_t)s->len;
		e->u.io.write = s->write;
		e->u.io.count = 1;
		e->u.io.data = data;
	} else {
		e->kind = VCORE_EXIT_MMIO;
		e->u.mmio.gpa = s->addr + (uint64_t)s->pos * s->stride;
		e->u.mmio.len = s->len;
		e->u.mmio.write = s->write;
		e->u.mmio.data = data;
	}
}

/* Lengths that the compiler knows, so that a copy is one move. */
static uint64_t
load(const uint8_t *data, uint32_t len)
{
	uint32_t u32;
	uint16_t u16;
	uint64_t u64;

	switch (len) {
	case 1:
		return *data;
	case 2:
		memcpy(&u16, data, sizeof(u16));
		return u16;
	case 4:
		memcpy(&u32, data, sizeof(u32));
		return u32;
	default:
		memcpy(&u64, data, sizeof(u64));
		return u64;
	}
}

static void
store(uint8_t *data, uint32_t len, uint64_t val)
{
	uint32_t u32 = (uint32_t)val;
	uint16_t u16 = (uint16_t)val;

	switch (len) {
	case 1:
		*data = (uint8_t)val;
		break;
	case 2:
		memcpy(data, &u16, sizeof(u16));
		break;
	case 4:
		memcpy(data, &u32, sizeof(u32));
		break;
	default:
		memcpy(data, &val, sizeof(val));
		break;
	}
}

/* Element pos has its answer. */
static void
finish(struct vcore__step *s, uint64_t val)
{
	if (!s->write)
		store(s->data + (size_t)s->pos * s->len, s->len, val);
	s->pos++;
}

/* What the bus said to element pos. 1: *e filled; 0: it is done, or pending. */
static int
answered(struct vcore_vcpu *v, struct vcore_exit *e, int rc, uint64_t val)
{
	struct vcore__step *s = &v->step;

	if (rc == -EINPROGRESS &&
	    !vcore__access_take(&v->answer->access, &val)) {
		s->pending = true;
		return 0;
	}
	if (rc == 0 || rc == -EINPROGRESS) {
		vcore__vcpu_count(&v->handled);
		finish(s, val);
		return 0;
	}
	vcore__vcpu_count(&v->unclaimed);
	if (v->flags & VCORE_VCPU_RETURN_UNCLAIMED) {
		return_element(v, e);
		s->pos++;
		return 1;
	}
	finish(s, UINT64_MAX);
	return 0;
}

int
vcore__vcpu_step(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct vcore__step *s = &v->step;
	bool mmio = s->kind == VCORE_BUS_MMIO;
	uint64_t val;
	int rc;

	while (s->pos < s->count && !s->pending) {
		val = s->write ? load(s->data + (size_t)s->pos * s->len,
				      s->len) : 0;
		rc = vcore__bus_access(v->bus[mmio], &v->reader[mmio], s->write,
				       s->addr + (uint64_t)s->pos * s->stride,
				       s->len, &val, &v->answer->access);
		if (answered(v, e, rc, val))
			return 1;
	}
	return 0;
}

bool
vcore__vcpu_step_ready(void *vcpu)
{
	struct vcore_vcpu *v = vcpu;

	return atomic_load(&v->answer->access.state) != VCORE__ACCESS_PENDING;
}

void
vcore__vcpu_step_take(struct vcore_vcpu *v)
{
	uint64_t val;

	if (!vcore__access_take(&v->answer->access, &val))
		return;
	v->step.pending = false;
	vcore__vcpu_count(&v->handled);
	finish(&v->step, val);
}

static void
decode_io(struct vcore_vcpu *v, struct vcore__step *s)
{
	struct kvm_run *run = v->run;

	s->data = (uint8_t *)run + run->io.data_offset;
	s->addr = run->io.port;
	s->kind = VCORE_BUS_PIO;
	s->len = run->io.size;
	s->count = run->io.count;
	s->pos = 0;
	s->stride = 0;
	s->write = run->io.direction == KVM_EXIT_IO_OUT;
}

static void
decode_mmio(struct vcore_vcpu *v, struct vcore__step *s)
{
	struct kvm_run *run = v->run;
	uint32_t len = run->mmio.len;

	if (len > sizeof(run->mmio.data))
		len = sizeof(run->mmio.data);
	s->data = run->mmio.data;
	s->addr = run->mmio.phys_addr;
	s->kind = VCORE_BUS_MMIO;
	/* A piece of an access that crosses a page may have any length. */
	s->len = len & (len - 1) ? 1 : len;
	s->count = s->len ? len / s->len : 0;
	s->pos = 0;
	s->stride = s->len;
	s->write = run->mmio.is_write;
}

/* No bus, or several accesses. */
static __attribute__((noinline)) int
steps(struct vcore_vcpu *v, struct vcore_exit *e, uint32_t kind)
{
	struct vcore__step *s = &v->step;

	if (kind == VCORE_BUS_PIO)
		decode_io(v, s);
	else
		decode_mmio(v, s);
	if (v->bus[kind == VCORE_BUS_MMIO])
		return vcore__vcpu_step(v, e);
	return_element(v, e);
	if (kind == VCORE_BUS_PIO)
		e->u.io.count = s->count;
	else
		e->u.mmio.len = s->count * s->len;
	s->count = 0;
	return 1;
}

/* The one access of this exit was not simply done: rc, see one(). */
static __attribute__((noinline)) int
odd(struct vcore_vcpu *v, struct vcore_exit *e, uint32_t kind, int rc,
    uint64_t val)
{
	struct vcore_bus *bus = v->bus[kind == VCORE_BUS_MMIO];
	struct vcore__step *s = &v->step;

	if (kind == VCORE_BUS_PIO)
		decode_io(v, s);
	else
		decode_mmio(v, s);
	if (rc == VCORE__BUS_MISSED)
		return vcore__vcpu_step(v, e);
	rc = vcore__bus_odd_answer(bus, rc, s->write, &val,
				   &v->answer->access);
	return answered(v, e, rc, val);
}

/*
 * Nearly every exit is one access that is answered at once. It takes few
 * instructions: no steps are made, and all that is rare is elsewhere.
 */
static inline __attribute__((always_inline)) int
one(struct vcore_vcpu *v, struct vcore_exit *e, uint32_t kind, bool write,
    uint64_t addr, uint8_t *data, uint32_t len)
{
	uint64_t val = write ? load(data, len) : 0;
	bool mmio = kind == VCORE_BUS_MMIO;
	int rc;

	rc = vcore__bus_exit(v->bus[mmio], &v->reader[mmio], write, addr, len,
			     &val, &v->answer->access);
	if (VCORE__RARELY(rc < 0))
		return odd(v, e, kind, rc, val);
	vcore__vcpu_count(&v->handled);
	if (!write)
		store(data, len, val);
	return 0;
}

VCORE__HOT int
vcore__vcpu_io(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (VCORE__RARELY(run->io.count != 1 || !v->bus[0]))
		return steps(v, e, VCORE_BUS_PIO);
	if (VCORE__OFTEN(run->io.direction == KVM_EXIT_IO_OUT))
		return one(v, e, VCORE_BUS_PIO, true, run->io.port, data,
			   run->io.size);
	return one(v, e, VCORE_BUS_PIO, false, run->io.port, data,
		   run->io.size);
}

VCORE__HOT int
vcore__vcpu_mmio(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct kvm_run *run = v->run;
	uint32_t len = run->mmio.len;

	if (VCORE__RARELY(!v->bus[1] || len - 1 >= sizeof(run->mmio.data) ||
			  len & (len - 1)))
		return steps(v, e, VCORE_BUS_MMIO);
	if (VCORE__OFTEN(run->mmio.is_write))
		return one(v, e, VCORE_BUS_MMIO, true, run->mmio.phys_addr,
			   run->mmio.data, len);
	return one(v, e, VCORE_BUS_MMIO, false, run->mmio.phys_addr,
		   run->mmio.data, len);
}
