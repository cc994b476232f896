/* SPDX-License-Identifier: Apache-2.0
 * Who joins a cluster, or begins one, asks the others first: here one that answers as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "boot/found.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the other one says; "": 404. */
static struct {
    char members[1024];
    const char *behind; /* NULL, or what is said of the members the first time */
    const char *version;
    const char *downgrade;
    const char *cluster_id;
} says;

static struct http_server *server;
static int listen_fd;
static unsigned port;
static pthread_t acceptor;
static struct config config;
static struct founding founding;
static struct why why;

static void serve(struct http_request *request, void *arg)
{
    (void)arg;
    struct slice path = http_path(request);
    const char *members = says.behind ? says.behind : says.members;
    const char *text = slice_eq(path, SLICE("/members"))             ? members
                       : slice_eq(path, SLICE("/version"))           ? says.version
                       : slice_eq(path, SLICE("/downgrade/enabled")) ? says.downgrade
                                                                     : "";
    if (text == says.behind) {
        says.behind = NULL;
    }
    if (says.cluster_id) {
        http_set_header(request, "X-Etcd-Cluster-ID", says.cluster_id);
    }
    if (*text) {
        http_respond(request, 200, slice_str(text));
    } else {
        http_respond_error(request, 404, "404 page not found");
    }
}

static struct http_site site = {.serve = serve};

static void *accept_all(void *arg)
{
    int fd;
    (void)arg;
    while ((fd = accept(listen_fd, NULL, NULL)) >= 0) {
        http_adopt(server, &site, fd, "test");
    }
    return NULL;
}

static void open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listen_fd, 16), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    memset(&says, 0, sizeof(says));
    says.version = "{\"etcdserver\":\"3.6.14\",\"etcdcluster\":\"3.6.0\"}";
    says.downgrade = "false";
    says.cluster_id = "cc";
    founding = (struct founding){0};
    why.text[0] = 0;
    open_listener();
    server = http_server_new(&(struct http_options){0});
    assert_false(err_is(http_server_start(server, NULL)));
    assert_int_equal(pthread_create(&acceptor, NULL, accept_all, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(founding.arena);
    config_fini(&config);
    shutdown(listen_fd, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(listen_fd);
    http_server_stop(server);
    http_server_free(server);
    return 0;
}

/* Member "me" at port 1, "other" at ours, and more. */
static void load_with(const char *state_flag, const char *more)
{
    char *environ_none[] = {NULL};
    struct config_notes notes = {0};
    char program[] = "etcd";
    char *members = mem_printf(
        "--initial-cluster=me=http://127.0.0.1:1,other=http://127.0.0.1:%u%s", port, more);
    char name[] = "--name=me";
    char own[] = "--initial-advertise-peer-urls=http://127.0.0.1:1";
    char *state_text = mem_strdup(state_flag);
    char *argv[] = {program, name, own, members, state_text, NULL};
    struct config_source source = {5, argv, environ_none, "/nonexistent", 0};
    struct err err = config_load(&source, &config, &notes, &why);
    config_notes_fini(&notes);
    free(members);
    free(state_text);
    assert_false(err_is(err));
}

static void load(const char *state_flag)
{
    load_with(state_flag, "");
}

static void say_members(const char *mine, const char *more)
{
    snprintf(says.members, sizeof(says.members),
        "[{\"id\":7,\"peerURLs\":[\"http://127.0.0.1:%u\"],\"name\":\"other\","
        "\"clientURLs\":[\"http://127.0.0.1:2\"]}%s%s]",
        port, mine, more);
}

static const char mine[] = ",{\"id\":5,\"peerURLs\":[\"http://127.0.0.1:1\"],\"name\":\"\"}";

static struct err found(const char *state_flag)
{
    load(state_flag);
    return found_cluster(&config, &(struct http_dialing){0}, &founding, &why);
}

static void assert_refused(const char *wanted)
{
    assert_true(IS(found("--initial-cluster-state=existing"), BAD_CONFIG));
    if (!strstr(why.text, wanted)) {
        fail_msg("%s", why.text);
    }
}

static void test_who_joins_takes_its_id_from_the_others(void **state)
{
    (void)state;
    say_members(mine, "");
    assert_false(err_is(found("--initial-cluster-state=existing")));
    assert_true(founding.is_join);
    assert_int_equal(founding.self_id, 5);
    assert_int_equal(founding.cluster_id, 0xcc);
    assert_int_equal(founding.members_count, 2);
    assert_int_equal(founding.members[0].id, 5); /* ascending */
}

/* The first to be asked does not know yet that this one was added; a second URL does. */
static void test_one_that_lags_behind_keeps_nobody_out(void **state)
{
    char more[64];
    char third[128];
    (void)state;
    snprintf(more, sizeof(more), ",third=http://localhost:%u", port);
    snprintf(third, sizeof(third), ",{\"id\":9,\"peerURLs\":[\"http://localhost:%u\"]}", port);
    say_members("", "");
    char *behind = mem_strdup(says.members);
    says.behind = behind;
    say_members(mine, third);
    load_with("--initial-cluster-state=existing", more);
    struct err err = found_cluster(&config, &(struct http_dialing){0}, &founding, &why);
    if (err_is(err)) {
        fail_msg("%s", why.text);
    }
    assert_null(says.behind);
    assert_int_equal(founding.self_id, 5);
    assert_int_equal(founding.members_count, 3);
    free(behind);
}

static void test_who_was_not_added_is_refused(void **state)
{
    (void)state;
    say_members("", "");
    assert_refused("error validating peerURLs {ClusterID:cc Members:[&{ID:7 RaftAttributes:");
    assert_non_null(strstr(why.text, "member count is unequal"));
}

static void test_members_at_other_urls_are_refused(void **state)
{
    (void)state;
    say_members(",{\"id\":5,\"peerURLs\":[\"http://127.0.0.1:3\"]}", "");
    assert_refused("PeerURLs: no match found for existing member (5, [http://127.0.0.1:3])");
}

static void test_nobody_to_ask_is_refused(void **state)
{
    (void)state;
    says.members[0] = 0; /* 404 */
    assert_refused("cannot fetch cluster info from peer urls: could not retrieve cluster "
                   "information from the given URLs");
}

static void test_malformed_answers_are_refused(void **state)
{
    (void)state;
    snprintf(says.members, sizeof(says.members), "[{\"id\":");
    assert_refused("could not retrieve cluster information");
}

static void test_an_answer_of_no_cluster_is_refused(void **state)
{
    (void)state;
    says.cluster_id = NULL;
    say_members(mine, "");
    assert_refused("could not retrieve cluster information");
}

static void test_a_cluster_of_a_newer_kind_is_refused(void **state)
{
    (void)state;
    say_members(mine, "");
    says.version = "{\"etcdserver\":\"3.9.0\",\"etcdcluster\":\"3.9.0\"}";
    assert_refused("incompatible with current running cluster");
}

static void test_a_cluster_that_says_no_version_is_refused(void **state)
{
    (void)state;
    say_members(mine, "");
    says.version = "5";
    assert_refused("incompatible with current running cluster");
}

static void test_too_many_learners_are_refused(void **state)
{
    (void)state;
    say_members(",{\"id\":5,\"peerURLs\":[\"http://127.0.0.1:1\"],\"isLearner\":true}", "");
    assert_false(err_is(found("--initial-cluster-state=existing")));
    config.learners_max = 0;
    assert_true(IS(found_cluster(&config, &(struct http_dialing){0}, &founding, &why), BAD_CONFIG));
    assert_string_equal(why.text, "membership: too many learner members in cluster");
}

static void test_a_new_cluster_needs_nobody(void **state)
{
    (void)state;
    assert_false(err_is(found("--initial-cluster-state=new")));
    assert_false(founding.is_join);
    assert_int_equal(founding.members_count, 2);
    assert_int_not_equal(founding.self_id, 0);
}

/* Its data are gone, the cluster is not: it would vote twice. */
static void test_who_was_there_before_is_refused(void **state)
{
    char text[256];
    struct founding first = {0};
    (void)state;
    load("--initial-cluster-state=new");
    assert_false(err_is(found_new(&config, &first, &why)));
    snprintf(text, sizeof(text),
        ",{\"id\":%llu,\"peerURLs\":[\"http://127.0.0.1:1\"],\"clientURLs\":[\"http://a:1\"]}",
        (unsigned long long)first.self_id);
    say_members(text, "");
    assert_true(IS(found_cluster(&config, &(struct http_dialing){0}, &founding, &why), BAD_CONFIG));
    assert_non_null(strstr(why.text, "has already been bootstrapped"));
    arena_free(first.arena);
}

/* Nor does it, although the first to be asked has not heard of it. */
static void test_who_was_there_before_is_refused_by_any(void **state)
{
    char more[64];
    char text[256];
    struct founding first = {0};
    (void)state;
    snprintf(more, sizeof(more), ",third=http://localhost:%u", port);
    load_with("--initial-cluster-state=new", more);
    assert_false(err_is(found_new(&config, &first, &why)));
    snprintf(text, sizeof(text),
        ",{\"id\":%llu,\"peerURLs\":[\"http://127.0.0.1:1\"],\"clientURLs\":[\"http://a:1\"]}",
        (unsigned long long)first.self_id);
    say_members(mine, "");
    char *behind = mem_strdup(says.members);
    says.behind = behind;
    say_members(text, "");
    assert_true(IS(found_cluster(&config, &(struct http_dialing){0}, &founding, &why), BAD_CONFIG));
    assert_non_null(strstr(why.text, "has already been bootstrapped"));
    arena_free(first.arena);
    free(behind);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_joins_takes_its_id_from_the_others),
        TEST(test_one_that_lags_behind_keeps_nobody_out),
        TEST(test_who_was_not_added_is_refused),
        TEST(test_members_at_other_urls_are_refused),
        TEST(test_nobody_to_ask_is_refused),
        TEST(test_malformed_answers_are_refused),
        TEST(test_an_answer_of_no_cluster_is_refused),
        TEST(test_a_cluster_of_a_newer_kind_is_refused),
        TEST(test_a_cluster_that_says_no_version_is_refused),
        TEST(test_too_many_learners_are_refused),
        TEST(test_a_new_cluster_needs_nobody),
        TEST(test_who_was_there_before_is_refused),
        TEST(test_who_was_there_before_is_refused_by_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
