/* SPDX-License-Identifier: Apache-2.0
 *
 * The usage text: etcd's template through Go's tabwriter. Columns are set with tabs, eight wide: a
 * block is a run of lines with one tab each, and its texts begin behind the widest first column. */
#include "ctl/lib/cmd.h"

#include "base/buf.h"
#include "base/mem.h"
#include "ctl/lib/cmd_find.h"
#include "ctl/lib/gotext.h"

/* Characters of UTF-8 text, as tabwriter counts. */
static size_t width_of(const char *text, size_t len)
{
    size_t width = 0;

    for (size_t i = 0; i < len; i++) {
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return width;
}

static size_t line_len(const char *line)
{
    return strcspn(line, "\n");
}

/* Widest first column among the lines of the block that begins here. */
static size_t block_width(const char *line)
{
    size_t widest = 0;

    while (*line) {
        size_t len = line_len(line);
        const char *tab = memchr(line, '\t', len);
        if (!tab) {
            break;
        }
        size_t width = width_of(line, (size_t)(tab - line));
        widest = width > widest ? width : widest;
        line += len + (line[len] == '\n');
    }
    return (widest + 1 + 7) / 8 * 8;
}

static void print_tabbed(const char *text, FILE *out)
{
    size_t width = 0;

    for (const char *line = text; *line;) {
        size_t len = line_len(line);
        const char *tab = memchr(line, '\t', len);
        if (!tab) {
            width = 0;
            fprintf(out, "%.*s\n", (int)len, line);
        } else {
            width = width ? width : block_width(line);
            size_t first = (size_t)(tab - line);
            fprintf(out, "%.*s", (int)first, line);
            for (size_t at = width_of(line, first); at < width; at = at / 8 * 8 + 8) {
                fputc('\t', out);
            }
            fprintf(out, "%.*s\n", (int)(len - first - 1), tab + 1);
        }
        line += len + (line[len] == '\n');
    }
}

static int by_name(const void *a, const void *b)
{
    const struct cmd_value *const *left = a;
    const struct cmd_value *const *right = b;
    return strcmp((*left)->option->name, (*right)->option->name);
}

static void add_option(struct buf *text, const struct cmd_run *run, const struct cmd_value *value)
{
    const struct cmd_option *o = value->option;
    struct cmd_value fallback = {.option = o, .text = ""};
    bool is_bool = o->type == CMD_BOOL;
    struct why why;

    check(!err_is(cmd_value_set(&fallback, o->fallback, run->arena, &why)));
    if (o->shorthand) {
        buf_printf(text, "  -%c, --%s%s=", o->shorthand, o->name, is_bool ? "[" : "");
    } else {
        buf_printf(text, "      --%s%s=", o->name, is_bool ? "[" : "");
    }
    if (o->type == CMD_STRING) {
        gotext_quote(text, slice_str(o->fallback));
    } else {
        buf_add_str(text, cmd_value_text(&fallback, run->arena));
    }
    buf_printf(text, "%s\t%s\n", is_bool ? "]" : "", o->usage);
}

/* False when there is none of that kind. */
static bool add_options(struct buf *text, const struct cmd_run *run, bool is_inherited)
{
    const struct cmd_value **sorted =
        arena_zalloc(run->arena, (run->values_count + 1) * sizeof(*sorted));
    size_t count = 0;

    for (size_t i = 0; i < run->values_count; i++) {
        if (run->values[i].is_inherited == is_inherited) {
            sorted[count++] = &run->values[i];
        }
    }
    if (count == 0) {
        return false;
    }
    qsort(sorted, count, sizeof(*sorted), by_name);
    buf_add_str(text, is_inherited ? "\nGLOBAL OPTIONS:\n" : "\nOPTIONS:\n");
    for (size_t i = 0; i < count; i++) {
        add_option(text, run, sorted[i]);
    }
    return true;
}

static int by_use(const void *a, const void *b)
{
    const struct cmd *const *left = a;
    const struct cmd *const *right = b;
    return strcmp((*left)->use, (*right)->use);
}

/* The commands below, each with its path from where the text is asked for. */
static void add_children(
    struct buf *text, struct arena *arena, const struct cmd *cmd, const char *prefix)
{
    const struct cmd **sorted;
    size_t count = 0;

    while (cmd->children[count]) {
        count++;
    }
    sorted = arena_zalloc(arena, (count + 1) * sizeof(*sorted));
    memcpy(sorted, cmd->children, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_use);
    for (size_t i = 0; i < count; i++) {
        const char *name = arena_printf(arena, "%s%s", prefix, cmd_name(sorted[i], arena));
        if (sorted[i]->run) {
            buf_printf(text, "  %s\t%s\n", name, sorted[i]->brief);
        }
        if (sorted[i]->children) {
            add_children(text, arena, sorted[i], arena_printf(arena, "%s ", name));
        }
    }
}

/* Two spaces before every line; white space at both ends is cut. */
static void add_description(struct buf *text, const char *description)
{
    size_t len = strlen(description);

    while (len > 0 && strchr("\n\t ", description[len - 1])) {
        len--;
    }
    size_t at = 0;
    while (at < len && strchr("\n\t ", description[at])) {
        at++;
    }
    buf_add_str(text, "\nDESCRIPTION:\n");
    while (at <= len) {
        size_t line = 0;
        while (at + line < len && description[at + line] != '\n') {
            line++;
        }
        buf_printf(text, "  %.*s\n", (int)line, description + at);
        at += line + 1;
    }
}

static void add_head(
    struct buf *text, const struct cmd_run *run, const struct cmd_versions *versions)
{
    const struct cmd *cmd = run->path[run->depth - 1];
    const char *path = cmd_path_text(run);
    const char *name = run->depth == 1 ? path : path + strcspn(path, " ") + 1;
    const char *parents = arena_strdup(run->arena, path);
    size_t parents_len = strlen(path) - strcspn(cmd->use, " ");
    bool has_flags = cmd->hides_flags || strstr(cmd->use, "[flags]") != NULL;

    buf_printf(text, "NAME:\n  %s - %s\n\nUSAGE:\n", name, cmd->brief);
    buf_printf(
        text, "  %.*s%s%s\n", (int)parents_len, parents, cmd->use, has_flags ? "" : " [flags]");
    if (run->depth == 1) {
        buf_printf(text, "\nVERSION:\n  %s\n", versions->version);
    }
    if (cmd->children) {
        buf_printf(text, "\nAPI VERSION:\n  %s\n", versions->api_version);
    }
    if (cmd->example) {
        buf_printf(text, "\nExamples:\n%s\n", cmd->example);
    }
}

void cmd_usage(const struct cmd_run *run, const struct cmd_versions *versions, FILE *out)
{
    const struct cmd *cmd = run->path[run->depth - 1];
    struct buf text;

    buf_init(&text, SIZE_MAX);
    add_head(&text, run, versions);
    if (cmd->children) {
        buf_add_str(&text, "\nCOMMANDS:\n");
        add_children(&text, run->arena, cmd, "");
    }
    if (cmd->text) {
        add_description(&text, cmd->text);
    }
    (void)add_options(&text, run, false);
    (void)add_options(&text, run, true);
    buf_add_byte(&text, '\n');
    print_tabbed(buf_text(&text), out);
    buf_fini(&text);
}
