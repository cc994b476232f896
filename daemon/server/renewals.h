/* SPDX-License-Identifier: Apache-2.0
 *
 * Renewals, and the checkpoints that they wait for.
 */
#ifndef SERVER_RENEWALS_H
#define SERVER_RENEWALS_H

#include "server/parts.h"

/* renewals.c: the checkpoint for these is applied, or was lost. */
void renewals_told(struct server *server, struct list *renewals, struct err err);

/* leader.c. Any thread. Renewals are told of its end, and the list is empty then; NULL: nobody
 * waits. */
void leader_checkpoint(struct server *server, const struct lease_remains *remains, size_t count,
    struct list *renewals);

#endif
