/* SPDX-License-Identifier: Apache-2.0
 *
 * --config-file: what lands where, and refusals in the words of the reference etcd 3.5.30. */
#include "base/mem.h"
#include "base/text.h"
#include "config/yaml.h"
#include "load_util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define JSON "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
#define YAML "error converting YAML to JSON: yaml: "
#define ELECTION                                                                                   \
    "--election-timeout[1ms] should be at least as 5 times as --heartbeat-interval[100ms]"

static const char *const everything =
    "name: 'n1'\n"
    "data-dir: /d\n"
    "wal-dir: /w\n"
    "snapshot-count: 5_000\n"
    "heartbeat-interval: 0x32\n"
    "election-timeout: 1e3\n"
    "quota-backend-bytes: -1\n"
    "listen-peer-urls: https://10.0.0.1:2380\n"
    "listen-client-urls: \"https://10.0.0.1:2379, http://127.0.0.1:2379\"\n"
    "initial-advertise-peer-urls: https://10.0.0.1:2380\n"
    "advertise-client-urls: https://10.0.0.1:2379\n"
    "listen-metrics-urls: http://127.0.0.1:2381\n"
    "initial-cluster: n1=https://10.0.0.1:2380\n"
    "initial-cluster-state: existing\n"
    "grpc-keepalive-timeout: 5000000000\n"
    "pre-vote: no\n"
    "cors: ''\n"
    "host-whitelist: b,a\n"
    "log-outputs: [stderr, /dev/null]\n"
    "cipher-suites:\n"
    "- TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n"
    "feature-gates: InitialCorruptCheck=true\n"
    "experimental-enable-lease-checkpoint: true\n"
    "experimental-snapshot-catch-up-entries: 77\n"
    "no-such-key: 1\n"
    "client-transport-security:\n"
    "  cert-file: s.crt\n"
    "  key-file: s.key\n"
    "  client-cert-auth: true\n"
    "  trusted-ca-file: ca.crt\n"
    "  no-such-key: 1\n"
    "peer-transport-security: {cert-file: p.crt, key-file: p.key, allowed-cn: [a, b]}\n"
    "socket-options: {reuse-port: true}\n"
    "discovery-config: {client: {dial-timeout: 7, auth: {username: u}}}\n";

static void test_file_fills_everything(void **state)
{
    struct loaded loaded;
    (void)state;
    load_file(&loaded, "--name=flag", everything);
    struct config *config = &loaded.config;
    assert_string_equal(loaded.why.text, "");
    assert_string_equal(config->name, "n1");
    assert_string_equal(config->data_dir, "/d");
    assert_string_equal(config->wal_dir, "/w");
    assert_int_equal(config->snapshot_count, 5000);
    assert_int_equal(config->heartbeat_ms, 50);
    assert_int_equal(config->election_ms, 1000);
    assert_int_equal(config->quota_bytes, -1);
    assert_int_equal(config->listen_client.count, 2);
    assert_string_equal(
        url_list_text(config->arena, &config->listen_metrics), "http://127.0.0.1:2381");
    assert_false(config->is_new_cluster);
    assert_int_equal(config->keepalive_timeout_ns, 5000000000);
    assert_false(config->pre_vote);
    assert_string_equal(config->cors.items[0], "*");
    assert_string_equal(text_list_join(config->arena, &config->host_whitelist, ","), "a,b");
    assert_string_equal(
        text_list_join(config->arena, &config->log_outputs, ","), "stderr,/dev/null");
    assert_int_equal(config->cipher_suites.count, 1);
    assert_true(config->gates.initial_corrupt_check && config->gates.lease_checkpoint);
    assert_int_equal(config->snapshot_catchup_entries, 77);
    assert_string_equal(config->client.cert_file, "s.crt");
    assert_true(config->client.client_cert_auth);
    assert_string_equal(config->peer.key_file, "p.key");
    assert_string_equal(config->peer.allowed_cns.items[1], "b");
    assert_true(config->socket_reuse_port);
    assert_int_equal(config->discovery.dial_timeout_ns, 7);
    assert_string_equal(config->discovery.user, "u");
    assert_string_equal(find_note(&loaded, "unrecognized key in configuration file"),
        "client-transport-security.no-such-key");
    assert_non_null(find_note(&loaded,
        "loaded server configuration, other configuration command line flags and environment "
        "variables will be ignored if provided"));
    unload(&loaded);
}

static void expect_cors(const char *text, const char *origins)
{
    struct loaded loaded;
    load_file(&loaded, "--cors=http://flag:1", text);
    assert_string_equal(loaded.why.text, "");
    assert_string_equal(text_list_join(loaded.config.arena, &loaded.config.cors, ","), origins);
    unload(&loaded);
}

static void test_file_reads_cors(void **state)
{
    (void)state;
    expect_cors("cors: '*'\n", "*");
    expect_cors("cors: ''\n", "*");
    expect_cors("cors: http://b:2,https://a:1,http://b:2\n", "http://b:2,https://a:1");
    expect_cors("feature-gates: ''\ncors: http://a:1\n", "http://a:1");
}

static void test_file_replaces_flags_and_environment(void **state)
{
    static const char *const environ_[] = {"ETCD_MAX_TXN_OPS=x", NULL};
    struct loaded loaded;
    char line[128];
    (void)state;
    load_file(&loaded, "--max-txn-ops=7 --election-timeout=1", "name: a\n");
    assert_string_equal(loaded.why.text, "");
    assert_int_equal(loaded.config.txn_ops_max, 128);
    unload(&loaded);
    snprintf(line, sizeof(line), "--config-file=%s", "/dev/null");
    load_it(&loaded, &(struct load_spec){.args = line, .environ = environ_});
    assert_string_equal(loaded.why.text, "");
    assert_string_equal(loaded.config.name, "default");
    unload(&loaded);
}

static void test_file_is_named_by_the_environment(void **state)
{
    static const char *const environ_[] = {"ETCD_CONFIG_FILE=/nonexistent", NULL};
    struct loaded loaded;
    (void)state;
    load_it(&loaded, &(struct load_spec){.environ = environ_});
    assert_string_equal(loaded.why.text, "open /nonexistent: no such file or directory");
    unload(&loaded);
    expect_refusal("--config-file=/tmp", "read /tmp: is a directory");
}

static void test_file_refuses_wrong_types(void **state)
{
    (void)state;
    expect_file_refusal("snapshot-count: abc\n",
        JSON "string into Go struct field configYAML.Config.snapshot-count of type uint64");
    expect_file_refusal("snapshot-count: -5\n",
        JSON "number -5 into Go struct field configYAML.Config.snapshot-count of type uint64");
    expect_file_refusal("snapshot-count: 1.5\n",
        JSON "number 1.5 into Go struct field configYAML.Config.snapshot-count of type uint64");
    expect_file_refusal("snapshot-count: 1000000000000000000000000000000\n",
        JSON "number 1e+30 into Go struct field configYAML.Config.snapshot-count of type uint64");
    expect_file_refusal("grpc-keepalive-timeout: 5s\n",
        JSON "string into Go struct field configYAML.Config.grpc-keepalive-timeout of type "
             "time.Duration");
    expect_file_refusal(
        "NAME: 5\n", JSON "number into Go struct field configYAML.Config.name of type string");
    expect_file_refusal(
        "name: y\n", JSON "bool into Go struct field configYAML.Config.name of type string");
    expect_file_refusal("pre-vote: 1\n",
        JSON "number into Go struct field configYAML.Config.pre-vote of type bool");
    expect_file_refusal(
        "cors: 5\n", JSON "number into Go struct field configYAML.configJSON.cors of type string");
    expect_file_refusal("client-transport-security: 5\n",
        JSON "number into Go struct field configYAML.configJSON.client-transport-security of type "
             "embed.securityConfig");
    expect_file_refusal("client-transport-security:\n  cert-file: 5\n",
        JSON "number into Go struct field "
             "securityConfig.configJSON.client-transport-security.cert-file of type string");
    expect_file_refusal("log-outputs: [stderr,2]\n",
        JSON "number into Go struct field configYAML.Config.log-outputs of type string");
    expect_file_refusal("max-concurrent-streams: 99999999999\n",
        JSON "number 99999999999 into Go struct field configYAML.Config.max-concurrent-streams of "
             "type uint32");
    expect_file_refusal("- a\n", JSON "array into Go value of type embed.configYAML");
    expect_file_refusal("foo\n", JSON "string into Go value of type embed.configYAML");
    expect_file_refusal("z: 1\nname: 5\nauto-compaction-mode: 5\n",
        JSON "number into Go struct field configYAML.Config.auto-compaction-mode of type string");
}

static void test_file_refuses_what_is_no_yaml(void **state)
{
    (void)state;
    expect_file_refusal("nope: 1\nname: [a", YAML "line 2: did not find expected ',' or ']'");
    expect_file_refusal("\ta: b\n", YAML "found character that cannot start any token");
    expect_file_refusal("a: &x [1]\nb: *x\nname: *q\n", YAML "unknown anchor 'q' referenced");
    expect_file_refusal(
        "z: 1\n a: 2\n", YAML "line 2: mapping values are not allowed in this context");
    expect_file_refusal("x\ny: 1\n", YAML "line 2: mapping values are not allowed in this context");
    expect_file_refusal("a: \"x\n", YAML "line 2: found unexpected end of stream");
    expect_file_refusal("x: \xff\n", YAML "invalid leading UTF-8 octet");
}

static void test_file_refuses_values(void **state)
{
    (void)state;
    expect_file_refusal("election-timeout: 1\n", ELECTION);
    expect_file_refusal("name: ~\npre-vote: on\nelection-timeout: 1\n", ELECTION);
    expect_file_refusal("name: 5\nname: a\nelection-timeout: 1\n", ELECTION);
    expect_file_refusal("name: !!str 5\nelection-timeout: 1\n", ELECTION);
    expect_file_refusal("initial-cluster-state: foo\n", "unexpected clusterState \"foo\"");
    expect_file_refusal("listen-client-urls: ftp://x\n",
        "unexpected error setting up listen-client-urls: URL scheme must be http, https, unix, or "
        "unixs: ftp://x");
    expect_file_refusal("cors: foo\n", "URL scheme must be http, https, unix, or unixs: foo");
    expect_file_refusal("feature-gates: Foo=true\n", "unrecognized feature gate: Foo");
    expect_file_refusal("<<: {name: 5}\n",
        JSON "number into Go struct field configYAML.Config.name of type string");
}

static struct err parse(
    struct arena *arena, const char *text, const struct yaml_node **out_root, struct why *why)
{
    return yaml_parse(arena, slice_str(text), out_root, why);
}

static void test_yaml_has_limits(void **state)
{
    struct arena *arena = arena_new(0);
    struct why why = {""};
    const struct yaml_node *root = NULL;
    char *text = mem_new(YAML_BYTES_MAX + 2);
    (void)state;
    memset(text, '[', YAML_DEPTH_MAX + 1);
    assert_true(IS(parse(arena, text, &root, &why), BAD_INPUT));
    assert_string_equal(why.text, "yaml: document is nested too deeply");
    text[0] = 0;
    for (size_t i = 0; i < YAML_NODES_MAX; i++) {
        memcpy(text + 2 * i, "-\n", 3);
    }
    assert_true(IS(parse(arena, text, &root, &why), BAD_INPUT));
    assert_string_equal(why.text, "yaml: document holds too many values");
    memset(text, '#', YAML_BYTES_MAX + 1);
    assert_true(IS(parse(arena, text, &root, &why), BAD_INPUT));
    assert_string_equal(why.text, "yaml: document is too large");
    assert_null(root);
    free(text);
    arena_free(arena);
}

static void test_yaml_aliases_share(void **state)
{
    struct arena *arena = arena_new(0);
    struct why why = {""};
    const struct yaml_node *root = NULL;
    (void)state;
    assert_false(
        err_is(parse(arena, "&k a: &x [1, 0x10]\nb: *x\nc: *k\n*k : {d: ~}\n", &root, &why)));
    assert_string_equal(why.text, "");
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->first->key, "a");
    assert_int_equal(root->first->kind, YAML_MAP);
    assert_string_equal(root->first->next->first->next->text, "16");
    assert_string_equal(root->first->next->next->text, "a");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_fills_everything),
        cmocka_unit_test(test_file_reads_cors),
        cmocka_unit_test(test_file_replaces_flags_and_environment),
        cmocka_unit_test(test_file_is_named_by_the_environment),
        cmocka_unit_test(test_file_refuses_wrong_types),
        cmocka_unit_test(test_file_refuses_what_is_no_yaml),
        cmocka_unit_test(test_file_refuses_values),
        cmocka_unit_test(test_yaml_has_limits),
        cmocka_unit_test(test_yaml_aliases_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
