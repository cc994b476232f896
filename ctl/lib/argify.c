/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/lines.h"

static bool is_space(char c)
{
    return c != '\0' && strchr(" \t\n\f\r", c) != NULL;
}

/* Length of the "double" or 'single' quoted word at text; 0 when its quote does not close. */
static size_t quoted_len(const char *text)
{
    size_t len = 1;

    while (text[len] && text[len] != text[0]) {
        bool is_escape = text[0] == '"' && text[len] == '\\';
        if (is_escape && (text[len + 1] == '\0' || text[len + 1] == '\n')) {
            return 0;
        }
        len += is_escape ? 2 : 1;
    }
    return text[len] ? len + 1 : 0;
}

static struct err unquoted(struct arena *arena, struct slice word, char **out, struct why *why)
{
    struct buf buf;
    size_t used;

    buf_init(&buf, word.len + 1);
    struct err err = gotext_unquote(word, &buf, &used);
    if (err_is(err)) {
        err = why_set(why, err, "invalid syntax");
    } else {
        *out = arena_strdup(arena, buf_text(&buf));
    }
    buf_fini(&buf);
    return err;
}

struct err lines_words(
    struct arena *arena, const char *line, char ***out_words, size_t *out_count, struct why *why)
{
    char **words = arena_zalloc(arena, (strlen(line) + 1) * sizeof(*words));
    size_t count = 0;

    for (const char *at = line; *at;) {
        bool is_quote = *at == '"' || *at == '\'';
        size_t len = is_quote ? quoted_len(at) : 0;
        if (is_space(*at) || (is_quote && len == 0)) {
            at++;
            continue;
        }
        if (*at == '"') {
            TRY(unquoted(arena, slice_of(at, len), &words[count++], why));
        } else if (is_quote) {
            words[count++] = (char *)(uintptr_t)arena_dup(arena, slice_of(at + 1, len - 2)).data;
        } else {
            while (at[len] && !is_space(at[len])) {
                len++;
            }
            words[count++] = (char *)(uintptr_t)arena_dup(arena, slice_of(at, len)).data;
        }
        at += len;
    }
    *out_words = words;
    *out_count = count;
    return OK;
}
