/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SLURP_H
#define HTTP_SLURP_H

#include <stddef.h>

struct bufferevent;

/* From inside a read callback: takes more of what lies in a plain socket, until there are max bytes
 * of input. libevent gives no more than 4 KiB a turn, however much there is. */
void slurp(struct bufferevent *bev, size_t max);

#endif
