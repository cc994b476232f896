/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    enum grpc_code grpc;
    const char *text;
} err_table[ERR_CODES] = {
    [ERR_OK] = {"OK", GRPC_CODE_OK, ""},
#define ERR_DEF(name, grpc, text) [ERR_##name] = {#name, GRPC_CODE_##grpc, text},
#include "base/err.def"
#undef ERR_DEF
};

const char *err_text(struct err e)
{
    check(e.code < ERR_CODES);
    return err_table[e.code].text;
}

const char *err_name(struct err e)
{
    check(e.code < ERR_CODES);
    return err_table[e.code].name;
}

enum grpc_code err_grpc(struct err e)
{
    check(e.code < ERR_CODES);
    return err_table[e.code].grpc;
}

struct err err_errno(int sys_errno)
{
    switch (sys_errno) {
    case 0:
        return OK;
    case ENOSPC:
    case EDQUOT:
        return ERR(NO_DISK);
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR(DENIED);
    case ENOENT:
    case ENOTDIR:
        return ERR(ABSENT);
    case EEXIST:
    case ENOTEMPTY:
        return ERR(EXISTS);
    case EAGAIN:
        return ERR(AGAIN);
    default:
        return ERR(IO);
    }
}

/* In parentheses, because cmake/lint.h has macros of these names. */
struct err(why_set)(struct why *why, struct err e, const char *format, ...)
{
    va_list args;
    if (!why) {
        return e;
    }
    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return e;
}

struct err(why_errno)(struct why *why, int sys_errno, const char *format, ...)
{
    va_list args;
    if (!why) {
        return err_errno(sys_errno);
    }
    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    size_t len = strlen(why->text);
    snprintf(why->text + len, sizeof(why->text) - len, ": %s", strerror(sys_errno));
    return err_errno(sys_errno);
}

void check_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "{\"level\":\"fatal\",\"caller\":\"%s:%d\",\"msg\":\"check failed: %s\"}\n",
        file, line, cond);
    abort();
}
