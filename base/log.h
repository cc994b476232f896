/* SPDX-License-Identifier: Apache-2.0
 *
 * One JSON line an event with etcd's (zap's) field layout: level, ts, caller, msg, then fields.
 * Thread-safe; a line is written with one write(). Pure rooms do not log.
 *
 *   LOG_INFO("opened store", LOG_STR("path", path), LOG_INT("keys", n), LOG_MS("took", ms));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_PANIC,
    LOG_LEVEL_FATAL
};
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_CONSOLE };

enum log_kind {
    LOG_KIND_END,
    LOG_KIND_STR,
    LOG_KIND_BYTES,
    LOG_KIND_INT,
    LOG_KIND_UINT,
    LOG_KIND_BOOL,
    LOG_KIND_STRS,
    LOG_KIND_NS,
    LOG_KIND_HEX
};

struct log_field {
    const char *name;
    enum log_kind kind;
    union {
        const char *text;
        struct slice bytes;
        int64_t number;
        uint64_t unsigned_number;
        const char *const *texts; /* NULL-terminated */
    };
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STR, .text = (v)})
#define LOG_STRS(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STRS, .texts = (v)})
#define LOG_BYTES(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_BYTES, .bytes = (v)})
#define LOG_INT(n, v)                                                                              \
    ((struct log_field){.name = (n), .kind = LOG_KIND_INT, .number = (int64_t)(v)})
#define LOG_UINT(n, v)                                                                             \
    ((struct log_field){.name = (n), .kind = LOG_KIND_UINT, .unsigned_number = (v)})
#define LOG_BOOL(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_BOOL, .number = (v)})
/* A duration, printed as Go prints one: "1.5s", "250ms". */
#define LOG_NS(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_NS, .number = (int64_t)(v)})
#define LOG_MS(n, v) LOG_NS(n, (int64_t)(v)*1000000)
/* An id in lower-case hex without leading zeros, as etcd prints member ids. */
#define LOG_HEX(n, v)                                                                              \
    ((struct log_field){.name = (n), .kind = LOG_KIND_HEX, .unsigned_number = (v)})
#define LOG_ERR(why_text) LOG_STR("error", (why_text))

#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            log_write(                                                                             \
                level, __FILE__, __LINE__, message, (const struct log_field[]){__VA_ARGS__, {0}}); \
        }                                                                                          \
    } while (0)
#define LOG_DEBUG(...) LOG_AT_(LOG_LEVEL_DEBUG, __VA_ARGS__, {0})
#define LOG_INFO(...) LOG_AT_(LOG_LEVEL_INFO, __VA_ARGS__, {0})
#define LOG_WARN(...) LOG_AT_(LOG_LEVEL_WARN, __VA_ARGS__, {0})
#define LOG_ERROR(...) LOG_AT_(LOG_LEVEL_ERROR, __VA_ARGS__, {0})
/* Logs at fatal level and exits 1, as zap does. */
#define LOG_FATAL(...)                                                                             \
    do {                                                                                           \
        LOG_AT_(LOG_LEVEL_FATAL, __VA_ARGS__, {0});                                                \
        exit(1);                                                                                   \
    } while (0)
#define LOG_AT_(level, message, ...) LOG_AT(level, message, __VA_ARGS__)

/* A file that is full is put aside; what was put aside is compressed, and removed by number and
 * age. */
struct log_rotation {
    uint64_t bytes_max;
    int64_t days_max;   /* 0: however old */
    size_t backups_max; /* 0: however many */
    bool is_local_time; /* in names, else UTC */
    bool compress;
};

struct log_options {
    enum log_level level;
    enum log_format format;
    const char *const
        *outputs; /* NULL-terminated: "stdout", "stderr", "default", "systemd/journal", or paths */
    const struct log_rotation *rotation; /* of the one path among them; NULL: none */
};

/* Call once, before the threads start. Without it: info, JSON, stderr. Errors: IO (an output cannot
 * be opened). */
struct err;
struct why;
struct err log_open(const struct log_options *options, struct why *why);
void log_close(void);
bool log_enabled(enum log_level level);
void log_level_set(enum log_level level);
void log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

#endif
