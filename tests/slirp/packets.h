/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw frames of a guest that has no network stack: ARP, ICMP, UDP, TCP. */
#ifndef VCORE_TESTS_SLIRP_PACKETS_H
#define VCORE_TESTS_SLIRP_PACKETS_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#define ETH 14u
#define IP  20u
#define GUEST 0x0a00020fu	/* 10.0.2.15 */
#define HOST  0x0a000202u	/* 10.0.2.2 */

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

static inline void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint32_t
get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t
get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static inline uint32_t
sum(uint32_t s, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static inline uint32_t
eth(uint8_t *f, uint32_t type)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, guest_mac, 6);
	put16(f + 12, type);
	return ETH;
}

/* Who has this address? The frame's length. */
static inline uint32_t
arp(uint8_t *f, uint32_t target)
{
	uint8_t *p = f + eth(f, 0x0806);

	memset(p, 0, 28);
	put16(p, 1);
	put16(p + 2, 0x0800);
	p[4] = 6;
	p[5] = 4;
	put16(p + 6, 1);
	memcpy(p + 8, guest_mac, 6);
	put32(p + 14, GUEST);
	put32(p + 24, target);
	return ETH + 28;
}

/* An IP header before len bytes that are there: the frame's length. */
static inline uint32_t
ip(uint8_t *f, uint32_t src, uint32_t dst, uint8_t protocol, uint32_t len)
{
	uint8_t *p = f + eth(f, 0x0800);

	memset(p, 0, IP);
	p[0] = 0x45;
	put16(p + 2, IP + len);
	p[8] = 64;
	p[9] = protocol;
	put32(p + 12, src);
	put32(p + 16, dst);
	put16(p + 10, ~sum(0, p, IP) & 0xffff);
	return ETH + IP + len;
}

static inline uint32_t
ping(uint8_t *f, uint32_t dst, uint32_t seq)
{
	uint8_t *p = f + ETH + IP;

	memset(p, 0, 16);
	p[0] = 8;
	put16(p + 4, 0x1234);
	put16(p + 6, seq);
	memcpy(p + 8, "payload", 8);
	put16(p + 2, ~sum(0, p, 16) & 0xffff);
	return ip(f, GUEST, dst, 1, 16);
}

static inline uint32_t
udp(uint8_t *f, uint32_t src, uint32_t dst, uint32_t sport, uint32_t dport,
    const void *data, uint32_t len)
{
	uint8_t *p = f + ETH + IP;

	put16(p, sport);
	put16(p + 2, dport);
	put16(p + 4, 8 + len);
	put16(p + 6, 0);
	memcpy(p + 8, data, len);
	return ip(f, src, dst, 17, 8 + len);
}

/* A DHCPDISCOVER. */
static inline uint32_t
dhcp_discover(uint8_t *f)
{
	uint8_t m[300] = { 1, 1, 6, 0, 0x11, 0x22, 0x33, 0x44 };

	memcpy(m + 28, guest_mac, 6);
	put32(m + 236, 0x63825363);
	memcpy(m + 240, "\x35\x01\x01\xff", 4);
	return udp(f, 0, 0xffffffff, 68, 67, m, sizeof(m));
}

#define FIN 1u
#define SYN 2u
#define RST 4u
#define PSH 8u
#define ACK 16u

struct tcp {
	uint32_t dst, sport, dport;
	uint32_t seq, ack;		/* next of ours; next of theirs */
};

static inline uint32_t
tcp(uint8_t *f, struct tcp *t, uint8_t flags, const void *data, uint32_t len)
{
	uint8_t *p = f + ETH + IP, pseudo[12];

	memset(p, 0, 20);
	put16(p, t->sport);
	put16(p + 2, t->dport);
	put32(p + 4, t->seq);
	put32(p + 8, flags & ACK ? t->ack : 0);
	p[12] = 5 << 4;
	p[13] = flags;
	put16(p + 14, 60000);
	if (len)
		memcpy(p + 20, data, len);
	put32(pseudo, GUEST);
	put32(pseudo + 4, t->dst);
	put16(pseudo + 8, 6);
	put16(pseudo + 10, 20 + len);
	put16(p + 16, ~sum(sum(0, pseudo, 12), p, 20 + len) & 0xffff);
	t->seq += len + ((flags & (SYN | FIN)) ? 1 : 0);
	return ip(f, GUEST, t->dst, 6, 20 + len);
}

#endif
