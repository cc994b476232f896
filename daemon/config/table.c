/* SPDX-License-Identifier: Apache-2.0
 *
 * Every flag that etcd 3.4, 3.5 and 3.6 take, and our own, each once. FLAGS.md is made from this
 * table. */
#include "config/draft.h"

#include "base/mem.h"

#define C(field) FLAG_FIELD(struct draft, config.field)
#define D(field) FLAG_FIELD(struct draft, field)
#define ACCEPTED(reason) .state = CONFIG_ACCEPTED, .remark = reason
#define ALIAS(flag) .state = CONFIG_ALIAS, .remark = flag
#define GATE(name_) .state = CONFIG_ALIAS, .remark = "feature-gates=" name_ "=true", .gate = name_
#define IGNORED(name_)                                                                             \
    {                                                                                              \
        {.name = name_, .kind = FLAG_IGNORED}, SECTION_NONE, "3.4", .state = CONFIG_IGNORED        \
    }

#define NO_BBOLT "the store is not a bbolt file"
#define NO_TRACING "there is no OpenTelemetry exporter"
#define NO_DISCOVERY_V2                                                                            \
    "v2 discovery is not part of this program; --discovery is refused where there is no data yet"
#define NO_CALLS "the JSON gateway answers in the same process and dials nobody"
#define NO_V2 "the v2 API is not served"
#define NO_PROXY "the v2 proxy is not part of this program"

static const struct row rows[] = {
    /* member */
    {{"name", FLAG_STRING, C(name)}, SECTION_MEMBER, "3.4", "string", .value = "default",
        .help = "Name of this member, for people and for --initial-cluster."},
    {{"data-dir", FLAG_STRING, C(data_dir)}, SECTION_MEMBER, "3.4", "string", .value = "",
        .shown = "${name}.etcd", .help = "Directory that holds all of the member's data."},
    {{"wal-dir", FLAG_STRING, C(wal_dir)}, SECTION_MEMBER, "3.4", "string", .value = "",
        .help = "Directory for the write-ahead log alone, for instance on a disk of its own."},
    {{"snapshot-count", FLAG_UINT, C(snapshot_count)}, SECTION_MEMBER, "3.4", "uint64",
        .value = "10000", .help = "Applied entries after which the log is cut by a snapshot."},
    {{"heartbeat-interval", FLAG_UINT, C(heartbeat_ms)}, SECTION_MEMBER, "3.4", "uint",
        .value = "100", .help = "Milliseconds between two heartbeats of the leader."},
    {{"election-timeout", FLAG_UINT, C(election_ms)}, SECTION_MEMBER, "3.4", "uint",
        .value = "1000", .help = "Milliseconds without a leader after which an election starts."},
    {{"initial-election-tick-advance", FLAG_BOOL, C(initial_election_tick_advance)}, SECTION_MEMBER,
        "3.4", "bool", .value = "true",
        .help = "Shorten the first wait for a leader once other members are reached."},
    {{"listen-peer-urls", FLAG_URLS, C(listen_peer)}, SECTION_MEMBER, "3.4", "string", true,
        .value = "http://localhost:2380", .help = "URLs to listen on for the other members."},
    {{"listen-client-urls", FLAG_URLS, C(listen_client)}, SECTION_MEMBER, "3.4", "string", true,
        .value = "http://localhost:2379",
        .help = "URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls "
                "is given."},
    {{"listen-client-http-urls", FLAG_URLS, C(listen_client_http)}, SECTION_MEMBER, "3.5", "string",
        true,
        .help = "URLs to listen on for HTTP clients alone; takes HTTP away from "
                "--listen-client-urls."},
    {{"max-snapshots", FLAG_UINT, C(snapshots_max)}, SECTION_MEMBER, "3.4", "uint", .value = "5",
        .help = "Snapshot files to keep; 0 keeps all."},
    {{"max-wals", FLAG_UINT, C(wals_max)}, SECTION_MEMBER, "3.4", "uint", .value = "5",
        .help = "Log files to keep; 0 keeps all."},
    {{"memory-mlock", FLAG_BOOL, C(memory_mlock)}, SECTION_MEMBER, "3.6", "bool", .value = "false",
        .help = "Keep all memory of the process from being swapped out."},
    {{"quota-backend-bytes", FLAG_INT, C(quota_bytes)}, SECTION_MEMBER, "3.4", "int64",
        .value = "0",
        .help = "Bytes the store may grow to before the NOSPACE alarm stops writes; 0 means "
                "2 GiB, below 0 no limit."},
    {{"backend-bbolt-freelist-type", FLAG_STRING, D(none_text)}, SECTION_MEMBER, "3.5", "string",
        .value = "", .shown = "map", ACCEPTED(NO_BBOLT), .help = "Free list of a bbolt store."},
    {{"backend-batch-interval", FLAG_DURATION, D(none_ns)}, SECTION_MEMBER, "3.4", "time.Duration",
        .value = "0s", .shown = "", ACCEPTED(NO_BBOLT),
        .help = "Longest time between two commits of a bbolt store."},
    {{"backend-batch-limit", FLAG_INT, D(none_ns)}, SECTION_MEMBER, "3.4", "int", .value = "0",
        ACCEPTED(NO_BBOLT), .help = "Most operations between two commits of a bbolt store."},
    {{"max-txn-ops", FLAG_UINT, C(txn_ops_max)}, SECTION_MEMBER, "3.4", "uint", .value = "128",
        .help = "Most operations in one transaction."},
    {{"max-request-bytes", FLAG_UINT, C(request_bytes_max)}, SECTION_MEMBER, "3.4", "uint",
        .value = "1572864", .help = "Largest request, in bytes."},
    {{"max-concurrent-streams", FLAG_UINT32, C(concurrent_streams_max)}, SECTION_MEMBER, "3.4",
        "uint32", .value = "4294967295", .shown = "math.MaxUint32",
        .help = "Most streams at a time on one connection."},
    {{"grpc-keepalive-min-time", FLAG_DURATION, C(keepalive_min_time_ns)}, SECTION_MEMBER, "3.4",
        "time.Duration", .value = "5s",
        .help = "Shortest time between two pings of a client; faster ones are cut off."},
    {{"grpc-keepalive-interval", FLAG_DURATION, C(keepalive_interval_ns)}, SECTION_MEMBER, "3.4",
        "time.Duration", .value = "2h",
        .help = "Time between two pings of the server to a client; 0 sends none."},
    {{"grpc-keepalive-timeout", FLAG_DURATION, C(keepalive_timeout_ns)}, SECTION_MEMBER, "3.4",
        "time.Duration", .value = "20s",
        .help = "Time after such a ping at which a silent connection is closed; 0 never."},
    {{"socket-reuse-port", FLAG_BOOL, C(socket_reuse_port)}, SECTION_MEMBER, "3.5",
        .value = "false", .help = "Set SO_REUSEPORT on listeners."},
    {{"socket-reuse-address", FLAG_BOOL, C(socket_reuse_address)}, SECTION_MEMBER, "3.5",
        .value = "false", .help = "Set SO_REUSEADDR on listeners.",
        ACCEPTED("addresses are always reusable")},
    {{"enable-grpc-gateway", FLAG_BOOL, C(enable_grpc_gateway)}, SECTION_MEMBER, "3.4", "bool",
        .value = "true", .help = "Serve the JSON gateway."},
    {{"raft-read-timeout", FLAG_DURATION, C(raft_read_timeout_ns)}, SECTION_MEMBER, "3.5",
        .value = "5s", .help = "Read timeout of connections between members; at least 5s."},
    {{"raft-write-timeout", FLAG_DURATION, C(raft_write_timeout_ns)}, SECTION_MEMBER, "3.5",
        .value = "5s", .help = "Write timeout of connections between members; at least 5s."},
    {{"feature-gates", FLAG_CALL, .set = gates_set}, SECTION_MEMBER, "3.6", "string", true,
        .help = "Features to switch on or off, as Name=true,Other=false. Known are:"},
    {{"config-file", FLAG_STRING, D(config_file)}, SECTION_NONE, "3.4", .value = "",
        .help = "YAML file with all settings; flags and environment are then not read."},
    {{"version", FLAG_BOOL, D(is_print_version)}, SECTION_NONE, "3.4", .value = "false",
        .help = "Print the version and exit."},

    /* clustering */
    {{"initial-advertise-peer-urls", FLAG_URLS, C(advertise_peer)}, SECTION_CLUSTERING, "3.4",
        "string", true, .value = "http://localhost:2380",
        .help = "URLs at which the other members reach this one."},
    {{"initial-cluster", FLAG_STRING, C(initial_cluster)}, SECTION_CLUSTERING, "3.4", "string",
        .value = "", .shown = "default=http://localhost:2380",
        .help = "The members to start a cluster with: name=URL, separated by commas."},
    {{"initial-cluster-state", FLAG_ENUM, D(cluster_state), .choices = "new,existing"},
        SECTION_CLUSTERING, "3.4", "string", .value = "new",
        .help = "'new' starts a cluster, 'existing' joins one. Not read on a restart."},
    {{"initial-cluster-token", FLAG_STRING, C(initial_cluster_token)}, SECTION_CLUSTERING, "3.4",
        "string", .value = "etcd-cluster",
        .help = "Keeps clusters apart that were started with the same members."},
    {{"advertise-client-urls", FLAG_URLS, C(advertise_client)}, SECTION_CLUSTERING, "3.4", "string",
        true, .value = "http://localhost:2379", .help = "URLs at which clients reach this member."},
    {{"discovery", FLAG_STRING, C(discovery.url)}, SECTION_CLUSTERING, "3.4", "string", .value = "",
        .help = "URL of a v2 discovery service to start the cluster by.",
        ACCEPTED(NO_DISCOVERY_V2)},
    {{"discovery-token", FLAG_STRING, C(discovery.token)}, SECTION_CLUSTERING, "3.6", .value = "",
        .help = "Token of this cluster at the v3 discovery service."},
    {{"discovery-endpoints", FLAG_SET, C(discovery.endpoints)}, SECTION_CLUSTERING, "3.6",
        .help = "Endpoints of the v3 discovery service."},
    {{"discovery-dial-timeout", FLAG_DURATION, C(discovery.dial_timeout_ns)}, SECTION_CLUSTERING,
        "3.6", .value = "2s", .help = "Dial timeout towards the v3 discovery service."},
    {{"discovery-request-timeout", FLAG_DURATION, C(discovery.request_timeout_ns)},
        SECTION_CLUSTERING, "3.6", .value = "5s",
        .help = "Timeout of a request to the v3 discovery service."},
    {{"discovery-keepalive-time", FLAG_DURATION, C(discovery.keepalive_time_ns)},
        SECTION_CLUSTERING, "3.6", .value = "2s",
        .help = "Time between pings to the v3 discovery service."},
    {{"discovery-keepalive-timeout", FLAG_DURATION, C(discovery.keepalive_timeout_ns)},
        SECTION_CLUSTERING, "3.6", .value = "6s",
        .help = "Time after which a silent v3 discovery service is given up."},
    {{"discovery-insecure-transport", FLAG_BOOL, C(discovery.is_insecure_transport)},
        SECTION_CLUSTERING, "3.6", .value = "true",
        .help = "Talk to the v3 discovery service without TLS."},
    {{"discovery-insecure-skip-tls-verify", FLAG_BOOL, C(discovery.skip_tls_verify)},
        SECTION_CLUSTERING, "3.6", .value = "false",
        .help = "Do not verify the v3 discovery service's certificate. For tests only."},
    {{"discovery-cert", FLAG_STRING, C(discovery.cert_file)}, SECTION_CLUSTERING, "3.6",
        .value = "", .help = "Certificate to show to the v3 discovery service."},
    {{"discovery-key", FLAG_STRING, C(discovery.key_file)}, SECTION_CLUSTERING, "3.6", .value = "",
        .help = "Key of that certificate."},
    {{"discovery-cacert", FLAG_STRING, C(discovery.ca_file)}, SECTION_CLUSTERING, "3.6",
        .value = "", .help = "CA that the v3 discovery service's certificate must lead to."},
    {{"discovery-user", FLAG_STRING, C(discovery.user)}, SECTION_CLUSTERING, "3.6", .value = "",
        .help = "User at the v3 discovery service."},
    {{"discovery-password", FLAG_STRING, C(discovery.password)}, SECTION_CLUSTERING, "3.6",
        .value = "", .help = "Password at the v3 discovery service."},
    {{"discovery-fallback", FLAG_ENUM, D(fallback), .choices = "exit,proxy"}, SECTION_CLUSTERING,
        "3.4", .value = "exit", .help = "What to do when discovery fails; only 'exit' is left.",
        ACCEPTED(NO_DISCOVERY_V2)},
    {{"discovery-proxy", FLAG_STRING, C(discovery.proxy)}, SECTION_CLUSTERING, "3.4", "string",
        .value = "", .help = "HTTP proxy on the way to the v2 discovery service.",
        ACCEPTED(NO_DISCOVERY_V2)},
    {{"discovery-srv", FLAG_STRING, C(discovery.srv_domain)}, SECTION_CLUSTERING, "3.4", "string",
        .value = "", .help = "DNS domain whose SRV records name the members."},
    {{"discovery-srv-name", FLAG_STRING, C(discovery.srv_name)}, SECTION_CLUSTERING, "3.4",
        "string", .value = "", .help = "Suffix of the service name in those SRV records."},
    {{"strict-reconfig-check", FLAG_BOOL, C(strict_reconfig_check)}, SECTION_CLUSTERING, "3.4",
        "bool", .value = "true",
        .help = "Refuse changes of the membership that would lose the quorum."},
    {{"pre-vote", FLAG_BOOL, C(pre_vote)}, SECTION_CLUSTERING, "3.4", "bool", .value = "true",
        .help = "Ask before an election whether it can be won, so that a member coming back "
                "does not disturb."},
    {{"auto-compaction-retention", FLAG_STRING, C(compaction_retention_text)}, SECTION_CLUSTERING,
        "3.4", "string", .value = "0",
        .help = "How much history automatic compaction keeps; 0 switches it off."},
    {{"auto-compaction-mode", FLAG_STRING, D(compaction_mode)}, SECTION_CLUSTERING, "3.4", "string",
        .value = "periodic",
        .help = "'periodic' keeps a time (hours when there is no unit), 'revision' keeps a number "
                "of revisions."},
    {{"v2-deprecation", FLAG_ENUMS, D(v2_deprecation),
         .choices = "not-yet,write-only,write-only-skip-check,write-only-drop-data,gone"},
        SECTION_CLUSTERING, "3.5", "config.V2DeprecationEnum", .value = "write-only",
        ACCEPTED("there is no v2 data to phase out"), .help = "How far v2 data is phased out."},
    {{"enable-v2", FLAG_BOOL, D(none_bool)}, SECTION_CLUSTERING, "3.4", "bool", .value = "false",
        ACCEPTED(NO_V2), .help = "Serve the v2 API."},

    /* security */
    {{"cert-file", FLAG_STRING, C(client.cert_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "Certificate for client URLs."},
    {{"key-file", FLAG_STRING, C(client.key_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "Key of that certificate."},
    {{"client-cert-auth", FLAG_BOOL, C(client.client_cert_auth)}, SECTION_SECURITY, "3.4",
        .value = "false", .help = "Require a certificate of every client."},
    {{"client-cert-file", FLAG_STRING, C(client.client_cert_file)}, SECTION_SECURITY, "3.5",
        .value = "", .help = "Certificate to show where this member is the client.",
        ACCEPTED(NO_CALLS)},
    {{"client-key-file", FLAG_STRING, C(client.client_key_file)}, SECTION_SECURITY, "3.5",
        .value = "", .help = "Key of that certificate.", ACCEPTED(NO_CALLS)},
    {{"client-crl-file", FLAG_STRING, C(client.crl_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "List of revoked client certificates."},
    {{"client-cert-allowed-hostname", FLAG_STRINGS, C(client.allowed_hostnames)}, SECTION_SECURITY,
        "3.4", .help = "Names of which a client's certificate must carry one."},
    {{"trusted-ca-file", FLAG_STRING, C(client.ca_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "CA that clients' certificates must lead to."},
    {{"auto-tls", FLAG_BOOL, C(client.is_auto)}, SECTION_SECURITY, "3.4", .value = "false",
        .help = "Make a certificate for client URLs, in the data directory."},
    {{"peer-cert-file", FLAG_STRING, C(peer.cert_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "Certificate towards the other members."},
    {{"peer-key-file", FLAG_STRING, C(peer.key_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "Key of that certificate."},
    {{"peer-client-cert-auth", FLAG_BOOL, C(peer.client_cert_auth)}, SECTION_SECURITY, "3.4",
        .value = "false", .help = "Require a certificate of every other member."},
    {{"peer-client-cert-file", FLAG_STRING, C(peer.client_cert_file)}, SECTION_SECURITY, "3.5",
        .value = "", .help = "Certificate to show where this member dials another."},
    {{"peer-client-key-file", FLAG_STRING, C(peer.client_key_file)}, SECTION_SECURITY, "3.5",
        .value = "", .help = "Key of that certificate."},
    {{"peer-trusted-ca-file", FLAG_STRING, C(peer.ca_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "CA that members' certificates must lead to."},
    {{"peer-cert-allowed-cn", FLAG_STRINGS, C(peer.allowed_cns)}, SECTION_SECURITY, "3.4",
        .help = "Common names of which a member's certificate must carry one."},
    {{"peer-cert-allowed-hostname", FLAG_STRINGS, C(peer.allowed_hostnames)}, SECTION_SECURITY,
        "3.4", .help = "Names of which a member's certificate must carry one."},
    {{"peer-auto-tls", FLAG_BOOL, C(peer.is_auto)}, SECTION_SECURITY, "3.4", .value = "false",
        .help = "Make a certificate towards the other members; theirs are not verified."},
    {{"self-signed-cert-validity", FLAG_UINT, C(self_signed_years)}, SECTION_SECURITY, "3.5",
        "uint", .value = "1", .help = "Years that a certificate made by --auto-tls is valid."},
    {{"peer-crl-file", FLAG_STRING, C(peer.crl_file)}, SECTION_SECURITY, "3.4", .value = "",
        .help = "List of revoked members' certificates."},
    {{"cipher-suites", FLAG_STRINGS, C(cipher_suites)}, SECTION_SECURITY, "3.4", "[]string",
        .help = "TLS 1.2 cipher suites, separated by commas; empty leaves the choice to OpenSSL."},
    {{"cors", FLAG_CALL, .set = cors_set}, SECTION_SECURITY, "3.4", "string", true, .value = "*",
        .help = "Origins that browsers may call from; * or empty allows all."},
    {{"host-whitelist", FLAG_SET, C(host_whitelist)}, SECTION_SECURITY, "3.4", "string", true,
        .value = "*",
        .help = "Host names that plain HTTP requests may carry; * or empty allows all."},
    {{"tls-min-version", FLAG_STRING, D(tls_min)}, SECTION_SECURITY, "3.5", "string",
        .value = "TLS1.2", .help = "Lowest TLS version: TLS1.2 or TLS1.3."},
    {{"tls-max-version", FLAG_STRING, D(tls_max)}, SECTION_SECURITY, "3.5", "string", .value = "",
        .help = "Highest TLS version: TLS1.2 or TLS1.3; empty takes the newest."},
    {{"peer-skip-client-san-verification", FLAG_BOOL, C(peer.skip_client_san_verification)},
        SECTION_SECURITY, "3.6", .value = "false",
        .help = "Do not compare a member's address with the names in its certificate."},
    {{"experimental-peer-skip-client-san-verification", FLAG_BOOL,
         C(peer.skip_client_san_verification)},
        SECTION_EXPERIMENTAL, "3.4", "bool", ALIAS("peer-skip-client-san-verification")},

    /* auth */
    {{"auth-token", FLAG_STRING, C(auth_token)}, SECTION_AUTH, "3.4", "string", .value = "simple",
        .help = "Kind of token, 'simple' or 'jwt', with its options."},
    {{"bcrypt-cost", FLAG_UINT, C(bcrypt_cost)}, SECTION_AUTH, "3.4", "uint", .value = "10",
        .help = "Cost of hashing passwords, from 4 to 31."},
    {{"auth-token-ttl", FLAG_UINT, C(auth_token_ttl_s)}, SECTION_AUTH, "3.4", "uint",
        .value = "300", .help = "Seconds that a simple token lives."},

    /* profiling and monitoring */
    {{"enable-pprof", FLAG_BOOL, D(none_bool)}, SECTION_MONITORING, "3.4", "bool", .value = "false",
        ACCEPTED("there is no Go runtime to profile; use perf"), .help = "Serve Go's profiles."},
    {{"metrics", FLAG_STRING, D(metrics)}, SECTION_MONITORING, "3.4", "string", .value = "basic",
        .help = "'basic', or 'extensive' with the gRPC histograms."},
    {{"listen-metrics-urls", FLAG_URLS, C(listen_metrics)}, SECTION_MONITORING, "3.4", "string",
        .help = "URLs to serve metrics and health on, beside the client URLs; https uses the "
                "client certificate."},

    /* logging */
    {{"logger", FLAG_STRING, D(logger)}, SECTION_LOGGING, "3.4", "string", .value = "zap",
        .help = "Form of the log; only 'zap' is left."},
    {{"log-outputs", FLAG_SET, C(log_outputs)}, SECTION_LOGGING, "3.4", "[]string",
        .value = "default", .help = "'stdout', 'stderr', 'systemd/journal' or files."},
    {{"log-level", FLAG_STRING, D(log_level)}, SECTION_LOGGING, "3.4", "string", .value = "info",
        .help = "debug, info, warn, error, panic or fatal."},
    {{"log-format", FLAG_STRING, D(log_format)}, SECTION_LOGGING, "3.6", "string", .value = "json",
        .help = "json or console."},
    {{"enable-log-rotation", FLAG_BOOL, C(enable_log_rotation)}, SECTION_LOGGING, "3.5", "bool",
        .value = "false", .help = "Rotate the one log file."},
    {{"log-rotation-config-json", FLAG_STRING, D(log_rotation_json)}, SECTION_LOGGING, "3.5",
        "string",
        .value = "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, "
                 "\"compress\": false}",
        .help = "How to rotate it: maxsize in MB, maxage in days and maxbackups (0: no limit), "
                "localtime in names instead of UTC, compress with gzip."},
    {{"warning-unary-request-duration", FLAG_DURATION, D(warning_unary_ns)}, SECTION_LOGGING, "3.6",
        "time.Duration", .shown = "300ms",
        .help = "Time after which a unary request is logged as slow."},
    {{"debug", FLAG_BOOL, D(is_debug)}, SECTION_LOGGING, "3.4", "bool", .shown = "false",
        ALIAS("log-level=debug")},
    {{"log-package-levels", FLAG_STRING, D(none_text)}, SECTION_LOGGING, "3.4", "string",
        .shown = "", ACCEPTED("there are no Go packages with levels of their own"),
        .help = "Log levels of single packages."},

    /* distributed tracing */
    {{"enable-distributed-tracing", FLAG_BOOL, D(is_tracing)}, SECTION_TRACING, "3.6", "bool",
        .value = "false", ACCEPTED(NO_TRACING), .help = "Send traces."},
    {{"distributed-tracing-address", FLAG_STRING, D(none_text)}, SECTION_TRACING, "3.6", "string",
        .value = "localhost:4317", ACCEPTED(NO_TRACING), .help = "Address of the collector."},
    {{"distributed-tracing-service-name", FLAG_STRING, D(none_text)}, SECTION_TRACING, "3.6",
        "string", .value = "etcd", ACCEPTED(NO_TRACING), .help = "Name of the service."},
    {{"distributed-tracing-instance-id", FLAG_STRING, D(none_text)}, SECTION_TRACING, "3.6",
        "string", .value = "", ACCEPTED(NO_TRACING), .help = "Name of this instance."},
    {{"distributed-tracing-sampling-rate", FLAG_INT, D(tracing_rate)}, SECTION_TRACING, "3.6",
        "int", .value = "0", ACCEPTED(NO_TRACING), .help = "Traces kept of a million."},
    {{"experimental-enable-distributed-tracing", FLAG_BOOL, D(is_tracing)}, SECTION_TRACING, "3.5",
        "bool", ALIAS("enable-distributed-tracing")},
    {{"experimental-distributed-tracing-address", FLAG_STRING, D(none_text)}, SECTION_TRACING,
        "3.5", "string", ALIAS("distributed-tracing-address")},
    {{"experimental-distributed-tracing-service-name", FLAG_STRING, D(none_text)}, SECTION_TRACING,
        "3.5", "string", ALIAS("distributed-tracing-service-name")},
    {{"experimental-distributed-tracing-instance-id", FLAG_STRING, D(none_text)}, SECTION_TRACING,
        "3.5", "string", ALIAS("distributed-tracing-instance-id")},
    {{"experimental-distributed-tracing-sampling-rate", FLAG_INT, D(tracing_rate)}, SECTION_TRACING,
        "3.5", "int", ALIAS("distributed-tracing-sampling-rate")},

    /* checks, compaction, limits that began as experiments */
    {{"corrupt-check-time", FLAG_DURATION, C(corrupt_check_ns)}, SECTION_EXPERIMENTAL, "3.6",
        "time.Duration", .value = "0s",
        .help = "Time between two comparisons of the members' data; 0 makes none."},
    {{"compact-hash-check-time", FLAG_DURATION, C(compact_hash_check_ns)}, SECTION_EXPERIMENTAL,
        "3.6", "time.Duration", .value = "1m", .shown = "1m",
        .help = "Time between two comparisons of the members' compaction hashes."},
    {{"compaction-batch-limit", FLAG_INT, C(compaction_batch_limit)}, SECTION_EXPERIMENTAL, "3.6",
        "int", .value = "1000", .help = "Revisions that one step of a compaction drops."},
    {{"compaction-sleep-interval", FLAG_DURATION, C(compaction_sleep_ns)}, SECTION_EXPERIMENTAL,
        "3.6", "time.Duration", .value = "10ms", .help = "Rest between two such steps."},
    {{"watch-progress-notify-interval", FLAG_DURATION, C(watch_progress_ns)}, SECTION_EXPERIMENTAL,
        "3.6", "time.Duration", .value = "10m",
        .help = "Time between two progress notifications of a quiet watch."},
    {{"warning-apply-duration", FLAG_DURATION, C(warning_apply_ns)}, SECTION_EXPERIMENTAL, "3.6",
        "time.Duration", .value = "100ms",
        .help = "Time after which applying an entry is logged as slow."},
    {{"bootstrap-defrag-threshold-megabytes", FLAG_UINT, D(none_number)}, SECTION_EXPERIMENTAL,
        "3.6", "uint", .value = "0", ACCEPTED("the store frees space as it goes"),
        .help = "Megabytes to be won for which the store is defragmented at start."},
    {{"max-learners", FLAG_INT, C(learners_max)}, SECTION_EXPERIMENTAL, "3.6", "int", .value = "1",
        .help = "Most learners in the cluster."},
    {{"downgrade-check-time", FLAG_DURATION, D(none_ns)}, SECTION_EXPERIMENTAL, "3.6",
        "time.Duration", .value = "5s", .help = "Time between two looks at a downgrade.",
        ACCEPTED("a downgrade is over when all members are older than this one")},
    {{"snapshot-catchup-entries", FLAG_UINT, C(snapshot_catchup_entries)}, SECTION_EXPERIMENTAL,
        "3.6", "uint64", .value = "5000",
        .help = "Entries kept behind a snapshot for members that lag."},
    {{"experimental-initial-corrupt-check", FLAG_BOOL, D(gate_flags[2])}, SECTION_EXPERIMENTAL,
        "3.4", "bool", GATE("InitialCorruptCheck")},
    {{"experimental-compact-hash-check-enabled", FLAG_BOOL, D(gate_flags[3])}, SECTION_EXPERIMENTAL,
        "3.5", "bool", GATE("CompactHashCheck")},
    {{"experimental-enable-lease-checkpoint", FLAG_BOOL, D(gate_flags[4])}, SECTION_EXPERIMENTAL,
        "3.4", "bool", GATE("LeaseCheckpoint")},
    {{"experimental-enable-lease-checkpoint-persist", FLAG_BOOL, D(gate_flags[5])},
        SECTION_EXPERIMENTAL, "3.5", "bool", GATE("LeaseCheckpointPersist")},
    {{"experimental-txn-mode-write-with-shared-buffer", FLAG_BOOL, D(gate_flags[6])},
        SECTION_EXPERIMENTAL, "3.5", "bool", GATE("TxnModeWriteWithSharedBuffer")},
    {{"experimental-stop-grpc-service-on-defrag", FLAG_BOOL, D(gate_flags[7])},
        SECTION_EXPERIMENTAL, "3.5", "bool", GATE("StopGRPCServiceOnDefrag")},
    {{"experimental-corrupt-check-time", FLAG_DURATION, C(corrupt_check_ns)}, SECTION_EXPERIMENTAL,
        "3.4", "time.Duration", ALIAS("corrupt-check-time")},
    {{"experimental-compact-hash-check-time", FLAG_DURATION, D(compact_hash_check_old_ns)},
        SECTION_EXPERIMENTAL, "3.5", "time.Duration", ALIAS("compact-hash-check-time")},
    {{"experimental-compaction-batch-limit", FLAG_INT, C(compaction_batch_limit)},
        SECTION_EXPERIMENTAL, "3.4", "int", ALIAS("compaction-batch-limit")},
    {{"experimental-compaction-sleep-interval", FLAG_DURATION, C(compaction_sleep_ns)},
        SECTION_EXPERIMENTAL, "3.5", "time.Duration", ALIAS("compaction-sleep-interval")},
    {{"experimental-watch-progress-notify-interval", FLAG_DURATION, C(watch_progress_ns)},
        SECTION_EXPERIMENTAL, "3.4", "time.Duration", ALIAS("watch-progress-notify-interval")},
    {{"experimental-warning-apply-duration", FLAG_DURATION, C(warning_apply_ns)},
        SECTION_EXPERIMENTAL, "3.4", "time.Duration", ALIAS("warning-apply-duration")},
    {{"experimental-warning-unary-request-duration", FLAG_DURATION, D(warning_unary_old_ns)},
        SECTION_EXPERIMENTAL, "3.6", "time.Duration", ALIAS("warning-unary-request-duration")},
    {{"experimental-bootstrap-defrag-threshold-megabytes", FLAG_UINT, D(none_number)},
        SECTION_EXPERIMENTAL, "3.5", "uint", ALIAS("bootstrap-defrag-threshold-megabytes")},
    {{"experimental-downgrade-check-time", FLAG_DURATION, D(none_ns)}, SECTION_EXPERIMENTAL, "3.5",
        "time.Duration", ALIAS("downgrade-check-time")},
    {{"experimental-memory-mlock", FLAG_BOOL, C(memory_mlock)}, SECTION_EXPERIMENTAL, "3.5", "bool",
        ALIAS("memory-mlock")},
    {{"experimental-snapshot-catchup-entries", FLAG_UINT, C(snapshot_catchup_entries)},
        SECTION_EXPERIMENTAL, "3.5", "uint64", ALIAS("snapshot-catchup-entries")},
    {{"experimental-backend-bbolt-freelist-type", FLAG_STRING, D(none_text)}, SECTION_EXPERIMENTAL,
        "3.4", "string", ALIAS("backend-bbolt-freelist-type")},
    {{"experimental-enable-v2v3", FLAG_STRING, D(none_text)}, SECTION_EXPERIMENTAL, "3.4", "string",
        .value = "", ACCEPTED(NO_V2), .help = "Prefix for v2 data in the v3 store."},

    /* v2 proxy */
    {{"proxy", FLAG_ENUM, D(proxy), .choices = "off,readonly,on"}, SECTION_PROXY, "3.4",
        .value = "off", ACCEPTED(NO_PROXY), .help = "Mode of the v2 proxy; only 'off' is left."},
    {{"proxy-failure-wait", FLAG_UINT, D(none_number)}, SECTION_PROXY, "3.4", .value = "5000",
        ACCEPTED(NO_PROXY), .help = "Milliseconds that a failed endpoint is left alone."},
    {{"proxy-refresh-interval", FLAG_UINT, D(none_number)}, SECTION_PROXY, "3.4", .value = "30000",
        ACCEPTED(NO_PROXY), .help = "Milliseconds between two refreshes."},
    {{"proxy-dial-timeout", FLAG_UINT, D(none_number)}, SECTION_PROXY, "3.4", .value = "1000",
        ACCEPTED(NO_PROXY), .help = "Milliseconds to dial."},
    {{"proxy-write-timeout", FLAG_UINT, D(none_number)}, SECTION_PROXY, "3.4", .value = "5000",
        ACCEPTED(NO_PROXY), .help = "Milliseconds to write."},
    {{"proxy-read-timeout", FLAG_UINT, D(none_number)}, SECTION_PROXY, "3.4", .value = "0",
        ACCEPTED(NO_PROXY), .help = "Milliseconds to read."},

    /* unsafe */
    {{"force-new-cluster", FLAG_BOOL, C(force_new_cluster)}, SECTION_UNSAFE, "3.4", "bool",
        .value = "false", .help = "Make a cluster of one out of this member's data."},
    {{"unsafe-no-fsync", FLAG_BOOL, C(unsafe_no_fsync)}, SECTION_UNSAFE, "3.5", "bool",
        .value = "false", .help = "Never wait for the disk; data is lost in a crash."},

    /* our own */
    {{"key-dir", FLAG_STRING, C(key_dir)}, SECTION_OWN, "ketcd", "string", .value = "",
        .shown = "/key, if it exists",
        .help = "Directory whose files switch TLS on: server.crt and server.key for clients, with "
                "ca.crt client certificates are required; ca.crt, peer.crt and peer.key between "
                "members. Flags for certificates go before. Empty looks nowhere."},
    {{"value-cache-bytes", FLAG_UINT, C(value_cache_bytes)}, SECTION_OWN, "ketcd", "uint64",
        .value = "18446744073709551615", .shown = "a share of the memory limit",
        .help = "Bytes of newest values kept in memory."},

    /* without effect since etcd 2 */
    IGNORED("cluster-active-size"),
    IGNORED("cluster-remove-delay"),
    IGNORED("cluster-sync-interval"),
    IGNORED("config"),
    IGNORED("force"),
    IGNORED("max-result-buffer"),
    IGNORED("max-retry-attempts"),
    IGNORED("peer-heartbeat-interval"),
    IGNORED("peer-election-timeout"),
    IGNORED("retry-interval"),
    IGNORED("snapshot"),
    IGNORED("v"),
    IGNORED("vv"),
    IGNORED("test.coverprofile"),
    IGNORED("test.outputdir"),
};

_Static_assert(COUNT_OF(rows) <= ROWS_MAX, "draft.is_set has one place a row");

const struct flag_table config_table = {rows, COUNT_OF(rows), sizeof(rows[0])};

const struct row *row_at(size_t i)
{
    check(i < COUNT_OF(rows));
    return &rows[i];
}

size_t row_of(const char *name)
{
    size_t i = flag_find(&config_table, name);
    check(i < COUNT_OF(rows));
    return i;
}

bool row_is_set(const struct draft *draft, const char *name)
{
    return draft->is_set[row_of(name)];
}

bool config_row(size_t i, struct config_row *out_row)
{
    if (i >= COUNT_OF(rows)) {
        return false;
    }
    const struct row *row = &rows[i];
    const char *value = row->shown ? row->shown : row->value;
    *out_row = (struct config_row){
        .name = row->flag.name,
        .since = row->since,
        .state = row->state,
        .remark = row->remark ? row->remark : "",
        .value = value ? value : "",
    };
    return true;
}
