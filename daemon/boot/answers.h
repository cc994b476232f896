/* SPDX-License-Identifier: Apache-2.0
 *
 * What this member answers when others ask it over the peers' port. Called on the peer thread;
 * whatever costs or waits is done elsewhere and answered from there.
 */
#ifndef BOOT_ANSWERS_H
#define BOOT_ANSWERS_H

#include "api/api.h"
#include "boot/storage.h"
#include "peer/peer.h"

struct answers {
    struct storage *storage;
    struct server *server;
    struct api *api;
};

void answer_members(struct answers *answers, struct peer_call *call);
void answer_version(struct answers *answers, struct peer_call *call);
void answer_downgrade_enabled(struct answers *answers, struct peer_call *call);
void answer_promote(struct answers *answers, uint64_t id, struct peer_call *call);
void answer_hash(struct answers *answers, int64_t rev, struct peer_call *call);
void answer_lease_renew(struct answers *answers, int64_t id, struct peer_call *call);
void answer_lease_ttl(struct answers *answers, int64_t id, bool with_keys, struct peer_call *call);

#endif
