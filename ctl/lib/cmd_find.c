/* SPDX-License-Identifier: Apache-2.0
 *
 * Which command a command line means. Cobra looks before options are parsed: "--help" is not known
 * yet, and an unknown option without "=" swallows the word behind it. Users see it in error texts,
 * so it is done the same way. */
#include "ctl/lib/cmd_find.h"

#include "ctl/lib/gotext.h"

#include <ctype.h>

const char *cmd_name(const struct cmd *cmd, struct arena *arena)
{
    struct slice name = slice_of(cmd->use, strcspn(cmd->use, " "));
    return (const char *)arena_dup(arena, name).data;
}

bool cmd_is_named(const struct cmd *cmd, const char *word, size_t len)
{
    return strcspn(cmd->use, " ") == len && memcmp(cmd->use, word, len) == 0;
}

const char *cmd_path_text(const struct cmd_run *run)
{
    const char *text = "";

    for (size_t i = 0; i < run->depth; i++) {
        text = arena_printf(
            run->arena, "%s%s%s", text, i ? " " : "", cmd_name(run->path[i], run->arena));
    }
    return text;
}

static const struct cmd_option *option_in(
    const struct cmd_run *run, const char *name, char shorthand)
{
    for (size_t level = run->depth; level-- > 0;) {
        for (const struct cmd_option *o = run->path[level]->options; o && o->name; o++) {
            bool is_match = name ? strcmp(o->name, name) == 0 : o->shorthand == shorthand;
            if (is_match && (level + 1 == run->depth || o->is_persistent)) {
                return o;
            }
        }
    }
    return NULL;
}

/* True for "--flag" or "-f" whose value is the next word, as far as is known here. */
static bool takes_next(const struct cmd_run *run, const char *word)
{
    const struct cmd_option *option;

    if (word[0] != '-' || strchr(word, '=')) {
        return false;
    }
    if (word[1] == '-') {
        option = option_in(run, word + 2, 0);
    } else if (word[1] != '\0' && word[2] == '\0') {
        option = option_in(run, NULL, word[1]);
    } else {
        return false;
    }
    return !option || option->type != CMD_BOOL;
}

/* Position of the first word that is neither an option nor an option's value; count when there is
 * none. */
static size_t first_word(const struct cmd_run *run, size_t count, char **args)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(args[i], "--") == 0) {
            return count;
        }
        if (takes_next(run, args[i])) {
            if (count - i <= 2) {
                return count;
            }
            i++;
        } else if (args[i][0] != '\0' && args[i][0] != '-') {
            return i;
        }
    }
    return count;
}

static const struct cmd *child_of(const struct cmd *cmd, const char *word)
{
    const struct cmd *found = NULL;
    size_t matches = 0;

    for (const struct cmd *const *child = cmd->children; child && *child; child++) {
        if (cmd_is_named(*child, word, strlen(word))) {
            return *child;
        }
        if (strncmp((*child)->use, word, strlen(word)) == 0) {
            found = *child;
            matches++;
        }
    }
    return matches == 1 ? found : NULL;
}

void cmd_find(struct cmd_run *run, size_t *count, char **args, size_t *out_word)
{
    for (;;) {
        size_t word = first_word(run, *count, args);
        *out_word = word;
        if (word == *count || run->depth == CMD_DEPTH_MAX) {
            return;
        }
        const struct cmd *child = child_of(run->path[run->depth - 1], args[word]);
        if (!child) {
            return;
        }
        memmove(args + word, args + word + 1, (*count - word) * sizeof(*args));
        (*count)--;
        run->path[run->depth++] = child;
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein, letters compared without case. */
static size_t distance(const char *a, const char *b, size_t b_len)
{
    size_t row[64];

    if (b_len >= 64) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t same =
                diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            row[j] = least(same, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

void cmd_explain_unknown(const struct cmd_run *run, const char *word, struct why *why)
{
    const struct cmd *cmd = run->path[run->depth - 1];
    struct buf buf;
    size_t count = 0;

    buf_init(&buf, sizeof(why->text) - 1);
    buf_add_str(&buf, "unknown command ");
    gotext_quote(&buf, slice_str(word));
    buf_printf(&buf, " for \"%s\"", cmd_path_text(run));
    for (const struct cmd *const *child = cmd->children; *child; child++) {
        size_t len = strcspn((*child)->use, " ");
        if (distance(word, (*child)->use, len) <= 2 ||
            strncasecmp((*child)->use, word, strlen(word)) == 0) {
            buf_printf(&buf, "%s\t%.*s\n", count++ ? "" : "\n\nDid you mean this?\n", (int)len,
                (*child)->use);
        }
    }
    snprintf(why->text, sizeof(why->text), "%s", buf_text(&buf));
    buf_fini(&buf);
}
