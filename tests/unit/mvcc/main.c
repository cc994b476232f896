/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

int main(void)
{
    int failed = run_row_tests();
    failed += run_index_tests();
    failed += run_store_tests();
    failed += run_hash_tests();
    failed += run_model_tests();
    failed += run_threads_tests();
    return failed ? 1 : 0;
}
