/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's half of one HTTP/2 connection, no more than gRPC calls of one method need: a load
 * generator that costs a fraction of the server it measures. Requests are prebuilt frames behind
 * one indexed header block; of an answer only DATA is looked at: a unary call that was served has
 * some, one that failed has none. One thread at a time.
 */
#ifndef BENCH_H2_H
#define BENCH_H2_H

#include "base/buf.h"

#include <openssl/ssl.h>

struct h2;

struct h2_target {
    const char *endpoint; /* host:port, numeric */
    SSL_CTX *tls;         /* NULL: plain text */
    const char *method;   /* "/etcdserverpb.KV/Put" */
};

struct h2_handler {
    /* DATA of a stream: gRPC's frames, in pieces as they come. */
    void (*data)(void *arg, uint32_t stream, struct slice bytes);
    void (*end)(void *arg, uint32_t stream);
    void *arg;
};

/* Connects, shakes hands (blocking) and greets. Ends the program when that fails. */
struct h2 *h2_open(const struct h2_target *target, const struct h2_handler *handler);
void h2_close(struct h2 *h2);
/* The member has accepted the connection and sent its settings. */
bool h2_is_ready(const struct h2 *h2);
int h2_fd(const struct h2 *h2);
/* Queues a call and its first message; is_last: no message follows. Gives the stream's number. */
uint32_t h2_call(struct h2 *h2, struct slice message, bool is_last);
/* One more message on a stream; all of one stream must fit its first window. */
void h2_send(struct h2 *h2, uint32_t stream, struct slice message);
/* Takes what came. False: the connection is gone. */
bool h2_read(struct h2 *h2);
/* Writes what is queued. False: the socket is full and tells when it is not. */
bool h2_flush(struct h2 *h2);

/* NULL ca: NULL. */
SSL_CTX *h2_tls_new(const char *ca, const char *cert, const char *key);

#endif
