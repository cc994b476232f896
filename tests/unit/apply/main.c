/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

int main(void)
{
    int failed = run_check_tests();
    failed += run_entry_tests();
    failed += run_members_tests();
    failed += run_nested_tests();
    failed += run_txn_tests();
    failed += run_users_tests();
    return failed ? 1 : 0;
}
