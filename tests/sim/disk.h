/* SPDX-License-Identifier: Apache-2.0
 *
 * The faulty disk of a machine (disk/faulty.h) as its threads meet it: operations take time, writes
 * may be seen half done, and some fail when that is asked for.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "disk/disk.h"

struct sim_disk {
    struct disk base;
    struct disk *inner;
    int64_t sync_ns;  /* about what a sync takes */
    int64_t slow_ns;  /* more that each takes */
    int64_t stall_ns; /* some take up to that */
    uint64_t fail_in; /* the n-th operation that changes something fails; 0: none */
    bool is_failing;  /* and all after it */
    bool is_lasting;
    uint64_t log_syncs; /* of files under a folder "wal", since the beginning */
};

void sim_disk_init(struct sim_disk *disk, uint64_t seed);

#endif
