/* SPDX-License-Identifier: Apache-2.0
 *
 * The table against the names of every release and against its page. Called with this folder and
 * the page; with
 * "--print" it prints the page. */
#include "base/buf.h"
#include "base/mem.h"
#include "load_util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *folder;
static const char *page;

static bool is_known(const char *name)
{
    struct config_row row;
    for (size_t i = 0; config_row(i, &row); i++) {
        if (strcmp(row.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_release(const char *release)
{
    char path[512];
    char name[128];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s/flags-%s.txt", folder, release);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fscanf(file, "%127s", name) == 1) {
        count++;
        if (!is_known(name)) {
            fail_msg("--%s of %s is not in the table", name, release);
        }
    }
    fclose(file);
    assert_true(count >= 80);
}

static void test_table_knows_every_flag_of_every_release(void **state)
{
    (void)state;
    check_release("3.4");
    check_release("3.5");
    check_release("3.6");
}

static bool is_listed(const char *release, const char *wanted)
{
    char path[512];
    char name[128];
    bool found = false;
    snprintf(path, sizeof(path), "%s/flags-%s.txt", folder, release);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (!found && fscanf(file, "%127s", name) == 1) {
        found = strcmp(name, wanted) == 0;
    }
    fclose(file);
    return found;
}

/* Help of some releases leaves flags out that they take; it never shows one too early. */
static void test_table_says_since_when(void **state)
{
    static const char *const releases[] = {"3.4", "3.5", "3.6"};
    struct config_row row;
    (void)state;
    for (size_t i = 0; config_row(i, &row); i++) {
        for (size_t j = 0; j < COUNT_OF(releases); j++) {
            bool is_early = strcmp(releases[j], row.since) < 0;
            if (is_early && is_listed(releases[j], row.name)) {
                fail_msg("--%s is in %s already", row.name, releases[j]);
            }
        }
        bool is_own = strcmp(row.since, "ketcd") == 0;
        assert_int_equal(
            is_own, strcmp(row.name, "key-dir") == 0 || strcmp(row.name, "value-cache-bytes") == 0);
    }
}

static void test_table_has_each_flag_once(void **state)
{
    struct config_row a;
    struct config_row b;
    (void)state;
    for (size_t i = 0; config_row(i, &a); i++) {
        for (size_t j = 0; j < i && config_row(j, &b); j++) {
            assert_string_not_equal(a.name, b.name);
        }
        bool needs_remark = a.state == CONFIG_ACCEPTED || a.state == CONFIG_ALIAS;
        assert_int_equal(*a.remark != 0, needs_remark);
    }
}

static void print_page(struct buf *out)
{
    static const char *const states[] = {
        "honoured", "accepted, without effect", "older name of", "ignored, as etcd ignores it"};
    struct config_row row;
    buf_add_str(out,
        "# Flags of `etcd`\n\nMade from the table in table.c: `unit_config_table "
        "--print`. Each is also a variable (`--max-txn-ops` is\n`ETCD_MAX_TXN_OPS`).\n\n"
        "| flag | since | default | here |\n|---|---|---|---|\n");
    for (size_t i = 0; config_row(i, &row); i++) {
        buf_printf(
            out, "| `--%s` | %s | `%s` | %s", row.name, row.since, row.value, states[row.state]);
        buf_printf(out,
            row.state == CONFIG_ALIAS ? " `--%s` |\n"
            : *row.remark             ? ": %s |\n"
                                      : "%s |\n",
            row.remark);
    }
}

static void test_table_is_what_its_page_says(void **state)
{
    struct buf want;
    struct buf have;
    char bytes[4096];
    size_t got = 0;
    (void)state;
    buf_init(&want, 1 << 20);
    buf_init(&have, 1 << 20);
    print_page(&want);
    FILE *file = fopen(page, "re");
    assert_non_null(file);
    while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        buf_add(&have, bytes, got);
    }
    fclose(file);
    assert_string_equal(buf_text(&have), buf_text(&want));
    buf_fini(&want);
    buf_fini(&have);
}

static void test_help_shows_every_flag_of_a_section(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    config_print_usage(out);
    config_print_help(out);
    fclose(out);
    assert_non_null(strstr(text, "\nMember:\n  --name 'default'\n"));
    assert_non_null(strstr(text, "\nUnsafe feature:\n  --force-new-cluster 'false'\n"));
    assert_non_null(strstr(text, "InitialCorruptCheck=true|false (ALPHA - default=false)"));
    assert_non_null(strstr(text, "  --experimental-watch-progress-notify-interval"));
    assert_null(strstr(text, "(null)"));
    free(text);
}

static void test_version_begins_as_scripts_expect(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    config_print_version(out);
    fclose(out);
    assert_int_equal(strncmp(text, "etcd Version: 3.6.", 18), 0);
    assert_non_null(strstr(text, "\nGit SHA: "));
    assert_non_null(strstr(text, "\nGo OS/Arch: linux/"));
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_knows_every_flag_of_every_release),
        cmocka_unit_test(test_table_says_since_when),
        cmocka_unit_test(test_table_has_each_flag_once),
        cmocka_unit_test(test_table_is_what_its_page_says),
        cmocka_unit_test(test_help_shows_every_flag_of_a_section),
        cmocka_unit_test(test_version_begins_as_scripts_expect),
    };
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        struct buf out;
        buf_init(&out, 1 << 20);
        print_page(&out);
        fputs(buf_text(&out), stdout);
        buf_fini(&out);
        return 0;
    }
    if (argc < 3) {
        return 2;
    }
    folder = argv[1];
    page = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
