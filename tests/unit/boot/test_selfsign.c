/* SPDX-License-Identifier: Apache-2.0
 * Certificates that sign themselves, and the folders that they are put in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "boot/selfsign.h"
#include "disk/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct place {
    char root[64];
    struct arena *arena;
    struct config config;
    struct url url;
};

/* The data directory is below folders that are not there yet. */
static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    struct why why = {""};
    snprintf(place->root, sizeof(place->root), "/tmp/ketcd-selfsign-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    place->arena = arena_new(0);
    assert_false(err_is(url_parse(place->arena, "https://127.0.0.1:2379", &place->url, &why)));
    struct url_list urls = {&place->url, 1};
    place->config = (struct config){
        .arena = place->arena,
        .data_dir = arena_printf(place->arena, "%s/a/b/c", place->root),
        .listen_client = urls,
        .listen_peer = urls,
        .self_signed_years = 1,
        .client = {.is_auto = true, .cert_file = "", .key_file = ""},
        .peer = {.is_auto = true, .cert_file = "", .key_file = ""},
    };
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct err err = disk_remove_all(disk_real(), place->root, &why);
    arena_free(place->arena);
    free(place);
    return err_is(err) ? -1 : 0;
}

static void assert_mode(struct place *place, const char *name, mode_t mode)
{
    struct stat info;
    assert_int_equal(stat(arena_printf(place->arena, "%s/%s", place->root, name), &info), 0);
    assert_int_equal(info.st_mode & 0777, mode);
}

static void test_self_sign_makes_every_folder(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct err err = self_sign(&place->config, &why);
    assert_string_equal(why.text, "");
    assert_false(err_is(err));
    assert_true(place->config.client.is_self_signed && place->config.peer.is_self_signed);
    assert_string_equal(place->config.peer.key_file,
        arena_printf(place->arena, "%s/a/b/c/fixtures/peer/key.pem", place->root));
    assert_mode(place, "a/b", 0700);
    assert_mode(place, "a/b/c", 0700);
    assert_mode(place, "a/b/c/fixtures/client", 0700);
    assert_mode(place, "a/b/c/fixtures/client/key.pem", 0600);
}

static void test_self_sign_tells_what_is_in_the_way(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    char path[128];
    snprintf(path, sizeof(path), "%s/a", place->root);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_true(err_is(self_sign(&place->config, &why)));
    assert_non_null(strstr(why.text, path));
    assert_false(place->config.client.is_self_signed);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_self_sign_makes_every_folder),
        IN_PLACE(test_self_sign_tells_what_is_in_the_way),
    };
    return cmocka_run_group_tests_name("selfsign", tests, NULL, NULL);
}
