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

static struct err unquoted(
    struct arena *arena, struct slice word, struct slice *out, struct why *why)
{
    struct buf buf;
    size_t used;

    buf_init(&buf, word.len + 1);
    struct err err = gotext_unquote(word, &buf, &used);
    if (err_is(err)) {
        err = why_set(why, err, "invalid syntax");
    } else {
        *out = arena_dup(arena, buf_slice(&buf));
    }
    buf_fini(&buf);
    return err;
}

/* arena_dup has put a NUL behind each. */
static char **texts_of(struct arena *arena, const struct slice *words, size_t count)
{
    char **texts = arena_zalloc(arena, (count + 1) * sizeof(*texts));

    for (size_t i = 0; i < count; i++) {
        texts[i] = (char *)(uintptr_t)words[i].data;
    }
    return texts;
}

struct err lines_split(
    struct arena *arena, const char *line, struct lines_words *out, struct why *why)
{
    struct slice *words = arena_zalloc(arena, (strlen(line) + 1) * sizeof(*words));
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
            words[count++] = arena_dup(arena, slice_of(at + 1, len - 2));
        } else {
            while (at[len] && !is_space(at[len])) {
                len++;
            }
            words[count++] = arena_dup(arena, slice_of(at, len));
        }
        at += len;
    }
    *out = (struct lines_words){words, texts_of(arena, words, count), count};
    return OK;
}

/* Words are told apart by where they are: two may read the same. */
struct slice lines_bytes(const struct lines_words *words, const char *text)
{
    for (size_t i = 0; i < words->count; i++) {
        if (words->texts[i] == text) {
            return words->bytes[i];
        }
    }
    return slice_str(text);
}

static bool is_among(const char *text, char *const *texts, size_t count)
{
    size_t i = 0;

    while (i < count && texts[i] != text) {
        i++;
    }
    return i < count;
}

bool lines_are_whole(const struct lines_words *words, char *const *texts, size_t count)
{
    bool are_whole = true;

    for (size_t i = 0; i < words->count; i++) {
        bool has_nul = memchr(words->bytes[i].data, '\0', words->bytes[i].len) != NULL;
        are_whole = are_whole && (!has_nul || is_among(words->texts[i], texts, count));
    }
    return are_whole;
}
