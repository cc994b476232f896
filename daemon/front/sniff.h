/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection is, from its first bytes. Pure.
 *
 * Plain: the HTTP/2 preface is gRPC, a TLS record is a mistake, anything else HTTP/1.1. TLS: a
 * ClientHello (RFC 8446 4.1.2, perhaps cut into several records) whose ALPN list (RFC 7301) has
 * "h2" and not "http/1.1" is gRPC: that is what gRPC clients offer; browsers and curl offer both,
 * and get HTTP/1.1.
 */
#ifndef FRONT_SNIFF_H
#define FRONT_SNIFF_H

#include "base/slice.h"

enum sniff {
    SNIFF_MORE,
    SNIFF_GRPC,
    SNIFF_HTTP,
    SNIFF_NOT_TLS, /* on a TLS listener */
    SNIFF_BAD,     /* nothing that is spoken here */
};

/* More bytes than these are not waited for: what they do not tell is SNIFF_BAD. */
enum { SNIFF_BYTES_MAX = 17 << 10 };

enum sniff sniff_plain(struct slice bytes);
enum sniff sniff_tls(struct slice bytes);

#endif
