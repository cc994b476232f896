/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads a member and prints one line: what, calls, rate, p50, p99, the member's CPU a call and
 * resident memory.
 *
 *   bench LOAD ENDPOINT [--conns N] [--streams N] [--seconds S] [--calls N] [--size BYTES] [--keys
 * N] [--threads N]
 *         [--limit N] [--pid PID] [--cacert F --cert F --key F]
 *
 * LOAD: put, create, update, get, getser, list, count
 */
#include "load.h"

#include "base/codec.h"
#include "base/mem.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { KEY_SIZE = 64 };

struct setting {
    const char *load;
    size_t size;
    uint64_t keys;
    int64_t limit;
    uint64_t base; /* keys of a create load are new in every run */
    uint8_t *value;
    long pid;
};

static struct slice key_of(const struct setting *s, uint64_t n, char out[KEY_SIZE])
{
    int len = snprintf(
        out, KEY_SIZE, "/registry/bench/%s%012" PRIu64, s->base ? "new/" : "", s->base + n);
    return slice_of(out, (size_t)len);
}

static void add_put(const struct setting *s, struct slice key, struct buf *out)
{
    wire_add_bytes(out, 1, key);
    wire_add_bytes(out, 2, slice_of(s->value, s->size));
}

/* Txn{compare: mod_revision == 0 or version > 0, success: put, failure: range}, an apiserver's
 * create and update. */
static void add_txn(const struct setting *s, struct slice key, bool is_create, struct buf *out)
{
    struct buf part;
    struct buf op;
    buf_init(&part, 64 << 20);
    buf_init(&op, 64 << 20);
    wire_add_varint_nz(&part, 1, is_create ? 0 : 1); /* EQUAL or GREATER */
    wire_add_varint_nz(&part, 2, is_create ? 2 : 0); /* MOD or VERSION */
    wire_add_bytes(&part, 3, key);
    wire_add_varint(&part, is_create ? 6 : 4, 0);
    wire_add_bytes(out, 1, buf_slice(&part));
    buf_reset(&part);
    add_put(s, key, &part);
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

static void add_list(const struct setting *s, bool is_count, struct buf *out)
{
    wire_add_bytes(out, 1, SLICE("/registry/bench/"));
    wire_add_bytes(out, 2, SLICE("/registry/bench0"));
    wire_add_varint_nz(out, 3, (uint64_t)s->limit);
    wire_add_varint_nz(out, 9, is_count);
}

static void request(void *arg, uint64_t n, struct buf *out)
{
    const struct setting *s = arg;
    char text[KEY_SIZE];
    /* Spread over the keys so that neighbours in time are none in the store. */
    struct slice key = key_of(s, s->base ? n : n * 7919 % s->keys, text);
    if (strcmp(s->load, "put") == 0) {
        add_put(s, key, out);
    } else if (strcmp(s->load, "create") == 0 || strcmp(s->load, "update") == 0) {
        add_txn(s, key, s->load[0] == 'c', out);
    } else if (strncmp(s->load, "get", 3) == 0) {
        wire_add_bytes(out, 1, key);
        wire_add_varint_nz(out, 7, strcmp(s->load, "getser") == 0);
    } else {
        add_list(s, strcmp(s->load, "count") == 0, out);
    }
}

static const char *method_of(const char *load)
{
    if (strcmp(load, "put") == 0) {
        return "/etcdserverpb.KV/Put";
    }
    return strcmp(load, "create") == 0 || strcmp(load, "update") == 0 ? "/etcdserverpb.KV/Txn"
                                                                      : "/etcdserverpb.KV/Range";
}

static double cpu_seconds(long pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *file = pid ? fopen(path, "re") : NULL;
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                &system) != 2) {
            user = system = 0;
        }
        fclose(file);
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double resident_mb(long pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
    FILE *file = pid ? fopen(path, "re") : NULL;
    if (file) {
        if (fscanf(file, "%*d %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void parse(int argc, char **argv, struct load_options *load, struct setting *setting)
{
    static const struct option options[] = {{"conns", 1, NULL, 'c'}, {"streams", 1, NULL, 's'},
        {"seconds", 1, NULL, 't'}, {"calls", 1, NULL, 'n'}, {"size", 1, NULL, 'z'},
        {"keys", 1, NULL, 'k'}, {"threads", 1, NULL, 'T'}, {"limit", 1, NULL, 'l'},
        {"pid", 1, NULL, 'p'}, {"cacert", 1, NULL, 'A'}, {"cert", 1, NULL, 'C'},
        {"key", 1, NULL, 'K'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        double number = optarg ? strtod(optarg, NULL) : 0;
        switch (option) {
        case 'c':
            load->connections = (unsigned)number;
            break;
        case 's':
            load->streams = (unsigned)number;
            break;
        case 't':
            load->seconds = number;
            break;
        case 'n':
            load->calls_max = (uint64_t)number;
            load->seconds = 0;
            break;
        case 'z':
            setting->size = (size_t)number;
            break;
        case 'k':
            setting->keys = (uint64_t)number;
            break;
        case 'T':
            load->threads = (unsigned)number;
            break;
        case 'l':
            setting->limit = (int64_t)number;
            break;
        case 'p':
            setting->pid = (long)number;
            break;
        case 'A':
            load->ca = optarg;
            break;
        case 'C':
            load->cert = optarg;
            break;
        case 'K':
            load->key = optarg;
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: bench LOAD ENDPOINT [options]; LOAD: put create update get getser "
                        "list count\n");
        exit(2);
    }
    setting->load = argv[optind];
    load->endpoint = argv[optind + 1];
}

int main(int argc, char **argv)
{
    struct setting setting = {.size = 1024, .keys = 20000};
    struct load_options load = {.connections = 8,
        .streams = 16,
        .threads = 1,
        .seconds = 5,
        .request = request,
        .arg = &setting};
    struct load_result result;
    parse(argc, argv, &load, &setting);
    setting.base =
        strcmp(setting.load, "create") == 0 ? (uint64_t)time(NULL) * 1000000 % 100000000000 : 0;
    setting.value = mem_new(setting.size);
    memset(setting.value, 'v', setting.size);
    load.method = method_of(setting.load);
    double cpu = cpu_seconds(setting.pid);
    load_run(&load, &result);
    cpu = cpu_seconds(setting.pid) - cpu;
    printf(
        "%-8s %ux%u  %8" PRIu64
        " calls  %9.0f/s  p50 %8.0f us  p99 %8.0f us  cpu %7.1f us/call  rss %6.0f MB  %7.1f MB/s",
        setting.load, load.connections, load.streams, result.calls,
        (double)result.calls / result.seconds, result.p50_us, result.p99_us,
        result.calls ? cpu * 1e6 / (double)result.calls : 0, resident_mb(setting.pid),
        (double)result.bytes / 1e6 / result.seconds);
    printf(result.errors ? "  %" PRIu64 " errors: %s\n" : "\n", result.errors, result.first_error);
    free(setting.value);
    return result.errors ? 1 : 0;
}
