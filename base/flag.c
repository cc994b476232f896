/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flag.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/url.h"

#include <ctype.h>
#include <inttypes.h>

const struct flag *flag_at(const struct flag_table *table, size_t i)
{
    return (const struct flag *)(const void *)((const char *)table->rows + i * table->stride);
}

size_t flag_find(const struct flag_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(flag_at(table, i)->name, name) == 0) {
            return i;
        }
    }
    return table->count;
}

const char *flag_env_name(struct arena *arena, const char *prefix, const char *name)
{
    char *env = arena_printf(arena, "%s_%s", prefix, name);
    for (char *at = env + strlen(prefix); *at; at++) {
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
    }
    return env;
}

static void *field_of(const struct flag *flag, void *target)
{
    return (char *)target + flag->offset;
}

static struct err number_error(enum text_number result, struct why *why)
{
    return why_set(why, ERR(BAD_INPUT), "%s",
        result == TEXT_NUMBER_RANGE ? "value out of range" : "parse error");
}

static struct err set_int(const struct flag *flag, void *target, const char *value, struct why *why)
{
    int64_t number = 0;
    enum text_number result = text_parse_int(value, 64, &number);
    if (result != TEXT_NUMBER_OK) {
        return number_error(result, why);
    }
    if (flag->size == sizeof(uint32_t)) {
        number = number < 0 ? 0 : number > UINT32_MAX ? UINT32_MAX : number;
        *(uint32_t *)field_of(flag, target) = (uint32_t)number;
        return OK;
    }
    *(int64_t *)field_of(flag, target) = number;
    return OK;
}

static struct err set_uint(
    const struct flag *flag, void *target, const char *value, struct why *why)
{
    uint64_t number = 0;
    enum text_number result = text_parse_uint(value, 64, &number);
    if (result != TEXT_NUMBER_OK) {
        return number_error(result, why);
    }
    if (flag->size == sizeof(uint32_t)) {
        *(uint32_t *)field_of(flag, target) = (uint32_t)(number > UINT32_MAX ? UINT32_MAX : number);
        return OK;
    }
    *(uint64_t *)field_of(flag, target) = number;
    return OK;
}

static struct err set_uint32(
    const struct flag *flag, void *target, const char *value, struct why *why)
{
    uint64_t number = 0;
    enum text_number result = text_parse_uint(value, 32, &number);
    if (result != TEXT_NUMBER_OK) {
        return why_set(why, ERR(BAD_INPUT), "strconv.ParseUint: parsing \"%s\": %s", value,
            result == TEXT_NUMBER_RANGE ? "value out of range" : "invalid syntax");
    }
    *(uint32_t *)field_of(flag, target) = (uint32_t)number;
    return OK;
}

static struct err set_bool(
    const struct flag *flag, void *target, const char *value, struct why *why)
{
    if (!text_parse_bool(value, field_of(flag, target))) {
        return why_set(why, ERR(BAD_INPUT), "parse error");
    }
    return OK;
}

static struct err set_duration(
    const struct flag *flag, void *target, const char *value, struct why *why)
{
    if (err_is(text_parse_duration(value, field_of(flag, target), NULL))) {
        return why_set(why, ERR(BAD_INPUT), "parse error");
    }
    return OK;
}

static struct err set_float(
    const struct flag *flag, void *target, const char *value, struct why *why)
{
    enum text_number result = text_parse_float(value, field_of(flag, target));
    return result == TEXT_NUMBER_OK ? OK : number_error(result, why);
}

static struct err set_enum(
    const struct flag *flag, struct arena *arena, void *target, const char *value, struct why *why)
{
    struct text_list choices = text_split(arena, flag->choices, ',');
    if (!text_list_has(&choices, value)) {
        return why_set(why, ERR(BAD_INPUT), "invalid value");
    }
    *(const char **)field_of(flag, target) = arena_strdup(arena, value);
    return OK;
}

static struct err set_enums(
    const struct flag *flag, struct arena *arena, void *target, const char *value, struct why *why)
{
    struct text_list choices = text_split(arena, flag->choices, ',');
    struct text_list values = text_split(arena, value, ',');
    for (size_t i = 0; i < values.count; i++) {
        if (!text_list_has(&choices, values.items[i])) {
            return why_set(
                why, ERR(BAD_INPUT), "invalid value %s", text_quote(arena, values.items[i]));
        }
    }
    *(const char **)field_of(flag, target) = arena_strdup(arena, value);
    return OK;
}

static struct err set_list(
    const struct flag *flag, struct arena *arena, void *target, const char *value)
{
    struct text_list list = text_split(arena, value, ',');
    *(struct text_list *)field_of(flag, target) =
        flag->kind == FLAG_SET ? text_list_unique(arena, list) : list;
    return OK;
}

struct err flag_set(
    const struct flag *flag, struct arena *arena, void *target, const char *value, struct why *why)
{
    switch (flag->kind) {
    case FLAG_STRING:
        *(const char **)field_of(flag, target) = arena_strdup(arena, value);
        return OK;
    case FLAG_BOOL:
        return set_bool(flag, target, value, why);
    case FLAG_INT:
        return set_int(flag, target, value, why);
    case FLAG_UINT:
        return set_uint(flag, target, value, why);
    case FLAG_UINT32:
        return set_uint32(flag, target, value, why);
    case FLAG_DURATION:
        return set_duration(flag, target, value, why);
    case FLAG_FLOAT:
        return set_float(flag, target, value, why);
    case FLAG_STRINGS:
    case FLAG_SET:
        return set_list(flag, arena, target, value);
    case FLAG_URLS:
        return *value ? url_list_parse_unique(arena, value, field_of(flag, target), why) : OK;
    case FLAG_ENUM:
        return set_enum(flag, arena, target, value, why);
    case FLAG_ENUMS:
        return set_enums(flag, arena, target, value, why);
    case FLAG_CALL:
        return flag->set(arena, target, value, why);
    case FLAG_IGNORED:
    default:
        return OK;
    }
}

/* One argument taken apart: "--name=value". */
struct argument {
    const char *name;
    const char *value; /* NULL: none with it */
};

static struct err argument_split(
    struct arena *arena, const char *text, struct argument *out_argument, struct why *why)
{
    const char *name = text + (text[1] == '-' ? 2 : 1);
    if (*name == 0 || *name == '-' || *name == '=') {
        return why_set(why, ERR(BAD_INPUT), "bad flag syntax: %s", text);
    }
    const char *equal = strchrnul(name, '=');
    out_argument->name =
        (const char *)arena_dup(arena, slice_of(name, (size_t)(equal - name))).data;
    out_argument->value = *equal ? equal + 1 : NULL;
    return OK;
}

static struct err take(const struct flag_table *table, size_t row, struct flag_run *run,
    const struct argument *argument, struct why *why)
{
    const struct flag *flag = flag_at(table, row);
    struct why reason;
    struct err e = flag_set(flag, run->arena, run->target, argument->value, &reason);
    if (err_is(e)) {
        bool is_bool = flag->kind == FLAG_BOOL;
        return why_set(why, e, "invalid %svalue %s for %s-%s: %s", is_bool ? "boolean " : "",
            text_quote(run->arena, argument->value), is_bool ? "" : "flag ", flag->name,
            reason.text);
    }
    if (run->is_set) {
        run->is_set[row] = true;
    }
    return OK;
}

static bool is_flag(const char *text)
{
    return text[0] == '-' && text[1];
}

static bool stands_alone(const struct flag *flag)
{
    return flag->kind == FLAG_BOOL || flag->kind == FLAG_IGNORED;
}

struct err flag_parse(const struct flag_table *table, int argc, char *const *argv,
    struct flag_run *run, struct why *why)
{
    int i = 1;
    for (; i < argc && is_flag(argv[i]); i++) {
        struct argument argument = {0};
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        TRY(argument_split(run->arena, argv[i], &argument, why));
        size_t row = flag_find(table, argument.name);
        if (row == table->count) {
            run->is_help = strcmp(argument.name, "help") == 0 || strcmp(argument.name, "h") == 0;
            run->arg_index = i;
            return run->is_help ? OK
                                : why_set(why, ERR(BAD_INPUT), "flag provided but not defined: -%s",
                                      argument.name);
        }
        if (!argument.value && stands_alone(flag_at(table, row))) {
            argument.value = "true";
        } else if (!argument.value && i + 1 < argc) {
            argument.value = argv[++i];
        } else if (!argument.value) {
            return why_set(why, ERR(BAD_INPUT), "flag needs an argument: -%s", argument.name);
        }
        TRY(take(table, row, run, &argument, why));
    }
    run->arg_index = i;
    return OK;
}
