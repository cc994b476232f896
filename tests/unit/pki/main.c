/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "base/mem.h"
#include "pki/inspect.h"
#include "pki/issue.h"
#include "pki/keys.h"

#include <string.h>
#include <unistd.h>

int folder_setup(void **state)
{
    struct folder *folder = mem_new(sizeof(*folder));
    snprintf(folder->dir, sizeof(folder->dir), "/tmp/ketcd-pki-XXXXXX");
    assert_non_null(mkdtemp(folder->dir));
    pki_options_init(&folder->options);
    folder->options.dir = folder->dir;
    folder->options.name = "node1";
    folder->options.key_type = "ecdsa:p256";
    *state = folder;
    return 0;
}

int folder_teardown(void **state)
{
    struct folder *folder = *state;
    shell(folder, "rm -rf '%s'", folder->dir);
    free(folder->said);
    free(folder);
    return 0;
}

static FILE *listen_to(struct folder *folder)
{
    free(folder->said);
    folder->said = NULL;
    folder->why.text[0] = '\0';
    FILE *out = open_memstream(&folder->said, &folder->said_len);
    assert_non_null(out);
    return out;
}

struct err folder_init(struct folder *folder)
{
    FILE *out = listen_to(folder);
    struct err e = pki_init(&folder->options, out, &folder->why);
    fclose(out);
    return e;
}

struct err folder_show(struct folder *folder)
{
    FILE *out = listen_to(folder);
    struct err e = pki_show(&folder->options, out, &folder->why);
    fclose(out);
    return e;
}

bool folder_verify(struct folder *folder)
{
    bool is_sound = false;
    FILE *out = listen_to(folder);
    struct err e = pki_verify(&folder->options, out, &is_sound, &folder->why);
    fclose(out);
    assert_int_equal(e.code, ERR_OK);
    return is_sound;
}

void folder_assert_finding(struct folder *folder, const char *file, const char *text)
{
    assert_false(folder_verify(folder));
    char begin[128];
    snprintf(begin, sizeof(begin), "%s/%s: ", folder->dir, file);
    if (strncmp(folder->said, begin, strlen(begin)) != 0 || strstr(folder->said, text) == NULL ||
        strchr(folder->said, '\n') != folder->said + folder->said_len - 1) {
        fail_msg("wanted \"%s… %s\", got:\n%s", begin, text, folder->said);
    }
}

const char *shell(const struct folder *folder, const char *format, ...)
{
    static char output[65536];
    char command[1024];
    int len = snprintf(command, sizeof(command), "cd '%s' && exec 2>&1; ", folder->dir);
    va_list args;
    va_start(args, format);
    vsnprintf(command + len, sizeof(command) - (size_t)len, format, args);
    va_end(args);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(output, 1, sizeof(output) - 1, pipe);
    output[got] = '\0';
    int status = pclose(pipe);
    if (status != 0) {
        fail_msg("%s: exit %d: %s", command, status, output);
    }
    return output;
}

static struct pki_kind wrong_kind(const struct wrong *wrong)
{
    for (size_t i = 0; i < pki_kinds_count; i++) {
        if (strcmp(pki_kinds[i].name, wrong->pair) == 0) {
            struct pki_kind kind = pki_kinds[i];
            kind.uses = wrong->uses ? wrong->uses : kind.uses;
            return kind;
        }
    }
    fail_msg("no such pair: %s", wrong->pair);
    return (struct pki_kind){0};
}

void folder_put_wrong(struct folder *folder, const struct wrong *wrong)
{
    struct pki_owner nobody = {(uid_t)-1, (gid_t)-1};
    struct pki_kind kind = wrong_kind(wrong);
    struct pki_folder *has = mem_new(sizeof(*has));
    struct pki_names *names = mem_new(sizeof(*names));
    struct pki_options options = folder->options;
    options.name = wrong->node ? wrong->node : "node1";
    assert_int_equal(pki_folder_read(folder->dir, has, NULL).code, ERR_OK);
    assert_int_equal(pki_names_wanted(&options, names, NULL).code, ERR_OK);
    names->count = wrong->without_names ? 1 : names->count;
    struct pki_issue order = {.kind = &kind, .names = names, .days = wrong->days};
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    assert_int_equal(pki_key_new("ecdsa:p256", &key, NULL).code, ERR_OK);
    bool is_ca = strcmp(wrong->pair, "ca") == 0;
    order.key = key;
    order.ca = is_ca ? NULL : has->pairs[0].cert;
    order.ca_key = is_ca ? NULL : has->pairs[0].key;
    assert_int_equal(pki_issue(&order, &cert, NULL).code, ERR_OK);
    char *cert_path = mem_printf("%s/%s.crt", folder->dir, wrong->pair);
    char *key_path = mem_printf("%s/%s.key", folder->dir, wrong->pair);
    assert_int_equal(pki_cert_write(cert_path, cert, nobody, NULL).code, ERR_OK);
    assert_int_equal(pki_key_write(key_path, key, nobody, NULL).code, ERR_OK);
    free(cert_path);
    free(key_path);
    X509_free(cert);
    EVP_PKEY_free(key);
    pki_folder_fini(has);
    free(has);
    free(names);
}

const char *program_path;

int main(int argc, char **argv)
{
    int failed = run_init_tests() + run_verify_tests() + run_names_tests();
    if (argc < 2) {
        fprintf(stderr, "usage: unit_pki PATH-OF-ETCD-PKI\n");
        return 1;
    }
    program_path = argv[1];
    return failed + run_cli_tests() == 0 ? 0 : 1;
}
