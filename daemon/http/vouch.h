/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking the site, on a thread of its own, whether a verified peer may come from where it does.
 */
#ifndef HTTP_VOUCH_H
#define HTTP_VOUCH_H

#include "http/conn.h"

struct vouch;

/* done(conn, is_good) on the server's thread, unless vouch_forget came first. NULL: no thread could
 * be had. */
struct vouch *vouch_start(
    struct conn *conn, X509 *cert, void (*done)(struct conn *conn, bool is_good));
/* The connection is gone. NULL is fine. */
void vouch_forget(struct vouch *vouch);

#endif
