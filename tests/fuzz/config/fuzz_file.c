/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a configuration file: it loads or is refused with words, and is a second time in the
 * same ones. The first byte says whether a flag stands beside it. */
#include "config/config.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct config config;
    struct config_notes notes;
    struct why why;
    struct err err;
};

static void load(const char *path, bool has_flag, struct outcome *out)
{
    char program[] = "etcd";
    char flag[] = "--name=flag";
    char file[64];
    char *args[] = {program, file, has_flag ? flag : NULL, NULL};
    char *variables[] = {NULL};
    struct config_source source = {has_flag ? 3 : 2, args, variables, "/nonexistent/key", 1};
    snprintf(file, sizeof(file), "--config-file=%s", path);
    *out = (struct outcome){.why = {""}};
    out->err = config_load(&source, &out->config, &out->notes, &out->why);
}

static void fini(struct outcome *outcome)
{
    if (!err_is(outcome->err)) {
        config_fini(&outcome->config);
    }
    config_notes_fini(&outcome->notes);
}

/* Texts of the config are where the flags' defaults are, or the file's. */
static void check_loaded(const struct config *config)
{
    check(config->name && config->data_dir && config->initial_cluster_token);
    for (size_t i = 0; i < config->listen_client.count; i++) {
        check(config->listen_client.items[i].text);
    }
    for (size_t i = 0; i < config->cipher_suites.count; i++) {
        check(config->cipher_suites.items[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome first;
    struct outcome second;
    char path[32];
    if (!size) {
        return 0;
    }
    int fd = memfd_create("config", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    load(path, data[0] % 2, &first);
    load(path, data[0] % 2, &second);
    close(fd);
    check(first.err.code == second.err.code && strcmp(first.why.text, second.why.text) == 0);
    check(err_is(first.err) == (first.why.text[0] != '\0'));
    check(first.notes.count == second.notes.count);
    for (size_t i = 0; i < first.notes.count; i++) {
        check(strcmp(first.notes.items[i].message, second.notes.items[i].message) == 0);
    }
    if (!err_is(first.err)) {
        check_loaded(&first.config);
    }
    fini(&first);
    fini(&second);
    return 0;
}
