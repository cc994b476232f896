/* SPDX-License-Identifier: Apache-2.0
 * The bodies of what members ask each other and are told, apart from how they travel; their forms
 * are at the head of questions.c. What comes out borrows from the body. Errors: BAD_FORMAT. */
#ifndef PEER_TOLD_H
#define PEER_TOLD_H

#include "base/arena.h"
#include "peer/peer.h"

enum { TOLD_SMALL_MAX = 64 << 10, TOLD_URLS_MAX = 64 };

/* False: no such question. */
bool asked_hash(struct slice body, int64_t *out_revision);
MUST struct err asked_lease(struct slice body, int64_t *out_id, bool *out_keys);
MUST struct err asked_lease_internal(struct slice body, int64_t *out_id, bool *out_keys);

MUST struct err told_renewed(struct slice body, int64_t *out_id, int64_t *out_ttl);
/* Fills *lease, whose keys are the caller's to free, also after an error. */
MUST struct err told_lease(struct slice body, struct peer_lease *lease);
MUST struct err told_hash(struct slice body, struct peer_hash *out);

/* The header X-PeerURLs: its first TOLD_URLS_MAX texts, in the arena; they may be no URLs. */
size_t told_urls(struct slice header, struct arena *arena, const char *out[TOLD_URLS_MAX]);

#endif
