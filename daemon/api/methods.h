/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that the services' files have in the table of methods.
 */
#ifndef API_METHODS_H
#define API_METHODS_H

#include "api/state.h"

#include <health.pb-c.h>

extern const struct api_ops api_kv_range, api_kv_put, api_kv_delete, api_kv_txn, api_kv_compact,
    api_kv_range_stream;
extern const struct api_ops api_watch_watch;
extern const struct api_ops api_lease_grant, api_lease_revoke, api_lease_keep_alive,
    api_lease_time_to_live, api_lease_leases;
extern const struct api_ops api_maintenance_alarm, api_maintenance_status,
    api_maintenance_defragment, api_maintenance_hash, api_maintenance_hash_kv,
    api_maintenance_snapshot, api_maintenance_move_leader, api_maintenance_downgrade;
extern const struct api_ops api_cluster_member_list, api_cluster_member_add,
    api_cluster_member_remove, api_cluster_member_update, api_cluster_member_promote;
extern const struct api_ops api_auth_enable, api_auth_disable, api_auth_status,
    api_auth_authenticate, api_auth_user_add, api_auth_user_get, api_auth_user_list,
    api_auth_user_delete, api_auth_user_change_password, api_auth_user_grant_role,
    api_auth_user_revoke_role, api_auth_role_add, api_auth_role_get, api_auth_role_list,
    api_auth_role_delete, api_auth_role_grant_permission, api_auth_role_revoke_permission;
extern const struct api_ops api_lock_lock, api_lock_unlock;
extern const struct api_ops api_election_campaign, api_election_proclaim, api_election_leader,
    api_election_observe, api_election_resign;
extern const struct api_ops api_health_check, api_health_watch;

/* stream.c: no leader for long; ends the streams that want one, whatever their method. */
void api_leaderless(void *api);

#endif
