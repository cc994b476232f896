/* SPDX-License-Identifier: Apache-2.0
 * Written space for the log. */
#ifndef SERVER_SPARE_H
#define SERVER_SPARE_H

#include "server/state.h"

/* Fills the log's next segment beside everything else. Takes spare. */
void spare_fill(struct server *server, struct wal_spare *spare);
void *spare_main(void *arg);

#endif
