/* SPDX-License-Identifier: Apache-2.0
 *
 * Every method of every service.
 */
#include "api/methods.h"

#include <v3electionpb.pb-c.h>
#include <v3lockpb.pb-c.h>

#define METHOD(service, name, kind, request, response, ops)                                        \
    {                                                                                              \
        "/" service "/" name, kind, &request##__descriptor, &response##__descriptor, ops           \
    }
#define ETCD(service, name, kind, prefix, ops)                                                     \
    METHOD("etcdserverpb." service, name, kind, etcdserverpb__##prefix##_request,                  \
        etcdserverpb__##prefix##_response, ops)

#define LOCK(name, prefix, ops)                                                                    \
    METHOD("v3lockpb.Lock", name, API_UNARY, v3lockpb__##prefix##_request,                         \
        v3lockpb__##prefix##_response, ops)
#define ELECTION(name, prefix, ops)                                                                \
    METHOD("v3electionpb.Election", name, API_UNARY, v3electionpb__##prefix##_request,             \
        v3electionpb__##prefix##_response, ops)

static const struct api_method methods[] = {
    ETCD("KV", "Range", API_UNARY, range, &api_kv_range),
    ETCD("KV", "Put", API_UNARY, put, &api_kv_put),
    ETCD("KV", "DeleteRange", API_UNARY, delete_range, &api_kv_delete),
    ETCD("KV", "Txn", API_UNARY, txn, &api_kv_txn),
    ETCD("KV", "Compact", API_UNARY, compaction, &api_kv_compact),
    METHOD("etcdserverpb.KV", "RangeStream", API_SERVER_STREAM, etcdserverpb__range_request,
        etcdserverpb__range_stream_response, &api_kv_range_stream),
    ETCD("Watch", "Watch", API_BIDI, watch, &api_watch_watch),
    ETCD("Lease", "LeaseGrant", API_UNARY, lease_grant, &api_lease_grant),
    ETCD("Lease", "LeaseRevoke", API_UNARY, lease_revoke, &api_lease_revoke),
    ETCD("Lease", "LeaseKeepAlive", API_BIDI, lease_keep_alive, &api_lease_keep_alive),
    ETCD("Lease", "LeaseTimeToLive", API_UNARY, lease_time_to_live, &api_lease_time_to_live),
    ETCD("Lease", "LeaseLeases", API_UNARY, lease_leases, &api_lease_leases),
    ETCD("Cluster", "MemberAdd", API_UNARY, member_add, &api_cluster_member_add),
    ETCD("Cluster", "MemberRemove", API_UNARY, member_remove, &api_cluster_member_remove),
    ETCD("Cluster", "MemberUpdate", API_UNARY, member_update, &api_cluster_member_update),
    ETCD("Cluster", "MemberList", API_UNARY, member_list, &api_cluster_member_list),
    ETCD("Cluster", "MemberPromote", API_UNARY, member_promote, &api_cluster_member_promote),
    ETCD("Maintenance", "Alarm", API_UNARY, alarm, &api_maintenance_alarm),
    ETCD("Maintenance", "Status", API_UNARY, status, &api_maintenance_status),
    ETCD("Maintenance", "Defragment", API_UNARY, defragment, &api_maintenance_defragment),
    ETCD("Maintenance", "Hash", API_UNARY, hash, &api_maintenance_hash),
    METHOD("etcdserverpb.Maintenance", "HashKV", API_UNARY, etcdserverpb__hash_kvrequest,
        etcdserverpb__hash_kvresponse, &api_maintenance_hash_kv),
    ETCD("Maintenance", "Snapshot", API_SERVER_STREAM, snapshot, &api_maintenance_snapshot),
    ETCD("Maintenance", "MoveLeader", API_UNARY, move_leader, &api_maintenance_move_leader),
    ETCD("Maintenance", "Downgrade", API_UNARY, downgrade, &api_maintenance_downgrade),
    ETCD("Auth", "AuthEnable", API_UNARY, auth_enable, &api_auth_enable),
    ETCD("Auth", "AuthDisable", API_UNARY, auth_disable, &api_auth_disable),
    ETCD("Auth", "AuthStatus", API_UNARY, auth_status, &api_auth_status),
    ETCD("Auth", "Authenticate", API_UNARY, authenticate, &api_auth_authenticate),
    ETCD("Auth", "UserAdd", API_UNARY, auth_user_add, &api_auth_user_add),
    ETCD("Auth", "UserGet", API_UNARY, auth_user_get, &api_auth_user_get),
    ETCD("Auth", "UserList", API_UNARY, auth_user_list, &api_auth_user_list),
    ETCD("Auth", "UserDelete", API_UNARY, auth_user_delete, &api_auth_user_delete),
    ETCD("Auth", "UserChangePassword", API_UNARY, auth_user_change_password,
        &api_auth_user_change_password),
    ETCD("Auth", "UserGrantRole", API_UNARY, auth_user_grant_role, &api_auth_user_grant_role),
    ETCD("Auth", "UserRevokeRole", API_UNARY, auth_user_revoke_role, &api_auth_user_revoke_role),
    ETCD("Auth", "RoleAdd", API_UNARY, auth_role_add, &api_auth_role_add),
    ETCD("Auth", "RoleGet", API_UNARY, auth_role_get, &api_auth_role_get),
    ETCD("Auth", "RoleList", API_UNARY, auth_role_list, &api_auth_role_list),
    ETCD("Auth", "RoleDelete", API_UNARY, auth_role_delete, &api_auth_role_delete),
    ETCD("Auth", "RoleGrantPermission", API_UNARY, auth_role_grant_permission,
        &api_auth_role_grant_permission),
    ETCD("Auth", "RoleRevokePermission", API_UNARY, auth_role_revoke_permission,
        &api_auth_role_revoke_permission),
    LOCK("Lock", lock, &api_lock_lock),
    LOCK("Unlock", unlock, &api_lock_unlock),
    ELECTION("Campaign", campaign, &api_election_campaign),
    ELECTION("Proclaim", proclaim, &api_election_proclaim),
    ELECTION("Leader", leader, &api_election_leader),
    METHOD("v3electionpb.Election", "Observe", API_SERVER_STREAM, v3electionpb__leader_request,
        v3electionpb__leader_response, &api_election_observe),
    ELECTION("Resign", resign, &api_election_resign),
    METHOD("grpc.health.v1.Health", "Check", API_UNARY, grpc__health__v1__health_check_request,
        grpc__health__v1__health_check_response, &api_health_check),
    METHOD("grpc.health.v1.Health", "Watch", API_SERVER_STREAM,
        grpc__health__v1__health_check_request, grpc__health__v1__health_check_response,
        &api_health_watch),
};

const struct api_method *api_methods(size_t *out_count)
{
    *out_count = COUNT_OF(methods);
    return methods;
}

const struct api_method *api_method_find(struct slice path)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (slice_eq(path, slice_str(methods[i].path))) {
            return &methods[i];
        }
    }
    return NULL;
}
