/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "pki/names.h"

#include <json-c/json.h>
#include <string.h>

static int sound_setup(void **state)
{
    folder_setup(state);
    return err_is(folder_init(*state)) ? -1 : 0;
}

static void test_verify_says_sound(void **state)
{
    struct folder *folder = *state;
    assert_true(folder_verify(folder));
    assert_non_null(strstr(folder->said, "is sound: 6 certificates; "));
}

static void test_verify_accepts_a_ca_key_elsewhere(void **state)
{
    struct folder *folder = *state;
    shell(folder, "rm ca.key");
    assert_true(folder_verify(folder));
}

static void test_verify_accepts_absent_pairs(void **state)
{
    struct folder *folder = *state;
    shell(folder, "rm client.* apiserver-etcd-client.*");
    assert_true(folder_verify(folder));
}

static void test_verify_finds_a_missing_key(void **state)
{
    shell(*state, "rm server.key");
    folder_assert_finding(*state, "server.key", "is missing, but server.crt is there");
}

static void test_verify_finds_a_missing_certificate(void **state)
{
    shell(*state, "rm client.crt");
    folder_assert_finding(*state, "client.crt", "is missing, but client.key is there");
}

static void test_verify_finds_a_missing_ca(void **state)
{
    shell(*state, "rm ca.*");
    folder_assert_finding(*state, "ca.crt", "is missing");
}

static void test_verify_finds_an_empty_folder(void **state)
{
    shell(*state, "rm *");
    assert_false(folder_verify(*state));
    assert_non_null(strstr(((struct folder *)*state)->said, "holds no certificates"));
}

static void test_verify_finds_a_foreign_key(void **state)
{
    shell(*state, "cp peer.key server.key");
    folder_assert_finding(*state, "server.key", "is not the key of server.crt");
}

static void test_verify_finds_a_foreign_ca_key(void **state)
{
    shell(*state, "cp peer.key ca.key");
    folder_assert_finding(*state, "ca.key", "is not the key of ca.crt");
}

static void test_verify_finds_garbage(void **state)
{
    shell(*state, "echo garbage > client.crt");
    folder_assert_finding(*state, "client.crt", "is not a usable certificate: no start line");
}

static void test_verify_finds_a_garbage_key(void **state)
{
    shell(*state, "head -c 100 peer.key > k; cat k > peer.key; rm k");
    folder_assert_finding(*state, "peer.key", "is not a usable private key");
}

static void test_verify_finds_an_encrypted_key(void **state)
{
    shell(*state, "openssl pkey -aes128 -passout pass:x -in peer.key -out k && cat k > peer.key && "
                  "rm k");
    folder_assert_finding(*state, "peer.key", "is not a usable private key");
}

static void test_verify_finds_a_folder_for_a_file(void **state)
{
    shell(*state, "rm client.crt && mkdir client.crt");
    folder_assert_finding(*state, "client.crt", "is not a usable certificate");
}

static void test_verify_finds_an_expired_certificate(void **state)
{
    folder_put_wrong(*state, &(struct wrong){.pair = "server", .days = -1});
    folder_assert_finding(*state, "server.crt", "expired on 20");
}

static void test_verify_finds_one_about_to_expire(void **state)
{
    struct folder *folder = *state;
    folder_put_wrong(folder, &(struct wrong){.pair = "client", .days = 10});
    folder_assert_finding(folder, "client.crt", " days, on 20");
    folder->options.soon_days = 5;
    assert_true(folder_verify(folder));
}

static void test_verify_finds_one_not_valid_yet(void **state)
{
    shell(*state, "mkdir w && cd w && openssl req -new -key ../client.key -subj /CN=c -out r && "
                  "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=i\\nserial=s\\nnew_certs_dir=.\\n"
                  "default_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' > conf && touch i "
                  "&& echo 7777 > s && openssl ca -batch -config conf -cert ../ca.crt -keyfile "
                  "../ca.key -in r -startdate 20490101000000Z -enddate 20491231000000Z -out c "
                  "-notext && cat c > ../client.crt && rm -r ../w");
    folder_assert_finding(*state, "client.crt", "is not valid before 2049-01-01T00:00:00Z");
}

static void test_verify_finds_a_server_without_server_auth(void **state)
{
    folder_put_wrong(
        *state, &(struct wrong){.pair = "healthcheck-client", .days = 90, .uses = PKI_USE_SERVER});
    assert_true(folder_verify(*state));
    folder_put_wrong(*state, &(struct wrong){.pair = "server", .days = 90, .uses = PKI_USE_CLIENT});
    assert_false(folder_verify(*state));
    const char *said = ((struct folder *)*state)->said;
    assert_non_null(strstr(said, "server.crt: is not for servers"));
    assert_non_null(strstr(said, "server.crt: does not name localhost"));
}

static void test_verify_finds_a_client_without_client_auth(void **state)
{
    shell(*state, "openssl req -new -key client.key -subj /CN=c -out r && "
                  "echo extendedKeyUsage=serverAuth > x && openssl x509 -req -in r -CA ca.crt "
                  "-CAkey ca.key -days 99 -extfile x -out client.crt && rm r x");
    folder_assert_finding(*state, "client.crt", "is not for clients");
}

static void test_verify_finds_missing_names(void **state)
{
    struct folder *folder = *state;
    folder_put_wrong(folder, &(struct wrong){.pair = "peer", .days = 90, .without_names = true});
    assert_false(folder_verify(folder));
    assert_non_null(strstr(folder->said, "peer.crt: does not name localhost"));
    assert_non_null(strstr(folder->said, "peer.crt: does not name 127.0.0.1"));
    assert_non_null(strstr(folder->said, "peer.crt: does not name ::1"));
}

static void test_verify_finds_a_name_that_was_asked_for(void **state)
{
    struct folder *folder = *state;
    folder->options.sans[folder->options.sans_count++] = "198.51.100.9";
    shell(folder, "rm peer.*");
    folder_assert_finding(folder, "server.crt", "does not name 198.51.100.9");
}

static void test_verify_finds_open_modes(void **state)
{
    shell(*state, "chmod 640 server.key");
    folder_assert_finding(*state, "server.key", "mode 0640, not 0600");
    shell(*state, "chmod 600 server.key; chmod 664 ca.crt");
    folder_assert_finding(*state, "ca.crt", "mode 0664, not 0644");
}

static void test_verify_finds_another_cas_pair(void **state)
{
    shell(*state, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
                  "/CN=x -days 99 -keyout client.key -out client.crt");
    folder_assert_finding(*state, "client.crt", "was not signed by");
}

static void test_verify_finds_a_ca_that_is_none(void **state)
{
    struct folder *folder = *state;
    shell(folder, "cp client.crt ca.crt && cp client.key ca.key && rm client.* server.* peer.* "
                  "healthcheck* api*");
    folder_assert_finding(folder, "ca.crt", "is not a CA");
}

static void test_verify_needs_a_folder(void **state)
{
    struct folder *folder = *state;
    bool is_sound = true;
    folder->options.dir = "/nonexistent/pki";
    struct err e = pki_verify(&folder->options, stdout, &is_sound, &folder->why);
    assert_int_equal(e.code, ERR_ABSENT);
    assert_non_null(strstr(folder->why.text, "/nonexistent/pki"));
    assert_true(is_sound);
}

static void test_show_says_each_pair_in_words(void **state)
{
    struct folder *folder = *state;
    shell(folder, "rm client.*; chmod 644 peer.key");
    assert_int_equal(folder_show(folder).code, ERR_OK);
    assert_non_null(strstr(folder->said, "server: node1, EC 256, for server, client, expires 20"));
    assert_non_null(strstr(folder->said, "names node1, localhost, 127.0.0.1, ::1"));
    assert_non_null(strstr(folder->said, "\nclient: absent\n"));
    assert_non_null(strstr(folder->said, "peer.key: may be read by others"));
}

static void test_show_draws_a_table(void **state)
{
    struct folder *folder = *state;
    folder->options.output = PKI_OUTPUT_TABLE;
    assert_int_equal(folder_show(folder).code, ERR_OK);
    assert_int_equal(strncmp(folder->said, "+----", 5), 0);
    assert_non_null(strstr(folder->said, "| PAIR "));
    assert_non_null(strstr(folder->said, "| apiserver-etcd-client | kube-apiserver-etcd-client"));
}

static void test_show_writes_json(void **state)
{
    struct folder *folder = *state;
    folder->options.output = PKI_OUTPUT_JSON;
    shell(folder, "rm server.key");
    assert_int_equal(folder_show(folder).code, ERR_OK);
    struct json_object *root = json_tokener_parse(folder->said);
    assert_non_null(root);
    assert_false(json_object_get_boolean(json_object_object_get(root, "sound")));
    assert_int_equal(json_object_array_length(json_object_object_get(root, "pairs")), 6);
    assert_int_equal(json_object_array_length(json_object_object_get(root, "findings")), 1);
    json_object_put(root);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sound_setup, folder_teardown)

int run_verify_tests(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verify_says_sound),
        TEST(test_verify_accepts_a_ca_key_elsewhere),
        TEST(test_verify_accepts_absent_pairs),
        TEST(test_verify_finds_a_missing_key),
        TEST(test_verify_finds_a_missing_certificate),
        TEST(test_verify_finds_a_missing_ca),
        TEST(test_verify_finds_an_empty_folder),
        TEST(test_verify_finds_a_foreign_key),
        TEST(test_verify_finds_a_foreign_ca_key),
        TEST(test_verify_finds_garbage),
        TEST(test_verify_finds_a_garbage_key),
        TEST(test_verify_finds_an_encrypted_key),
        TEST(test_verify_finds_a_folder_for_a_file),
        TEST(test_verify_finds_an_expired_certificate),
        TEST(test_verify_finds_one_about_to_expire),
        TEST(test_verify_finds_one_not_valid_yet),
        TEST(test_verify_finds_a_server_without_server_auth),
        TEST(test_verify_finds_a_client_without_client_auth),
        TEST(test_verify_finds_missing_names),
        TEST(test_verify_finds_a_name_that_was_asked_for),
        TEST(test_verify_finds_open_modes),
        TEST(test_verify_finds_another_cas_pair),
        TEST(test_verify_finds_a_ca_that_is_none),
        TEST(test_verify_needs_a_folder),
        TEST(test_show_says_each_pair_in_words),
        TEST(test_show_draws_a_table),
        TEST(test_show_writes_json),
    };
    return cmocka_run_group_tests_name("pki verify", tests, NULL, NULL);
}
