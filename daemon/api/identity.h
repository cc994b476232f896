/* SPDX-License-Identifier: Apache-2.0
 *
 * Who calls, and whether that is enough. Any thread.
 */
#ifndef API_IDENTITY_H
#define API_IDENTITY_H

#include "api/state.h"

/* False when the token stems from an entry that is not applied here yet: wait for *out_index. */
bool api_knows_token(struct api *api, const struct api_caller *caller, uint64_t *out_index);
/* Nobody ({NULL, 0}) is no error here. The name is lent by the arena or the caller. Errors:
 * INVALID_AUTH_TOKEN. */
MUST struct err api_identify(
    struct api *api, const struct api_caller *caller, struct arena *arena, struct auth_caller *out);
/* Errors: INVALID_AUTH_TOKEN, USER_EMPTY, USER_NOT_FOUND, PERMISSION_DENIED. */
MUST struct err api_admit(
    struct api *api, const struct api_caller *caller, struct arena *arena, enum api_right right);
/* For the checks of apply. Errors: INVALID_AUTH_TOKEN. */
MUST struct err api_guard(
    struct api *api, const struct api_caller *caller, struct arena *arena, struct apply_guard *out);
/* After the answer was made: whether users and roles are still the ones it was checked against.
 * Errors: AUTH_OLD_REVISION. */
MUST struct err api_still(struct api *api, const struct apply_guard *guard);
/* Proposes in nobody's name. */
void api_propose_anonymous(
    struct api *api, struct call_state *state, uint32_t field, struct slice request);

#endif
