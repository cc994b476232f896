/* SPDX-License-Identifier: Apache-2.0
 *
 * Which call stands behind which path of the JSON gateway. Pure.
 */
#ifndef GATEWAY_PATHS_H
#define GATEWAY_PATHS_H

#include "base/slice.h"

/* path: "/v3/kv/range". The gRPC path, or NULL. */
const char *paths_find(struct slice path);

#endif
