/* SPDX-License-Identifier: Apache-2.0 */
#include "load_util.h"

#include "base/mem.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

void load_it(struct loaded *out_loaded, const struct load_spec *spec)
{
    struct loaded loaded = {.arena = arena_new(0)};
    const char *line = arena_printf(loaded.arena, "etcd%s%s", spec->args && *spec->args ? " " : "",
        spec->args ? spec->args : "");
    struct text_list args = text_split(loaded.arena, line, ' ');
    struct config_source source = {
        .argc = (int)args.count,
        .argv = (char *const *)(uintptr_t)args.items,
        .environ = (char *const *)(uintptr_t)spec->environ,
        .key_dir_default = spec->key_dir ? spec->key_dir : "/nonexistent/key",
        .now_s = spec->now_s,
    };
    loaded.err = config_load(&source, &loaded.config, &loaded.notes, &loaded.why);
    *out_loaded = loaded;
}

void load_args(struct loaded *out_loaded, const char *args)
{
    load_it(out_loaded, &(struct load_spec){.args = args});
}

void load_file(struct loaded *out_loaded, const char *args, const char *text)
{
    char path[] = "/tmp/ketcd-config-XXXXXX";
    char line[512];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    snprintf(line, sizeof(line), "%s%s--config-file=%s", args, *args ? " " : "", path);
    load_args(out_loaded, line);
    unlink(path);
}

void unload(struct loaded *loaded)
{
    if (!err_is(loaded->err)) {
        config_fini(&loaded->config);
    }
    config_notes_fini(&loaded->notes);
    arena_free(loaded->arena);
}

const char *find_note(const struct loaded *loaded, const char *message)
{
    for (size_t i = 0; i < loaded->notes.count; i++) {
        const struct config_note *note = &loaded->notes.items[i];
        if (strcmp(note->message, message) == 0) {
            return note->values[0] ? note->values[0] : "";
        }
    }
    return NULL;
}

static void expect(struct loaded *loaded, enum err_code code, const char *words)
{
    assert_string_equal(loaded->why.text, words);
    assert_int_equal(loaded->err.code, code);
    unload(loaded);
}

void expect_refusal(const char *args, const char *words)
{
    struct loaded loaded;
    load_args(&loaded, args);
    expect(&loaded, ERR_BAD_CONFIG, words);
}

void expect_file_refusal(const char *text, const char *words)
{
    struct loaded loaded;
    load_file(&loaded, "", text);
    expect(&loaded, ERR_BAD_CONFIG, words);
}

void expect_usage(const char *args, const char *words)
{
    struct loaded loaded;
    load_args(&loaded, args);
    expect(&loaded, ERR_BAD_INPUT, words);
}
