/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/version.h"

#include "base/version.h"

/* Of "3.6.14" or "3.6.0-rc.1": 3 * 2^16 + 6. -1: it is none. Missing: that of 2.0. */
static int32_t read_version(struct slice text)
{
    uint32_t numbers[3] = {0};
    size_t at = 0;
    if (text.len == 0) {
        return 2 << 16;
    }
    for (size_t i = 0; i < text.len && at < 3; i++) {
        uint8_t c = text.data[i];
        if (c >= '0' && c <= '9' && numbers[at] < 1000) {
            numbers[at] = numbers[at] * 10 + (c - '0');
        } else if (c == '.' && i > 0 && text.data[i - 1] != '.') {
            at++;
        } else if ((c == '-' || c == '+') && at == 2) {
            break;
        } else {
            return -1;
        }
    }
    return at < 2 ? -1 : (int32_t)(numbers[0] << 16 | numbers[1]);
}

bool version_is_compatible(struct slice server, struct slice min_cluster)
{
    int32_t remote = read_version(server);
    int32_t remote_min = read_version(min_cluster);
    return remote >= 0 && remote_min >= 0 && remote >= read_version(SLICE(VERSION_MIN_CLUSTER)) &&
           remote_min <= read_version(SLICE(KETCD_ETCD_VERSION));
}

bool version_has_streams(struct slice server)
{
    return read_version(server) >= (2 << 16 | 1);
}
