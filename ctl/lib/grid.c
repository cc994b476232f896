/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/grid.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdint.h>

enum { WRAP_COLUMNS = 30, WORDS_MAX = 256 };

struct lines {
    const char **items;
    size_t count;
};

void grid_init(struct grid *grid, struct arena *arena, const char *const *titles, size_t columns)
{
    *grid = (struct grid){.titles = titles, .columns = columns, .arena = arena};
}

void grid_add(struct grid *grid, const char *const *cells)
{
    if (grid->rows_count == grid->rows_max) {
        size_t most = grid->rows_max ? grid->rows_max * 2 : 8;
        const char *const **rows = arena_alloc(grid->arena, most * sizeof(*rows));
        if (grid->rows_count > 0) {
            memcpy(rows, grid->rows, grid->rows_count * sizeof(*rows));
        }
        grid->rows = rows;
        grid->rows_max = most;
    }
    struct slice copy = arena_dup(grid->arena, slice_of(cells, grid->columns * sizeof(*cells)));
    grid->rows[grid->rows_count++] = (const char *const *)(const void *)copy.data;
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static size_t split(
    struct arena *arena, const char *text, const char *separators, const char **out_words)
{
    size_t count = 0;

    while (count < WORDS_MAX) {
        size_t len = strcspn(text, separators);
        if (count + 1 == WORDS_MAX) {
            len = strlen(text);
        }
        out_words[count++] = (const char *)arena_dup(arena, slice_of(text, len)).data;
        if (text[len] == '\0') {
            break;
        }
        text += len + 1;
    }
    return count;
}

/* Breaks words into lines of at most limit columns so that the squares of the room left at the
 * ends, the last line's excepted, sum to the least. next[i]: where the line that begins with word i
 * ends. */
static void choose_breaks(const size_t *widths, size_t count, size_t limit, size_t *next)
{
    uint64_t cost[WORDS_MAX + 1];

    cost[count] = 0;
    for (size_t i = count; i-- > 0;) {
        size_t width = 0;
        cost[i] = UINT64_MAX;
        for (size_t j = i; j < count; j++) {
            width += widths[j] + (j > i);
            if (width > limit && j > i) {
                break;
            }
            uint64_t gap = limit > width ? limit - width : 0;
            uint64_t total = j + 1 == count ? 0 : cost[j + 1] + gap * gap;
            if (total < cost[i]) {
                cost[i] = total;
                next[i] = j + 1;
            }
        }
    }
}

static struct lines wrap(struct arena *arena, const char *cell)
{
    const char *words[WORDS_MAX];
    size_t widths[WORDS_MAX];
    size_t next[WORDS_MAX];
    struct lines lines = {arena_alloc(arena, WORDS_MAX * sizeof(char *)), 0};

    if (width_of(cell) <= WRAP_COLUMNS) {
        lines.count = split(arena, cell, "\n", lines.items);
        return lines;
    }
    size_t count = split(arena, cell, " \n", words);
    size_t limit = WRAP_COLUMNS;
    for (size_t i = 0; i < count; i++) {
        widths[i] = width_of(words[i]);
        limit = widths[i] > limit ? widths[i] : limit;
    }
    choose_breaks(widths, count, limit, next);
    for (size_t i = 0; i < count; i = next[i]) {
        const char *line = words[i];
        for (size_t j = i + 1; j < next[i]; j++) {
            line = arena_printf(arena, "%s %s", line, words[j]);
        }
        lines.items[lines.count++] = line;
    }
    return lines;
}

static void print_rule(const size_t *widths, size_t columns, FILE *out)
{
    for (size_t c = 0; c < columns; c++) {
        fputc('+', out);
        for (size_t i = 0; i < widths[c] + 2; i++) {
            fputc('-', out);
        }
    }
    fprintf(out, "+\n");
}

static void print_cell(const char *text, size_t width, bool is_centred, FILE *out)
{
    size_t gap = width - width_of(text);
    size_t left = is_centred ? gap / 2 : gap;

    fprintf(out, "| %*s%s%*s ", (int)left, "", text, (int)(gap - left), "");
}

static void print_row(const struct lines *cells, const size_t *widths, size_t columns, FILE *out)
{
    size_t height = 1;

    for (size_t c = 0; c < columns; c++) {
        height = cells[c].count > height ? cells[c].count : height;
    }
    for (size_t i = 0; i < height; i++) {
        for (size_t c = 0; c < columns; c++) {
            print_cell(i < cells[c].count ? cells[c].items[i] : "", widths[c], false, out);
        }
        fprintf(out, "|\n");
    }
}

static const char *title_of(struct arena *arena, const char *title)
{
    char *text = arena_strdup(arena, title);

    for (char *at = text; *at; at++) {
        *at = *at == '_' ? ' ' : (char)toupper((unsigned char)*at);
    }
    return text;
}

void grid_print(const struct grid *grid, FILE *out)
{
    size_t columns = grid->columns;
    size_t *widths = arena_zalloc(grid->arena, columns * sizeof(*widths));
    struct lines *cells =
        arena_zalloc(grid->arena, (grid->rows_count * columns + 1) * sizeof(*cells));

    for (size_t c = 0; c < columns; c++) {
        widths[c] = width_of(grid->titles[c]);
        for (size_t r = 0; r < grid->rows_count; r++) {
            struct lines *lines = &cells[r * columns + c];
            *lines = wrap(grid->arena, grid->rows[r][c]);
            for (size_t i = 0; i < lines->count; i++) {
                size_t width = width_of(lines->items[i]);
                widths[c] = width > widths[c] ? width : widths[c];
            }
        }
    }
    print_rule(widths, columns, out);
    for (size_t c = 0; c < columns; c++) {
        print_cell(title_of(grid->arena, grid->titles[c]), widths[c], true, out);
    }
    fprintf(out, "|\n");
    print_rule(widths, columns, out);
    for (size_t r = 0; r < grid->rows_count; r++) {
        print_row(cells + r * columns, widths, columns, out);
    }
    print_rule(widths, columns, out);
}

void grid_print_plain(const struct grid *grid, FILE *out)
{
    for (size_t r = 0; r < grid->rows_count; r++) {
        for (size_t c = 0; c < grid->columns; c++) {
            fprintf(out, "%s%s", c ? ", " : "", grid->rows[r][c]);
        }
        fprintf(out, "\n");
    }
}
