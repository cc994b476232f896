/* SPDX-License-Identifier: Apache-2.0
 *
 * What etcd does for an operation, on the state at checker->at.
 */
#ifndef TEST_HISTORY_MODEL_H
#define TEST_HISTORY_MODEL_H

#include "check.h"

/* Does the operation at checker->at, and holds what was answered (NULL: nothing) against it. */
void model_apply(
    struct checker *checker, const struct history_op *op, const struct history_result *result);
/* Without an operation: a key that is there, or gone, from checker->at on. */
void model_put(struct checker *checker, uint32_t rank, const struct entry *entry);
void model_delete(struct checker *checker, uint32_t rank);
/* The same, of a key that need not have been there when it is uncertain. */
void model_delete_if_there(struct checker *checker, uint32_t rank);
/* Whether the transaction's comparisons hold; *out_is_sure: nothing uncertain was compared. */
bool model_compares(struct checker *checker, const struct history_op *txn, bool *out_is_sure);
/* What differs between a key-value as it was seen and as it is; HISTORY_WRONGS: nothing. */
enum history_wrong model_differs(
    const struct entry *entry, const struct history_kv *kv, bool is_keys_only);

#endif
