/* SPDX-License-Identifier: Apache-2.0
 *
 * What other members answer over the peers' port in JSON, read. Pure; any thread. False or NULL: it
 * is no such answer.
 */
#ifndef BOOT_HEARD_H
#define BOOT_HEARD_H

#include "base/slice.h"
#include "member/member.h"
#include "peer/peer.h"

/* GET /version: {"etcdserver":"3.6.14","etcdcluster":"3.6.0"}. Gives. */
char *heard_server_version(struct slice json);
bool heard_cluster_version(struct slice json, struct member_version *out);
/* GET /members/hashkv. A number that is not there is left as it was. */
bool heard_hash(struct slice json, struct peer_hash *out);

#endif
