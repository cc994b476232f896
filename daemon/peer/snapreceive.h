/* SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot that comes in: its message is read on the peer thread, its database is written to disk
 * on a thread of its own.
 */
#ifndef PEER_SNAPRECEIVE_H
#define PEER_SNAPRECEIVE_H

#include "http/http.h"

struct peer;

/* Takes the request, whose headers were checked. */
void snapreceive_serve(struct peer *peer, struct http_request *request);

#endif
