/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines as tools parse them: zap's field layout, one JSON object a line. */
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/shared/folder.h"

#include <dirent.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static char path[] = "/tmp/ketcd-log-XXXXXX";
static char text[1 << 18];

static int setup(void **state)
{
    (void)state;
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    log_close();
    unlink(path);
    return 0;
}

static void open_log(enum log_level level, enum log_format format)
{
    const char *const outputs[] = {path, NULL};
    struct log_options options = {level, format, outputs, NULL};
    assert_false(err_is(log_open(&options, NULL)));
}

static const char *written(void)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = 0;
    return text;
}

/* Behind "ts":"…", which the clock decides. */
static const char *after_stamp(const char *line)
{
    static const char *const begin = "{\"level\":\"info\",\"ts\":\"";
    assert_int_equal(strncmp(line, begin, strlen(begin)), 0);
    const char *end = strchr(line + strlen(begin), '"');
    assert_non_null(end);
    return end;
}

static void test_log_line_has_zaps_layout(void **state)
{
    static const char *const list[] = {"a", "b\"", NULL};
    (void)state;
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_write(LOG_LEVEL_INFO, "/x/y/server/pump.c", 42, "hello",
        (const struct log_field[]){LOG_STR("s", "q\"\\\n\t\x01é"), LOG_STRS("l", list),
            LOG_INT("i", -5), LOG_UINT("u", UINT64_MAX), LOG_BOOL("b", true),
            LOG_NS("d", 1234567891), LOG_MS("m", 250), LOG_HEX("h", 0xab),
            LOG_BYTES("y", SLICE("z")), LOG_ERR("why"), {0}});
    assert_string_equal(after_stamp(written()),
        "\",\"caller\":\"server/pump.c:42\",\"msg\":\"hello\",\"s\":\"q\\\"\\\\\\n\\t\\u0001é\","
        "\"l\":[\"a\",\"b\\\"\"],\"i\":-5,\"u\":18446744073709551615,\"b\":true,"
        "\"d\":\"1.234567891s\",\"m\":\"250ms\",\"h\":\"ab\",\"y\":\"z\",\"error\":\"why\"}\n");
}

static void test_log_console_is_tabbed(void **state)
{
    (void)state;
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_CONSOLE);
    log_write(LOG_LEVEL_WARN, "a.c", 1, "hi", (const struct log_field[]){LOG_INT("n", 1), {0}});
    const char *line = strchr(written(), '\t');
    assert_non_null(line);
    assert_string_equal(line, "\twarn\ta.c:1\thi\t{\"n\":1}\n");
}

static void test_log_keeps_lines_json_whatever_comes(void **state)
{
    char *big = mem_new(200000);
    (void)state;
    memset(big, 'x', 199999);
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    LOG_INFO("bad utf-8", LOG_STR("v", "a\xff\xc3"));
    LOG_INFO("too long", LOG_STR("v", big));
    char *line = (char *)(uintptr_t)written();
    for (int i = 0; i < 2; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        struct json_object *object = json_tokener_parse(line);
        assert_non_null(object);
        json_object_put(object);
        assert_non_null(
            strstr(line, i ? "\"truncated\":true" : "\"v\":\"a\xef\xbf\xbd\xef\xbf\xbd\""));
        line = end + 1;
    }
    assert_int_equal(*line, 0);
    free(big);
}

static void test_log_drops_what_is_below_its_level(void **state)
{
    (void)state;
    open_log(LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    LOG_INFO("no");
    LOG_DEBUG("no");
    LOG_ERROR("yes");
    log_level_set(LOG_LEVEL_DEBUG);
    LOG_DEBUG("and this");
    assert_null(strstr(written(), "\"no\""));
    assert_non_null(strstr(text, "\"msg\":\"yes\"}\n{\"level\":\"debug\""));
}

static void test_log_refuses_an_output_that_cannot_open(void **state)
{
    static const char *const outputs[] = {"/nonexistent/dir/log", NULL};
    struct log_options options = {LOG_LEVEL_INFO, LOG_FORMAT_JSON, outputs, NULL};
    struct why why = {""};
    (void)state;
    assert_true(IS(log_open(&options, &why), ABSENT));
    assert_non_null(strstr(why.text, "/nonexistent/dir/log"));
}

static void test_clock_stamps_as_zap(void **state)
{
    char stamp[40];
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    clock_format_log(1769850611123456789, stamp, sizeof(stamp));
    assert_string_equal(stamp, "2026-01-31T09:10:11.123456Z");
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    clock_format_log(1769850611000000999, stamp, sizeof(stamp));
    assert_string_equal(stamp, "2026-01-31T14:40:11.000000+0530");
    unsetenv("TZ");
    tzset();
}

/* Rotation. */

static char folder[64];

static char *in_folder(const char *name)
{
    return mem_printf("%s/%s", folder, name);
}

static int setup_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/ketcd-logs-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int teardown_folder(void **state)
{
    (void)state;
    log_close();
    folder_remove(folder);
    return 0;
}

static void open_rotated_as(const char *file_name, const struct log_rotation *rotation)
{
    char *name = in_folder(file_name);
    const char *const outputs[] = {name, NULL};
    struct log_options options = {LOG_LEVEL_INFO, LOG_FORMAT_JSON, outputs, rotation};
    assert_false(err_is(log_open(&options, NULL)));
    free(name);
}

static void open_rotated(const struct log_rotation *rotation)
{
    open_rotated_as("etcd.log", rotation);
}

/* About 300 bytes a line. */
static void say_lines(int count)
{
    char filler[201];
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = 0;
    for (int i = 0; i < count; i++) {
        LOG_INFO("line", LOG_INT("number", i), LOG_STR("filler", filler));
    }
}

static void touch(const char *name)
{
    char *file_name = in_folder(name);
    FILE *file = fopen(file_name, "we");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    fputs("old\n", file);
    fclose(file);
    free(file_name);
}

static bool is_there(const char *name)
{
    char *file_name = in_folder(name);
    bool is = access(file_name, F_OK) == 0;
    free(file_name);
    return is;
}

static bool has_end(const char *name, const char *end)
{
    return strlen(name) >= strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0;
}

/* Files with that end, etcd.log itself left out; each no longer than bytes_max. */
static int count_aside(const char *end, off_t bytes_max)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, "etcd-", 5) == 0 && has_end(entry->d_name, end)) {
            struct stat st;
            assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, 0), 0);
            assert_true(st.st_size > 0 && st.st_size <= bytes_max);
            assert_int_equal(st.st_mode & 0777, 0600);
            count++;
        }
    }
    closedir(dir);
    return count;
}

static void test_log_file_is_put_aside_when_full(void **state)
{
    struct log_rotation rotation = {.bytes_max = 4096};
    (void)state;
    touch("etcd.log"); /* goes on in what is there */
    open_rotated(&rotation);
    say_lines(100);
    log_close();
    int aside = count_aside(".log", 4096);
    assert_in_range(aside, 5, 20);
    open_rotated(&rotation);
    say_lines(1);
    log_close();
    assert_int_equal(count_aside(".log", 4096), aside);
}

/* As lumberjack does; without rotation the folder must be there. */
static void test_the_folder_of_a_rotated_log_is_made(void **state)
{
    struct log_rotation rotation = {.bytes_max = 4096};
    (void)state;
    open_rotated_as("var/log/etcd.log", &rotation);
    say_lines(1);
    log_close();
    assert_true(is_there("var/log/etcd.log"));
}

static void test_log_files_are_kept_by_number(void **state)
{
    struct log_rotation rotation = {.bytes_max = 4096, .backups_max = 2};
    (void)state;
    touch("other-2020-01-01T00-00-00.000.log");
    touch("etcd-2020-01-01.log");
    open_rotated(&rotation);
    say_lines(100);
    log_close();
    assert_int_equal(count_aside(".log", 4096), 2 + 1); /* and the one that is no backup */
    assert_true(is_there("other-2020-01-01T00-00-00.000.log"));
    assert_true(is_there("etcd-2020-01-01.log"));
}

static void test_log_files_are_kept_by_age(void **state)
{
    struct log_rotation rotation = {.bytes_max = 4096, .days_max = 3};
    (void)state;
    touch("etcd-2020-01-01T00-00-00.000.log");
    touch("etcd-2020-01-02T00-00-00.000.log.gz");
    touch("etcd-2999-01-01T00-00-00.000.log");
    open_rotated(&rotation); /* looks at once */
    log_close();
    assert_false(is_there("etcd-2020-01-01T00-00-00.000.log"));
    assert_false(is_there("etcd-2020-01-02T00-00-00.000.log.gz"));
    assert_true(is_there("etcd-2999-01-01T00-00-00.000.log"));
}

static void test_log_files_are_compressed(void **state)
{
    struct log_rotation rotation = {.bytes_max = 4096, .compress = true};
    char bytes[64] = "";
    (void)state;
    touch("etcd-2020-01-01T00-00-00.000.log");
    open_rotated(&rotation);
    say_lines(100);
    log_close();
    assert_int_equal(count_aside(".log", 0), 0);
    assert_in_range(count_aside(".log.gz", 4096), 5, 21);
    char *name = in_folder("etcd-2020-01-01T00-00-00.000.log.gz");
    gzFile file = gzopen(name, "rb");
    assert_int_equal(gzread(file, bytes, sizeof(bytes)), 4);
    assert_string_equal(bytes, "old\n");
    gzclose(file);
    free(name);
}

static void test_a_compressed_log_file_has_the_mode_of_the_whole_one(void **state)
{
    struct log_rotation rotation = {.bytes_max = 4096, .compress = true};
    struct stat st;
    char *whole = in_folder("etcd-2020-01-01T00-00-00.000.log");
    char *compressed = in_folder("etcd-2020-01-01T00-00-00.000.log.gz");
    (void)state;
    touch("etcd.log");
    touch("etcd-2020-01-01T00-00-00.000.log");
    assert_int_equal(chmod(whole, 0400), 0);
    open_rotated(&rotation); /* looks at once */
    log_close();
    assert_int_equal(stat(compressed, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    free(compressed);
    free(whole);
}

#define ROTATION(test) cmocka_unit_test_setup_teardown(test, setup_folder, teardown_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_line_has_zaps_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_console_is_tabbed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_keeps_lines_json_whatever_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_drops_what_is_below_its_level, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_log_refuses_an_output_that_cannot_open, setup, teardown),
        cmocka_unit_test(test_clock_stamps_as_zap),
        ROTATION(test_log_file_is_put_aside_when_full),
        ROTATION(test_the_folder_of_a_rotated_log_is_made),
        ROTATION(test_log_files_are_kept_by_number),
        ROTATION(test_log_files_are_kept_by_age),
        ROTATION(test_log_files_are_compressed),
        ROTATION(test_a_compressed_log_file_has_the_mode_of_the_whole_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
