/* SPDX-License-Identifier: Apache-2.0
 * One result in the formats of -w, and Go's words for system errors. */
#include "ctl/etcdutl/command.h"

#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>

int report_check(const struct cmd_run *run)
{
    struct printer printer = {0};
    const char *name = cmd_text(run, "write-out");
    if (strcmp(name, "hex") == 0 || !print_format_of(name, &printer)) {
        return cmd_fail(CMD_EXIT_BAD_FEATURE, "unsupported output format");
    }
    return CMD_EXIT_OK;
}

int report_print(const struct cmd_run *run, const struct report *report)
{
    struct printer printer = {0};
    struct grid grid;
    check(print_format_of(cmd_text(run, "write-out"), &printer));
    grid_init(&grid, run->arena, report->titles, report->columns);
    grid_add(&grid, report->cells);
    switch (printer.format) {
    case PRINT_SIMPLE:
        grid_print_plain(&grid, stdout);
        break;
    case PRINT_FIELDS:
        fputs(report->fields, stdout);
        break;
    case PRINT_JSON:
        puts(report->json);
        break;
    case PRINT_TABLE:
        grid_print(&grid, stdout);
        break;
    case PRINT_PROTOBUF:
        return cmd_fail(CMD_EXIT_BAD_FEATURE, "protobuf not supported as output format");
    }
    return CMD_EXIT_OK;
}

const char *go_error(struct arena *arena, int sys_errno)
{
    char *text = arena_strdup(arena, strerror(sys_errno));
    text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

struct err file_check(const char *path, struct why *why)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        return OK;
    }
    struct arena *arena = arena_new(0);
    struct err e = why_set(why, err_errno(errno), "stat %s: %s", path, go_error(arena, errno));
    arena_free(arena);
    return e;
}
