/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/inner.h"

#include <pthread.h>

struct err note_write(struct disk *disk, const char *path, struct slice bytes, struct why *why)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* both write beside path first */
    pthread_mutex_lock(&turn);
    struct err err = disk_write_file(disk, path, bytes, 0600, why);
    pthread_mutex_unlock(&turn);
    return err;
}
