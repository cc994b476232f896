/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads a member, or all of a cluster, and prints one line: what, calls, rate, p50, p99, the
 * members' CPU a call and resident memory, the generator's own CPU a call.
 *
 *   bench LOAD ENDPOINT[,ENDPOINT…] [--conns N] [--streams N] [--seconds S] [--calls N]
 *         [--rate N] [--size BYTES] [--keys N] [--threads N] [--limit N] [--watchers N] [--single]
 *         [--prev-kv] [--pid PID[,PID…]] [--json] [--cacert F --cert F --key F]
 *
 * LOAD: put, create, update, get, getser, list, count; fill (each key once, in order), paged (pages
 * at one revision, one after the other), watch (puts at --rate, seen by --watchers), grant (leases
 * of --ttl seconds)
 */
#include "load.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "h2.h"
#include "watch.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { KEY_SIZE = 64, PART_MAX = 64 << 20, POOL_BYTES = 1 << 20 };

/* Where a walk over pages is. */
struct walk {
    struct buf key; /* the next page's; empty: the first page */
    uint64_t rev;
};

struct setting {
    const char *load;
    const char *ca;
    const char *cert;
    const char *key;
    size_t size;
    uint64_t keys;
    int64_t limit;
    uint64_t ttl;
    uint64_t base; /* keys of a create load are new in every run */
    unsigned watchers;
    bool is_single; /* each watcher its own key */
    bool is_prev_kv;
    bool is_json;
    uint8_t *pool;      /* values are cut out of it: nothing that packs well */
    const char *pids;   /* with commas */
    struct walk *walks; /* a runner */
    double began_cpu;   /* the members', when the first call began */
};

static bool is_load(const struct setting *s, const char *name)
{
    return strcmp(s->load, name) == 0;
}

static struct slice key_text(const char *folder, uint64_t n, char out[KEY_SIZE])
{
    int len = snprintf(out, KEY_SIZE, "/registry/bench/%s%012" PRIu64, folder, n);
    return slice_of(out, (size_t)len);
}

static struct slice key_of(const struct setting *s, uint64_t n, char out[KEY_SIZE])
{
    if (s->base) {
        return key_text("new/", s->base + n, out);
    }
    /* Spread over the keys so that neighbours in time are none in the store. */
    return key_text("", is_load(s, "fill") ? n : n * 7919 % s->keys, out);
}

static void add_put(const struct setting *s, struct slice key, uint64_t n, struct buf *out)
{
    wire_add_bytes(out, 1, key);
    wire_add_head(out, 2, s->size);
    uint8_t now[8];
    put_be64(now, (uint64_t)clock_mono_ns());
    size_t stamp = s->size < sizeof(now) ? 0 : sizeof(now);
    buf_add(out, now, stamp);
    buf_add(out, s->pool + n * (s->size + 61) % POOL_BYTES, s->size - stamp);
}

/* Txn{compare: mod_revision == 0 or version > 0, success: put, failure: range}, an apiserver's
 * create and update. */
static void add_txn(const struct setting *s, struct slice key, uint64_t n, struct buf *out)
{
    bool is_create = is_load(s, "create");
    struct buf part;
    struct buf op;
    buf_init(&part, PART_MAX);
    buf_init(&op, PART_MAX);
    wire_add_varint_nz(&part, 1, is_create ? 0 : 1); /* EQUAL or GREATER */
    wire_add_varint_nz(&part, 2, is_create ? 2 : 0); /* MOD or VERSION */
    wire_add_bytes(&part, 3, key);
    wire_add_varint(&part, is_create ? 6 : 4, 0);
    wire_add_bytes(out, 1, buf_slice(&part));
    buf_reset(&part);
    add_put(s, key, n, &part);
    wire_add_bytes(&op, 2, buf_slice(&part));
    wire_add_bytes(out, 2, buf_slice(&op));
    if (!is_create) {
        buf_reset(&part);
        buf_reset(&op);
        wire_add_bytes(&part, 1, key);
        wire_add_bytes(&op, 1, buf_slice(&part));
        wire_add_bytes(out, 3, buf_slice(&op));
    }
    buf_fini(&part);
    buf_fini(&op);
}

static void add_list(const struct setting *s, const struct walk *walk, struct buf *out)
{
    bool is_on = walk && walk->key.len;
    wire_add_bytes(out, 1, is_on ? buf_slice(&walk->key) : SLICE("/registry/bench/0"));
    wire_add_bytes(out, 2, SLICE("/registry/bench/1"));
    wire_add_varint_nz(out, 3, (uint64_t)s->limit);
    wire_add_varint_nz(out, 4, is_on ? walk->rev : 0);
    wire_add_varint_nz(out, 9, is_load(s, "count"));
}

static void request(void *arg, size_t runner, uint64_t n, struct buf *out)
{
    const struct setting *s = arg;
    char text[KEY_SIZE];
    struct slice key = key_of(s, n, text);
    if (is_load(s, "put") || is_load(s, "fill") || is_load(s, "watch")) {
        add_put(s, key, n, out);
    } else if (is_load(s, "create") || is_load(s, "update")) {
        add_txn(s, key, n, out);
    } else if (is_load(s, "grant")) {
        wire_add_varint(out, 1, s->ttl);
    } else if (strncmp(s->load, "get", 3) == 0) {
        wire_add_bytes(out, 1, key);
        wire_add_varint_nz(out, 7, is_load(s, "getser"));
    } else {
        add_list(s, s->walks ? &s->walks[runner] : NULL, out);
    }
}

/* RangeResponse{1: header{3: revision}, 2: kvs{1: key}, 3: more}. */
static void next_page(void *arg, size_t runner, struct slice message)
{
    const struct setting *s = arg;
    struct walk *walk = &s->walks[runner];
    struct wire wire;
    struct wire_field field;
    struct slice last = {0};
    bool has_more = false;
    wire_init(&wire, message);
    while (wire_more(&wire) && !err_is(wire_next(&wire, &field))) {
        struct wire inner;
        wire_init(&inner, field.bytes);
        if (field.number == 1 && walk->key.len == 0) {
            struct wire_field part;
            while (wire_more(&inner) && !err_is(wire_next(&inner, &part))) {
                walk->rev = part.number == 3 ? part.value : walk->rev;
            }
        } else if (field.number == 2 && !err_is(wire_next(&inner, &field))) {
            last = field.bytes;
        } else if (field.number == 3) {
            has_more = field.value;
        }
    }
    buf_reset(&walk->key);
    if (has_more) {
        buf_add_slice(&walk->key, last);
        buf_add_byte(&walk->key, 0);
    }
}

/* WatchRequest{1: create{1: key, 2: range_end, 6: prev_kv}} */
static void watch_request(void *arg, uint64_t n, struct buf *out)
{
    const struct setting *s = arg;
    char text[KEY_SIZE];
    struct buf create;
    buf_init(&create, 4096);
    if (s->is_single) {
        wire_add_bytes(&create, 1, key_text("", n, text));
    } else {
        wire_add_bytes(&create, 1, SLICE("/registry/bench/"));
        wire_add_bytes(&create, 2, SLICE("/registry/bench0"));
    }
    wire_add_varint_nz(&create, 6, s->is_prev_kv);
    wire_add_bytes(out, 1, buf_slice(&create));
    buf_fini(&create);
}

static const char *method_of(const struct setting *s)
{
    if (is_load(s, "put") || is_load(s, "fill") || is_load(s, "watch")) {
        return "/etcdserverpb.KV/Put";
    }
    if (is_load(s, "grant")) {
        return "/etcdserverpb.Lease/LeaseGrant";
    }
    bool is_txn = is_load(s, "create") || is_load(s, "update");
    return is_txn ? "/etcdserverpb.KV/Txn" : "/etcdserverpb.KV/Range";
}

/* Letters as in base64, by a small generator (Marsaglia's xorshift): the same in every run. */
static uint8_t *pool_new(size_t size)
{
    uint8_t *pool = mem_new(size);
    uint32_t x = 2463534242;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        pool[i] = (uint8_t)('0' + (x >> 8) % 64);
    }
    return pool;
}

static double cpu_seconds_of(long pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                &system) != 2) {
            user = system = 0;
        }
        fclose(file);
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double resident_mb_of(long pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%*d %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static double sum_of(const char *pids, double (*of)(long pid))
{
    double sum = 0;
    while (pids && *pids) {
        char *end;
        sum += of(strtol(pids, &end, 10));
        pids = end == pids ? NULL : end + (*end == ',');
    }
    return sum;
}

static double cpu_seconds(const char *pids)
{
    return sum_of(pids, cpu_seconds_of);
}

static void print(const struct setting *s, const struct load_options *load,
    const struct load_result *r, double cpu, double own_cpu)
{
    double calls = r->calls ? (double)r->calls : 1;
    if (s->is_json) {
        printf("{\"load\":\"%s\",\"conns\":%u,\"streams\":%u,\"calls\":%" PRIu64
               ",\"errors\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.1f,\"p50_us\":%.0f,"
               "\"p99_us\":%.0f,\"max_us\":%.0f,\"cpu_us\":%.2f,\"own_cpu_us\":%.2f,"
               "\"rss_mb\":%.1f,\"mb_s\":%.1f}\n",
            s->load, load->connections, load->streams, r->calls, r->errors, r->seconds,
            (double)r->calls / r->seconds, r->p50_us, r->p99_us, r->max_us, cpu * 1e6 / calls,
            own_cpu * 1e6 / calls, sum_of(s->pids, resident_mb_of),
            (double)r->bytes / 1e6 / r->seconds);
        return;
    }
    printf("%-8s %ux%u  %8" PRIu64 " calls  %9.0f/s  p50 %8.0f us  p99 %8.0f us  cpu %7.1f us/call"
           "  rss %6.0f MB  %7.1f MB/s  (generator %.1f us/call)",
        s->load, load->connections, load->streams, r->calls, (double)r->calls / r->seconds,
        r->p50_us, r->p99_us, cpu * 1e6 / calls, sum_of(s->pids, resident_mb_of),
        (double)r->bytes / 1e6 / r->seconds, own_cpu * 1e6 / calls);
    printf(r->errors ? "  %" PRIu64 " ERRORS\n" : "\n", r->errors);
}

static void usage(void)
{
    fprintf(stderr, "usage: bench LOAD ENDPOINT [options]; LOAD: put create update get getser list "
                    "count fill paged watch grant\n");
    exit(2);
}

static bool load_option(int option, double number, struct load_options *load)
{
    switch (option) {
    case 'c':
        load->connections = (unsigned)number;
        return true;
    case 's':
        load->streams = (unsigned)number;
        return true;
    case 't':
        load->seconds = number;
        return true;
    case 'n':
        load->calls_max = (uint64_t)number;
        load->seconds = 0;
        return true;
    case 'T':
        load->threads = (unsigned)number;
        return true;
    case 'r':
        load->rate = number;
        return true;
    default:
        return false;
    }
}

static void setting_option(int option, double number, struct setting *s)
{
    switch (option) {
    case 'z':
        s->size = (size_t)number;
        break;
    case 'k':
        s->keys = (uint64_t)number;
        break;
    case 'l':
        s->limit = (int64_t)number;
        break;
    case 'L':
        s->ttl = (uint64_t)number;
        break;
    case 'p':
        s->pids = optarg;
        break;
    case 'w':
        s->watchers = (unsigned)number;
        break;
    case '1':
        s->is_single = true;
        break;
    case 'v':
        s->is_prev_kv = true;
        break;
    case 'j':
        s->is_json = true;
        break;
    case 'A':
        s->ca = optarg;
        break;
    case 'C':
        s->cert = optarg;
        break;
    case 'K':
        s->key = optarg;
        break;
    default:
        usage();
    }
}

static void parse(int argc, char **argv, struct load_options *load, struct setting *setting)
{
    static const struct option options[] = {{"conns", 1, NULL, 'c'}, {"streams", 1, NULL, 's'},
        {"seconds", 1, NULL, 't'}, {"calls", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'},
        {"size", 1, NULL, 'z'}, {"keys", 1, NULL, 'k'}, {"threads", 1, NULL, 'T'},
        {"limit", 1, NULL, 'l'}, {"pid", 1, NULL, 'p'}, {"ttl", 1, NULL, 'L'},
        {"watchers", 1, NULL, 'w'}, {"single", 0, NULL, '1'}, {"prev-kv", 0, NULL, 'v'},
        {"json", 0, NULL, 'j'}, {"cacert", 1, NULL, 'A'}, {"cert", 1, NULL, 'C'},
        {"key", 1, NULL, 'K'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        double number = optarg ? strtod(optarg, NULL) : 0;
        if (!load_option(option, number, load)) {
            setting_option(option, number, setting);
        }
    }
    if (argc - optind != 2) {
        usage();
    }
    setting->load = argv[optind];
    load->endpoints = argv[optind + 1];
}

/* Puts at a rate from two connections; what counts is what the watchers get. */
static void run_watch(
    struct setting *s, const struct load_options *load, struct load_result *out, double *out_cpu)
{
    struct load_options puts = *load;
    struct load_result put;
    struct watch_options options = {load->endpoints, load->tls, load->connections, load->streams,
        s->watchers, watch_request, s};
    struct watch_load *watch = watch_start(&options);
    *out_cpu = cpu_seconds(s->pids);
    puts.connections = 2;
    puts.streams = 16;
    load_run(&puts, &put);
    watch_finish(watch, put.calls * (s->is_single ? 1 : s->watchers), out);
    *out_cpu = cpu_seconds(s->pids) - *out_cpu;
    out->seconds = put.seconds;
    out->errors += put.errors;
}

static void begun(void *arg)
{
    struct setting *s = arg;
    s->began_cpu = cpu_seconds(s->pids);
}

static void run_load(
    struct setting *s, const struct load_options *load, struct load_result *out, double *out_cpu)
{
    struct load_options own = *load;
    own.begun = begun;
    load_run(&own, out);
    *out_cpu = cpu_seconds(s->pids) - s->began_cpu;
}

int main(int argc, char **argv)
{
    struct setting setting = {.size = 1024, .keys = 20000, .watchers = 100, .ttl = 60};
    struct load_options load = {.connections = 8,
        .streams = 16,
        .threads = 1,
        .seconds = 5,
        .request = request,
        .arg = &setting};
    struct load_result result;
    double cpu;
    parse(argc, argv, &load, &setting);
    load.tls = h2_tls_new(setting.ca, setting.cert, setting.key);
    load.method = method_of(&setting);
    setting.base = is_load(&setting, "create") ? (uint64_t)time(NULL) * 1000000 % 100000000000 : 0;
    setting.pool = pool_new(POOL_BYTES + setting.size);
    size_t runners = (size_t)load.connections * load.streams;
    if (is_load(&setting, "paged")) {
        setting.walks = mem_new(runners * sizeof(*setting.walks));
        load.response = next_page;
    }
    for (size_t i = 0; setting.walks && i < runners; i++) {
        buf_init(&setting.walks[i].key, PART_MAX);
    }
    double own_cpu = own_cpu_seconds();
    (is_load(&setting, "watch") ? run_watch : run_load)(&setting, &load, &result, &cpu);
    print(&setting, &load, &result, cpu, own_cpu_seconds() - own_cpu);
    for (size_t i = 0; setting.walks && i < runners; i++) {
        buf_fini(&setting.walks[i].key);
    }
    free(setting.walks);
    free(setting.pool);
    SSL_CTX_free(load.tls);
    return result.errors ? 1 : 0;
}
