/* SPDX-License-Identifier: Apache-2.0
 * What the cases about clusters share. */
#include "cluster_case.h"

#include "base/mem.h"

#include <stdio.h>

int cluster_setup(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

int cluster_teardown(void **state)
{
    cluster_fini(*state);
    free(*state);
    return 0;
}

static int setup_small_log(void **state, bool sends_rows)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster->sends_rows = sends_rows;
    cluster->snapshot_count = 20;
    cluster->catch_up_entries = 5;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

int cluster_setup_small_log(void **state)
{
    return setup_small_log(state, false);
}

int cluster_setup_sending_rows(void **state)
{
    return setup_small_log(state, true);
}

void assert_reads(struct node *node, const char *key, const char *value)
{
    char found[64] = "";
    assert_int_equal(node_get(node, key, found).code, ERR_OK);
    assert_string_equal(found, value);
}

void put_many(struct cluster *cluster, const char *prefix, int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        cluster_put(cluster, key, prefix);
    }
}
