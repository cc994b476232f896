/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

int main(void)
{
    int failed = run_index_tests();
    failed += run_deliver_tests();
    failed += run_sync_tests();
    failed += run_threads_tests();
    return failed ? 1 : 0;
}
