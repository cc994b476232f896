/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of `etcd gateway` and `etcd grpc-proxy`, in the reference's words.
 */
#include "base/flag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "base/url.h"
#include "base/url_match.h"
#include "tcpproxy/found.h"
#include "tcpproxy/inner.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/listener.h>
#include <netdb.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

enum { NS_PER_S = 1000000000, RETRY_S = 60, ACCEPT_PAUSE_US = 100000 };

struct options {
    const char *listen;
    struct text_list endpoints; /* of all --endpoints */
    bool has_endpoints;
    int64_t retry_ns;
    const char *srv;
    const char *srv_name;
    const char *ca;
    bool is_insecure;
};

static struct err add_endpoints(
    struct arena *arena, void *target, const char *value, struct why *why)
{
    struct options *options = target;
    struct text_list *list = &options->endpoints;
    struct text_list more = text_split(arena, value, ',');
    const char **items = arena_alloc(arena, (list->count + more.count + 1) * sizeof(*items));
    (void)why;
    if (list->count) {
        memcpy(items, list->items, list->count * sizeof(*items));
    }
    memcpy(items + list->count, more.items, more.count * sizeof(*items));
    items[list->count + more.count] = NULL;
    *list = (struct text_list){items, list->count + more.count};
    options->has_endpoints = true;
    return OK;
}

static const struct flag flags[] = {
    {"listen-addr", FLAG_STRING, FLAG_FIELD(struct options, listen)},
    {"endpoints", FLAG_CALL, .set = add_endpoints},
    {"retry-delay", FLAG_DURATION, FLAG_FIELD(struct options, retry_ns)},
    {"discovery-srv", FLAG_STRING, FLAG_FIELD(struct options, srv)},
    {"discovery-srv-name", FLAG_STRING, FLAG_FIELD(struct options, srv_name)},
    {"insecure-discovery", FLAG_BOOL, FLAG_FIELD(struct options, is_insecure)},
    {"trusted-ca-file", FLAG_STRING, FLAG_FIELD(struct options, ca)},
};

static const char gateway_help[] =
    "gateway related command\n\nUsage:\n  etcd gateway [command]\n\nAvailable Commands:\n"
    "  start       start the gateway\n\nFlags:\n  -h, --help   help for gateway\n\n"
    "Use \"etcd gateway [command] --help\" for more information about a command.\n";

static const char start_usage[] =
    "Usage:\n  etcd gateway start [flags]\n\nFlags:\n"
    "      --discovery-srv string        DNS domain used to bootstrap initial cluster\n"
    "      --discovery-srv-name string   service name to query when using DNS discovery\n"
    "      --endpoints strings           comma separated etcd cluster endpoints (default "
    "[127.0.0.1:2379])\n"
    "  -h, --help                        help for start\n"
    "      --insecure-discovery          accept insecure SRV records\n"
    "      --listen-addr string          listen address (default \"127.0.0.1:23790\")\n"
    "      --retry-delay duration        duration of delay before retrying failed endpoints "
    "(default 1m0s)\n"
    "      --trusted-ca-file string      path to the client server TLS CA file for verifying the "
    "discovered endpoints when discovery-srv is provided.\n";

bool tcpproxy_is_asked(int argc, char *const *argv)
{
    return argc > 1 && (strcmp(argv[1], "gateway") == 0 || strcmp(argv[1], "grpc-proxy") == 0);
}

/* Without the scheme: bytes are carried as they come. */
static const char *bare(struct arena *arena, const char *endpoint)
{
    struct url url;
    bool is_url = strstr(endpoint, "://") && !err_is(url_parse(arena, endpoint, &url, NULL));
    return is_url && url.authority[0] ? url.authority : endpoint;
}

/* Whether it is told by --discovery-srv whom to carry to; else by --endpoints. */
static bool take_found(struct proxy *proxy, const struct options *options, struct arena *arena)
{
    struct found_ask ask = {options->srv, options->srv_name, options->ca, options->is_insecure};
    struct found found = {0};
    struct why why = {""};
    if (!*options->srv) {
        return true;
    }
    if (err_is(found_ask(arena, &ask, &found, &why))) {
        fprintf(stderr, "%s\n", why.text);
        return false;
    }
    proxy->remotes = found.count ? mem_new(found.count * sizeof(*proxy->remotes)) : NULL;
    for (size_t i = 0; i < found.count; i++) {
        const struct srv_record *record = &found.records[i];
        const char *port = arena_printf(arena, "%u", record->port);
        proxy->remotes[proxy->remotes_count++] = (struct remote){.host = record->host,
            .port = port,
            .address = arena_printf(arena, "%s:%s", record->host, port),
            .priority = record->priority,
            .weight = record->weight};
    }
    return true;
}

static bool take_remotes(struct proxy *proxy, const struct options *options, struct arena *arena)
{
    if (!take_found(proxy, options, arena)) {
        return false;
    }
    if (proxy->remotes_count > 0) {
        return true;
    }
    proxy->remotes = mem_new((options->endpoints.count + 1) * sizeof(*proxy->remotes));
    for (size_t i = 0; i < options->endpoints.count; i++) {
        struct remote *remote = &proxy->remotes[proxy->remotes_count++];
        remote->address = bare(arena, options->endpoints.items[i]);
        if (err_is(
                url_split_host_port(arena, remote->address, &remote->host, &remote->port, NULL))) {
            printf("error parsing endpoint \"%s\"", remote->address);
            return false;
        }
    }
    if (proxy->remotes_count == 0) {
        printf("no endpoints found\n");
    }
    return proxy->remotes_count > 0;
}

static struct addrinfo *look_up(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    return getaddrinfo(*host ? host : NULL, port, &hints, &found) == 0 ? found : NULL;
}

static bool is_among(const struct addrinfo *one, const struct addrinfo *list)
{
    for (; list; list = list->ai_next) {
        if (one->ai_addrlen == list->ai_addrlen &&
            memcmp(one->ai_addr, list->ai_addr, one->ai_addrlen) == 0) {
            return true;
        }
    }
    return false;
}

/* Whoever is carried to oneself is carried for ever. */
static bool check_remote(
    const struct remote *remote, const struct addrinfo *listen, const char *listen_text)
{
    struct addrinfo *found = look_up(remote->host, remote->port);
    bool is_self = false;
    if (!found) {
        printf("failed to resolve endpoint host: %s\n", remote->host);
        return false;
    }
    for (const struct addrinfo *at = found; at; at = at->ai_next) {
        is_self |= is_among(at, listen);
    }
    freeaddrinfo(found);
    if (is_self) {
        printf("SRV or endpoint (%s) should not resolve to the gateway listen addr (%s)\n",
            remote->address, listen_text);
    }
    return !is_self;
}

static void on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *arg)
{
    (void)listener;
    (void)from;
    (void)len;
    link_start(arg, fd);
}

static void go_on(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    evconnlistener_enable(arg);
}

/* Out of descriptors or memory: others end before more are taken. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct timeval pause = {0, ACCEPT_PAUSE_US};
    struct proxy *proxy = arg;
    LOG_WARN("failed to accept a connection", LOG_ERR(strerror(errno)));
    evconnlistener_disable(listener);
    event_base_once(proxy->base, -1, EV_TIMEOUT, go_on, listener, &pause);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(arg);
}

static void on_monitor(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    proxy_probe(arg);
}

static void run_loop(struct proxy *proxy, struct evconnlistener *listener)
{
    struct timeval every = {proxy->retry_ns / NS_PER_S, (proxy->retry_ns % NS_PER_S) / 1000};
    struct event *monitor = event_new(proxy->base, -1, EV_PERSIST, on_monitor, proxy);
    struct event *term = evsignal_new(proxy->base, SIGTERM, on_signal, proxy->base);
    struct event *interrupt = evsignal_new(proxy->base, SIGINT, on_signal, proxy->base);
    const char **addresses = mem_new((proxy->remotes_count + 1) * sizeof(*addresses));
    for (size_t i = 0; i < proxy->remotes_count; i++) {
        addresses[i] = proxy->remotes[i].address;
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    event_add(monitor, &every);
    event_add(term, NULL);
    event_add(interrupt, NULL);
    LOG_INFO("ready to proxy client requests", LOG_STRS("endpoints", addresses));
    free(addresses);
    sd_notify(0, "READY=1");
    event_base_dispatch(proxy->base);
    links_close(proxy);
    event_free(monitor);
    event_free(term);
    event_free(interrupt);
}

/* Where nobody says who knows names, this machine is asked, as Go does: addresses need nobody. */
static struct evdns_base *open_dns(struct event_base *base)
{
    struct evdns_base *dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns) {
        (void)evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    }
    return dns;
}

/* NULL: errno. */
static struct evconnlistener *listen_at(struct proxy *proxy, const struct addrinfo *at)
{
    struct sockaddr_storage address = {0};
    const char *call;
    memcpy(&address, at->ai_addr, at->ai_addrlen);
    int fd = tcp_listen(&address, false, &call);
    if (fd < 0) {
        return NULL;
    }
    struct evconnlistener *listener = evconnlistener_new(proxy->base, on_accept, proxy,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0 /* it listens */, fd);
    if (!listener) {
        close(fd);
    }
    return listener;
}

static int serve(struct proxy *proxy, const struct addrinfo *at)
{
    int status = 1;
    struct evconnlistener *listener = NULL;
    list_init(&proxy->links);
    signal(SIGPIPE, SIG_IGN);
    proxy->base = event_base_new();
    proxy->dns = open_dns(proxy->base);
    listener = proxy->dns ? listen_at(proxy, at) : NULL;
    if (listener) {
        run_loop(proxy, listener);
        evconnlistener_free(listener);
        status = 0;
    } else {
        fprintf(stderr, "%s\n", strerror(errno));
    }
    if (proxy->dns) {
        evdns_base_free(proxy->dns, 1);
    }
    event_base_free(proxy->base);
    return status;
}

static int start(const struct options *options, struct arena *arena)
{
    struct proxy proxy = {
        .retry_ns = options->retry_ns > 0 ? options->retry_ns : (int64_t)5 * RETRY_S * NS_PER_S};
    const char *host;
    const char *port;
    struct addrinfo *at = NULL;
    int status = 1;
    if (!take_remotes(&proxy, options, arena)) {
        goto out;
    }
    if (err_is(url_split_host_port(arena, options->listen, &host, &port, NULL))) {
        printf("failed to validate listen address: %s\n", options->listen);
        goto out;
    }
    at = look_up(host, port);
    if (!at) {
        printf("failed to resolve listen host: %s\n", host);
        goto out;
    }
    for (size_t i = 0; i < proxy.remotes_count; i++) {
        if (!check_remote(&proxy.remotes[i], at, options->listen)) {
            goto out;
        }
    }
    status = serve(&proxy, url_choose_address(at));
out:
    if (at) {
        freeaddrinfo(at);
    }
    free(proxy.remotes);
    return status;
}

static int start_command(int argc, char **argv)
{
    struct flag_table table = {flags, COUNT_OF(flags), sizeof(flags[0])};
    struct arena *arena = arena_new(0);
    static const char *const endpoint[] = {"127.0.0.1:2379", NULL};
    struct options options = {.listen = "127.0.0.1:23790",
        .retry_ns = (int64_t)RETRY_S * NS_PER_S,
        .srv = "",
        .srv_name = "",
        .ca = ""};
    struct flag_run run = {.arena = arena, .target = &options};
    struct why why = {""};
    int status = 0;
    struct err err = flag_parse(&table, argc, argv, &run, &why);
    if (run.is_help) {
        printf("start the gateway\n\n%s", start_usage);
    } else if (err_is(err)) {
        fprintf(stderr, "Error: %s\n%s\n", why.text, start_usage);
        status = 1;
    } else {
        options.endpoints =
            options.has_endpoints ? options.endpoints : (struct text_list){endpoint, 1};
        status = start(&options, arena);
    }
    arena_free(arena);
    return status;
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0 || strcmp(arg, "-help") == 0;
}

int tcpproxy_main(int argc, char **argv)
{
    if (strcmp(argv[1], "grpc-proxy") == 0) {
        fputs("grpc-proxy is not offered: it would answer from a cache of its own and join watches "
              "of many clients, which these members do themselves; for one address in front of a "
              "cluster there is \"etcd gateway start\"\n",
            stderr);
        return 1;
    }
    if (argc > 2 && strcmp(argv[2], "start") == 0) {
        LOG_INFO("Running: ", LOG_STRS("args", (const char *const *)argv));
        return start_command(argc - 2, argv + 2);
    }
    if (argc > 2 && !is_help(argv[2])) {
        fprintf(stderr, "Error: unknown command \"%s\" for \"etcd gateway\"\n", argv[2]);
        fprintf(stderr, "Run 'etcd gateway --help' for usage.\n");
        return 1;
    }
    printf("%s", gateway_help);
    return 0;
}
