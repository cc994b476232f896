/* SPDX-License-Identifier: Apache-2.0
 *
 * Between what tests/history records and what etcd's services are sent and answer.
 */
#ifndef SIM_WORDS_H
#define SIM_WORDS_H

#include "base/arena.h"
#include "base/pb.h"
#include "history/history.h"

/* The method and its request, in the arena. Lease keepalives are streams: see their caller. */
const char *words_request(const struct history_op *op, struct arena *arena, void **out_request);
/* What the response of that method says, in the arena. */
void words_result(const struct history_op *op, const void *response, struct arena *arena,
    struct history_result *out);
/* A message as it begins. */
void *words_make(struct arena *arena, const ProtobufCMessageDescriptor *type);
/* The same of the calls about users and roles. A user's password is the name; root has none. */
const char *words_auth_request(
    const struct history_op *op, struct arena *arena, void **out_request);
void words_auth_result(const struct history_op *op, const void *response, struct arena *arena,
    struct history_result *out);
void words_kv(const void *kv, struct history_kv *out);

#endif
