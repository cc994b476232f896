/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines in the manner of Go's flag package, as the etcd command takes them: -name and
 * --name are the same,
 * "--name value" and "--name=value" too, a boolean may stand without a value, "--" ends the flags.
 * Driven by a table; errors carry Go's texts. Pure.
 */
#ifndef BASE_FLAG_H
#define BASE_FLAG_H

#include "base/arena.h"
#include "base/err.h"

/* What a value looks like and what it is stored as, at an offset of the target. */
enum flag_kind {
    FLAG_STRING, /* const char * */
    FLAG_BOOL,   /* bool */
    FLAG_INT,    /* int64_t or uint32_t; Go's int and int64. What does not fit 32 bits is clamped */
    FLAG_UINT,   /* uint64_t or uint32_t; Go's uint and uint64. Clamped likewise */
    FLAG_UINT32, /* uint32_t; errors as etcd's own uint32 flag */
    FLAG_DURATION, /* int64_t, nanoseconds */
    FLAG_FLOAT,    /* double */
    FLAG_STRINGS,  /* struct text_list; split at commas */
    FLAG_SET,      /* struct text_list; split at commas, sorted, unique */
    FLAG_URLS,     /* struct url_list; "" keeps what was there, as etcd's flag does */
    FLAG_ENUM,     /* const char *; one of choices */
    FLAG_ENUMS,    /* const char *; a comma list of choices */
    FLAG_CALL,     /* set() does it */
    FLAG_IGNORED,  /* nothing; may stand without a value */
};

struct flag {
    const char *name;
    enum flag_kind kind;
    size_t offset;       /* into the target */
    size_t size;         /* of the field there */
    const char *choices; /* "new,existing" */
    struct err (*set)(struct arena *arena, void *target, const char *value, struct why *why);
};

/* offset and size of a field: FLAG_FIELD(struct options, name). */
#define FLAG_FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)

/* Rows of any struct that begins with a struct flag. */
struct flag_table {
    const void *rows;
    size_t count;
    size_t stride;
};

const struct flag *flag_at(const struct flag_table *table, size_t i);
/* The row's number; table->count when there is none. */
size_t flag_find(const struct flag_table *table, const char *name);

/* Stores a value, copied into the arena. Errors: BAD_INPUT; why has Go's reason alone ("parse
 * error"). */
struct err flag_set(
    const struct flag *flag, struct arena *arena, void *target, const char *value, struct why *why);

struct flag_run {
    struct arena *arena;
    void *target;
    bool *is_set;  /* one a row; may be NULL */
    bool is_help;  /* out: -h or -help was met, parsing ended there */
    int arg_index; /* out: the first argument that is no flag; argc when there is none */
};

/* Parses argv[1..]. Errors: BAD_INPUT ("flag provided but not defined: -x", "invalid value \"x\"
 * for flag -y: …", "flag needs an argument: -x", "bad flag syntax: --=x"). */
struct err flag_parse(const struct flag_table *table, int argc, char *const *argv,
    struct flag_run *run, struct why *why);

/* "ETCD" and "max-txn-ops" make "ETCD_MAX_TXN_OPS"; in the arena. */
const char *flag_env_name(struct arena *arena, const char *prefix, const char *name);

#endif
