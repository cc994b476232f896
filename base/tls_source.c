/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificate managers replace files one after the other or by renaming a folder's link; so a
 * change is seen by what stat says of each path, everything is read and checked as one, and only
 * what fits together replaces what is in use. What does not fit, or cannot be read, is tried again
 * at each look: what is wrong with it may be mended without a change of the files (their owner, a
 * limit of this process).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/tls.h"
#include "base/tls_context.h"
#include "base/tls_pem.h"

#include <pthread.h>
#include <sys/stat.h>

enum { FILES = 3, LOOK_EVERY_MS = 250 };

struct tls_source {
    struct tls_options options; /* of copies */
    char **cipher_suites;
    enum tls_role role;
    pthread_mutex_t mutex; /* over what follows */
    struct stat stats[FILES];
    bool is_broken; /* what lies there now was not taken */
    int64_t looked_ms;
    struct tls_material material;
    SSL_CTX *ctx;
    uint64_t count;
};

static char *dup_given(const char *text)
{
    return tls_is_given(text) ? mem_strdup(text) : NULL;
}

static char **dup_list(const char *const *list)
{
    size_t count = 0;
    while (list && list[count]) {
        count++;
    }
    char **out = mem_new((count + 1) * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        out[i] = mem_strdup(list[i]);
    }
    return out;
}

static void look(const struct tls_source *source, struct stat *out)
{
    const char *paths[FILES] = {
        source->options.cert_file, source->options.key_file, source->options.trusted_ca_file};
    for (size_t i = 0; i < FILES; i++) {
        if (!paths[i] || stat(paths[i], &out[i]) != 0) {
            memset(&out[i], 0, sizeof(out[i]));
        }
    }
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    for (size_t i = 0; i < FILES; i++) {
        if (a[i].st_ino != b[i].st_ino || a[i].st_dev != b[i].st_dev ||
            a[i].st_size != b[i].st_size || a[i].st_mtim.tv_sec != b[i].st_mtim.tv_sec ||
            a[i].st_mtim.tv_nsec != b[i].st_mtim.tv_nsec ||
            a[i].st_ctim.tv_sec != b[i].st_ctim.tv_sec ||
            a[i].st_ctim.tv_nsec != b[i].st_ctim.tv_nsec) {
            return false;
        }
    }
    return true;
}

/* Reads and takes into use, or changes nothing. */
static struct err load(struct tls_source *source, struct why *why)
{
    struct tls_material material;
    SSL_CTX *ctx = NULL;
    tls_material_init(&material);
    struct err e = tls_material_read(&material, &source->options, why);
    if (!err_is(e)) {
        e = tls_context_make(&material, &source->options, source->role, &ctx, why);
    }
    if (err_is(e)) {
        tls_material_fini(&material);
        return e;
    }
    tls_material_fini(&source->material);
    SSL_CTX_free(source->ctx);
    source->material = material;
    source->ctx = ctx;
    source->count++;
    return OK;
}

struct err tls_source_new(const struct tls_options *options, enum tls_role role,
    struct tls_source **out_source, struct why *why)
{
    if (role == TLS_SERVER && !tls_is_given(options->cert_file)) {
        return why_set(why, ERR(BAD_TLS),
            "KeyFile and CertFile must both be present[key: %s, cert: ]",
            options->key_file ? options->key_file : "");
    }
    struct tls_source *source = mem_new(sizeof(*source));
    source->cipher_suites = dup_list(options->cipher_suites);
    source->options = (struct tls_options){
        .cert_file = dup_given(options->cert_file),
        .key_file = dup_given(options->key_file),
        .trusted_ca_file = dup_given(options->trusted_ca_file),
        .server_name = dup_given(options->server_name),
        .client_cert_auth = options->client_cert_auth,
        .cipher_suites = (const char *const *)source->cipher_suites,
        .min_version = options->min_version,
        .max_version = options->max_version,
        .skip_verify = options->skip_verify,
    };
    source->role = role;
    pthread_mutex_init(&source->mutex, NULL);
    tls_material_init(&source->material);
    look(source, source->stats);
    struct err e = load(source, why);
    if (err_is(e)) {
        tls_source_free(source);
        return e;
    }
    *out_source = source;
    return OK;
}

void tls_source_free(struct tls_source *source)
{
    if (!source) {
        return;
    }
    SSL_CTX_free(source->ctx);
    tls_material_fini(&source->material);
    pthread_mutex_destroy(&source->mutex);
    for (size_t i = 0; source->cipher_suites[i]; i++) {
        free(source->cipher_suites[i]);
    }
    free(source->cipher_suites);
    free((char *)(uintptr_t)source->options.cert_file);
    free((char *)(uintptr_t)source->options.key_file);
    free((char *)(uintptr_t)source->options.trusted_ca_file);
    free((char *)(uintptr_t)source->options.server_name);
    free(source);
}

static enum tls_news poll_locked(struct tls_source *source, struct why *why)
{
    struct stat stats[FILES];
    int64_t now_ms = clock_mono_ms();
    if (source->looked_ms && now_ms - source->looked_ms < LOOK_EVERY_MS) {
        return TLS_NEWS_NONE;
    }
    source->looked_ms = now_ms;
    look(source, stats);
    bool is_news = !is_same(stats, source->stats);
    if (!is_news && !source->is_broken) {
        return TLS_NEWS_NONE;
    }
    memcpy(source->stats, stats, sizeof(stats));
    source->is_broken = err_is(load(source, why));
    if (source->is_broken) {
        return is_news ? TLS_NEWS_BROKEN : TLS_NEWS_NONE; /* told once */
    }
    return TLS_NEWS_RELOADED;
}

enum tls_news tls_source_poll(struct tls_source *source, struct why *why)
{
    pthread_mutex_lock(&source->mutex);
    enum tls_news news = poll_locked(source, why);
    pthread_mutex_unlock(&source->mutex);
    return news;
}

uint64_t tls_source_count(struct tls_source *source)
{
    pthread_mutex_lock(&source->mutex);
    uint64_t count = source->count;
    pthread_mutex_unlock(&source->mutex);
    return count;
}

SSL_CTX *tls_source_context(struct tls_source *source)
{
    pthread_mutex_lock(&source->mutex);
    SSL_CTX *ctx = source->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&source->mutex);
    return ctx;
}

void tls_source_pem(struct tls_source *source, char **out_pair, char **out_ca, uint64_t *out_count)
{
    pthread_mutex_lock(&source->mutex);
    struct tls_material *material = &source->material;
    *out_pair = mem_printf("%.*s\n%.*s", (int)material->cert.len, (char *)material->cert.data,
        (int)material->key.len, (char *)material->key.data);
    *out_ca = tls_is_given(source->options.trusted_ca_file)
                  ? mem_printf("%.*s", (int)material->ca.len, (char *)material->ca.data)
                  : NULL;
    *out_count = source->count;
    pthread_mutex_unlock(&source->mutex);
}
