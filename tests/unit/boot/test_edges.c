/* SPDX-License-Identifier: Apache-2.0
 * The doors that a configuration asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "boot/edges.h"

enum { LISTENERS = 64 };

/* Some port each, split among the flags. */
static struct err bind_many(size_t clients, size_t http, size_t metrics, struct why *why)
{
    struct arena *arena = arena_new(0);
    struct url urls[LISTENERS + 1];
    struct edges *edges = NULL;
    struct config config = {.listen_client = {urls, clients},
        .listen_client_http = {urls, http},
        .listen_metrics = {urls, metrics}};
    for (size_t i = 0; i < LISTENERS + 1; i++) {
        assert_false(err_is(url_parse(arena, "http://127.0.0.1:0", &urls[i], NULL)));
    }
    struct err err = edges_bind(&config, &edges, why);
    edges_free(edges);
    arena_free(arena);
    return err;
}

static void test_listeners_are_bounded(void **state)
{
    struct why why = {""};
    (void)state;
    assert_false(err_is(bind_many(LISTENERS - 2, 1, 1, &why)));
    assert_true(IS(bind_many(LISTENERS + 1, 0, 0, &why), BAD_CONFIG));
    assert_string_equal(why.text, "more than 64 URLs to listen on");
    assert_true(IS(bind_many(LISTENERS - 1, 1, 1, &why), BAD_CONFIG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listeners_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
