/* SPDX-License-Identifier: Apache-2.0
 *
 * history_check FILE...: 0 nothing wrong, 1 something is and was printed, 2 a file could not be
 * read. "-" is the standard input.
 */
#include "history.h"

#include <errno.h>
#include <inttypes.h>

enum { EXIT_WRONG = 1, EXIT_UNREADABLE = 2, REPORT_MAX = 16 << 20 };

static int read_lines(struct history *history, FILE *file, const char *path)
{
    char *line = NULL;
    size_t room = 0;
    size_t number = 0;
    int code = 0;
    ssize_t len;
    while (!code && (len = getline(&line, &room, file)) >= 0) {
        struct why why = {""};
        number++;
        struct err e = history_add_line(history, slice_of(line, (size_t)len), &why);
        if (err_is(e)) {
            fprintf(stderr, "%s:%zu: %s\n", path, number, why.text);
            code = EXIT_UNREADABLE;
        }
    }
    if (ferror(file)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        code = EXIT_UNREADABLE;
    }
    free(line);
    return code;
}

static int check_file(const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_UNREADABLE;
    }
    struct history *history = history_new();
    struct buf report;
    buf_init(&report, REPORT_MAX);
    int code = read_lines(history, file, path);
    if (!code) {
        size_t wrongs = history_check(history, &report);
        printf("%s: %zu calls, %zu events, %zu wrong\n%s", path, history_calls(history),
            history_events(history), wrongs, buf_text(&report));
        code = wrongs ? EXIT_WRONG : 0;
    }
    buf_fini(&report);
    history_free(history);
    if (!is_stdin) {
        fclose(file);
    }
    return code;
}

int main(int argc, char **argv)
{
    int worst = argc > 1 ? 0 : EXIT_UNREADABLE;
    if (argc < 2) {
        fprintf(stderr, "history_check FILE...\n");
    }
    for (int i = 1; i < argc; i++) {
        int code = check_file(argv[i]);
        worst = code > worst ? code : worst;
    }
    return worst;
}
