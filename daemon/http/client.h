/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of http's door: HTTP/1.1, client side, on somebody's event loop. A client is one connection
 * that is dialed when it is needed and kept while both sides want it; it carries one call at a
 * time. All of it runs on the loop's thread. Include http/http.h.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/ssl.h>

struct event_base;
struct head;
struct http_client;

/* Borrowed until the call is done. */
struct http_target {
    bool is_tls;
    const char *authority; /* for the Host header */
    const char *host;
    const char *port;
    const char *unix_path; /* NULL: TCP */
};

/* How connections are made; texts are borrowed as long as the client lives. Zeros are fine. */
struct http_dialing {
    /* Gives a reference for one handshake; NULL from it: cannot. NULL itself: the system's roots.
     */
    SSL_CTX *(*tls)(void *arg);
    /* After the handshake, whether the verified server is the right one. NULL: every one is. */
    struct err (*admit)(SSL *ssl, void *arg, struct why *why);
    void *arg;               /* of both */
    const char *server_name; /* NULL: the certificate must be for the target's host */
    const char
        *local_address; /* IP address that connections come from; NULL: the kernel's choice */
    int64_t dial_ms;    /* name, connection and handshake; 0: 5 s */
};

/* err OK: there is an answer, whatever its status. Else TIMEDOUT, CLOSED, TOO_BIG, BAD_TLS,
 * BAD_FORMAT or what dialing gave. Lent for the call of done. */
struct http_answer {
    struct err err;
    const char *why; /* never NULL */
    int status;
    struct slice body;
    const struct head *head; /* private */
};

/* Everything borrowed until done. */
struct http_call {
    struct http_target target;
    const char *method;
    const char *path;
    const char *fields; /* "Name: value\r\n" …; NULL: none */
    struct slice body;
    /* Instead of body: body_bytes in all, asked for as the other side takes them. *out_got 0 or an
     * error breaks the call off. */
    struct err (*produce)(void *arg, void *out, size_t size, size_t *out_got, struct why *why);
    uint64_t body_bytes;
    bool is_chunked;    /* nobody knows how much it will be: *out_got 0 ends it */
    size_t answer_max;  /* bytes of an answer that is gathered */
    int64_t timeout_ms; /* for all of it; 0: none */
    int64_t idle_ms;    /* without a byte of the answer, once the request is out; 0: none */
    int64_t write_ms;   /* without the other side taking anything; 0: none */
    /* Not NULL: an answer of status 200 is a stream. started looks at its head and says whether to
     * go on (else done, UNSUPPORTED); then piece gets its bytes; done comes with its end, CLOSED.
     */
    bool (*started)(void *arg, const struct http_answer *answer);
    void (*piece)(void *arg, struct slice bytes);
    void (*done)(void *arg, const struct http_answer *answer); /* may call again */
    void *arg;
};

struct http_client *http_client_new(struct event_base *base, const struct http_dialing *dialing);
/* Breaks off what is under way without calling done. Not from inside its callbacks. NULL is fine.
 */
void http_client_free(struct http_client *client);
/* Starts a call; never calls back from inside. None may be under way. */
void http_client_call(struct http_client *client, const struct http_call *call);
/* Breaks off what is under way without calling done; closes the connection. */
void http_client_cancel(struct http_client *client);
/* The first header of that name; {NULL, 0} when there is none. */
struct slice http_answer_header(const struct http_answer *answer, const char *name);

#endif
