/* SPDX-License-Identifier: Apache-2.0
 *
 * Two passes: all that exists is judged before the first byte is written, so that a refusal leaves
 * the folder as it was. The CA is written first and each key before its certificate, and a
 * certificate that is to be replaced goes before its key does: whatever a crash leaves behind, no
 * member's certificate is there without the key that belongs to it. A key that it leaves alone is
 * given its certificate by the next run.
 *
 * The CA's certificate does not go first: without it a member would ask no client for one, and the
 * CA's key, which no member reads, may stand beside another's certificate until the run is given
 * again. A CA's key alone is given its certificate where nothing else is there; elsewhere another
 * CA had signed what stands there.
 */
#include "pki/inspect.h"
#include "pki/issue.h"
#include "pki/keys.h"

#include <openssl/evp.h>
#include <unistd.h>

struct init {
    const struct pki_options *options;
    struct pki_folder folder;
    struct pki_names names;
    struct pki_owner owner;
    FILE *out;
};

static bool force_pairs(const struct pki_options *options)
{
    return options->force || options->new_ca;
}

static struct err check_options(struct init *init, struct why *why)
{
    const struct pki_options *options = init->options;
    if (options->days < 1 || options->days > PKI_DAYS_MAX || options->ca_days < 1 ||
        options->ca_days > PKI_DAYS_MAX) {
        return why_set(why, ERR(BAD_INPUT), "days must be between 1 and %d", PKI_DAYS_MAX);
    }
    TRY(pki_key_type_check(options->key_type, why));
    TRY(pki_owner_parse(options->owner, &init->owner, why));
    TRY(pki_names_wanted(options, &init->names, why));
    return pki_names_add_host(&init->names, why);
}

static bool is_ca(const struct pki_pair *pair)
{
    return (pair->kind->uses & PKI_USE_CA) != 0;
}

/* Whether none but the first so many pairs have a file. */
static bool is_empty_behind(const struct pki_folder *folder, size_t first)
{
    for (size_t i = first; i < folder->pairs_count; i++) {
        if (folder->pairs[i].has_cert || folder->pairs[i].has_key) {
            return false;
        }
    }
    return true;
}

/* A key without its certificate, as a crash between the two leaves it. */
static bool is_half_issued(const struct init *init, const struct pki_pair *pair)
{
    return pair->key != NULL && !pair->has_cert &&
           (!is_ca(pair) || is_empty_behind(&init->folder, 1));
}

static bool is_replaced(const struct init *init, const struct pki_pair *pair)
{
    return is_ca(pair) ? init->options->new_ca : force_pairs(init->options);
}

/* Whether what was found stops this run: what will be replaced does not matter, and neither does
 * what another issue could not better. */
static bool stops(const struct init *init, const struct pki_finding *finding)
{
    const struct pki_pair *pair = &init->folder.pairs[finding->pair];
    if (finding->fault == PKI_FAULT_SOON || finding->fault == PKI_FAULT_MODE) {
        return false;
    }
    if (finding->fault == PKI_FAULT_HALF && is_half_issued(init, pair)) {
        return false;
    }
    return !is_replaced(init, pair);
}

static bool is_to_issue(const struct init *init, const struct pki_pair *pair)
{
    return is_replaced(init, pair) || !pair->has_cert;
}

static struct err check_ca_key(const struct init *init, struct why *why)
{
    const struct pki_pair *ca = &init->folder.pairs[0];
    if (is_to_issue(init, ca) || ca->has_key) {
        return OK;
    }
    for (size_t i = 1; i < init->folder.pairs_count; i++) {
        if (is_to_issue(init, &init->folder.pairs[i])) {
            return why_set(why, ERR(EXISTS),
                "%s is missing: %s.crt cannot be signed (bring the CA's key, or make a new CA "
                "with --new-ca)",
                ca->key_path, init->folder.pairs[i].kind->name);
        }
    }
    return OK;
}

static struct err check_existing(struct init *init, struct why *why)
{
    TRY(pki_folder_check(&init->folder, init->options, why));
    if (is_empty_behind(&init->folder, 0)) {
        return OK;
    }
    for (size_t i = 0; i < init->folder.findings_count; i++) {
        const struct pki_finding *finding = &init->folder.findings[i];
        if (stops(init, finding)) {
            return why_set(why, ERR(EXISTS), "%s %s (nothing was written; %s)", finding->path,
                finding->text,
                finding->pair == 0 ? "--new-ca makes a new CA and everything anew"
                                   : "--force issues every pair anew under the CA that is there");
        }
    }
    return check_ca_key(init, why);
}

/* The pair's own key where it only lacks the certificate, or else a new one. */
static struct err key_of(
    const struct init *init, const struct pki_pair *pair, EVP_PKEY **out_key, struct why *why)
{
    if (is_half_issued(init, pair) && !is_replaced(init, pair)) {
        check(EVP_PKEY_up_ref(pair->key) == 1);
        *out_key = pair->key;
        return OK;
    }
    return pki_key_new(init->options->key_type, out_key, why);
}

static struct err write_key(
    const struct init *init, const struct pki_pair *pair, EVP_PKEY *key, struct why *why)
{
    const char *dir = init->options->dir;
    if (!is_ca(pair)) {
        TRY(pki_file_remove(dir, pair->cert_path, why));
    }
    TRY(pki_key_write(pair->key_path, key, init->owner, why));
    return pki_dir_sync(dir, why);
}

/* A key that was there and that others could read is written again, too. */
static struct err write_pair(const struct init *init, const struct pki_pair *pair, EVP_PKEY *key,
    X509 *cert, struct why *why)
{
    bool is_kept = key == pair->key;
    bool is_open = is_kept && (pair->key_mode & 077) != 0;
    if (!is_kept || is_open) {
        TRY(write_key(init, pair, key, why));
    }
    TRY(pki_cert_write(pair->cert_path, cert, init->owner, why));
    if (is_open) {
        fprintf(init->out, "%s could be read by others: mode %04o, now 0600\n", pair->key_path,
            (unsigned)pair->key_mode);
    }
    fprintf(init->out, "wrote %s %s\n", pair->cert_path,
        is_kept ? "for its key, which was there" : "and its key");
    return OK;
}

static struct err issue_pair(struct init *init, struct pki_pair *pair, struct why *why)
{
    bool signs_itself = is_ca(pair);
    struct pki_pair *ca = &init->folder.pairs[0];
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    TRY(key_of(init, pair, &key, why));
    struct pki_issue order = {
        .kind = pair->kind,
        .names = &init->names,
        .days = signs_itself ? init->options->ca_days : init->options->days,
        .key = key,
        .ca = signs_itself ? NULL : ca->cert,
        .ca_key = signs_itself ? NULL : ca->key,
    };
    struct err e = pki_issue(&order, &cert, why);
    if (!err_is(e)) {
        e = write_pair(init, pair, key, cert, why);
    }
    if (err_is(e)) {
        X509_free(cert);
        EVP_PKEY_free(key);
        return e;
    }
    X509_free(pair->cert);
    EVP_PKEY_free(pair->key);
    pair->cert = cert;
    pair->key = key;
    return OK;
}

static struct err issue_all(struct init *init, struct why *why)
{
    for (size_t i = 0; i < init->folder.pairs_count; i++) {
        struct pki_pair *pair = &init->folder.pairs[i];
        if (is_to_issue(init, pair)) {
            TRY(issue_pair(init, pair, why));
        } else {
            fprintf(init->out, "kept  %s\n", pair->cert_path);
        }
    }
    return pki_dir_sync(init->options->dir, why);
}

struct err pki_init(const struct pki_options *options, FILE *out, struct why *why)
{
    struct init *init = calloc(1, sizeof(*init));
    check(init != NULL);
    init->options = options;
    init->out = out;
    struct err e = check_options(init, why);
    if (err_is(e)) {
        goto out;
    }
    e = pki_dir_make(options->dir, why);
    if (err_is(e)) {
        goto out;
    }
    e = pki_folder_read(options->dir, &init->folder, why);
    if (err_is(e)) {
        goto out;
    }
    e = check_existing(init, why);
    if (!err_is(e)) {
        e = issue_all(init, why);
    }
out:
    pki_folder_fini(&init->folder);
    free(init);
    return e;
}
