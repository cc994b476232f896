/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log_file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <unistd.h>

enum { LOG_OUTPUTS_MAX = 8, LOG_LINE_MAX = 64 * 1024 };

static struct {
    enum log_level level;
    enum log_format format;
    int fds[LOG_OUTPUTS_MAX];
    int fd_count;
    struct log_file *rotated;
} logger = {LOG_LEVEL_INFO, LOG_FORMAT_JSON, {STDERR_FILENO}, 1, NULL};

static const char *const level_names[] = {"debug", "info", "warn", "error", "panic", "fatal"};

static struct err output_open(const char *name, int *out_fd, struct why *why)
{
    if (strcmp(name, "stdout") == 0) {
        *out_fd = STDOUT_FILENO;
        return OK;
    }
    if (strcmp(name, "stderr") == 0 || strcmp(name, "default") == 0 ||
        strcmp(name, "systemd/journal") == 0) {
        *out_fd =
            STDERR_FILENO; /* journald reads stderr, and prefers lines to its own protocol there */
        return OK;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return why_errno(why, errno, "open log output %s", name);
    }
    *out_fd = fd;
    return OK;
}

static bool is_path(const char *name)
{
    return strcmp(name, "stdout") != 0 && strcmp(name, "stderr") != 0 &&
           strcmp(name, "default") != 0 && strcmp(name, "systemd/journal") != 0;
}

struct err log_open(const struct log_options *options, struct why *why)
{
    int fds[LOG_OUTPUTS_MAX];
    int count = 0;
    struct log_file *rotated = NULL;
    for (size_t i = 0; options->outputs && options->outputs[i]; i++) {
        if (i == LOG_OUTPUTS_MAX) {
            return why_set(why, ERR(BAD_CONFIG), "more than %d log outputs", LOG_OUTPUTS_MAX);
        }
        if (options->rotation && !rotated && is_path(options->outputs[i])) {
            TRY(log_file_open(options->outputs[i], options->rotation, &rotated, why));
        } else {
            struct err err = output_open(options->outputs[i], &fds[count], why);
            if (err_is(err)) {
                log_file_close(rotated);
                return err;
            }
            count++;
        }
    }
    if (count == 0 && !rotated) {
        fds[count++] = STDERR_FILENO;
    }
    memcpy(logger.fds, fds, sizeof(fds[0]) * (size_t)count);
    logger.fd_count = count;
    logger.rotated = rotated;
    logger.level = options->level;
    logger.format = options->format;
    return OK;
}

void log_close(void)
{
    for (int i = 0; i < logger.fd_count; i++) {
        if (logger.fds[i] > STDERR_FILENO) {
            close(logger.fds[i]);
        }
    }
    log_file_close(logger.rotated);
    logger.rotated = NULL;
    logger.fds[0] = STDERR_FILENO;
    logger.fd_count = 1;
}

bool log_enabled(enum log_level level)
{
    return level >= __atomic_load_n(&logger.level, __ATOMIC_RELAXED);
}

void log_level_set(enum log_level level)
{
    __atomic_store_n(&logger.level, level, __ATOMIC_RELAXED);
}

static void add_quoted(struct buf *line, struct slice text)
{
    struct json json;
    json_init(&json, line, JSON_PLAIN);
    json_add_string(&json, text);
}

static void add_duration(struct buf *line, int64_t ns)
{
    char text[TEXT_DURATION_SIZE];
    add_quoted(line, slice_str(text_format_duration(ns, text)));
}

static void add_texts(struct buf *line, const char *const *texts)
{
    buf_add_byte(line, '[');
    for (size_t i = 0; texts && texts[i]; i++) {
        if (i) {
            buf_add_byte(line, ',');
        }
        add_quoted(line, slice_str(texts[i]));
    }
    buf_add_byte(line, ']');
}

static void add_value(struct buf *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_KIND_STR:
        add_quoted(line, slice_str(field->text));
        break;
    case LOG_KIND_BYTES:
        add_quoted(line, field->bytes);
        break;
    case LOG_KIND_INT:
        buf_printf(line, "%" PRId64, field->number);
        break;
    case LOG_KIND_UINT:
        buf_printf(line, "%" PRIu64, field->unsigned_number);
        break;
    case LOG_KIND_BOOL:
        buf_add_str(line, field->number ? "true" : "false");
        break;
    case LOG_KIND_STRS:
        add_texts(line, field->texts);
        break;
    case LOG_KIND_NS:
        add_duration(line, field->number);
        break;
    case LOG_KIND_HEX:
        buf_printf(line, "\"%" PRIx64 "\"", field->unsigned_number);
        break;
    case LOG_KIND_END:
    default:
        break;
    }
}

static void add_fields(struct buf *line, const struct log_field *fields, const char *first)
{
    const char *separator = first;
    for (; fields->kind != LOG_KIND_END; fields++) {
        buf_add_str(line, separator);
        add_quoted(line, slice_str(fields->name));
        buf_add_byte(line, ':');
        add_value(line, fields);
        separator = ",";
    }
}

/* Callers are named as zap does, by folder and file: "server/pump.c:42". */
static const char *short_file(const char *file)
{
    const char *slash = strrchr(file, '/');
    while (slash && slash > file && slash[-1] != '/') {
        slash--;
    }
    return slash ? slash : file;
}

static void add_json(struct buf *line, enum log_level level, const char *caller, const char *stamp,
    const char *message, const struct log_field *fields)
{
    buf_printf(line,
        "{\"level\":\"%s\",\"ts\":\"%s\",\"caller\":\"%s\",\"msg\":", level_names[level], stamp,
        caller);
    add_quoted(line, slice_str(message));
    add_fields(line, fields, ",");
    buf_add_str(line, "}\n");
}

static void add_console(struct buf *line, enum log_level level, const char *caller,
    const char *stamp, const char *message, const struct log_field *fields)
{
    buf_printf(line, "%s\t%s\t%s\t%s", stamp, level_names[level], caller, message);
    if (fields->kind != LOG_KIND_END) {
        buf_add_str(line, "\t{");
        add_fields(line, fields, "");
        buf_add_str(line, "}");
    }
    buf_add_str(line, "\n");
}

static void add_line(struct buf *line, enum log_level level, const char *caller,
    const char *message, const struct log_field *fields)
{
    char stamp[48];
    clock_format_log(clock_wall_ns(), stamp, sizeof(stamp));
    if (logger.format == LOG_FORMAT_JSON) {
        add_json(line, level, caller, stamp, message, fields);
    } else {
        add_console(line, level, caller, stamp, message, fields);
    }
}

void log_write(enum log_level level, const char *file, int line_number, const char *message,
    const struct log_field *fields)
{
    static const struct log_field cut[] = {{"truncated", LOG_KIND_BOOL, {.number = 1}}, {0}};
    struct buf line;
    char caller[256];
    buf_init(&line, LOG_LINE_MAX);
    snprintf(caller, sizeof(caller), "%s:%d", short_file(file), line_number);
    add_line(&line, level, caller, message, fields);
    if (line.is_full) {
        buf_reset(&line);
        add_line(&line, level, caller, message, cut);
    }
    for (int i = 0; i < logger.fd_count; i++) {
        /* A log that cannot be written must not stop the member. */
        if (write(logger.fds[i], line.data, line.len) < 0) {
            continue;
        }
    }
    if (logger.rotated) {
        log_file_write(logger.rotated, buf_slice(&line));
    }
    buf_fini(&line);
}
