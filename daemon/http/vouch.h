/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking the site, on a thread of its own, whether a verified peer may come from where it does.
 */
#ifndef HTTP_VOUCH_H
#define HTTP_VOUCH_H

#include "http/conn.h"

struct vouch;

/* err: the peer may not come in, and why not. */
typedef void vouched_fn(struct conn *conn, struct err err, const char *why);

/* done on the server's thread, unless vouch_forget came first. NULL: no thread could be had. */
struct vouch *vouch_start(struct conn *conn, X509 *cert, vouched_fn *done);
/* The connection is gone. NULL is fine. */
void vouch_forget(struct vouch *vouch);

#endif
