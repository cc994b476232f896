/* SPDX-License-Identifier: Apache-2.0
 *
 * Option values as pflag keeps, reads and prints them. */
#include "ctl/lib/cmd.h"

#include "base/mem.h"
#include "ctl/lib/gotext.h"

#include <inttypes.h>

static const char *quoted(struct arena *arena, const char *text)
{
    struct buf buf;

    buf_init(&buf, SIZE_MAX);
    gotext_quote(&buf, slice_str(text));
    const char *copy = arena_strdup(arena, buf_text(&buf));
    buf_fini(&buf);
    return copy;
}

static struct err set_number(
    struct cmd_value *value, const char *text, struct arena *arena, struct why *why)
{
    bool is_uint = value->option->type == CMD_UINT;
    int64_t number = 0;
    uint64_t natural = 0;
    enum text_number outcome =
        is_uint ? text_parse_uint(text, 64, &natural) : text_parse_int(text, 64, &number);

    value->number = is_uint ? (int64_t)natural : number;
    if (outcome == TEXT_NUMBER_OK) {
        return OK;
    }
    value->number = 0;
    return why_set(why, ERR(BAD_INPUT), "strconv.%s: parsing %s: %s",
        is_uint ? "ParseUint" : "ParseInt", quoted(arena, text),
        outcome == TEXT_NUMBER_SYNTAX ? "invalid syntax" : "value out of range");
}

static struct err set_bool(
    struct cmd_value *value, const char *text, struct arena *arena, struct why *why)
{
    bool flag = false;
    bool is_good = text_parse_bool(text, &flag);

    value->number = is_good && flag;
    if (is_good) {
        return OK;
    }
    return why_set(
        why, ERR(BAD_INPUT), "strconv.ParseBool: parsing %s: invalid syntax", quoted(arena, text));
}

/* The first time replaces the fallback, later ones add. A field may stand in double quotes, as in
 * CSV. */
static struct err set_list(
    struct cmd_value *value, const char *text, struct arena *arena, struct why *why)
{
    size_t most = value->items_count + strlen(text) + 1;
    const char **items = arena_zalloc(arena, most * sizeof(*items));
    size_t count = value->is_changed ? value->items_count : 0;

    if (count > 0) {
        memcpy(items, value->items, count * sizeof(*items));
    }
    for (const char *at = text; *text;) {
        char *field = arena_strdup(arena, at);
        size_t len = 0;
        bool is_quoted = *at == '"';
        at += is_quoted;
        while (*at && (is_quoted ? *at != '"' || at[1] == '"' : *at != ',')) {
            at += is_quoted && *at == '"';
            field[len++] = *at++;
        }
        if (is_quoted && (*at != '"' || (at[1] && at[1] != ','))) {
            return why_set(why, ERR(BAD_INPUT),
                "parse error on line 1, column %zu: extraneous or missing \" in quoted-field",
                (size_t)(at - text) + 1);
        }
        at += is_quoted;
        field[len] = '\0';
        items[count++] = field;
        if (*at++ == '\0') {
            break;
        }
    }
    value->items = items;
    value->items_count = count;
    return OK;
}

struct err cmd_value_set(
    struct cmd_value *value, const char *text, struct arena *arena, struct why *why)
{
    switch (value->option->type) {
    case CMD_BOOL:
        return set_bool(value, text, arena, why);
    case CMD_STRING:
        value->text = arena_strdup(arena, text);
        return OK;
    case CMD_DURATION:
        value->number = 0;
        return text_parse_duration(text, &value->number, why);
    case CMD_LIST:
        return set_list(value, text, arena, why);
    case CMD_INT64:
    case CMD_INT:
    case CMD_UINT:
        return set_number(value, text, arena, why);
    }
    return OK;
}

static const char *list_text(const struct cmd_value *value, struct arena *arena)
{
    char *text = arena_strdup(arena, "[");

    for (size_t i = 0; i < value->items_count; i++) {
        text = arena_printf(arena, "%s%s%s", text, i ? "," : "", value->items[i]);
    }
    return arena_printf(arena, "%s]", text);
}

const char *cmd_value_text(const struct cmd_value *value, struct arena *arena)
{
    char duration[TEXT_DURATION_SIZE];

    switch (value->option->type) {
    case CMD_BOOL:
        return value->number ? "true" : "false";
    case CMD_STRING:
        return value->text;
    case CMD_DURATION:
        return arena_strdup(arena, text_format_duration(value->number, duration));
    case CMD_LIST:
        return list_text(value, arena);
    case CMD_UINT:
        return arena_printf(arena, "%" PRIu64, (uint64_t)value->number);
    case CMD_INT64:
    case CMD_INT:
        break;
    }
    return arena_printf(arena, "%" PRId64, value->number);
}

struct cmd_value *cmd_value(const struct cmd_run *run, const char *name)
{
    for (size_t i = 0; i < run->values_count; i++) {
        if (strcmp(run->values[i].option->name, name) == 0) {
            return &run->values[i];
        }
    }
    const bool is_option_of_the_command = false;
    check(is_option_of_the_command);
    return NULL;
}

bool cmd_bool(const struct cmd_run *run, const char *name)
{
    return cmd_value(run, name)->number != 0;
}

const char *cmd_text(const struct cmd_run *run, const char *name)
{
    return cmd_value(run, name)->text;
}

int64_t cmd_int(const struct cmd_run *run, const char *name)
{
    return cmd_value(run, name)->number;
}
