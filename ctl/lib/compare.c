/* SPDX-License-Identifier: Apache-2.0
 *
 * A condition is read with the manners of Go's Sscanf("%q) %s %q"): white space where the format
 * has it, and what follows the value is not looked at. */
#include "base/mem.h"
#include "base/pb.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/lines.h"

enum { PARTS = 3 };

struct target {
    const char *name;
    Etcdserverpb__Compare__CompareTarget target;
    Etcdserverpb__Compare__TargetUnionCase member;
};

struct condition {
    const char *line;
    const struct target *target;
    struct buf key;
    struct buf op;
    struct buf value;
    int parts; /* read so far */
};

static bool is_space(char c)
{
    return c != '\0' && strchr(" \t\r\f\v", c) != NULL;
}

static bool scan_quoted(const char **at, struct buf *out)
{
    size_t used;

    while (is_space(**at)) {
        (*at)++;
    }
    if (err_is(gotext_unquote(slice_str(*at), out, &used))) {
        buf_reset(out);
        return false;
    }
    *at += used;
    return true;
}

static bool scan_space(const char **at)
{
    bool is_there = is_space(**at);

    while (is_space(**at)) {
        (*at)++;
    }
    return is_there;
}

static void scan(const char *at, struct condition *c)
{
    if (!scan_quoted(&at, &c->key)) {
        return;
    }
    c->parts = 1;
    if (*at++ != ')' || !scan_space(&at)) {
        return;
    }
    size_t len = strcspn(at, " \t\r\f\v");
    if (len == 0) {
        return;
    }
    buf_add(&c->op, at, len);
    c->parts = 2;
    at += len;
    if (scan_space(&at) && scan_quoted(&at, &c->value)) {
        c->parts = PARTS;
    }
}

static bool result_of(const char *op, Etcdserverpb__Compare__CompareResult *out)
{
    static const struct {
        const char *op;
        Etcdserverpb__Compare__CompareResult result;
    } table[] = {
        {"=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL},
        {"!=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL},
        {">", ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER},
        {"<", ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(op, table[i].op) == 0) {
            *out = table[i].result;
            return true;
        }
    }
    return false;
}

static const struct target targets[] = {
    {"ver", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
        ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION},
    {"version", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
        ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION},
    {"c", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
        ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION},
    {"create", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
        ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION},
    {"m", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
        ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION},
    {"mod", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
        ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION},
    {"val", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
        ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE},
    {"value", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
        ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE},
    {"lease", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
        ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE},
};

static const struct target *target_of(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        if (strlen(targets[i].name) == len && memcmp(targets[i].name, name, len) == 0) {
            return &targets[i];
        }
    }
    return NULL;
}

static struct err malformed(
    const char *line, size_t target_len, struct condition *c, struct why *why)
{
    struct buf text;

    buf_init(&text, sizeof(why->text));
    buf_printf(&text, "malformed comparison: %s; got %.*s(", line, (int)target_len, line);
    gotext_quote(&text, buf_slice(&c->key));
    buf_printf(&text, ") %s ", buf_text(&c->op));
    gotext_quote(&text, buf_slice(&c->value));
    struct err err = why_set(why, ERR(BAD_INPUT), "%s", buf_text(&text));
    buf_fini(&text);
    return err;
}

/* The parts as a message. Which member of the union is set, all the numbers share one place. */
static struct err build(
    struct arena *arena, struct condition *c, Etcdserverpb__Compare *compare, struct why *why)
{
    struct why ignored;

    if (!result_of(buf_text(&c->op), &compare->result)) {
        return why_set(why, ERR(BAD_INPUT), "malformed comparison: %s (unknown operator %s)",
            c->line, buf_text(&c->op));
    }
    compare->key = pb_bytes(arena_dup(arena, buf_slice(&c->key)));
    compare->target = c->target->target;
    compare->target_union_case = c->target->member;
    if (c->target->member == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE) {
        compare->value = pb_bytes(arena_dup(arena, buf_slice(&c->value)));
    } else if (memchr(buf_text(&c->value), '\0', c->value.len) ||
               err_is(gotext_parse_int(buf_text(&c->value), 10, &compare->version, &ignored))) {
        return why_set(why, ERR(BAD_INPUT), "invalid txn compare request: %s", c->line);
    }
    return OK;
}

struct err lines_compare(
    struct arena *arena, const char *line, Etcdserverpb__Compare **out_compare, struct why *why)
{
    const char *paren = strchr(line, '(');
    struct condition c = {.parts = 0};
    struct err err;

    if (!paren) {
        return why_set(why, ERR(BAD_INPUT), "malformed comparison: %s", line);
    }
    size_t target_len = (size_t)(paren - line);
    c.line = line;
    c.target = target_of(line, target_len);
    Etcdserverpb__Compare *compare = arena_alloc(arena, sizeof(*compare));
    buf_init(&c.key, SIZE_MAX);
    buf_init(&c.op, SIZE_MAX);
    buf_init(&c.value, SIZE_MAX);
    etcdserverpb__compare__init(compare);
    scan(paren + 1, &c);
    if (c.parts < PARTS) {
        err = malformed(line, target_len, &c, why);
    } else if (!c.target) {
        err = why_set(why, ERR(BAD_INPUT), "malformed comparison: %s (unknown target %.*s)", line,
            (int)target_len, line);
    } else {
        err = build(arena, &c, compare, why);
    }
    if (!err_is(err)) {
        *out_compare = compare;
    }
    buf_fini(&c.key);
    buf_fini(&c.op);
    buf_fini(&c.value);
    return err;
}
