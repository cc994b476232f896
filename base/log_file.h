/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of log: a log file that is put aside when it is full, as NAME-2006-01-02T15-04-05.000.EXT,
 * and begun anew; old ones are compressed and removed by a thread that lives as long as that takes.
 */
#ifndef BASE_LOG_FILE_H
#define BASE_LOG_FILE_H

#include "base/err.h"
#include "base/log.h"

struct log_file;

/* Appends to what is there. Errors: as open. */
MUST struct err log_file_open(
    const char *path, const struct log_rotation *rotation, struct log_file **out, struct why *why);
/* Any thread. What is longer than a whole file is dropped; what cannot be written too. */
void log_file_write(struct log_file *file, struct slice line);
/* Waits for the thread. NULL is fine. */
void log_file_close(struct log_file *file);

#endif
