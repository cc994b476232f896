/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/version.h"
#include "pki/pki.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_UNSOUND = 1, EXIT_USAGE = 2 };

static const char help_text[] =
    "etcd-pki makes and checks the certificates of an etcd cluster (kubeadm's layout).\n"
    "\n"
    "Usage:\n"
    "  etcd-pki init --dir DIR [flags]     issue what is missing\n"
    "  etcd-pki show --dir DIR [flags]     say what is there and when it expires\n"
    "  etcd-pki verify --dir DIR [flags]   say what is wrong; exit code 1 if anything is\n"
    "  etcd-pki version\n"
    "  etcd-pki help\n"
    "\n"
    "Flags:\n"
    "  --dir DIR           the folder, e.g. /etc/kubernetes/pki/etcd\n"
    "  --name NODE         the node's name (default: the host's)\n"
    "  --san NAME[,NAME…]  more IP addresses or DNS names of the node; may be repeated\n"
    "  -w, --write-out F   show, verify: table, plain or json\n"
    "                      (default: table on a terminal, plain otherwise)\n"
    "  --soon-days N       verify: also report what expires within N days (default 30)\n"
    "\n"
    "Flags of init:\n"
    "  --days N            life of a certificate (default 365)\n"
    "  --ca-days N         life of a new CA (default 3650)\n"
    "  --key-type TYPE     rsa:2048 (default), rsa:3072, rsa:4096, ecdsa:p256, ecdsa:p384\n"
    "  --owner USER[:GRP]  who owns the new files\n"
    "  --force             issue every pair anew under the CA that is there\n"
    "  --new-ca            make a new CA too, and issue everything anew\n"
    "\n"
    "Exit codes: 0 done, 1 failed or not sound, 2 wrong usage.\n";

enum flag {
    FLAG_DIR = 256,
    FLAG_NAME,
    FLAG_SAN,
    FLAG_DAYS,
    FLAG_CA_DAYS,
    FLAG_SOON_DAYS,
    FLAG_KEY_TYPE,
    FLAG_OWNER,
    FLAG_FORCE,
    FLAG_NEW_CA,
};

static const struct option flags[] = {
    {"dir", required_argument, NULL, FLAG_DIR},
    {"name", required_argument, NULL, FLAG_NAME},
    {"san", required_argument, NULL, FLAG_SAN},
    {"days", required_argument, NULL, FLAG_DAYS},
    {"ca-days", required_argument, NULL, FLAG_CA_DAYS},
    {"soon-days", required_argument, NULL, FLAG_SOON_DAYS},
    {"key-type", required_argument, NULL, FLAG_KEY_TYPE},
    {"owner", required_argument, NULL, FLAG_OWNER},
    {"force", no_argument, NULL, FLAG_FORCE},
    {"new-ca", no_argument, NULL, FLAG_NEW_CA},
    {"write-out", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static struct err read_days(const char *text, int *out_days, struct why *why)
{
    char *end;
    long days = strtol(text, &end, 10);
    if (end == text || *end != '\0' || days < 0 || days > PKI_DAYS_MAX) {
        return why_set(
            why, ERR(BAD_INPUT), "\"%s\" is not a number of days (0 to %d)", text, PKI_DAYS_MAX);
    }
    *out_days = (int)days;
    return OK;
}

/* Cuts the list in place: the arguments are the process's own. */
static struct err read_sans(char *list, struct pki_options *options, struct why *why)
{
    char *rest = list;
    for (char *one = strsep(&rest, ","); one != NULL; one = strsep(&rest, ",")) {
        if (options->sans_count == PKI_SANS_MAX) {
            return why_set(why, ERR(BAD_INPUT), "more than %d names with --san", PKI_SANS_MAX);
        }
        options->sans[options->sans_count++] = one;
    }
    return OK;
}

static struct err read_output(const char *text, struct pki_options *options, struct why *why)
{
    static const char *const names[] = {"plain", "table", "json"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i], text) == 0) {
            options->output = (enum pki_output)i;
            return OK;
        }
    }
    return why_set(why, ERR(BAD_INPUT), "output \"%s\" is none of table, plain, json", text);
}

static struct err read_flag(int flag, char *value, struct pki_options *options, struct why *why)
{
    switch (flag) {
    case FLAG_DIR:
        options->dir = value;
        return OK;
    case FLAG_NAME:
        options->name = value;
        return OK;
    case FLAG_SAN:
        return read_sans(value, options, why);
    case FLAG_DAYS:
        return read_days(value, &options->days, why);
    case FLAG_CA_DAYS:
        return read_days(value, &options->ca_days, why);
    case FLAG_SOON_DAYS:
        return read_days(value, &options->soon_days, why);
    case FLAG_KEY_TYPE:
        options->key_type = value;
        return OK;
    case FLAG_OWNER:
        options->owner = value;
        return OK;
    case FLAG_FORCE:
        options->force = true;
        return OK;
    case FLAG_NEW_CA:
        options->new_ca = true;
        return OK;
    case 'w':
        return read_output(value, options, why);
    default:
        return why_set(why, ERR(BAD_INPUT), "see etcd-pki help");
    }
}

static int usage(const char *text)
{
    fprintf(stderr, "etcd-pki: %s\nTry: etcd-pki help\n", text);
    return EXIT_USAGE;
}

static int run(const char *verb, const struct pki_options *options)
{
    struct why why = {""};
    struct err e;
    bool is_sound = true;
    if (strcmp(verb, "init") == 0) {
        e = pki_init(options, stdout, &why);
    } else if (strcmp(verb, "show") == 0) {
        e = pki_show(options, stdout, &why);
    } else {
        e = pki_verify(options, stdout, &is_sound, &why);
    }
    if (fflush(stdout) != 0 && !err_is(e)) {
        e = why_set(&why, ERR(IO), "write the output: %m");
    }
    if (err_is(e)) {
        fprintf(stderr, "etcd-pki: %s\n", why.text);
        return EXIT_FAILURE;
    }
    return is_sound ? EXIT_SUCCESS : EXIT_UNSOUND;
}

int main(int argc, char **argv)
{
    struct pki_options options;
    struct why why = {""};
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        fputs(help_text, stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0) {
        printf("etcd-pki Version: %s\nAPI version: %s\n", KETCD_VERSION, KETCD_CLUSTER_VERSION);
        return EXIT_SUCCESS;
    }
    if (strcmp(verb, "init") != 0 && strcmp(verb, "show") != 0 && strcmp(verb, "verify") != 0) {
        return usage(verb[0] ? "unknown command" : "a command is needed");
    }
    pki_options_init(&options);
    options.output = isatty(STDOUT_FILENO) ? PKI_OUTPUT_TABLE : PKI_OUTPUT_PLAIN;
    optind = 2;
    for (int flag; (flag = getopt_long(argc, argv, "w:h", flags, NULL)) != -1;) {
        if (flag == 'h') {
            fputs(help_text, stdout);
            return EXIT_SUCCESS;
        }
        if (err_is(read_flag(flag, optarg, &options, &why))) {
            return usage(why.text);
        }
    }
    if (optind < argc) {
        return usage("unexpected argument");
    }
    return options.dir ? run(verb, &options) : usage("--dir is needed");
}
