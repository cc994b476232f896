/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk for one thread, made fit for many: one operation at a time. Room that is set aside ahead
 * of writing is kept small: it is memory here.
 */
#ifndef TEST_SHARED_LOCKED_DISK_H
#define TEST_SHARED_LOCKED_DISK_H

#include "disk/disk.h"

/* Puts a lock around each operation of the disk. One kind of disk a process. */
void locked_disk_wrap(struct disk *disk);

#endif
