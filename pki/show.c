/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder in words: a grid on a terminal, sentences in a pipe, JSON where asked.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "pki/inspect.h"

#include <json-c/json.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <string.h>

#define COLUMNS_MAX 8
#define TEXT_MAX ((size_t)64 * 1024)

static void add_days_left(const X509 *cert, struct buf *out)
{
    long long left = (long long)(pki_time(X509_get0_notAfter(cert)) - time(NULL)) / 86400;
    buf_printf(out, "%lld", left);
}

static void add_time(const ASN1_TIME *time, struct buf *out)
{
    struct tm tm;
    char text[32];
    time_t seconds = pki_time(time);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    buf_add_str(out, text);
}

static void add_key_type(const X509 *cert, struct buf *out)
{
    const EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *name = key ? EVP_PKEY_get0_type_name(key) : NULL;
    buf_printf(out, "%s %d", name ? name : "unknown key", key ? EVP_PKEY_get_bits(key) : 0);
}

static void add_uses(X509 *cert, struct buf *out)
{
    if (X509_check_ca(cert) == 1) {
        buf_add_str(out, "CA");
        return;
    }
    uint32_t extended = X509_get_extended_key_usage(cert);
    const char *both = (extended & XKU_SSL_SERVER) && (extended & XKU_SSL_CLIENT) ? ", " : "";
    buf_printf(out, "%s%s%s", extended & XKU_SSL_SERVER ? "server" : "", both,
        extended & XKU_SSL_CLIENT ? "client" : "");
}

static void add_names(X509 *cert, struct buf *out)
{
    struct pki_names names;
    pki_cert_names(cert, &names);
    for (size_t i = 0; i < names.count; i++) {
        buf_printf(out, "%s%s", i > 0 ? ", " : "", names.sans[i].text);
    }
}

static bool has_findings(const struct pki_folder *folder, size_t pair)
{
    for (size_t i = 0; i < folder->findings_count; i++) {
        if (folder->findings[i].pair == pair) {
            return true;
        }
    }
    return false;
}

static const char *state_of(const struct pki_folder *folder, size_t pair)
{
    if (has_findings(folder, pair)) {
        return "wrong";
    }
    if (folder->pairs[pair].cert == NULL) {
        return "absent";
    }
    return folder->pairs[pair].has_key ? "ok" : "ok, key elsewhere";
}

/* One row's cells, NUL between them, from the row's own buffer. */
struct row {
    const char *cells[COLUMNS_MAX];
};

static void rule(FILE *out, const size_t *widths, size_t columns)
{
    for (size_t i = 0; i < columns; i++) {
        fputc('+', out);
        for (size_t n = 0; n < widths[i] + 2; n++) {
            fputc('-', out);
        }
    }
    fputs("+\n", out);
}

/* The first row is the head. */
static void grid(FILE *out, const struct row *rows, size_t rows_count, size_t columns)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t r = 0; r < rows_count; r++) {
        for (size_t c = 0; c < columns; c++) {
            size_t len = strlen(rows[r].cells[c]);
            widths[c] = len > widths[c] ? len : widths[c];
        }
    }
    rule(out, widths, columns);
    for (size_t r = 0; r < rows_count; r++) {
        for (size_t c = 0; c < columns; c++) {
            fprintf(out, "| %-*s ", (int)widths[c], rows[r].cells[c]);
        }
        fputs("|\n", out);
        if (r == 0) {
            rule(out, widths, columns);
        }
    }
    rule(out, widths, columns);
}

typedef void cell_fn(X509 *cert, struct buf *out);

static void cell_cn(X509 *cert, struct buf *out)
{
    char cn[256];
    pki_cert_cn(cert, cn, sizeof(cn));
    buf_add_str(out, cn);
}

static void cell_key(X509 *cert, struct buf *out)
{
    add_key_type(cert, out);
}

static void cell_expires(X509 *cert, struct buf *out)
{
    add_time(X509_get0_notAfter(cert), out);
}

static void cell_days(X509 *cert, struct buf *out)
{
    add_days_left(cert, out);
}

static void show_table(const struct pki_folder *folder, FILE *out)
{
    static cell_fn *const cells[] = {
        cell_cn, cell_key, add_uses, cell_expires, cell_days, add_names};
    struct row rows[1 + PKI_PAIRS_MAX] = {
        {{"PAIR", "SUBJECT", "KEY", "USES", "EXPIRES", "DAYS LEFT", "NAMES", "STATE"}}};
    struct buf texts[PKI_PAIRS_MAX][COUNT_OF(cells)];
    for (size_t i = 0; i < folder->pairs_count; i++) {
        const struct pki_pair *pair = &folder->pairs[i];
        struct row *row = &rows[1 + i];
        row->cells[0] = pair->kind->name;
        row->cells[COLUMNS_MAX - 1] = state_of(folder, i);
        for (size_t c = 0; c < COUNT_OF(cells); c++) {
            buf_init(&texts[i][c], TEXT_MAX);
            if (pair->cert != NULL) {
                cells[c](pair->cert, &texts[i][c]);
            }
            row->cells[1 + c] = buf_text(&texts[i][c]);
        }
    }
    grid(out, rows, 1 + folder->pairs_count, COLUMNS_MAX);
    for (size_t i = 0; i < folder->pairs_count; i++) {
        for (size_t c = 0; c < COUNT_OF(cells); c++) {
            buf_fini(&texts[i][c]);
        }
    }
}

static void show_sentence(const struct pki_folder *folder, size_t index, FILE *out)
{
    const struct pki_pair *pair = &folder->pairs[index];
    if (pair->cert == NULL) {
        fprintf(out, "%s: %s\n", pair->kind->name, pair->has_cert ? "unusable" : "absent");
        return;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    cell_cn(pair->cert, &text);
    buf_add_str(&text, ", ");
    add_key_type(pair->cert, &text);
    buf_add_str(&text, ", for ");
    add_uses(pair->cert, &text);
    buf_add_str(&text, ", expires ");
    add_time(X509_get0_notAfter(pair->cert), &text);
    buf_add_str(&text, " (in ");
    add_days_left(pair->cert, &text);
    buf_add_str(&text, " days), names ");
    size_t before = text.len;
    add_names(pair->cert, &text);
    buf_add_str(&text, text.len == before ? "nobody" : "");
    fprintf(out, "%s: %s; %s\n", pair->kind->name, buf_text(&text), state_of(folder, index));
    buf_fini(&text);
}

static void show_findings(const struct pki_folder *folder, enum pki_output output, FILE *out)
{
    struct row rows[1 + PKI_FINDINGS_MAX] = {{{"FILE", "WHAT IS WRONG"}}};
    for (size_t i = 0; i < folder->findings_count; i++) {
        const struct pki_finding *finding = &folder->findings[i];
        rows[1 + i] = (struct row){{finding->path, finding->text}};
        if (output == PKI_OUTPUT_PLAIN) {
            fprintf(out, "%s: %s\n", finding->path, finding->text);
        }
    }
    if (output == PKI_OUTPUT_TABLE && folder->findings_count > 0) {
        grid(out, rows, 1 + folder->findings_count, 2);
    }
}

static void json_text(struct json_object *to, const char *name, cell_fn *fn, X509 *cert)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    fn(cert, &text);
    json_object_object_add(to, name, json_object_new_string(buf_text(&text)));
    buf_fini(&text);
}

static void json_cert(struct json_object *to, X509 *cert)
{
    struct pki_names names;
    pki_cert_names(cert, &names);
    json_text(to, "subject", cell_cn, cert);
    json_text(to, "key_type", cell_key, cert);
    json_text(to, "uses", add_uses, cert);
    json_text(to, "expires", cell_expires, cert);
    time_t left = pki_time(X509_get0_notAfter(cert)) - time(NULL);
    json_object_object_add(to, "days_left", json_object_new_int64(left / 86400));
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = serial ? BN_bn2hex(serial) : NULL;
    json_object_object_add(to, "serial", json_object_new_string(hex ? hex : ""));
    OPENSSL_free(hex);
    BN_free(serial);
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < names.count; i++) {
        json_object_array_add(list, json_object_new_string(names.sans[i].text));
    }
    json_object_object_add(to, "names", list);
}

static void show_json(const struct pki_folder *folder, FILE *out)
{
    struct json_object *root = json_object_new_object();
    struct json_object *pairs = json_object_new_array();
    struct json_object *findings = json_object_new_array();
    for (size_t i = 0; i < folder->pairs_count; i++) {
        const struct pki_pair *pair = &folder->pairs[i];
        struct json_object *one = json_object_new_object();
        json_object_object_add(one, "name", json_object_new_string(pair->kind->name));
        json_object_object_add(one, "state", json_object_new_string(state_of(folder, i)));
        if (pair->cert != NULL) {
            json_cert(one, pair->cert);
        }
        json_object_array_add(pairs, one);
    }
    for (size_t i = 0; i < folder->findings_count; i++) {
        struct json_object *one = json_object_new_object();
        json_object_object_add(one, "file", json_object_new_string(folder->findings[i].path));
        json_object_object_add(one, "text", json_object_new_string(folder->findings[i].text));
        json_object_array_add(findings, one);
    }
    json_object_object_add(root, "dir", json_object_new_string(folder->dir));
    json_object_object_add(root, "sound", json_object_new_boolean(folder->findings_count == 0));
    json_object_object_add(root, "pairs", pairs);
    json_object_object_add(root, "findings", findings);
    int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    fprintf(out, "%s\n", json_object_to_json_string_ext(root, flags));
    json_object_put(root);
}

static void show_all(const struct pki_folder *folder, enum pki_output output, FILE *out)
{
    if (output == PKI_OUTPUT_TABLE) {
        show_table(folder, out);
    } else {
        for (size_t i = 0; i < folder->pairs_count; i++) {
            show_sentence(folder, i, out);
        }
    }
    show_findings(folder, output, out);
}

static void show_sound(const struct pki_folder *folder, FILE *out)
{
    const struct pki_pair *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < folder->pairs_count; i++) {
        const struct pki_pair *pair = &folder->pairs[i];
        if (pair->cert == NULL) {
            continue;
        }
        count++;
        if (first == NULL || ASN1_TIME_compare(X509_get0_notAfter(pair->cert),
                                 X509_get0_notAfter(first->cert)) < 0) {
            first = pair;
        }
    }
    check(first != NULL);
    struct buf when;
    buf_init(&when, TEXT_MAX);
    add_time(X509_get0_notAfter(first->cert), &when);
    fprintf(out, "%s is sound: %zu certificates; %s.crt is the first to expire, on %s\n",
        folder->dir, count, first->kind->name, buf_text(&when));
    buf_fini(&when);
}

/* Gives the folder, read and judged; free it in any case. */
static struct err load(
    const struct pki_options *options, struct pki_folder **out_folder, struct why *why)
{
    *out_folder = mem_new(sizeof(**out_folder));
    TRY(pki_folder_read(options->dir, *out_folder, why));
    return pki_folder_check(*out_folder, options, why);
}

struct err pki_show(const struct pki_options *options, FILE *out, struct why *why)
{
    struct pki_folder *folder;
    struct err e = load(options, &folder, why);
    if (!err_is(e) && options->output == PKI_OUTPUT_JSON) {
        show_json(folder, out);
    } else if (!err_is(e)) {
        show_all(folder, options->output, out);
    }
    pki_folder_fini(folder);
    free(folder);
    return e;
}

struct err pki_verify(
    const struct pki_options *options, FILE *out, bool *out_is_sound, struct why *why)
{
    struct pki_folder *folder;
    struct err e = load(options, &folder, why);
    if (err_is(e)) {
        goto out;
    }
    if (options->output == PKI_OUTPUT_JSON) {
        show_json(folder, out);
    } else if (folder->findings_count == 0) {
        show_sound(folder, out);
    } else {
        show_findings(folder, options->output, out);
    }
    *out_is_sound = folder->findings_count == 0;
out:
    pki_folder_fini(folder);
    free(folder);
    return e;
}
