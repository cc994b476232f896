/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/backend.h kept in memory, for who links it in RocksDB's stead: quick to open, the same
 * each time, and as forgetful as a machine that loses power. A store is known by its path for as
 * long as the process lives; what was not flushed is gone when it is closed. Any thread.
 */
#ifndef TEST_SHARED_MEMORY_BACKEND_H
#define TEST_SHARED_MEMORY_BACKEND_H

#include <stdbool.h>

/* From now on a write is followed by a flush when is_due says so, as a store does that is full. */
void memory_backend_flush_when(bool (*is_due)(void));
/* The process that had the store open is gone, without a word: what was not flushed is lost. Fine
 * when there is no such store, or nobody has it open. */
void memory_backend_crash(const char *path);
/* Forgets every store; none may be open. */
void memory_backend_forget(void);

#endif
