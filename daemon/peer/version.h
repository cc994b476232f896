/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose word is understood: what the headers of members' requests must say. Pure.
 */
#ifndef PEER_VERSION_H
#define PEER_VERSION_H

#include "base/slice.h"

/* The oldest cluster that this release joins. */
#define VERSION_MIN_CLUSTER "3.0.0"

/* Whether a member of release server, which joins clusters from min_cluster on, and this one
 * understand each other. Missing: "2.0.0", as etcd takes it. Major and minor count. */
bool version_is_compatible(struct slice server, struct slice min_cluster);
/* Whether a member of that release has the streams. */
bool version_has_streams(struct slice server);

#endif
