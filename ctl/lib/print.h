/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses in the formats of -w: simple, fields, json, table, protobuf; --hex changes simple, and
 * the ids of fields. Each function gives an exit code: CMD_EXIT_BAD_FEATURE when the format does
 * not know the response.
 */
#ifndef CTL_PRINT_H
#define CTL_PRINT_H

#include "base/arena.h"
#include "ctl/lib/prefix.h"

#include <rpc.pb-c.h>
#include <stdio.h>

enum print_format { PRINT_SIMPLE, PRINT_FIELDS, PRINT_JSON, PRINT_PROTOBUF, PRINT_TABLE };

struct printer {
    enum print_format format;
    bool is_hex;
    bool is_value_only; /* simple: no keys */
    FILE *out;
    struct arena *arena; /* for scratch */
};

/* False when there is no such format. "hex" is simple with is_hex. */
bool print_format_of(const char *name, struct printer *out_printer);
/* What json and protobuf do with any message; the other formats cannot. */
int print_any(const struct printer *p, const void *message);
/* "x not supported as output format". */
int print_unsupported(const struct printer *p);
/* For FIELDS: the four ids of a header. NULL prints zeros. */
void print_header(const struct printer *p, const Etcdserverpb__ResponseHeader *header);
/* For commands whose simple form is one sentence and whose fields are the header only. */
int print_done(const struct printer *p, const void *message,
    const Etcdserverpb__ResponseHeader *header, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Keys. */
int print_range(const struct printer *p, const Etcdserverpb__RangeResponse *r);
int print_put(const struct printer *p, const Etcdserverpb__PutResponse *r);
int print_delete(const struct printer *p, const Etcdserverpb__DeleteRangeResponse *r);
int print_txn(const struct printer *p, const Etcdserverpb__TxnResponse *r);
int print_watch(const struct printer *p, const Etcdserverpb__WatchResponse *r);

/* Leases. */
int print_grant(const struct printer *p, const Etcdserverpb__LeaseGrantResponse *r);
int print_keep_alive(const struct printer *p, const Etcdserverpb__LeaseKeepAliveResponse *r);
int print_time_to_live(
    const struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r, bool has_keys);
int print_leases(const struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r);

/* The cluster. */
struct print_health {
    const char *endpoint;
    bool is_healthy;
    const char *took;
    const char *error; /* "" when there is none */
};

struct print_status {
    const char *endpoint;
    const Etcdserverpb__StatusResponse *status;
};

struct print_hash {
    const char *endpoint;
    const Etcdserverpb__HashKVResponse *hash;
};

int print_member_list(const struct printer *p, const Etcdserverpb__MemberListResponse *r);
/* json, protobuf; simple says the sentence; fields and table cannot. */
int print_member_change(const struct printer *p, const void *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int print_endpoint_health(const struct printer *p, const struct print_health *list, size_t count);
int print_endpoint_status(const struct printer *p, const struct print_status *list, size_t count);
int print_endpoint_hash(const struct printer *p, const struct print_hash *list, size_t count);
int print_alarms(const struct printer *p, const Etcdserverpb__AlarmResponse *r);

/* Users and roles. */
int print_role(
    const struct printer *p, const char *name, const Etcdserverpb__AuthRoleGetResponse *r);
int print_roles(const struct printer *p, const Etcdserverpb__AuthRoleListResponse *r);
int print_user(
    const struct printer *p, const char *name, const Etcdserverpb__AuthUserGetResponse *r);
int print_users(const struct printer *p, const Etcdserverpb__AuthUserListResponse *r);
int print_auth_status(const struct printer *p, const Etcdserverpb__AuthStatusResponse *r);

#endif
