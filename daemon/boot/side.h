/* SPDX-License-Identifier: Apache-2.0
 *
 * One side's TLS, the clients' or the peers': what its listeners show and demand, what the member
 * shows when it dials, all following their files. Made on the main thread; then any thread, as
 * tls_source.
 */
#ifndef BOOT_SIDE_H
#define BOOT_SIDE_H

#include "base/tls.h"
#include "config/config.h"
#include "http/http.h"

struct side {
    const char *name; /* "client", "peer" */
    struct tls_options options;
    struct tls_source *source;  /* for listeners; NULL: plain only */
    struct tls_source *dialing; /* NULL: plain only */
    struct tls_rules *rules;
    struct tls_rules *dialed; /* NULL: plain only */
    bool checks_origin;       /* a client's certificate has to be for the address it comes from */
    int64_t told_ms;          /* of somebody refused; the thread of the listeners' server */
};

/* Errors: BAD_CONFIG, BAD_TLS, and what reading the files gives. side_close in every case. */
MUST struct err side_open(
    struct side *side, const struct config *config, const struct config_tls *tls, struct why *why);
/* What the member shows and trusts when it dials others of this side. */
MUST struct err side_open_dialing(
    struct side *side, const struct config *config, const struct config_tls *tls, struct why *why);
void side_close(struct side *side);
/* Looks at the files now. */
void side_poll(struct side *side);
/* Has those told of, one a second, that a listener of this side turns away, and sets what it needs
 * for TLS. All sites of a side belong to one server. */
void side_guard(struct side *side, struct http_site *site, bool is_tls);
/* For struct http_dialing; arg: the side. Gives a reference; NULL: plain only. */
SSL_CTX *side_dialing_context(void *arg);
/* Who may not come in is not dialed either: a stream that this member opens carries what the other
 * one says. (etcd holds only the allow lists against those it dials, not the CRL.) */
struct err side_dialing_admit(SSL *ssl, void *arg, struct why *why);

/* Whether any of the URLs is https or unixs. */
bool side_has_tls(const struct url_list *urls);

#endif
