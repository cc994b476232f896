/* SPDX-License-Identifier: Apache-2.0
 * Lines as arguments; lines that begin with "ETCD_" as variables. Loads or is refused with words.
 */
#include "config/config.h"

#include <string.h>

enum { LINES_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    char *text = (char *)(uintptr_t)arena_dup(arena, slice_of(data, size)).data;
    char name[] = "etcd";
    char *args[LINES_MAX + 1] = {name, NULL};
    char *variables[LINES_MAX + 1] = {NULL};
    char *rest = NULL;
    int argc = 1;
    size_t count = 0;
    for (char *line = size ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, "config-file") || strstr(line, "CONFIG_FILE")) {
            continue;
        }
        if (strncmp(line, "ETCD_", 5) == 0 && count < LINES_MAX) {
            variables[count++] = line;
        } else if (argc < LINES_MAX) {
            args[argc++] = line;
        }
    }
    struct config_source source = {argc, args, variables, "/nonexistent/key", 1};
    struct config config;
    struct config_notes notes;
    struct why why = {""};
    if (err_is(config_load(&source, &config, &notes, &why))) {
        check(why.text[0]);
    } else {
        config_fini(&config);
    }
    config_notes_fini(&notes);
    arena_free(arena);
    return 0;
}
