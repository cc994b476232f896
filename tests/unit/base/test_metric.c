/* SPDX-License-Identifier: Apache-2.0
 * The expected texts are what Go's Prometheus client prints for the same values. */
#include "base/metric.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int reset(void **state)
{
    (void)state;
    metric_reset();
    return 0;
}

static void assert_exposed(const char *want)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    metric_expose(&out);
    assert_string_equal(buf_text(&out), want);
    buf_fini(&out);
}

static void test_counter_is_exposed_with_help_and_type(void **state)
{
    (void)state;
    struct metric *metric = metric_counter("b_total", "Help \\ with\nbreak \"quoted\"", NULL);
    metric_inc(metric);
    metric_add(metric, 2);
    metric_set(metric_gauge("a", "first by name", NULL), -1.5);
    assert_exposed(
        "# HELP a first by name\n# TYPE a gauge\na -1.5\n"
        "# HELP b_total Help \\\\ with\\nbreak \"quoted\"\n# TYPE b_total counter\nb_total 3\n");
}

static void test_name_created_twice_is_one(void **state)
{
    (void)state;
    assert_ptr_equal(metric_gauge("x", "h", NULL), metric_gauge("x", "other", NULL));
}

static void test_labels_are_sorted_and_escaped(void **state)
{
    (void)state;
    static const char *const names[] = {"type", "name", "status", NULL};
    struct metric *root = metric_counter("checks_total", "h", names);
    struct metric *later =
        metric_with(root, (const char *const[]){"readyz", "b\"\\\n", "error", NULL});
    metric_inc(later);
    metric_inc(metric_with(root, (const char *const[]){"readyz", "a", "success", NULL}));
    metric_inc(metric_with(root, (const char *const[]){"livez", "a", "success", NULL}));
    assert_ptr_equal(
        later, metric_with(root, (const char *const[]){"readyz", "b\"\\\n", "error", NULL}));
    assert_exposed("# HELP checks_total h\n# TYPE checks_total counter\n"
                   "checks_total{name=\"a\",status=\"success\",type=\"livez\"} 1\n"
                   "checks_total{name=\"a\",status=\"success\",type=\"readyz\"} 1\n"
                   "checks_total{name=\"b\\\"\\\\\\n\",status=\"error\",type=\"readyz\"} 1\n");
}

static void test_family_with_labels_and_no_children_is_silent(void **state)
{
    (void)state;
    static const char *const names[] = {"l", NULL};
    metric_counter("quiet_total", "h", names);
    assert_exposed("");
}

static void test_histogram_is_cumulative(void **state)
{
    (void)state;
    static double bounds[3];
    metric_buckets_exponential(0.001, 2, 3, bounds);
    struct metric *metric = metric_histogram("h_seconds", "h", bounds, 3, NULL);
    metric_observe(metric, 0.001);
    metric_observe(metric, 0.0015);
    metric_observe(metric, 7);
    assert_exposed("# HELP h_seconds h\n# TYPE h_seconds histogram\n"
                   "h_seconds_bucket{le=\"0.001\"} 1\nh_seconds_bucket{le=\"0.002\"} 2\n"
                   "h_seconds_bucket{le=\"0.004\"} 2\nh_seconds_bucket{le=\"+Inf\"} 3\n"
                   "h_seconds_sum 7.0025\nh_seconds_count 3\n");
}

static void test_histogram_keeps_labels_before_le(void **state)
{
    (void)state;
    static const double bounds[] = {1};
    static const char *const names[] = {"zone", NULL};
    metric_observe(
        metric_with(metric_histogram("h", "h", bounds, 1, names), (const char *const[]){"z", NULL}),
        1e6);
    assert_exposed(
        "# HELP h h\n# TYPE h histogram\nh_bucket{zone=\"z\",le=\"1\"} 0\n"
        "h_bucket{zone=\"z\",le=\"+Inf\"} 1\nh_sum{zone=\"z\"} 1e+06\nh_count{zone=\"z\"} 1\n");
}

static double read_number(void *arg)
{
    return *(double *)arg;
}

static void test_numbers_are_printed_as_go_prints_them(void **state)
{
    (void)state;
    const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {20000, "20000"},
        {999999, "999999"},
        {1000000, "1e+06"},
        {1.66489021e+08, "1.66489021e+08"},
        {1.79523310592e+09, "1.79523310592e+09"},
        {1.2586471424e+10, "1.2586471424e+10"},
        {4.03, "4.03"},
        {0.1, "0.1"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {1.0 / 3, "0.3333333333333333"},
        {-2.5, "-2.5"},
        {5e-324, "5e-324"},
        {1e21, "1e+21"},
        {123456.75, "123456.75"},
        {NAN, "NaN"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {18446744073709551615.0, "1.8446744073709552e+19"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double number = cases[i].number;
        char want[128];
        metric_reset();
        metric_gauge_fn("n", "h", read_number, &number);
        snprintf(want, sizeof(want), "# HELP n h\n# TYPE n gauge\nn %s\n", cases[i].text);
        assert_exposed(want);
    }
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *add_many(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        metric_inc(arg);
    }
    return NULL;
}

static void test_zero_sets_all_children(void **state)
{
    (void)state;
    static const char *const labels[] = {"l", NULL};
    struct metric *metric = metric_gauge("g", "h", labels);
    metric_set(metric_with(metric, (const char *const[]){"a", NULL}), 1);
    metric_set(metric_with(metric, (const char *const[]){"b", NULL}), 2);
    metric_zero(metric);
    assert_exposed("# HELP g h\n# TYPE g gauge\ng{l=\"a\"} 0\ng{l=\"b\"} 0\n");
}

static void test_updates_from_threads_are_not_lost(void **state)
{
    (void)state;
    struct metric *metric = metric_counter("c", "h", NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, metric), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_exposed("# HELP c h\n# TYPE c counter\nc 80000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counter_is_exposed_with_help_and_type, reset, reset),
        cmocka_unit_test_setup_teardown(test_name_created_twice_is_one, reset, reset),
        cmocka_unit_test_setup_teardown(test_labels_are_sorted_and_escaped, reset, reset),
        cmocka_unit_test_setup_teardown(
            test_family_with_labels_and_no_children_is_silent, reset, reset),
        cmocka_unit_test_setup_teardown(test_histogram_is_cumulative, reset, reset),
        cmocka_unit_test_setup_teardown(test_histogram_keeps_labels_before_le, reset, reset),
        cmocka_unit_test_setup_teardown(test_numbers_are_printed_as_go_prints_them, reset, reset),
        cmocka_unit_test_setup_teardown(test_zero_sets_all_children, reset, reset),
        cmocka_unit_test_setup_teardown(test_updates_from_threads_are_not_lost, reset, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
