/* SPDX-License-Identifier: Apache-2.0
 *
 * Command line, environment and --config-file become one validated struct config; what the files of
 * a key directory ask for (TLS on or off) is part of it. Every flag stands once in config/table.c.
 * Reads files; writes nothing, starts nothing, logs nothing: what is worth a log line comes back as
 * notes, which config_start() logs. Called by main before any other thread exists.
 *
 * All text lives as long as the struct, is NUL-terminated and never NULL; an unset text is "".
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "base/url.h"

/* What is presented and demanded on one side, client or peer. Empty (no certificate, no CA): plain
 * text. */
struct config_tls {
    const char *cert_file;
    const char *key_file;
    const char *client_cert_file; /* shown when this member dials; "": cert_file */
    const char *client_key_file;
    const char *ca_file;
    const char *crl_file;
    bool client_cert_auth; /* a verified client certificate is required */
    bool is_auto;          /* --auto-tls: make a certificate (only when there is no cert_file) */
    bool is_self_signed;   /* boot made it: other members' cannot be verified either */
    bool skip_client_san_verification;
    bool is_detected; /* came from the key directory, not from flags */
    struct text_list allowed_cns;
    struct text_list allowed_hostnames;
};

/* The numbers of base/tls.h. */
enum config_tls_version { CONFIG_TLS_DEFAULT, CONFIG_TLS_1_2 = 0x0303, CONFIG_TLS_1_3 = 0x0304 };

struct config_discovery {
    const char *url;   /* --discovery: v2 */
    const char *proxy; /* --discovery-proxy */
    const char *srv_domain;
    const char *srv_name;
    struct text_list endpoints; /* v3 */
    const char *token;
    int64_t dial_timeout_ns;
    int64_t request_timeout_ns;
    int64_t keepalive_time_ns;
    int64_t keepalive_timeout_ns;
    bool is_insecure_transport;
    bool skip_tls_verify;
    const char *cert_file;
    const char *key_file;
    const char *ca_file;
    const char *user;
    const char *password;
};

enum config_compaction { CONFIG_COMPACTION_PERIODIC, CONFIG_COMPACTION_REVISION };

struct config_gates {
    bool stop_grpc_service_on_defrag;
    bool initial_corrupt_check;
    bool compact_hash_check;
    bool txn_mode_write_with_shared_buffer;
    bool lease_checkpoint;
    bool lease_checkpoint_persist;
    bool set_member_local_addr;
    bool fast_lease_keep_alive;
    bool priority_request;
};

/* What the command line asked for. */
enum config_action {
    CONFIG_RUN,
    CONFIG_HELP,    /* exit 0 after config_print_help */
    CONFIG_VERSION, /* exit 0 after config_print_version */
};

struct config {
    struct arena *arena; /* owns everything below */
    enum config_action action;

    /* member */
    const char *name;
    const char *data_dir; /* "${name}.etcd" filled in */
    const char *wal_dir;  /* "": member/wal under data_dir */
    bool is_data_dir_default;
    uint64_t snapshot_count;
    uint64_t snapshot_catchup_entries;
    uint64_t snapshots_max; /* 0: no limit */
    uint64_t wals_max;
    uint32_t heartbeat_ms;
    uint32_t election_ms; /* at least 5 heartbeats, at most 50 s */
    bool initial_election_tick_advance;
    bool pre_vote;
    int64_t raft_read_timeout_ns;
    int64_t raft_write_timeout_ns;
    bool memory_mlock;
    bool unsafe_no_fsync;
    bool force_new_cluster;
    uint64_t value_cache_bytes; /* UINT64_MAX: not said, take a share of the memory limit */

    /* listeners; TLS or plain is each URL's scheme */
    struct url_list listen_client;
    struct url_list listen_client_http; /* when not empty, listen_client serves gRPC only */
    struct url_list listen_peer;
    struct url_list listen_metrics;
    bool socket_reuse_port;
    bool socket_reuse_address;

    /* cluster */
    struct url_list advertise_client;
    struct url_list advertise_peer;
    const char *initial_cluster; /* as given; "" with discovery */
    struct url_cluster members;  /* initial_cluster taken apart; see config_verify_bootstrap */
    bool is_new_cluster;         /* --initial-cluster-state */
    const char *initial_cluster_token;
    bool strict_reconfig_check;
    uint32_t learners_max;
    struct config_discovery discovery;

    /* limits and requests */
    int64_t quota_bytes; /* 0: the default of 2 GiB; below 0: no quota */
    uint32_t txn_ops_max;
    uint64_t request_bytes_max;
    uint32_t concurrent_streams_max;
    int64_t keepalive_min_time_ns;
    int64_t keepalive_interval_ns; /* 0: off */
    int64_t keepalive_timeout_ns;  /* 0: off */
    int64_t warning_apply_ns;
    int64_t warning_unary_ns;
    int64_t watch_progress_ns;
    bool enable_grpc_gateway;
    struct text_list cors;           /* {"*"}: any origin */
    struct text_list host_whitelist; /* {"*"}: any host */

    /* compaction and checks */
    enum config_compaction compaction_mode;
    int64_t compaction_retention; /* ns (periodic) or revisions; 0: off */
    const char *compaction_retention_text;
    uint32_t compaction_batch_limit;
    int64_t compaction_sleep_ns;
    int64_t corrupt_check_ns; /* 0: off */
    int64_t compact_hash_check_ns;
    struct config_gates gates;
    const char *gates_text; /* the gates that were set: "InitialCorruptCheck=true" */

    /* security */
    struct config_tls client;
    struct config_tls peer;
    uint32_t self_signed_years;
    struct text_list cipher_suites; /* Go's or OpenSSL's names; empty: the default */
    enum config_tls_version tls_min;
    enum config_tls_version tls_max;
    const char *key_dir;    /* what was looked into; "": none */
    const char *detected;   /* one line: what was found there; "" when nothing was looked for */
    const char *auth_token; /* "simple" or "jwt,…" */
    uint32_t bcrypt_cost;
    uint32_t auth_token_ttl_s;

    /* monitoring and logging */
    bool metrics_extensive;
    enum log_level log_level;
    enum log_format log_format;
    struct text_list log_outputs; /* as struct log_options takes them */
    bool enable_log_rotation;
    struct log_rotation log_rotation;
};

/* Something to say once the log is open. */
struct config_note {
    enum log_level level;
    const char *message;
    const char *names[3]; /* field names; NULL ends */
    const char *values[3];
};

struct config_notes {
    struct arena *arena; /* owns the notes; made by config_load, freed by config_notes_fini */
    struct config_note *items;
    size_t count;
    size_t running_at; /* the notes before this one are logged before "Running: " */
};

/* Where a member's configuration comes from. */
struct config_source {
    int argc;
    char *const *argv;
    char *const *environ;        /* NULL-terminated "NAME=value" */
    const char *key_dir_default; /* looked into when neither --key-dir nor ETCD_KEY_DIR says; NULL:
                                    "/key" */
    int64_t now_s;               /* wall clock, for certificates' validity; 0: now */
};

/* Reads and validates. Notes are given in every case. Errors: BAD_INPUT (the command line cannot be
 * parsed: exit 2 after the text and the usage), BAD_CONFIG (refused: exit 1 after "failed to verify
 * flags"), BAD_TLS (likewise; a file in the key directory). Gives; release with config_fini. */
struct err config_load(const struct config_source *source, struct config *out_config,
    struct config_notes *out_notes, struct why *why);
void config_fini(struct config *config);
void config_notes_fini(struct config_notes *notes);

/* All of the above as the etcd command behaves: loads, opens the log, logs the notes and "Running:
 * ", prints help, version, usage or refusal. True: run with *out_config. False: exit with
 * *out_exit_code. */
bool config_start(
    const struct config_source *source, struct config *out_config, int *out_exit_code);

/* What must hold only where there is no data yet: --initial-cluster parses and names this member,
 * and for a new cluster with the peer URLs that it advertises. Resolves host names when URLs differ
 * in text. etcd's words. Errors: BAD_CONFIG. */
struct err config_verify_bootstrap(const struct config *config, struct why *why);
/* That no URL stands with two members; what: the cluster's first word, "initial". Errors:
 * BAD_CONFIG. */
struct err config_unique_urls(
    struct arena *arena, const struct url_cluster *cluster, const char *what, struct why *why);

void config_print_version(FILE *out);
void config_print_help(FILE *out);  /* the sections of flags */
void config_print_usage(FILE *out); /* the lines above them; also printed after a bad flag */

/* SetMemberLocalAddr: the first of the advertised peer URLs' addresses that is one of a machine,
 * for connections to other members. NULL: the gate is off, or there is none. */
const char *config_local_address(const struct config *config);

/* How a flag is treated. */
enum config_state {
    CONFIG_HONOURED,
    CONFIG_ACCEPTED, /* taken and logged; means nothing here, the reason says why */
    CONFIG_ALIAS,    /* an older name of another flag or feature gate */
    CONFIG_IGNORED,  /* flags etcd itself has ignored since 2.0 */
};
/* One row of the table, for FLAGS.md and tests. i counts from 0; false past the end. */
struct config_row {
    const char *name;
    const char *since; /* first release that has it: "3.4", "3.5", "3.6", "ketcd" */
    enum config_state state;
    const char *remark; /* the reason, or what an alias stands for; "" */
    const char *value;  /* the default as help prints it */
};
bool config_row(size_t i, struct config_row *out_row);
void config_gate_metrics(const struct config *config);

#endif
