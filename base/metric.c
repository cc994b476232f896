/* SPDX-License-Identifier: Apache-2.0
 *
 * A family is a name with its help, type and label names; its children are the label values seen.
 * Families and children are only ever added, so a pointer handed out stays good; adding takes the
 * one mutex, updating takes none.
 */
#include "base/metric.h"

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

enum { LABELS_MAX = 8, EXPONENT_PLAIN_MAX = 6 };

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

struct family {
    const char *name;
    const char *help;
    enum kind kind;
    const char *const *label_names;
    size_t label_count;
    const double *bounds;
    size_t bound_count;
    double (*read)(void *arg);
    void *arg;
    struct metric *root; /* what the creator got; also the only child of a family without labels */
    struct map *children;
};

struct metric {
    struct family *family;
    char *labels[LABELS_MAX];
    _Atomic uint64_t value;    /* the bits of a double; a histogram's sum */
    _Atomic uint64_t *buckets; /* not cumulative; the last is +Inf */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct map *families;

static double load(_Atomic uint64_t *bits)
{
    uint64_t raw = atomic_load_explicit(bits, memory_order_relaxed);
    double number;
    memcpy(&number, &raw, sizeof(number));
    return number;
}

static uint64_t bits_of(double number)
{
    uint64_t raw;
    memcpy(&raw, &number, sizeof(raw));
    return raw;
}

static struct metric *child_new(struct family *family)
{
    struct metric *metric = mem_new(sizeof(*metric));
    metric->family = family;
    if (family->kind == KIND_HISTOGRAM) {
        metric->buckets = mem_new((family->bound_count + 1) * sizeof(*metric->buckets));
    }
    return metric;
}

/* Takes what the template says; an existing family of that name wins. */
static struct metric *family_add(const struct family *template)
{
    pthread_mutex_lock(&mutex);
    if (!families) {
        families = map_new();
    }
    struct family *family = map_get(families, slice_str(template->name));
    if (!family) {
        family = mem_dup(template, sizeof(*template));
        for (size_t i = 0; template->label_names && template->label_names[i]; i++) {
            family->label_count++;
        }
        check(family->label_count <= LABELS_MAX);
        family->children = map_new();
        family->root = child_new(family);
        map_put(families, slice_str(family->name), family);
    }
    pthread_mutex_unlock(&mutex);
    return family->root;
}

struct metric *metric_counter(const char *name, const char *help, const char *const *label_names)
{
    return family_add(&(struct family){
        .name = name, .help = help, .kind = KIND_COUNTER, .label_names = label_names});
}

struct metric *metric_gauge(const char *name, const char *help, const char *const *label_names)
{
    return family_add(&(struct family){
        .name = name, .help = help, .kind = KIND_GAUGE, .label_names = label_names});
}

struct metric *metric_histogram(const char *name, const char *help, const double *bounds,
    size_t bounds_count, const char *const *label_names)
{
    return family_add(&(struct family){.name = name,
        .help = help,
        .kind = KIND_HISTOGRAM,
        .label_names = label_names,
        .bounds = bounds,
        .bound_count = bounds_count});
}

void metric_gauge_fn(const char *name, const char *help, double (*read)(void *arg), void *arg)
{
    family_add(
        &(struct family){.name = name, .help = help, .kind = KIND_GAUGE, .read = read, .arg = arg});
}

void metric_counter_fn(const char *name, const char *help, double (*read)(void *arg), void *arg)
{
    family_add(&(struct family){
        .name = name, .help = help, .kind = KIND_COUNTER, .read = read, .arg = arg});
}

struct metric *metric_with(struct metric *metric, const char *const *label_values)
{
    struct family *family = metric->family;
    struct buf key;
    buf_init(&key, SIZE_MAX);
    for (size_t i = 0; i < family->label_count; i++) {
        check(label_values[i]);
        buf_add(&key, label_values[i], strlen(label_values[i]) + 1);
    }
    pthread_mutex_lock(&mutex);
    struct metric *child = map_get(family->children, buf_slice(&key));
    if (!child) {
        child = child_new(family);
        for (size_t i = 0; i < family->label_count; i++) {
            child->labels[i] = mem_strdup(label_values[i]);
        }
        map_put(family->children, buf_slice(&key), child);
    }
    pthread_mutex_unlock(&mutex);
    buf_fini(&key);
    return child;
}

void metric_add(struct metric *metric, double by)
{
    uint64_t old = atomic_load_explicit(&metric->value, memory_order_relaxed);
    double number;
    do {
        memcpy(&number, &old, sizeof(number));
    } while (!atomic_compare_exchange_weak_explicit(
        &metric->value, &old, bits_of(number + by), memory_order_relaxed, memory_order_relaxed));
}

void metric_inc(struct metric *metric)
{
    metric_add(metric, 1);
}

void metric_set(struct metric *metric, double to)
{
    atomic_store_explicit(&metric->value, bits_of(to), memory_order_relaxed);
}

void metric_zero(struct metric *metric)
{
    void *cursor = NULL;
    struct slice key;
    void *child;
    pthread_mutex_lock(&mutex);
    while (map_next(metric->family->children, &cursor, &key, &child)) {
        metric_set(child, 0);
    }
    pthread_mutex_unlock(&mutex);
}

void metric_observe(struct metric *metric, double value)
{
    const struct family *family = metric->family;
    check(metric->buckets);
    size_t low = 0;
    size_t high = family->bound_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (value <= family->bounds[mid]) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    atomic_fetch_add_explicit(&metric->buckets[low], 1, memory_order_relaxed);
    metric_add(metric, value);
}

void metric_buckets_exponential(double start, double factor, size_t count, double *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = start;
        start *= factor;
    }
}

/* Go's strconv 'g' with the shortest digits that read back the same: 100000 stays plain, 1000000 is
 * 1e+06. */
static void add_number(struct buf *out, double number)
{
    if (isnan(number)) {
        buf_add_str(out, "NaN");
        return;
    }
    if (isinf(number)) {
        buf_add_str(out, number > 0 ? "+Inf" : "-Inf");
        return;
    }
    char text[40];
    int digits = 0;
    do {
        snprintf(text, sizeof(text), "%.*e", digits, number);
    } while (strtod(text, NULL) != number && ++digits < 17);
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= EXPONENT_PLAIN_MAX) {
        buf_add_str(out, text);
        return;
    }
    buf_printf(out, "%.*f", digits > exponent ? digits - exponent : 0, number);
}

static void add_escaped(struct buf *out, const char *text, bool is_label)
{
    for (; *text; text++) {
        if (*text == '\\') {
            buf_add_str(out, "\\\\");
        } else if (*text == '\n') {
            buf_add_str(out, "\\n");
        } else if (*text == '"' && is_label) {
            buf_add_str(out, "\\\"");
        } else {
            buf_add_byte(out, (uint8_t)*text);
        }
    }
}

/* Label pairs go out sorted by label name; the orders are tiny, so selection does. */
static void label_order(const struct family *family, size_t *out_order)
{
    for (size_t i = 0; i < family->label_count; i++) {
        size_t at = i;
        for (; at > 0 && strcmp(family->label_names[out_order[at - 1]], family->label_names[i]) > 0;
             at--) {
            out_order[at] = out_order[at - 1];
        }
        out_order[at] = i;
    }
}

/* name{labels…, le} and a space. bound NULL: no le label. */
static void add_series(
    struct buf *out, const struct metric *metric, const char *suffix, const double *bound)
{
    const struct family *family = metric->family;
    size_t order[LABELS_MAX];
    label_order(family, order);
    buf_add_str(out, family->name);
    buf_add_str(out, suffix);
    const char *before = "{";
    for (size_t i = 0; i < family->label_count; i++) {
        buf_add_str(out, before);
        buf_add_str(out, family->label_names[order[i]]);
        buf_add_str(out, "=\"");
        add_escaped(out, metric->labels[order[i]], true);
        buf_add_byte(out, '"');
        before = ",";
    }
    if (bound) {
        buf_add_str(out, before);
        buf_add_str(out, "le=\"");
        add_number(out, *bound);
        buf_add_byte(out, '"');
    }
    buf_add_str(out, family->label_count || bound ? "} " : " ");
}

static void add_histogram(struct buf *out, struct metric *metric)
{
    const struct family *family = metric->family;
    const double infinity = INFINITY;
    uint64_t count = 0;
    for (size_t i = 0; i <= family->bound_count; i++) {
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        add_series(
            out, metric, "_bucket", i < family->bound_count ? &family->bounds[i] : &infinity);
        buf_printf(out, "%llu\n", (unsigned long long)count);
    }
    add_series(out, metric, "_sum", NULL);
    add_number(out, load(&metric->value));
    buf_add_byte(out, '\n');
    add_series(out, metric, "_count", NULL);
    buf_printf(out, "%llu\n", (unsigned long long)count);
}

static void add_child(struct buf *out, struct metric *metric)
{
    const struct family *family = metric->family;
    if (family->kind == KIND_HISTOGRAM) {
        add_histogram(out, metric);
        return;
    }
    add_series(out, metric, "", NULL);
    add_number(out, family->read ? family->read(family->arg) : load(&metric->value));
    buf_add_byte(out, '\n');
}

static int by_labels(const void *a, const void *b)
{
    const struct metric *left = *(struct metric *const *)a;
    const struct metric *right = *(struct metric *const *)b;
    size_t order[LABELS_MAX];
    label_order(left->family, order);
    for (size_t i = 0; i < left->family->label_count; i++) {
        int diff = strcmp(left->labels[order[i]], right->labels[order[i]]);
        if (diff) {
            return diff;
        }
    }
    return 0;
}

static void add_head(struct buf *out, const struct family *family)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP %s ", family->name);
    add_escaped(out, family->help, false);
    buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
}

static void add_family(struct buf *out, struct family *family)
{
    if (family->label_count == 0) {
        add_head(out, family);
        add_child(out, family->root);
        return;
    }
    size_t count = map_count(family->children);
    if (count == 0) {
        return;
    }
    struct metric **sorted = mem_alloc(count * sizeof(struct metric *));
    void *cursor = NULL;
    struct slice key;
    void *value;
    for (size_t i = 0; map_next(family->children, &cursor, &key, &value); i++) {
        sorted[i] = value;
    }
    qsort(sorted, count, sizeof(struct metric *), by_labels);
    add_head(out, family);
    for (size_t i = 0; i < count; i++) {
        add_child(out, sorted[i]);
    }
    free(sorted);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct family *const *)a)->name, (*(struct family *const *)b)->name);
}

void metric_expose(struct buf *out)
{
    pthread_mutex_lock(&mutex);
    size_t count = families ? map_count(families) : 0;
    struct family **sorted = mem_alloc(count * sizeof(struct family *));
    void *cursor = NULL;
    struct slice key;
    void *value;
    for (size_t i = 0; count && map_next(families, &cursor, &key, &value); i++) {
        sorted[i] = value;
    }
    qsort(sorted, count, sizeof(struct family *), by_name);
    for (size_t i = 0; i < count; i++) {
        add_family(out, sorted[i]);
    }
    free(sorted);
    pthread_mutex_unlock(&mutex);
}

static void child_free(struct metric *metric)
{
    for (size_t i = 0; i < LABELS_MAX; i++) {
        free(metric->labels[i]);
    }
    free(metric->buckets);
    free(metric);
}

static void family_free(struct family *family)
{
    void *cursor = NULL;
    struct slice key;
    void *value;
    while (map_next(family->children, &cursor, &key, &value)) {
        child_free(value);
    }
    map_free(family->children);
    child_free(family->root);
    free(family);
}

void metric_reset(void)
{
    pthread_mutex_lock(&mutex);
    void *cursor = NULL;
    struct slice key;
    void *value;
    while (families && map_next(families, &cursor, &key, &value)) {
        family_free(value);
    }
    map_free(families);
    families = NULL;
    pthread_mutex_unlock(&mutex);
}
