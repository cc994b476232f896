/* SPDX-License-Identifier: Apache-2.0
 * A name server's answer of any bytes: refused, or records that can stand in a URL. */
#include "base/mem.h"
#include "base/srv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1 << 20);
    struct srv_records records;
    if (!err_is(srv_parse(arena, slice_of(data, size), &records))) {
        for (size_t i = 0; i < records.count; i++) {
            check(strlen(records.items[i].host) > 0);
            check(strcspn(records.items[i].host, ",=/:@ \\") == strlen(records.items[i].host));
            check(i == 0 || records.items[i - 1].priority <= records.items[i].priority);
        }
    }
    arena_free(arena);
    return 0;
}
