/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>

struct lines {
    char **items;
    size_t count;
    size_t cap;
};

static void lines_add(struct lines *lines, const char *text)
{
    if (lines->count == lines->cap) {
        lines->cap = lines->cap ? lines->cap * 2 : 64;
        lines->items = mem_grow(lines->items, lines->cap * sizeof(char *));
    }
    lines->items[lines->count++] = mem_strdup(text);
}

static void lines_fini(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->items[i]);
    }
    free(lines->items);
    *lines = (struct lines){0};
}

static bool is_log_text(const char *line)
{
    static const char *const levels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};
    line += strspn(line, " ");
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        if (strncmp(line, levels[i], strlen(levels[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Keeps what counts. */
static void lines_add_output(struct lines *lines, const char *text)
{
    if (*text && !is_log_text(text)) {
        lines_add(lines, text);
    }
}

static void settle(struct lines *lines)
{
    if (lines->count == 0) {
        lines_add(lines, "ok");
    }
}

void script_die(const struct script_case *c, const char *text)
{
    fprintf(stderr, "line %d: %s: %s\n", c->line, c->command, text);
    exit(2);
}

const struct script_arg *script_arg(const struct script_case *c, const char *key)
{
    for (size_t i = 0; i < c->args_count; i++) {
        if (strcmp(c->args[i].key, key) == 0) {
            return &c->args[i];
        }
    }
    return NULL;
}

static uint64_t parse_number(const struct script_case *c, const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (end == text || *end) {
        script_die(c, "a number is due");
    }
    return number;
}

uint64_t script_number(const struct script_case *c, size_t i)
{
    if (i >= c->args_count) {
        script_die(c, "an argument is missing");
    }
    return parse_number(c, c->args[i].key);
}

uint64_t script_value(const struct script_case *c, const char *key)
{
    const struct script_arg *arg = script_arg(c, key);
    if (!arg || arg->values_count == 0) {
        script_die(c, key);
    }
    return parse_number(c, arg->values[0]);
}

bool script_flag(const struct script_case *c, const char *key)
{
    const struct script_arg *arg = script_arg(c, key);
    return arg && arg->values_count && strcmp(arg->values[0], "true") == 0;
}

static const char *take_word(const struct script_case *c, const char *at, char *out)
{
    size_t len = strcspn(at, " =,()");
    if (len >= SCRIPT_WORD_MAX) {
        script_die(c, "a word is too long");
    }
    memcpy(out, at, len);
    out[len] = '\0';
    return at + len;
}

static const char *take_values(const struct script_case *c, const char *at, struct script_arg *arg)
{
    bool is_list = *at == '(';
    at += is_list;
    do {
        at += strspn(at, ", ");
        if (arg->values_count == SCRIPT_VALUES_MAX) {
            script_die(c, "too many values");
        }
        at = take_word(c, at, arg->values[arg->values_count++]);
    } while (is_list && *at && *at != ')');
    return at + (is_list && *at == ')');
}

static void parse_command(struct script_case *c, const char *line)
{
    const char *at = take_word(c, line, c->command);
    for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
        if (c->args_count == SCRIPT_ARGS_MAX) {
            script_die(c, "too many arguments");
        }
        struct script_arg *arg = &c->args[c->args_count++];
        const char *before = at;
        at = take_word(c, at, arg->key);
        if (*at == '=') {
            at = take_values(c, at + 1, arg);
        }
        if (at == before) {
            script_die(c, "a word is due");
        }
    }
}

static bool is_same(const struct lines *a, const struct lines *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

static void print_range(const struct lines *lines, size_t from, size_t to, char mark)
{
    for (size_t i = from; i < to; i++) {
        printf("%c %s\n", mark, lines->items[i]);
    }
}

/* The same at both ends, and in between what was expected and what came. */
static void print_difference(const struct lines *expected, const struct lines *got)
{
    size_t head = 0;
    size_t tail = 0;
    size_t min = expected->count < got->count ? expected->count : got->count;
    while (head < min && strcmp(expected->items[head], got->items[head]) == 0) {
        head++;
    }
    while (tail < min - head && strcmp(expected->items[expected->count - 1 - tail],
                                    got->items[got->count - 1 - tail]) == 0) {
        tail++;
    }
    print_range(expected, 0, head, ' ');
    print_range(expected, head, expected->count - tail, '-');
    print_range(got, head, got->count - tail, '+');
    print_range(expected, expected->count - tail, expected->count, ' ');
}

struct reader {
    FILE *file;
    char *line;
    size_t cap;
    int number;
};

static bool read_line(struct reader *reader)
{
    ssize_t len = getline(&reader->line, &reader->cap, reader->file);
    if (len < 0) {
        return false;
    }
    reader->number++;
    while (len > 0 && (reader->line[len - 1] == '\n' || reader->line[len - 1] == ' ')) {
        reader->line[--len] = '\0';
    }
    return true;
}

/* False at the end of the file. */
static bool read_case(struct reader *reader, struct script_case *c, struct lines *expected)
{
    do {
        if (!read_line(reader)) {
            return false;
        }
    } while (reader->line[0] == '\0' || reader->line[0] == '#');
    c->line = reader->number;
    parse_command(c, reader->line);
    while (read_line(reader) && strcmp(reader->line, "----") != 0) {
        buf_printf(&c->input, "%s\n", reader->line);
    }
    while (read_line(reader) && reader->line[0] != '\0') {
        lines_add_output(expected, reader->line);
    }
    settle(expected);
    return true;
}

static void split_output(struct buf *out, struct lines *lines)
{
    char *at = (char *)(uintptr_t)buf_text(out);
    for (char *line; (line = strsep(&at, "\n"));) {
        lines_add_output(lines, line);
    }
    settle(lines);
}

bool script_run(const char *path,
    void (*handle)(void *ctx, const struct script_case *c, struct buf *out), void *ctx)
{
    struct reader reader = {.file = fopen(path, "r")};
    bool is_good = true;
    if (!reader.file) {
        perror(path);
        return false;
    }
    while (is_good) {
        struct script_case c = {0};
        struct lines expected = {0};
        struct lines got = {0};
        struct buf out;
        buf_init(&c.input, UINT32_MAX);
        buf_init(&out, UINT32_MAX);
        bool more = read_case(&reader, &c, &expected);
        if (more) {
            handle(ctx, &c, &out);
            split_output(&out, &got);
            is_good = is_same(&expected, &got);
        }
        if (!is_good) {
            printf("%s:%d: %s\n", path, c.line, c.command);
            print_difference(&expected, &got);
        }
        buf_fini(&out);
        buf_fini(&c.input);
        lines_fini(&expected);
        lines_fini(&got);
        if (!more) {
            break;
        }
    }
    free(reader.line);
    fclose(reader.file);
    return is_good;
}
