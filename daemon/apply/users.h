/* SPDX-License-Identifier: Apache-2.0
 *
 * The Auth service's requests, applied.
 */
#ifndef APPLY_USERS_H
#define APPLY_USERS_H

#include "apply/state.h"

bool apply_is_auth_request(const Etcdserverpb__InternalRaftRequest *request);
/* Errors: etcd's, see auth/auth.h. */
MUST struct err apply_auth_request(struct applying *applying);

#endif
