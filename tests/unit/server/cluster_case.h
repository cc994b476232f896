/* SPDX-License-Identifier: Apache-2.0
 * What the cases about clusters share. */
#ifndef TEST_SERVER_CLUSTER_CASE_H
#define TEST_SERVER_CLUSTER_CASE_H

#include "cluster.h"

/* Three members; with a log that forgets soon. */
int cluster_setup(void **state);
int cluster_setup_small_log(void **state);
/* Whose requests wait for a leader as long as any test waits. */
int cluster_setup_patient(void **state);
int cluster_teardown(void **state);
#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
#define PATIENT_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, cluster_setup_patient, cluster_teardown)
#define SMALL_LOG_TEST(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, cluster_setup_small_log, cluster_teardown)
int cluster_setup_sending_rows(void **state);
int cluster_setup_sending_files(void **state);
#define SENDING_ROWS_TEST(name)                                                                    \
    cmocka_unit_test_setup_teardown(name, cluster_setup_sending_rows, cluster_teardown)
#define SENDING_FILES_TEST(name)                                                                   \
    cmocka_unit_test_setup_teardown(name, cluster_setup_sending_files, cluster_teardown)
/* These ask again when a leader changed meanwhile. */
void assert_reads(struct node *node, const char *key, const char *value);
/* "x". */
void put_leased(struct cluster *cluster, const char *key, int64_t lease);
void change_member(struct node *node, enum raft_conf_change_type type, uint64_t id,
    const struct member *member, bool is_promote);
/* prefix0, prefix1, ...: all the prefix. */
void put_many(struct cluster *cluster, const char *prefix, int count);
/* Reconnects who was isolated when the leader's log has no more what it lacks: snapshots of the log
 * are taken behind what is written. */
void reconnect_by_snapshot(struct cluster *cluster, struct node *behind);

/* A thread of a member's is kept inside until it opens. */
struct door {
    struct server_ask ask;
    struct node *node;
    pthread_t thread;
    atomic_bool is_in;
    atomic_bool is_open;
};

/* Returns once core stands there. */
void door_stop_core(struct door *door, struct node *node);
/* Returns once nothing is applied; has to be joined. */
void door_stop_apply(struct door *door, struct node *node);
void door_open(struct door *door);

#endif
