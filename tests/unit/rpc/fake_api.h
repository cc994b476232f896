/* SPDX-License-Identifier: Apache-2.0
 *
 * The api's door with nothing behind it, for tests and benchmarks of the edges. What a call does is
 * said by its request:
 *
 *   KV/Put              answered at once with nothing
 *   KV/Range key "..."  "now": answered before start returns; "later": by another thread; "fail":
 * OutOfRange with etcd's text; "who": the value tells the caller; "big": 4 MiB in parts; "hold":
 * until fake_api_release; "long": api_call_finish takes until fake_api_release; "sleepy": it takes
 * FAKE_NAP_MS, though it claims to be quick; anything else as "now" Watch/Watch         every
 * message is answered by one with as many bytes, by another thread ("end" ends the stream, with
 * Cancelled) Maintenance/Snapshot  FAKE_CHUNKS messages of FAKE_CHUNK_BYTES
 */
#ifndef TESTS_FAKE_API_H
#define TESTS_FAKE_API_H

#include "api/api.h"

enum {
    FAKE_CHUNKS = 20,
    FAKE_CHUNK_BYTES = 32 << 10,
    FAKE_NAP_MS = 30,
    FAKE_NAP_DOUBLINGS_MAX = 5
};

struct api *fake_api_new(void);
/* Ends the thread; every call must have ended. */
void fake_api_free(struct api *api);
/* Lets go of held calls, and holds no more. */
void fake_api_release(struct api *api);
/* What is alive, and what was seen. */
size_t fake_api_held(struct api *api);
size_t fake_api_streams(struct api *api);
size_t fake_api_part_releases(void);
/* Calls of "long" and "sleepy" that are being finished, and the most there were at once. */
size_t fake_api_finishing(struct api *api);
size_t fake_api_finishing_max(struct api *api);
/* From now on twice as long, four times, ... */
void fake_api_nap_longer(struct api *api, unsigned doublings);

#endif
