/* SPDX-License-Identifier: Apache-2.0
 * One result in the formats of -w, and Go's words for system errors. */
#include "ctl/etcdutl/command.h"

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

struct err file_check(const char *path, struct why *why)
{
    char words[TEXT_ERRNO_SIZE];
    struct stat st;
    if (stat(path, &st) == 0) {
        return OK;
    }
    return why_set(why, err_errno(errno), "stat %s: %s", path, text_errno(errno, words));
}
