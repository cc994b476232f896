/* SPDX-License-Identifier: Apache-2.0
 *
 * The etcd release that this member stands in for. Clients switch features on by it; it is said
 * here and nowhere else.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define KETCD_ETCD_VERSION "3.6.14"
#define KETCD_CLUSTER_VERSION "3.6.0"
/* The project's own version. */
#define KETCD_VERSION "0.1.0"

#endif
