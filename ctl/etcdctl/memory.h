/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory a member says it uses.
 */
#ifndef ETCDCTL_MEMORY_H
#define ETCDCTL_MEMORY_H

#include "etcdctl.h"

/* process_resident_memory_bytes of the endpoint's /metrics; 0: stdout was told why not. */
double memory_resident(const struct client_config *config, const char *endpoint);

#endif
