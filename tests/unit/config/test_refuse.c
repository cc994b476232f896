/* SPDX-License-Identifier: Apache-2.0
 *
 * Every refusal, in the words of the reference etcd (3.5.30 run, 3.6.14 where it says otherwise).
 */
#include "load_util.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_refuse_what_does_not_parse(void **state)
{
    (void)state;
    expect_usage("--nope", "flag provided but not defined: -nope");
    expect_usage("--max-txn-ops=x", "invalid value \"x\" for flag -max-txn-ops: parse error");
    expect_usage("--pre-vote=maybe", "invalid boolean value \"maybe\" for -pre-vote: parse error");
    expect_usage("--name", "flag needs an argument: -name");
    expect_usage("--initial-cluster-state=foo",
        "invalid value \"foo\" for flag -initial-cluster-state: invalid value");
    expect_usage("--listen-client-urls=http://127.0.0.1:1/x",
        "invalid value \"http://127.0.0.1:1/x\" for flag -listen-client-urls: URL must not contain "
        "a path: http://127.0.0.1:1/x");
    expect_usage("--v2-deprecation=zz",
        "invalid value \"zz\" for flag -v2-deprecation: invalid value \"zz\"");
    expect_usage("--feature-gates=Foo=true",
        "invalid value \"Foo=true\" for flag -feature-gates: unrecognized feature gate: Foo");
    expect_usage("--feature-gates=InitialCorruptCheck",
        "invalid value \"InitialCorruptCheck\" for flag -feature-gates: missing bool value for "
        "InitialCorruptCheck");
    expect_usage("--feature-gates=InitialCorruptCheck=x",
        "invalid value \"InitialCorruptCheck=x\" for flag -feature-gates: invalid value of "
        "InitialCorruptCheck=x, err: strconv.ParseBool: parsing \"x\": invalid syntax");
    expect_refusal("foo", "\"foo\" is not a valid flag");
    expect_usage("--cors=foo", "invalid value \"foo\" for flag -cors: URL scheme must be http, "
                               "https, unix, or unixs: foo");
    expect_usage("--cors=*,http://a:1",
        "invalid value \"*,http://a:1\" for flag -cors: URL scheme must be http, https, unix, or "
        "unixs: *");
}

static void test_refuse_urls(void **state)
{
    (void)state;
    expect_refusal("--listen-client-urls=http://127.0.0.1:1",
        "--advertise-client-urls is required when --listen-client-urls is set explicitly");
    expect_refusal("--listen-client-urls=http://foo:1 --advertise-client-urls=http://foo:1",
        "expected IP in URL for binding (http://foo:1)");
    expect_refusal(
        "--listen-peer-urls=http://foo:1", "expected IP in URL for binding (http://foo:1)");
    expect_refusal("--listen-client-urls=http://127.0.0.1:65536 --advertise-client-urls=http://a:1",
        "listen tcp: address 65536: invalid port");
    expect_refusal(
        "--listen-peer-urls=http://127.0.0.1:99999", "listen tcp: address 99999: invalid port");
    expect_refusal("--listen-metrics-urls=http://:1", "expected IP in URL for binding (http://:1)");
    expect_refusal("--advertise-client-urls=http://:1",
        "--advertise-client-urls \"http://:1\" must be \"host:port\" (unexpected empty host "
        "(http://:1))");
    expect_refusal("--initial-advertise-peer-urls=unix://x",
        "--initial-advertise-peer-urls \"unix://x\" must be \"host:port\" (address x: missing port "
        "in address)");
}

static void test_refuse_tls(void **state)
{
    (void)state;
    expect_refusal("--listen-client-urls=https://127.0.0.1:1 --advertise-client-urls=https://a:1",
        "TLS key/cert (--cert-file, --key-file) must be provided for client url "
        "https://127.0.0.1:1 with HTTPS scheme");
    expect_refusal("--listen-peer-urls=https://127.0.0.1:1",
        "cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented");
    expect_refusal("--listen-metrics-urls=https://127.0.0.1:1",
        "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
    expect_refusal(
        "--peer-cert-file=c", "KeyFile and CertFile must both be present[key: , cert: c]");
    expect_refusal("--cert-file=c --listen-client-urls=https://127.0.0.1:1 "
                   "--advertise-client-urls=https://127.0.0.1:1",
        "KeyFile and CertFile must both be present[key: , cert: c]");
    expect_refusal("--cert-file=c --key-file=k --client-cert-file=x "
                   "--listen-client-urls=https://127.0.0.1:1 "
                   "--advertise-client-urls=https://127.0.0.1:1",
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: x]");
    expect_refusal("--tls-min-version=TLS1.1",
        "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)");
    expect_refusal("--tls-min-version=TLS1.3 --tls-max-version=TLS1.2",
        "min version (TLS1.3) is greater than max version (TLS1.2)");
    expect_refusal("--tls-min-version=TLS1.3 --cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA",
        "cipher suites cannot be configured when only TLS1.3 is enabled");
    expect_refusal("--cipher-suites=foo", "unexpected TLS cipher suite \"foo\"");
    expect_refusal("--cipher-suites=TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "no TLS cipher suite is left of --cipher-suites=TLS_RSA_WITH_3DES_EDE_CBC_SHA");
    expect_refusal("--peer-cert-file=c --peer-key-file=k --peer-cert-allowed-cn=a "
                   "--peer-cert-allowed-hostname=b",
        "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"b\"])");
    expect_refusal("--listen-client-http-urls=http://localhost:2379",
        "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url "
        "http://localhost:2379");
}

static void test_refuse_ticks(void **state)
{
    (void)state;
    expect_refusal("--heartbeat-interval=0", "--heartbeat-interval must be >0 (set to 0ms)");
    expect_refusal("--election-timeout=0", "--election-timeout must be >0 (set to 0ms)");
    expect_refusal("--election-timeout=499",
        "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]");
    expect_refusal("--election-timeout=50001",
        "--election-timeout[50001ms] is too long, and should be set less than 50000ms");
    expect_refusal(
        "--compact-hash-check-time=0s", "--compact-hash-check-time must be >0 (set to 0s)");
    expect_refusal("--experimental-compact-hash-check-time=-1s",
        "--experimental-compact-hash-check-time must be >0 (set to -1s)");
}

static void test_refuse_compaction(void **state)
{
    (void)state;
    expect_refusal("--auto-compaction-mode=x", "unknown auto-compaction-mode \"x\"");
    expect_refusal("--auto-compaction-mode=", "undefined auto-compaction-mode");
    expect_refusal("--auto-compaction-retention=abc",
        "error parsing CompactionRetention: time: invalid duration \"abc\"");
    expect_refusal("--auto-compaction-retention=9999999999",
        "error parsing CompactionRetention: 9999999999 hours");
}

static void test_refuse_logging(void **state)
{
    (void)state;
    expect_refusal("--logger=capnslog", "--logger=capnslog is removed in v3.5");
    expect_refusal("--logger=x", "unknown logger option \"x\"");
    expect_refusal("--log-level=foo", "unrecognized level: \"foo\"");
    expect_refusal("--log-format=foo", "unknown log format: foo, supported values json, console");
    expect_refusal(
        "--log-outputs=default,stderr", "multi logoutput for \"default\" is not supported yet");
    expect_refusal("--enable-log-rotation --log-outputs=a,b",
        "--log-outputs requires a single file path when --log-rotate-config-json is defined");
    expect_refusal("--enable-log-rotation --log-outputs=a --log-rotation-config-json=x",
        "improperly formatted log rotation config: invalid character 'x' looking for beginning of "
        "value");
    expect_refusal("--enable-log-rotation --log-outputs=a --log-rotation-config-json={",
        "improperly formatted log rotation config: unexpected end of JSON input");
    expect_refusal("--enable-log-rotation --log-outputs=a --log-rotation-config-json={}x",
        "improperly formatted log rotation config: invalid character 'x' after top-level value");
    expect_refusal("--enable-log-rotation --log-outputs=a --log-rotation-config-json=[]",
        "invalid log rotation config: json: cannot unmarshal array into Go value of type "
        "embed.logRotationConfig");
    expect_refusal(
        "--enable-log-rotation --log-outputs=a --log-rotation-config-json={\"maxsize\":\"a\"}",
        "invalid log rotation config: json: cannot unmarshal string into Go struct field "
        "logRotationConfig.Logger.maxsize of type int");
    expect_refusal(
        "--enable-log-rotation --log-outputs=a --log-rotation-config-json={\"compress\":1}",
        "invalid log rotation config: json: cannot unmarshal number 1 into Go struct field "
        "logRotationConfig.Logger.compress of type bool");
    expect_refusal("--enable-distributed-tracing --distributed-tracing-sampling-rate=-1",
        "distributed tracing configurition is not valid: (tracing sampling rate must be positive)");
    expect_refusal("--enable-distributed-tracing --distributed-tracing-sampling-rate=1000001",
        "distributed tracing configurition is not valid: (tracing sampling rate must be less than "
        "1000000)");
    expect_refusal("--enable-log-rotation",
        "--log-outputs requires a single file path when --log-rotate-config-json is defined");
}

static void test_refuse_discovery(void **state)
{
    (void)state;
    expect_refusal("--discovery=http://x --discovery-srv=y",
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
        "\"discovery\", \"discovery-endpoints\" or \"discovery-srv\"");
    expect_refusal(
        "--discovery-token=x", "both --discovery-token and --discovery-endpoints must be set");
    expect_refusal("--discovery-token=x --discovery-endpoints=a,",
        "--discovery-endpoints must not contain empty endpoints");
    expect_refusal("--discovery-fallback=proxy",
        "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
    expect_refusal(
        "--proxy=on", "v2 proxy is deprecated, and --proxy can't be configured as \"on\"");
}

static void test_refuse_two_names_of_one_thing(void **state)
{
    (void)state;
    expect_refusal("--watch-progress-notify-interval=5s "
                   "--experimental-watch-progress-notify-interval=5s",
        "cannot set --experimental-watch-progress-notify-interval and "
        "--watch-progress-notify-interval at the same time, please use "
        "--watch-progress-notify-interval only");
    expect_refusal("--experimental-initial-corrupt-check=true "
                   "--feature-gates=InitialCorruptCheck=false",
        "cannot specify both flags: --experimental-initial-corrupt-check=true and "
        "--feature-gates=InitialCorruptCheck=false at the same time, please just use "
        "--feature-gates=InitialCorruptCheck=false");
    expect_refusal("--warning-unary-request-duration=1s "
                   "--experimental-warning-unary-request-duration=1s",
        "both --experimental-warning-unary-request-duration and --warning-unary-request-duration "
        "flags are set. Use only --warning-unary-request-duration");
    expect_refusal("--feature-gates=LeaseCheckpointPersist=true",
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
        "LeaseCheckpoint");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuse_what_does_not_parse),
        cmocka_unit_test(test_refuse_urls),
        cmocka_unit_test(test_refuse_tls),
        cmocka_unit_test(test_refuse_ticks),
        cmocka_unit_test(test_refuse_compaction),
        cmocka_unit_test(test_refuse_logging),
        cmocka_unit_test(test_refuse_discovery),
        cmocka_unit_test(test_refuse_two_names_of_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
