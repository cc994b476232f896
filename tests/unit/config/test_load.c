/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines that manifests carry, and where their words land. */
#include "base/mem.h"
#include "load_util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PKI "/etc/kubernetes/pki/etcd/"
#define KUBEADM                                                                                    \
    "--advertise-client-urls=https://10.0.0.5:2379 --cert-file=" PKI "server.crt "                 \
    "--client-cert-auth=true --data-dir=/var/lib/etcd "                                            \
    "--initial-advertise-peer-urls=https://10.0.0.5:2380 "                                         \
    "--initial-cluster=node1=https://10.0.0.5:2380 --key-file=" PKI "server.key "                  \
    "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379 "                           \
    "--listen-metrics-urls=http://127.0.0.1:2381 --listen-peer-urls=https://10.0.0.5:2380 "        \
    "--name=node1 --peer-cert-file=" PKI "peer.crt --peer-client-cert-auth=true "                  \
    "--peer-key-file=" PKI "peer.key --peer-trusted-ca-file=" PKI "ca.crt "                        \
    "--snapshot-count=10000 --trusted-ca-file=" PKI "ca.crt "
#define KUBEADM_NEW                                                                                \
    KUBEADM "--feature-gates=InitialCorruptCheck=true --watch-progress-notify-interval=5s"
#define KUBEADM_OLD                                                                                \
    KUBEADM "--experimental-initial-corrupt-check=true "                                           \
            "--experimental-watch-progress-notify-interval=5s"

static void check_kubeadm(const char *args, bool is_new)
{
    struct loaded loaded;
    load_args(&loaded, args);
    struct config *config = &loaded.config;
    assert_string_equal(loaded.why.text, "");
    assert_int_equal(config->action, CONFIG_RUN);
    assert_string_equal(config->name, "node1");
    assert_string_equal(config->data_dir, "/var/lib/etcd");
    assert_false(config->is_data_dir_default);
    assert_int_equal(config->listen_client.count, 2);
    assert_string_equal(url_list_text(config->arena, &config->listen_client),
        "https://10.0.0.5:2379,https://127.0.0.1:2379");
    assert_string_equal(
        url_list_text(config->arena, &config->advertise_client), "https://10.0.0.5:2379");
    assert_string_equal(
        url_list_text(config->arena, &config->listen_metrics), "http://127.0.0.1:2381");
    assert_string_equal(
        url_list_text(config->arena, &config->listen_peer), "https://10.0.0.5:2380");
    assert_string_equal(
        url_list_text(config->arena, &config->advertise_peer), "https://10.0.0.5:2380");
    assert_string_equal(url_cluster_text(config->arena, &config->members),
        is_new ? "node1=https://10.0.0.5:2380"
               : "node0=https://10.0.0.4:2380,node1=https://10.0.0.5:2380");
    assert_int_equal(config->is_new_cluster, is_new);
    assert_string_equal(config->client.cert_file, PKI "server.crt");
    assert_string_equal(config->client.key_file, PKI "server.key");
    assert_string_equal(config->client.ca_file, PKI "ca.crt");
    assert_true(config->client.client_cert_auth);
    assert_string_equal(config->peer.cert_file, PKI "peer.crt");
    assert_string_equal(config->peer.key_file, PKI "peer.key");
    assert_string_equal(config->peer.ca_file, PKI "ca.crt");
    assert_true(config->peer.client_cert_auth);
    assert_false(config->peer.is_detected);
    assert_int_equal(config->snapshot_count, 10000);
    assert_true(config->gates.initial_corrupt_check);
    assert_string_equal(config->gates_text, "InitialCorruptCheck=true");
    assert_int_equal(config->watch_progress_ns, 5000000000);
    assert_false(err_is(config_verify_bootstrap(config, NULL)));
    unload(&loaded);
}

static void test_load_takes_kubeadms_new_manifest(void **state)
{
    (void)state;
    check_kubeadm(KUBEADM_NEW, true);
}

static void test_load_takes_kubeadms_old_manifest(void **state)
{
    (void)state;
    check_kubeadm(KUBEADM_OLD, true);
}

static void test_load_takes_a_joining_manifest(void **state)
{
    static const char *const more =
        " --initial-cluster-state=existing "
        "--initial-cluster=node0=https://10.0.0.4:2380,node1=https://10.0.0.5:2380";
    char line[2048];
    (void)state;
    snprintf(line, sizeof(line), "%s%s", KUBEADM_NEW, more);
    check_kubeadm(line, false);
    snprintf(line, sizeof(line), "%s%s", KUBEADM_OLD, more);
    check_kubeadm(line, false);
}

static void test_load_warns_of_old_names(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, KUBEADM_OLD);
    assert_non_null(find_note(&loaded,
        "--experimental-watch-progress-notify-interval is deprecated in v3.6 and will be "
        "decommissioned in v3.7. Use '--watch-progress-notify-interval' instead."));
    assert_non_null(find_note(&loaded,
        "--experimental-initial-corrupt-check is deprecated in v3.6 and will be decommissioned in "
        "v3.7. Use '--feature-gates=InitialCorruptCheck=true' instead."));
    unload(&loaded);
    load_args(&loaded, KUBEADM_NEW);
    for (size_t i = 0; i < loaded.notes.count; i++) {
        assert_null(strstr(loaded.notes.items[i].message, "deprecated"));
    }
    unload(&loaded);
}

static void test_load_defaults_are_etcds(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "");
    struct config *config = &loaded.config;
    assert_string_equal(config->name, "default");
    assert_string_equal(config->data_dir, "default.etcd");
    assert_true(config->is_data_dir_default);
    assert_string_equal(find_note(&loaded, "'data-dir' was empty; using default"), "default.etcd");
    assert_non_null(find_note(&loaded, "Running http and grpc server on single port. This is not "
                                       "recommended for production."));
    assert_string_equal(config->initial_cluster, "default=http://localhost:2380");
    assert_string_equal(
        url_list_text(config->arena, &config->listen_client), "http://localhost:2379");
    assert_string_equal(
        url_list_text(config->arena, &config->advertise_client), "http://localhost:2379");
    assert_int_equal(config->heartbeat_ms, 100);
    assert_int_equal(config->election_ms, 1000);
    assert_int_equal(config->snapshot_count, 10000);
    assert_int_equal(config->snapshot_catchup_entries, 5000);
    assert_int_equal(config->txn_ops_max, 128);
    assert_int_equal(config->request_bytes_max, 1572864);
    assert_true(config->concurrent_streams_max == UINT32_MAX);
    assert_int_equal(config->keepalive_min_time_ns, 5000000000);
    assert_int_equal(config->keepalive_interval_ns, 7200000000000);
    assert_int_equal(config->keepalive_timeout_ns, 20000000000);
    assert_int_equal(config->watch_progress_ns, 600000000000);
    assert_int_equal(config->warning_apply_ns, 100000000);
    assert_int_equal(config->warning_unary_ns, 300000000);
    assert_int_equal(config->compact_hash_check_ns, 60000000000);
    assert_int_equal(config->compaction_retention, 0);
    assert_int_equal(config->learners_max, 1);
    assert_int_equal(config->quota_bytes, 0);
    assert_true(config->pre_vote && config->strict_reconfig_check && config->enable_grpc_gateway);
    assert_true(config->is_new_cluster);
    assert_true(config->value_cache_bytes == UINT64_MAX);
    assert_int_equal(config->tls_min, CONFIG_TLS_1_2);
    assert_int_equal(config->tls_max, CONFIG_TLS_DEFAULT);
    assert_string_equal(config->auth_token, "simple");
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_string_equal(config->log_outputs.items[0], "default");
    assert_true(config->gates.txn_mode_write_with_shared_buffer);
    assert_false(config->gates.initial_corrupt_check);
    assert_string_equal(config->detected, "");
    assert_string_equal(config->cors.items[0], "*");
    unload(&loaded);
}

static void test_load_name_alone_makes_the_cluster(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--name=a --initial-advertise-peer-urls=http://10.0.0.1:2380");
    assert_string_equal(loaded.config.initial_cluster, "a=http://10.0.0.1:2380");
    assert_string_equal(loaded.config.data_dir, "a.etcd");
    unload(&loaded);
}

static void test_load_reads_compaction(void **state)
{
    static const struct {
        const char *args;
        enum config_compaction mode;
        int64_t retention;
    } cases[] = {
        {"--auto-compaction-retention=1", CONFIG_COMPACTION_PERIODIC, 3600000000000},
        {"--auto-compaction-retention=5m", CONFIG_COMPACTION_PERIODIC, 300000000000},
        {"--auto-compaction-mode=revision --auto-compaction-retention=1000",
            CONFIG_COMPACTION_REVISION, 1000},
        {"--auto-compaction-mode=revision --auto-compaction-retention=0",
            CONFIG_COMPACTION_REVISION, 0},
    };
    struct loaded loaded;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        load_args(&loaded, cases[i].args);
        assert_int_equal(loaded.config.compaction_mode, cases[i].mode);
        assert_int_equal(loaded.config.compaction_retention, cases[i].retention);
        unload(&loaded);
    }
}

static void test_load_gates_spread_from_all(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(
        &loaded, "--feature-gates=AllAlpha=true,PriorityRequest=false,FastLeaseKeepAlive=false");
    assert_true(loaded.config.gates.compact_hash_check);
    assert_true(loaded.config.gates.lease_checkpoint);
    assert_false(loaded.config.gates.priority_request);
    assert_false(loaded.config.gates.fast_lease_keep_alive);
    assert_true(loaded.config.gates.txn_mode_write_with_shared_buffer);
    unload(&loaded);
}

static void test_load_notes_what_has_no_effect(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--backend-batch-limit=5 --enable-pprof --proxy=off --snapshot "
                       "--log-package-levels=etcdmain=DEBUG --debug --max-snapshots=3");
    assert_string_equal(loaded.why.text, "");
    assert_non_null(find_note(&loaded, "flag is accepted and has no effect"));
    assert_string_equal(find_note(&loaded, "flag is no longer supported - ignoring"), "snapshot");
    assert_int_equal(loaded.config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(loaded.config.snapshots_max, 3);
    unload(&loaded);
}

static void test_load_help_and_version_are_actions(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--name=x -h --nope");
    assert_int_equal(loaded.config.action, CONFIG_HELP);
    unload(&loaded);
    load_args(&loaded, "--version");
    assert_int_equal(loaded.config.action, CONFIG_VERSION);
    unload(&loaded);
}

static void test_load_environment_fills_in(void **state)
{
    static const char *const environ_[] = {"ETCD_NAME=e", "ETCD_MAX_TXN_OPS=7",
        "ETCD_DATA_DIR=", "ETCD_FOO=1", "ETCD_VERSION=3", "PATH=/bin",
        "ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL=7s",
        "ETCD_FEATURE_GATES=CompactHashCheck=true", NULL};
    struct loaded loaded;
    (void)state;
    load_it(&loaded, &(struct load_spec){.args = "--heartbeat-interval=50", .environ = environ_});
    assert_string_equal(loaded.why.text, "");
    assert_string_equal(loaded.config.name, "e");
    assert_string_equal(loaded.config.data_dir, "e.etcd");
    assert_int_equal(loaded.config.txn_ops_max, 7);
    assert_int_equal(loaded.config.heartbeat_ms, 50);
    assert_int_equal(loaded.config.watch_progress_ns, 7000000000);
    assert_true(loaded.config.gates.compact_hash_check);
    assert_non_null(find_note(&loaded, "recognized and used environment variable"));
    assert_string_equal(
        find_note(&loaded, "cannot set special environment variable"), "ETCD_VERSION");
    bool found = false;
    for (size_t i = 0; i < loaded.notes.count; i++) {
        found = found || (loaded.notes.items[i].values[0] &&
                             strcmp(loaded.notes.items[i].values[0], "ETCD_FOO=1") == 0);
    }
    assert_true(found);
    unload(&loaded);
}

static void test_load_environment_refusals(void **state)
{
    static const char *const bad[] = {"ETCD_MAX_TXN_OPS=x", "ETCD_ELECTION_TIMEOUT=z", NULL};
    static const char *const shadowed[] = {"ETCD_NAME=", NULL};
    struct loaded loaded;
    (void)state;
    load_it(&loaded, &(struct load_spec){.environ = bad});
    assert_true(IS(loaded.err, BAD_CONFIG));
    assert_string_equal(loaded.why.text, "invalid value \"x\" for ETCD_MAX_TXN_OPS: parse error");
    unload(&loaded);
    load_it(&loaded, &(struct load_spec){.args = "--name=y", .environ = shadowed});
    assert_true(IS(loaded.err, BAD_CONFIG));
    assert_string_equal(
        find_note(&loaded,
            "conflicting environment variable is shadowed by corresponding "
            "command-line flag (either unset environment variable or disable flag))"),
        "ETCD_NAME");
    assert_int_equal(loaded.notes.items[loaded.notes.count - 1].level, LOG_LEVEL_FATAL);
    unload(&loaded);
}

static void expect_bootstrap(const char *args, const char *words)
{
    struct loaded loaded;
    struct why why = {""};
    load_args(&loaded, args);
    assert_string_equal(loaded.why.text, "");
    assert_true(IS(config_verify_bootstrap(&loaded.config, &why), BAD_CONFIG));
    assert_string_equal(why.text, words);
    unload(&loaded);
}

static void test_bootstrap_refusals(void **state)
{
    (void)state;
    expect_bootstrap("--initial-cluster=a=http://127.0.0.1:1",
        "couldn't find local name \"default\" in the initial cluster configuration");
    expect_bootstrap("--name=a --initial-cluster=a=ftp://127.0.0.1:1",
        "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "
        "ftp://127.0.0.1:1");
    expect_bootstrap("--name=a --initial-cluster=a=http://127.0.0.1:1 "
                     "--initial-advertise-peer-urls=http://127.0.0.1:2",
        "--initial-cluster has a=http://127.0.0.1:1 but missing from "
        "--initial-advertise-peer-urls=http://127.0.0.1:2 (resolved urls: \"http://127.0.0.1:2\" "
        "!= \"http://127.0.0.1:1\")");
    expect_bootstrap("--name=a --initial-cluster=a=http://[::1]:1 "
                     "--initial-advertise-peer-urls=http://localhost:1",
        "--initial-cluster has a=http://[::1]:1 but missing from "
        "--initial-advertise-peer-urls=http://localhost:1 (resolved urls: \"http://localhost:1\" "
        "!= \"http://[::1]:1\")");
    expect_bootstrap("--name=a --initial-cluster=a=http://127.0.0.1:1 "
                     "--initial-advertise-peer-urls=http://127.0.0.1:1,http://127.0.0.1:2",
        "--initial-advertise-peer-urls has http://127.0.0.1:2 but missing from "
        "--initial-cluster=a=http://127.0.0.1:1,a=http://127.0.0.1:2");
    expect_bootstrap("--name=a --initial-cluster=a=http://127.0.0.1:1,b=http://127.0.0.1:1 "
                     "--initial-advertise-peer-urls=http://127.0.0.1:1",
        "initial cluster a=http://127.0.0.1:1,b=http://127.0.0.1:1 has duplicate url");
}

static void test_load_notes_gates_without_effect(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--feature-gates=LeaseCheckpoint=true");
    assert_false(err_is(loaded.err));
    assert_non_null(find_note(&loaded, "feature gate is accepted and has no effect"));
    unload(&loaded);
    load_args(&loaded, "--feature-gates=InitialCorruptCheck=true");
    assert_null(find_note(&loaded, "feature gate is accepted and has no effect"));
    unload(&loaded);
}

static void test_load_reads_log_rotation(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--enable-log-rotation --log-outputs=stderr,/x.log "
                       "--log-rotation-config-json={\"MaxSize\":7,\"maxage\":3,\"maxbackups\":2,"
                       "\"localtime\":true,\"compress\":true,\"other\":[]}");
    assert_false(err_is(loaded.err));
    const struct log_rotation *rotation = &loaded.config.log_rotation;
    assert_int_equal(rotation->bytes_max, 7 << 20);
    assert_int_equal(rotation->days_max, 3);
    assert_int_equal(rotation->backups_max, 2);
    assert_true(rotation->is_local_time && rotation->compress);
    unload(&loaded);
    load_args(&loaded, "--enable-log-rotation --log-outputs=/x.log");
    assert_false(err_is(loaded.err));
    assert_int_equal(loaded.config.log_rotation.bytes_max, 100 << 20);
    unload(&loaded);
}

static void test_load_reads_cors(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--cors=http://b:2,http://a:1,http://b:2");
    assert_false(err_is(loaded.err));
    assert_int_equal(loaded.config.cors.count, 2);
    assert_string_equal(loaded.config.cors.items[0], "http://a:1");
    unload(&loaded);
}

/* Suites that Go has and OpenSSL has no more; lists that name them start etcd. */
static void test_load_leaves_out_suites_that_are_gone(void **state)
{
    struct loaded loaded;
    (void)state;
    load_args(&loaded, "--cipher-suites=TLS_RSA_WITH_3DES_EDE_CBC_SHA,"
                       "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_RC4_128_SHA");
    assert_string_equal(loaded.why.text, "");
    assert_int_equal(loaded.config.cipher_suites.count, 1);
    assert_string_equal(
        loaded.config.cipher_suites.items[0], "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_string_equal(find_note(&loaded, "cipher suite is too weak to be offered"),
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA");
    unload(&loaded);
}

/* As etcd: certificates that no URL uses are not looked at. */
static void test_load_passes_over_certificates_without_use(void **state)
{
    static const char *const sloppy[] = {"--cert-file=c", "--client-cert-file=c",
        "--peer-client-cert-file=c", "--peer-cert-allowed-cn=a --peer-cert-allowed-hostname=b"};
    struct loaded loaded;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sloppy); i++) {
        load_args(&loaded, sloppy[i]);
        assert_false(err_is(loaded.err));
        unload(&loaded);
    }
}

static void test_load_finds_the_local_address(void **state)
{
    static const struct {
        const char *args;
        const char *address;
    } cases[] = {
        {"--feature-gates=SetMemberLocalAddr=true", NULL},
        {"--initial-advertise-peer-urls=http://10.0.0.1:1", NULL},
        {"--feature-gates=SetMemberLocalAddr=true "
         "--initial-advertise-peer-urls=http://127.0.0.1:1,http://0.0.0.0:1,http://a:1,"
         "http://10.0.0.2:1",
            "10.0.0.2"},
        {"--feature-gates=SetMemberLocalAddr=true "
         "--initial-advertise-peer-urls=http://[::1]:1,http://[fd00::1]:1",
            "fd00::1"},
    };
    struct loaded loaded;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        load_args(&loaded, cases[i].args);
        assert_false(err_is(loaded.err));
        const char *address = config_local_address(&loaded.config);
        assert_string_equal(address ? address : "", cases[i].address ? cases[i].address : "");
        unload(&loaded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_takes_kubeadms_new_manifest),
        cmocka_unit_test(test_load_takes_kubeadms_old_manifest),
        cmocka_unit_test(test_load_takes_a_joining_manifest),
        cmocka_unit_test(test_load_warns_of_old_names),
        cmocka_unit_test(test_load_defaults_are_etcds),
        cmocka_unit_test(test_load_name_alone_makes_the_cluster),
        cmocka_unit_test(test_load_reads_compaction),
        cmocka_unit_test(test_load_gates_spread_from_all),
        cmocka_unit_test(test_load_notes_what_has_no_effect),
        cmocka_unit_test(test_load_help_and_version_are_actions),
        cmocka_unit_test(test_load_environment_fills_in),
        cmocka_unit_test(test_load_environment_refusals),
        cmocka_unit_test(test_bootstrap_refusals),
        cmocka_unit_test(test_load_notes_gates_without_effect),
        cmocka_unit_test(test_load_reads_log_rotation),
        cmocka_unit_test(test_load_reads_cors),
        cmocka_unit_test(test_load_leaves_out_suites_that_are_gone),
        cmocka_unit_test(test_load_passes_over_certificates_without_use),
        cmocka_unit_test(test_load_finds_the_local_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
