/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_FAULT_H
#define HTTP_FAULT_H

#include "base/err.h"

struct bufferevent;

/* From inside an event callback, once: what broke a connection with TLS, or its handshake. CLOSED
 * with "EOF" where the other end closed without a word; else BAD_TLS with what OpenSSL says, which
 * is nothing (why is "") where it was the socket that broke. */
MUST struct err fault_of_tls(struct bufferevent *bev, struct why *why);

#endif
