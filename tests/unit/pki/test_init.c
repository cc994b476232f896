/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const pairs[] = {
    "server", "peer", "healthcheck-client", "apiserver-etcd-client", "client"};

static void assert_done(struct folder *folder)
{
    struct err e = folder_init(folder);
    if (err_is(e)) {
        fail_msg("init: %s", folder->why.text);
    }
}

static void assert_refused(struct folder *folder, const char *text)
{
    char before[4096];
    snprintf(before, sizeof(before), "%s", shell(folder, "cat $(ls) </dev/null | sha256sum; ls"));
    struct err e = folder_init(folder);
    assert_int_equal(e.code, ERR_EXISTS);
    if (strstr(folder->why.text, text) == NULL) {
        fail_msg("wanted \"%s\", got: %s", text, folder->why.text);
    }
    assert_string_equal(before, shell(folder, "cat $(ls) </dev/null | sha256sum; ls"));
}

static void test_init_writes_every_pair_with_its_modes(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_string_equal(
            shell(folder, "stat -c %%a %s.crt %s.key", pairs[i], pairs[i]), "644\n600\n");
    }
    assert_string_equal(shell(folder, "stat -c %%a ca.crt ca.key; ls | wc -l"), "644\n600\n12\n");
}

static void test_init_certificates_serve_their_purposes(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "openssl verify -x509_strict -purpose sslserver -CAfile ca.crt server.crt "
                  "peer.crt");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        shell(folder, "openssl verify -x509_strict -purpose sslclient -CAfile ca.crt %s.crt",
            pairs[i]);
    }
    shell(folder, "! openssl verify -purpose sslserver -CAfile ca.crt client.crt");
    shell(folder, "! openssl verify -purpose sslserver -CAfile ca.crt healthcheck-client.crt");
}

static void test_init_names_the_node(void **state)
{
    struct folder *folder = *state;
    folder->options.sans[folder->options.sans_count++] = "192.0.2.7";
    folder->options.sans[folder->options.sans_count++] = "etcd.example.com";
    assert_done(folder);
    static const char *const names[] = {"DNS:node1,", "DNS:localhost,", "IP Address:127.0.0.1,",
        "IP Address:0:0:0:0:0:0:0:1", "IP Address:192.0.2.7", "DNS:etcd.example.com"};
    for (size_t p = 0; p < 2; p++) {
        const char *text = shell(folder,
            "openssl x509 -noout -subject -ext subjectAltName -in "
            "%s.crt",
            pairs[p]);
        assert_non_null(strstr(text, "CN = node1"));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strstr(text, names[i]) == NULL) {
                fail_msg("%s.crt lacks %s: %s", pairs[p], names[i], text);
            }
        }
    }
    shell(folder, "openssl verify -verify_ip 192.0.2.7 -CAfile ca.crt server.crt");
    shell(folder, "openssl verify -verify_hostname etcd.example.com -CAfile ca.crt peer.crt");
}

static void test_init_makes_kubeadms_subjects(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    const char *ca = shell(folder, "openssl x509 -noout -subject -ext "
                                   "subjectAltName,basicConstraints,keyUsage -in ca.crt");
    assert_non_null(strstr(ca, "CN = etcd-ca"));
    assert_non_null(strstr(ca, "DNS:etcd-ca"));
    assert_non_null(strstr(ca, "CA:TRUE"));
    assert_non_null(strstr(ca, "Certificate Sign"));
    assert_non_null(strstr(shell(folder, "openssl x509 -noout -subject -in healthcheck-client.crt"),
        "CN = kube-etcd-healthcheck-client"));
    assert_non_null(
        strstr(shell(folder, "openssl x509 -noout -subject -in apiserver-etcd-client.crt"),
            "CN = kube-apiserver-etcd-client"));
    shell(folder, "test $(for c in *.crt; do openssl x509 -noout -serial -in $c; done | sort -u | "
                  "wc -l) = 6");
}

static void test_init_lives_as_long_as_asked(void **state)
{
    struct folder *folder = *state;
    folder->options.days = 5000;
    folder->options.ca_days = 40;
    assert_done(folder);
    shell(folder, "openssl x509 -noout -checkend $((39*86400)) -in ca.crt");
    shell(folder, "! openssl x509 -noout -checkend $((41*86400)) -in ca.crt");
    shell(folder, "! openssl x509 -noout -checkend $((41*86400)) -in server.crt");
}

static void test_init_makes_rsa_keys(void **state)
{
    struct folder *folder = *state;
    folder->options.key_type = "rsa:2048";
    assert_done(folder);
    const char *text = shell(folder, "openssl x509 -noout -text -in server.crt");
    assert_non_null(strstr(text, "Public-Key: (2048 bit)"));
    assert_non_null(strstr(text, "Digital Signature, Key Encipherment"));
    shell(folder, "openssl verify -purpose sslserver -CAfile ca.crt server.crt");
    assert_true(folder_verify(folder));
}

static void test_init_twice_changes_nothing(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    char before[256];
    snprintf(before, sizeof(before), "%s", shell(folder, "cat * | sha256sum"));
    assert_done(folder);
    assert_string_equal(before, shell(folder, "cat * | sha256sum"));
    assert_non_null(strstr(folder->said, "kept"));
    assert_null(strstr(folder->said, "wrote"));
}

static void test_init_issues_what_is_missing_under_the_ca_there(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "sha256sum * | grep -v ' client' > ../$(basename $PWD).sums; rm client.*");
    assert_done(folder);
    shell(folder, "sha256sum -c ../$(basename $PWD).sums; s=$?; rm ../$(basename $PWD).sums; "
                  "exit $s");
    shell(folder, "openssl verify -purpose sslclient -CAfile ca.crt client.crt");
}

static void test_init_force_keeps_the_ca(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "cp ca.crt old; cp server.crt older");
    folder->options.force = true;
    assert_done(folder);
    shell(folder, "cmp ca.crt old && ! cmp server.crt older");
    shell(folder, "openssl verify -CAfile old server.crt");
}

/* The events of a watched folder that are of one pair: "-c" its certificate goes, "+k" its key
 * comes, and so on. */
static void events_of(int watcher, const char *pair, char *out_text, size_t size)
{
    char bytes[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    size_t len = 0;
    ssize_t got;
    while ((got = read(watcher, bytes, sizeof(bytes))) > 0) {
        for (char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;
            size_t name = strlen(pair);
            if (event->len > 0 && strncmp(event->name, pair, name) == 0 &&
                event->name[name] == '.' && strlen(event->name) == name + 4 && len + 3 < size) {
                out_text[len++] = event->mask & IN_DELETE ? '-' : '+';
                out_text[len++] = event->name[name + 1];
            }
            at += sizeof(*event) + event->len;
        }
    }
    out_text[len] = '\0';
}

static void assert_events(struct folder *folder, const char *pair, const char *wanted)
{
    char text[64];
    int watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(watcher >= 0);
    assert_true(inotify_add_watch(watcher, folder->dir, IN_DELETE | IN_MOVED_TO) >= 0);
    assert_done(folder);
    events_of(watcher, pair, text, sizeof(text));
    close(watcher);
    assert_string_equal(text, wanted);
}

static void test_init_never_leaves_a_certificate_beside_another_key(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    folder->options.force = true;
    assert_events(folder, "server", "-c+k+c");
    folder->options.new_ca = true;
    assert_events(folder, "server", "-c+k+c");
}

/* Without it a member would ask no client for a certificate. */
static void test_init_never_takes_the_ca_away(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    folder->options.new_ca = true;
    assert_events(folder, "ca", "+k+c");
}

static void test_init_finishes_what_a_crash_left(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "rm server.crt; cp server.key kept");
    assert_done(folder);
    shell(folder, "cmp server.key kept && rm kept");
    assert_true(folder_verify(folder));
    shell(folder, "rm ca.crt");
    assert_refused(folder, "--new-ca");
}

static void test_init_finishes_a_first_run_cut_off_behind_the_ca_key(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "mv ca.key kept; rm *.crt *.key; cp kept ca.key");
    assert_done(folder);
    shell(folder, "cmp ca.key kept && rm kept");
    assert_true(folder_verify(folder));
}

/* What a new CA's run leaves that is cut off between the two: it is to be given again. */
static void test_init_refuses_a_ca_key_that_came_before_its_certificate(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "cp ca.crt ../$(basename $PWD).crt");
    folder->options.new_ca = true;
    assert_done(folder);
    shell(folder, "mv ../$(basename $PWD).crt ca.crt");
    folder->options.new_ca = false;
    assert_refused(folder, "ca.key is not the key of ca.crt");
    folder->options.new_ca = true;
    assert_done(folder);
    assert_true(folder_verify(folder));
}

static void test_init_force_keeps_no_key_that_a_crash_left(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "rm server.crt; cp server.key kept");
    folder->options.force = true;
    assert_done(folder);
    shell(folder, "! cmp server.key kept && rm kept");
    assert_true(folder_verify(folder));
}

static void test_init_closes_a_key_that_it_gives_a_certificate(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "rm server.crt; openssl pkey -in server.key -pubout >kept; chmod 644 server.key");
    assert_done(folder);
    assert_non_null(strstr(folder->said, "server.key could be read by others: mode 0644"));
    assert_string_equal(shell(folder, "stat -c %%a server.key"), "600\n");
    shell(folder, "openssl pkey -in server.key -pubout | cmp - kept && rm kept");
    assert_true(folder_verify(folder));
}

static void test_init_new_ca_replaces_all(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "cp ca.crt old");
    folder->options.new_ca = true;
    assert_done(folder);
    shell(folder, "! cmp ca.crt old && ! openssl verify -CAfile old server.crt");
    shell(folder, "rm old");
    assert_true(folder_verify(folder));
}

static void test_init_refuses_half_a_pair(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "rm peer.key");
    assert_refused(folder, "peer.key is missing");
    folder->options.force = true;
    assert_done(folder);
    assert_true(folder_verify(folder));
}

static void test_init_refuses_a_foreign_key(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "cp peer.key server.key");
    assert_refused(folder, "server.key is not the key of server.crt");
}

static void test_init_refuses_another_ca(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    folder_put_wrong(folder, &(struct wrong){.pair = "ca", .days = 100});
    assert_refused(folder, "was not signed by");
}

static void test_init_refuses_an_expired_ca(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "rm server.* peer.* *client.*");
    folder_put_wrong(folder, &(struct wrong){.pair = "ca", .days = -2});
    assert_refused(folder, "ca.crt expired");
    folder->options.force = true;
    assert_refused(folder, "--new-ca");
}

static void test_init_refuses_pairs_for_another_node(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    folder->options.name = "node2";
    assert_refused(folder, "is for node \"node1\", not \"node2\"");
}

static void test_init_needs_the_ca_key_to_sign(void **state)
{
    struct folder *folder = *state;
    assert_done(folder);
    shell(folder, "rm ca.key");
    assert_done(folder);
    shell(folder, "rm client.*");
    assert_refused(folder, "ca.key is missing: client.crt cannot be signed");
}

static void test_init_refuses_bad_options(void **state)
{
    struct folder *folder = *state;
    struct pki_options good = folder->options;
    folder->options.key_type = "rsa:512";
    assert_int_equal(folder_init(folder).code, ERR_BAD_INPUT);
    folder->options = good;
    folder->options.days = 0;
    assert_int_equal(folder_init(folder).code, ERR_BAD_INPUT);
    folder->options = good;
    folder->options.name = "not a name";
    assert_int_equal(folder_init(folder).code, ERR_BAD_INPUT);
    folder->options = good;
    folder->options.owner = "nobody-by-that-name";
    assert_int_equal(folder_init(folder).code, ERR_BAD_INPUT);
    assert_string_equal(shell(folder, "ls"), "");
}

static void test_init_refuses_a_file_as_folder(void **state)
{
    struct folder *folder = *state;
    shell(folder, "touch file");
    char path[128];
    snprintf(path, sizeof(path), "%s/file", folder->dir);
    folder->options.dir = path;
    assert_int_equal(folder_init(folder).code, ERR_BAD_INPUT);
    assert_non_null(strstr(folder->why.text, path));
}

static void test_init_leaves_no_stray_files(void **state)
{
    struct folder *folder = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/made/below", folder->dir);
    folder->options.dir = path;
    assert_done(folder);
    assert_string_equal(shell(folder, "ls made/below | grep -vc -e 'crt$' -e 'key$'; true"), "0\n");
}

static void test_init_makes_folders_that_the_owner_can_enter(void **state)
{
    struct folder *folder = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/there/made/below", folder->dir);
    folder->options.dir = path;
    shell(folder, "mkdir -m 0710 there && chmod g+s there");
    mode_t was = umask(077);
    assert_done(folder);
    umask(was);
    assert_string_equal(
        shell(folder, "stat -c %%a there there/made there/made/below"), "2710\n2755\n2755\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int run_init_tests(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init_writes_every_pair_with_its_modes),
        TEST(test_init_certificates_serve_their_purposes),
        TEST(test_init_names_the_node),
        TEST(test_init_makes_kubeadms_subjects),
        TEST(test_init_lives_as_long_as_asked),
        TEST(test_init_makes_rsa_keys),
        TEST(test_init_twice_changes_nothing),
        TEST(test_init_issues_what_is_missing_under_the_ca_there),
        TEST(test_init_force_keeps_the_ca),
        TEST(test_init_never_leaves_a_certificate_beside_another_key),
        TEST(test_init_never_takes_the_ca_away),
        TEST(test_init_finishes_what_a_crash_left),
        TEST(test_init_finishes_a_first_run_cut_off_behind_the_ca_key),
        TEST(test_init_refuses_a_ca_key_that_came_before_its_certificate),
        TEST(test_init_force_keeps_no_key_that_a_crash_left),
        TEST(test_init_closes_a_key_that_it_gives_a_certificate),
        TEST(test_init_new_ca_replaces_all),
        TEST(test_init_refuses_half_a_pair),
        TEST(test_init_refuses_a_foreign_key),
        TEST(test_init_refuses_another_ca),
        TEST(test_init_refuses_an_expired_ca),
        TEST(test_init_refuses_pairs_for_another_node),
        TEST(test_init_needs_the_ca_key_to_sign),
        TEST(test_init_refuses_bad_options),
        TEST(test_init_refuses_a_file_as_folder),
        TEST(test_init_leaves_no_stray_files),
        TEST(test_init_makes_folders_that_the_owner_can_enter),
    };
    return cmocka_run_group_tests_name("pki init", tests, NULL, NULL);
}
