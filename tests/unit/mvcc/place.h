/* SPDX-License-Identifier: Apache-2.0
 * A store in a folder of its own, and short forms of what the tests do with it. */
#ifndef TEST_MVCC_PLACE_H
#define TEST_MVCC_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mvcc/mvcc.h"
#include "tests/shared/folder.h"

enum { PLACE_HASH_REVISIONS = 2000 }; /* a compaction of more has no hash */

struct place {
    char path[FOLDER_PATH_MAX];
    struct mvcc_options options;
    struct backend *backend;
    struct backend_batch *batch;
    struct mvcc *mvcc;
};

/* Makes the folder and opens; options.backend is filled in. */
void place_init(struct place *place, struct mvcc_options options);
void place_fini(struct place *place);
/* Closes without a flush and opens again. */
void place_crash(struct place *place);
/* Writes what is in the batch and says so. */
void place_write(struct place *place);

/* One transaction each, written at once. Returns the revision after it. */
revision place_put(struct place *place, const char *key, const char *value, lease_id lease);
revision place_delete(struct place *place, const char *key, const char *end);
/* To the end, in small steps. */
void place_compact(struct place *place, revision rev);

/* "key=value@mod key=value@mod ... #total", or the error's name. Lent until the next call. */
const char *place_list(
    struct place *place, const char *key, const char *end, revision rev, int64_t limit);

int place_setup(void **state);
int place_teardown(void **state);

#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int run_hash_tests(void);
int run_index_tests(void);
int run_model_tests(void);
int run_row_tests(void);
int run_store_tests(void);
int run_threads_tests(void);

#endif
