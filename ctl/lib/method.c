/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/client.h"

#include <rpc.pb-c.h>

#define ROW(name, service, method, descriptor, repeatable)                                         \
    const struct client_method client_##name = {"/etcdserverpb." service "/" method,               \
        &etcdserverpb__##descriptor##__descriptor, repeatable}

ROW(range, "KV", "Range", range_response, true);
ROW(put, "KV", "Put", put_response, false);
ROW(delete_range, "KV", "DeleteRange", delete_range_response, false);
ROW(txn, "KV", "Txn", txn_response, false);
ROW(compact, "KV", "Compact", compaction_response, false);
ROW(watch, "Watch", "Watch", watch_response, false);
ROW(lease_grant, "Lease", "LeaseGrant", lease_grant_response, true);
ROW(lease_revoke, "Lease", "LeaseRevoke", lease_revoke_response, true);
ROW(lease_keep_alive, "Lease", "LeaseKeepAlive", lease_keep_alive_response, false);
ROW(lease_time_to_live, "Lease", "LeaseTimeToLive", lease_time_to_live_response, true);
ROW(lease_leases, "Lease", "LeaseLeases", lease_leases_response, true);
ROW(member_add, "Cluster", "MemberAdd", member_add_response, false);
ROW(member_remove, "Cluster", "MemberRemove", member_remove_response, false);
ROW(member_update, "Cluster", "MemberUpdate", member_update_response, false);
ROW(member_list, "Cluster", "MemberList", member_list_response, true);
ROW(member_promote, "Cluster", "MemberPromote", member_promote_response, false);
ROW(alarm, "Maintenance", "Alarm", alarm_response, true);
ROW(status, "Maintenance", "Status", status_response, true);
ROW(defragment, "Maintenance", "Defragment", defragment_response, false);
ROW(hash_kv, "Maintenance", "HashKV", hash_kvresponse, true);
ROW(snapshot, "Maintenance", "Snapshot", snapshot_response, true);
ROW(move_leader, "Maintenance", "MoveLeader", move_leader_response, true);
ROW(downgrade, "Maintenance", "Downgrade", downgrade_response, false);
ROW(auth_enable, "Auth", "AuthEnable", auth_enable_response, false);
ROW(auth_disable, "Auth", "AuthDisable", auth_disable_response, false);
ROW(auth_status, "Auth", "AuthStatus", auth_status_response, false);
ROW(authenticate, "Auth", "Authenticate", authenticate_response, false);
ROW(user_add, "Auth", "UserAdd", auth_user_add_response, false);
ROW(user_get, "Auth", "UserGet", auth_user_get_response, true);
ROW(user_list, "Auth", "UserList", auth_user_list_response, true);
ROW(user_delete, "Auth", "UserDelete", auth_user_delete_response, false);
ROW(user_change_password, "Auth", "UserChangePassword", auth_user_change_password_response, false);
ROW(user_grant_role, "Auth", "UserGrantRole", auth_user_grant_role_response, false);
ROW(user_revoke_role, "Auth", "UserRevokeRole", auth_user_revoke_role_response, false);
ROW(role_add, "Auth", "RoleAdd", auth_role_add_response, false);
ROW(role_get, "Auth", "RoleGet", auth_role_get_response, true);
ROW(role_list, "Auth", "RoleList", auth_role_list_response, true);
ROW(role_delete, "Auth", "RoleDelete", auth_role_delete_response, false);
ROW(role_grant_permission, "Auth", "RoleGrantPermission", auth_role_grant_permission_response,
    false);
ROW(role_revoke_permission, "Auth", "RoleRevokePermission", auth_role_revoke_permission_response,
    false);
