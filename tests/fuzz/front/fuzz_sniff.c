/* SPDX-License-Identifier: Apache-2.0
 *
 * The sniffer never changes its mind: what it says of a beginning, it says of all that goes on from
 * there. */
#include "base/err.h"
#include "front/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void steady(enum sniff (*sniff)(struct slice bytes), const uint8_t *data, size_t size)
{
    enum sniff whole = sniff(slice_of(data, size));
    for (size_t len = 0; len < size; len += 1 + len / 8) {
        enum sniff part = sniff(slice_of(data, len));
        check(part == SNIFF_MORE || part == whole);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2 * SNIFF_BYTES_MAX) {
        return 0;
    }
    steady(sniff_plain, data, size);
    steady(sniff_tls, data, size);
    return 0;
}
