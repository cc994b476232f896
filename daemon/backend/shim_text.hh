/* SPDX-License-Identifier: Apache-2.0
 * What went wrong in RocksDB, as its C interface gives it: to be freed by rocksdb_free. */
#ifndef BACKEND_SHIM_TEXT_HH
#define BACKEND_SHIM_TEXT_HH

#include <cstdio>
#include <cstring>
#include <exception>
#include <rocksdb/status.h>

static inline char *text_of(const rocksdb::Status &status)
{
    return status.ok() ? nullptr : strdup(status.ToString().c_str());
}

/* Memory for what is true is never refused (base/mem aborts): so it was a lie. */
static inline char *text_of(const std::exception &thrown)
{
    char text[128];
    snprintf(text, sizeof(text), "Corruption: a length that cannot be true (%s)", thrown.what());
    return strdup(text);
}

#endif
