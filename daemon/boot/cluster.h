/* SPDX-License-Identifier: Apache-2.0
 *
 * The other members: the listeners for them, the transport, and what stands between it, the server
 * and the services. Made and ended on the main thread.
 */
#ifndef BOOT_CLUSTER_H
#define BOOT_CLUSTER_H

#include "api/api.h"
#include "boot/questions.h"
#include "boot/storage.h"

struct cluster;

/* Checks the certificates and binds the peer listeners; nobody is let in yet. Errors: BAD_TLS,
 * BAD_CONFIG, IO. */
MUST struct err cluster_bind(const struct config *config, struct cluster **out, struct why *why);
/* How the others are dialed; lent. */
const struct http_dialing *cluster_dialing(const struct cluster *cluster);
/* Makes the transport over an open storage; nothing is sent yet. on_removed is called once when the
 * others say that this member was removed; any thread, must only queue. */
void cluster_open(
    struct cluster *cluster, struct storage *storage, void (*on_removed)(void *arg), void *arg);
/* For the server's options. */
struct server_transport cluster_transport(struct cluster *cluster);
struct server_asking cluster_asking(struct cluster *cluster);
/* For the monitor. */
struct questions *cluster_questions(struct cluster *cluster);
/* For the services' options. */
struct api_peers cluster_peers(struct cluster *cluster);
/* With the server running: dials the others and lets them in. Errors: INTERNAL. */
MUST struct err cluster_start(
    struct cluster *cluster, struct server *server, struct api *api, struct why *why);
/* Lets nobody in any more and breaks what there is; the server was stopped. */
void cluster_stop(struct cluster *cluster);
/* After the server was freed. NULL is fine. */
void cluster_free(struct cluster *cluster);
/* Looks at the certificate files now. */
void cluster_reload(struct cluster *cluster);

#endif
