/* SPDX-License-Identifier: Apache-2.0
 * A machine on a store in a folder of its own, and entries for it. */
#ifndef TEST_APPLY_MACHINE_H
#define TEST_APPLY_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "tests/shared/folder.h"

struct machine {
    char path[FOLDER_PATH_MAX];
    struct apply_options options;
    struct apply *apply;
    uint64_t index;
    struct arena *arena; /* of the last result */
    struct apply_result result;
    uint64_t waits_for; /* a request id */
    bool is_done;
    int confs;
    const char *username; /* who asks; NULL: nobody */
};

void machine_init(struct machine *machine, int64_t quota_bytes);
void machine_fini(struct machine *machine);
/* Flushes, closes and opens again. */
void machine_restart(struct machine *machine);
/* What was not flushed is gone. */
void machine_crash(struct machine *machine);
/* The next entry, committed at once; the outcome for who waits. */
struct err machine_apply(struct machine *machine, Etcdserverpb__InternalRaftRequest *request);
/* As it is, without counting the index. */
struct err machine_entry(struct machine *machine, const struct raft_entry *entry);
struct err machine_put(struct machine *machine, const char *key, const char *value, int64_t lease);
/* "key=value key=value " of everything. */
const char *machine_list(struct machine *machine);
uint32_t machine_hash(struct machine *machine);

ProtobufCBinaryData text_bytes(const char *text);

int machine_setup(void **state);
int machine_teardown(void **state);
#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int run_check_tests(void);
int run_entry_tests(void);
int run_members_tests(void);
int run_nested_tests(void);
int run_txn_tests(void);
int run_users_tests(void);

#endif
