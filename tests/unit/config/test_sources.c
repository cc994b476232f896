/* SPDX-License-Identifier: Apache-2.0
 *
 * Every flag is taken from the command line and from its variable, to the same effect; every key of
 * a file has etcd's name and type (keys.txt: key, Go's field and type, as the reference etcd 3.5.30
 * printed them for a value of another type; 3.6's from what its fields are tagged with). */
#include "base/flag.h"
#include "base/mem.h"
#include "load_util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *keys;

/* Without these a flag of theirs is refused. */
static const struct {
    const char *flag;
    const char *with;
} companions[] = {
    {"initial-cluster-state", "--name=a"},
    {"discovery-token", "--discovery-endpoints=x"},
    {"discovery-endpoints", "--discovery-token=x"},
    {"listen-client-urls", "--advertise-client-urls=http://127.0.0.1:1"},
    {"experimental-enable-lease-checkpoint-persist", "--experimental-enable-lease-checkpoint"},
    {"enable-log-rotation", "--log-outputs=x.log"},
};

static const char *companion(const char *flag)
{
    for (size_t i = 0; i < COUNT_OF(companions); i++) {
        if (strcmp(companions[i].flag, flag) == 0) {
            return companions[i].with;
        }
    }
    return "";
}

static bool by_flag(const char *name, const char *value, struct why *out_why)
{
    struct loaded loaded;
    char line[512];
    snprintf(line, sizeof(line), *companion(name) ? "--%s=%s %s" : "--%s=%s", name, value,
        companion(name));
    load_args(&loaded, line);
    bool is_taken = !err_is(loaded.err);
    *out_why = loaded.why;
    unload(&loaded);
    return is_taken;
}

static bool by_variable(const char *name, const char *value, struct why *out_why)
{
    struct loaded loaded;
    struct arena *arena = arena_new(0);
    const char *variable = flag_env_name(arena, "ETCD", name);
    const char *environ_[] = {arena_printf(arena, "%s=%s", variable, value), NULL};
    load_it(&loaded, &(struct load_spec){.args = companion(name), .environ = environ_});
    bool is_taken = !err_is(loaded.err);
    const char *used = find_note(&loaded, "recognized and used environment variable");
    assert_true(!is_taken || (used && strcmp(used, variable) == 0));
    *out_why = loaded.why;
    unload(&loaded);
    arena_free(arena);
    return is_taken;
}

/* The first of some values that the flag takes, which its variable must then take too. */
static void check_row(const struct config_row *row)
{
    static const char *const values[] = {"true", "5s", "1", "1000", "http://127.0.0.1:1", "x",
        "stderr", "new", "TLS1.2", "AllAlpha=false", "off", "exit", "periodic", "not-yet", "json",
        "basic", "zap", "info", "/", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"};
    struct why why;
    struct why other;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        bool is_taken = by_flag(row->name, values[i], &why);
        if (is_taken != by_variable(row->name, values[i], &other)) {
            fail_msg("--%s=%s: by flag \"%s\", by variable \"%s\"", row->name, values[i], why.text,
                other.text);
        }
        if (is_taken) {
            return;
        }
    }
    /* A file that is not there, in the same words. */
    assert_string_equal(why.text, other.text);
    if (!strstr(why.text, "KeyFile and CertFile must both be present")) {
        fail_msg("--%s takes no value: %s", row->name, why.text);
    }
}

/* Each is tested elsewhere. */
static bool is_special(const char *name)
{
    static const char *const names[] = {"config-file", "version"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void test_every_flag_is_taken_by_variable_too(void **state)
{
    struct config_row row;
    (void)state;
    for (size_t i = 0; config_row(i, &row); i++) {
        if (!is_special(row.name)) {
            check_row(&row);
        }
    }
}

static void test_every_key_of_a_file_has_its_type(void **state)
{
    char key[128];
    char where[128];
    char type[64];
    size_t count = 0;
    (void)state;
    FILE *file = fopen(keys, "re");
    assert_non_null(file);
    for (; fscanf(file, "%127s %127s %63s", key, where, type) == 3; count++) {
        char text[256];
        char words[512];
        snprintf(text, sizeof(text), "%s: {a: 1}\n", key);
        snprintf(words, sizeof(words),
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go "
            "struct field %s of type %s",
            where, type);
        expect_file_refusal(text, words);
    }
    fclose(file);
    assert_true(count > 90);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flag_is_taken_by_variable_too),
        cmocka_unit_test(test_every_key_of_a_file_has_its_type),
    };
    if (argc < 2) {
        return 2;
    }
    keys = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
