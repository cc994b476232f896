/* SPDX-License-Identifier: Apache-2.0
 *
 * What --help and --version print. The shape is etcd's: a usage, then sections of "  --flag
 * 'default'" and a line. */
#include "config/draft.h"

#include "base/version.h"

#ifndef KETCD_GIT_SHA
#define KETCD_GIT_SHA "Not provided"
#endif

#include <sys/utsname.h>

static const char *const section_names[SECTIONS] = {
    [SECTION_MEMBER] = "Member",
    [SECTION_CLUSTERING] = "Clustering",
    [SECTION_SECURITY] = "Security",
    [SECTION_AUTH] = "Auth",
    [SECTION_MONITORING] = "Profiling and Monitoring",
    [SECTION_LOGGING] = "Logging",
    [SECTION_TRACING] = "Distributed tracing",
    [SECTION_EXPERIMENTAL] = "Experimental feature",
    [SECTION_PROXY] = "v2 Proxy",
    [SECTION_UNSAFE] = "Unsafe feature",
    [SECTION_OWN] = "Beyond etcd",
};

void config_print_usage(FILE *out)
{
    fputs("Usage:\n"
          "\n"
          "  etcd [flags]\n"
          "    Start a member.\n"
          "\n"
          "  etcd --version\n"
          "    Show the version.\n"
          "\n"
          "  etcd -h | --help\n"
          "    Show this and every flag.\n"
          "\n"
          "  etcd --config-file\n"
          "    Read all settings from a YAML file. Flags and environment are then not read.\n"
          "\n"
          "  etcd gateway\n"
          "    Carry TCP connections to the members of a cluster.\n"
          "\n",
        out);
}

/* Go names machines its own way; scripts look for linux/amd64. */
static const char *go_arch(const char *machine)
{
    if (strcmp(machine, "x86_64") == 0) {
        return "amd64";
    }
    return strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

void config_print_version(FILE *out)
{
    struct utsname name;
    const char *arch = uname(&name) == 0 ? go_arch(name.machine) : "unknown";
    fprintf(out, "etcd Version: %s\n", KETCD_ETCD_VERSION);
    fprintf(out, "Git SHA: %s\n", KETCD_GIT_SHA);
    fprintf(out, "Go Version: none (ketcd %s, C11, %s)\n", KETCD_VERSION, __VERSION__);
    fprintf(out, "Go OS/Arch: linux/%s\n", arch);
}

static void print_gates(FILE *out)
{
    struct arena *arena = arena_new(0);
    const char *line = NULL;
    for (size_t i = 0; (line = gates_help(arena, i)); i++) {
        fprintf(out, "    %s\n", line);
    }
    arena_free(arena);
}

/* An older name's is that of what it stands for. */
static const char *default_of(const struct row *row)
{
    if (row->gate) {
        return gate_default(row->gate);
    }
    if (row->state == CONFIG_ALIAS && !row->shown) {
        row = row_at(row_of(row->remark));
    }
    return row->shown ? row->shown : row->value ? row->value : "";
}

static void print_row(FILE *out, const struct row *row)
{
    const char *value = default_of(row);
    fprintf(out, "  --%s '%s'\n", row->flag.name, value);
    if (row->state == CONFIG_ALIAS) {
        fprintf(out, "    Older name of --%s.\n", row->remark);
    } else if (row->state == CONFIG_ACCEPTED) {
        fprintf(out, "    %s Accepted without effect: %s.\n", row->help, row->remark);
    } else {
        fprintf(out, "    %s\n", row->help);
    }
    if (row->flag.set == gates_set) {
        print_gates(out);
    }
}

void config_print_help(FILE *out)
{
    for (int section = SECTION_NONE + 1; section < SECTIONS; section++) {
        fprintf(out, "\n%s:\n", section_names[section]);
        for (size_t i = 0; i < config_table.count; i++) {
            if ((int)row_at(i)->section == section) {
                print_row(out, row_at(i));
            }
        }
    }
    fputs("\nEvery flag can be given as a variable: --max-txn-ops as ETCD_MAX_TXN_OPS.\n", out);
}
