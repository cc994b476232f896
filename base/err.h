/* SPDX-License-Identifier: Apache-2.0
 *
 * The one error type: a code, returned by value, that must be looked at. Every code stands once in
 * base/err.def with its gRPC status and the exact text that etcd's clients compare. A failure with
 * a story also fills a struct why.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST __attribute__((warn_unused_result))

enum err_code {
    ERR_OK = 0,
#define ERR_DEF(name, grpc, text) ERR_##name,
#include "base/err.def"
#undef ERR_DEF
    ERR_CODES
};

struct err {
    enum err_code code;
};

/* gRPC status numbers, as the wire has them. */
enum grpc_code {
    GRPC_CODE_OK = 0,
    GRPC_CODE_CANCELLED = 1,
    GRPC_CODE_UNKNOWN = 2,
    GRPC_CODE_INVALID_ARGUMENT = 3,
    GRPC_CODE_DEADLINE_EXCEEDED = 4,
    GRPC_CODE_NOT_FOUND = 5,
    GRPC_CODE_ALREADY_EXISTS = 6,
    GRPC_CODE_PERMISSION_DENIED = 7,
    GRPC_CODE_RESOURCE_EXHAUSTED = 8,
    GRPC_CODE_FAILED_PRECONDITION = 9,
    GRPC_CODE_ABORTED = 10,
    GRPC_CODE_OUT_OF_RANGE = 11,
    GRPC_CODE_UNIMPLEMENTED = 12,
    GRPC_CODE_INTERNAL = 13,
    GRPC_CODE_UNAVAILABLE = 14,
    GRPC_CODE_DATA_LOSS = 15,
    GRPC_CODE_UNAUTHENTICATED = 16,
};

#define OK ((struct err){ERR_OK})
#define ERR(name) ((struct err){ERR_##name})
#define IS(e, name) ((e).code == ERR_##name)

/* Leaves the function with the error, if it is one. For functions that own nothing at that point.
 */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        struct err try_err = (call);                                                               \
        if (try_err.code != ERR_OK) {                                                              \
            return try_err;                                                                        \
        }                                                                                          \
    } while (0)

static inline bool err_is(struct err e)
{
    return e.code != ERR_OK;
}

/* The client's text, e.g. "etcdserver: key is not provided". Static. */
const char *err_text(struct err e);
/* The code's name, e.g. "EMPTY_KEY". Static; for logs and tests. */
const char *err_name(struct err e);
enum grpc_code err_grpc(struct err e);
/* errno of the last system call as one of our codes (ENOSPC, EIO and so on keep their own). */
struct err err_errno(int sys_errno);

/* What went wrong, in one sentence with nouns: "open member/wal/0-0.wal: Permission denied". */
struct why {
    char text[512];
};

/* Fills it; why may be NULL. Returns e, so that a failure is one line: return why_set(why, ERR(IO),
 * "open %s", p); */
struct err why_set(struct why *why, struct err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": strerror(sys_errno)" at the end and the code made from it. */
struct err why_errno(struct why *why, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Broken invariants and programmer errors only; always on. Bad input, disks and peers get an error
 * instead. */
#define check(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            check_failed(#cond, __FILE__, __LINE__);                                               \
        }                                                                                          \
    } while (0)

_Noreturn void check_failed(const char *cond, const char *file, int line);

#endif
