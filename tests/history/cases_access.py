# SPDX-License-Identifier: Apache-2.0
"""Users, roles and what they may do."""
from histories import AM, delete, found, get, kv, mod_is, put, right, wrong

GET_R = {"do": "role_get", "role": "r"}
GET_U = {"do": "user_get", "user": "u"}
STATUS = {"do": "auth_status"}
RANGE = {"role": "r", "key": "a", "end": "m"}


def shown(h, op, revision=1, **result):
    return h.call(op, revision=revision, result=result)


@wrong("auth-allowed")
def a_put_outside_ones_range(h):
    h.guarded()
    h.done("u", put("n", "1"), 2)


@wrong("auth-allowed")
def a_range_that_is_partly_outside(h):
    h.guarded()
    h.done("u", get("a", end="n"), 1)


@wrong("auth-allowed")
def a_range_to_the_end_of_all_keys(h):
    h.guarded()
    h.done("u", get("a", end="\0"), 1)


@wrong("auth-allowed")
def nobody_puts(h):
    h.guarded()
    h.done("", put("a", "1"), 2)


@right
def nobody_grants_a_lease_at_a_member_that_lags_behind(h):
    h.guarded()
    h.done("", {"do": "grant", "lease": 7, "ttl": 10}, 1, ttl=10)


@wrong("auth-allowed")
def nobody_attaches_a_key_to_a_lease(h):
    h.guarded()
    h.done("", {"do": "grant", "lease": 7, "ttl": 10}, 1, ttl=10)
    h.done("", put("a", "1", lease=7), 2)


@wrong("auth-allowed")
def a_user_without_roles_reads(h):
    h.guarded()
    h.change("user_add", user="v")
    h.done("v", get("a"), 1)


@wrong("auth-allowed")
def a_put_after_the_permission_was_taken(h):
    h.guarded()
    h.change("role_revoke", **RANGE)
    h.done("u", put("a", "1"), 2)


@wrong("auth-allowed")
def a_put_after_the_permission_was_lowered(h):
    h.guarded()
    h.change("role_grant", **{**AM, "permission": "read"})
    h.done("u", put("a", "1"), 2)


@wrong("auth-allowed")
def a_put_after_the_role_was_taken(h):
    h.guarded()
    h.change("user_revoke", user="u", role="r")
    h.done("u", put("a", "1"), 2)


@wrong("auth-allowed")
def a_put_after_the_role_was_deleted(h):
    h.guarded()
    h.change("role_delete", role="r")
    h.change("role_add", role="r")
    h.done("u", put("a", "1"), 2)


@wrong("auth-allowed")
def a_put_after_the_user_was_deleted(h):
    h.guarded()
    h.change("user_delete", user="u")
    h.change("user_add", user="u")
    h.done("u", put("a", "1"), 2)


@wrong("auth-allowed")
def a_put_that_overlaps_but_has_a_later_revision(h):
    """Permission changes take effect in order: this write came behind one that came behind it."""
    h.guarded()
    h.done("root", put("a", "1"), 2, at=(1000, 1010))
    h.change("role_revoke", revision=2, at=(1020, 1090), **RANGE)
    h.done("root", put("a", "2"), 3, at=(1020, 1090))
    h.done("u", put("a", "3"), 4, at=(1020, 1090))


@wrong("auth-allowed")
def a_put_before_the_permission_came(h):
    h.guarded()
    h.done("root", put("a", "1"), 2, at=(1000, 1010))
    h.change("role_grant", revision=3, at=(1020, 1090), **{**AM, "key": "n", "end": "o"})
    h.done("u", put("n", "2"), 3, at=(1020, 1090))


@wrong("auth-allowed")
def a_read_of_a_revision_behind_the_change(h):
    h.guarded()
    h.done("root", put("a", "1"), 2, at=(1000, 1010))
    h.change("role_revoke", revision=2, at=(1020, 1090), **RANGE)
    h.done("root", put("a", "2"), 3, at=(1020, 1090))
    h.done("u", get("a"), 3, at=(1020, 1090), **found(kv("a", "2", 3, create=2, version=2)))


@wrong("auth-allowed")
def an_old_read_of_a_revision_behind_the_change(h):
    h.guarded()
    h.done("root", put("a", "1"), 2)
    h.change("role_revoke", revision=2, **RANGE)
    h.done("root", put("a", "2"), 3)
    h.done("u", get("a", serializable=True), 3,
           **found(kv("a", "2", 3, create=2, version=2)))


@wrong("auth-allowed")
def a_comparison_of_a_key_outside(h):
    h.guarded()
    h.done("u", {"do": "txn", "if": [mod_is("n", 0)], "then": [put("a", "1")]}, 2, succeeded=True,
           results=[{}])


@wrong("auth-allowed")
def the_side_not_taken_writes_outside(h):
    h.guarded()
    h.done("u", {"do": "txn", "if": [mod_is("a", 0)], "then": [put("a", "1")],
                 "else": [delete("n")]}, 2, succeeded=True, results=[{}])


@wrong("auth-allowed")
def a_put_that_reads_without_permission(h):
    h.guarded()
    h.change("role_grant", **{**AM, "permission": "write"})
    h.done("u", put("a", "1", prev=True), 2)


@wrong("auth-allowed")
def a_revoked_lease_takes_a_key_outside(h):
    h.guarded()
    h.done("root", {"do": "grant", "lease": 7, "ttl": 10}, 1, ttl=10)
    h.done("root", put("n", "1", lease=7), 2)
    h.done("u", {"do": "revoke", "lease": 7}, 3)


@wrong("auth-allowed")
def a_lease_is_shown_with_a_key_outside(h):
    h.guarded()
    h.done("root", {"do": "grant", "lease": 7, "ttl": 10}, 1, ttl=10)
    h.done("root", put("n", "1", lease=7), 2)
    h.done("u", {"do": "ttl", "lease": 7, "keys": True}, 2, ttl=9, granted=10, names=["n"])


@wrong("auth-allowed")
def a_user_makes_users(h):
    h.guarded()
    h.done("u", {"do": "user_add", "user": "w"}, 1)


@wrong("auth-refused")
def root_is_denied(h):
    h.guarded()
    h.denied("root", put("n", "1"))


@wrong("auth-refused")
def a_put_is_denied_that_was_granted(h):
    h.guarded()
    h.denied("u", put("a", "1"))


@wrong("auth-refused")
def a_granted_range_is_denied(h):
    h.guarded()
    h.denied("u", get("b", end="m"))


@wrong("auth-refused")
def denied_while_it_is_off(h):
    h.denied("u", put("a", "1"))
    h.guarded()


@wrong("auth-refused")
def asked_for_a_name_while_it_is_off(h):
    h.denied("", put("n", "1"), error="unnamed")
    h.guarded()


@wrong("auth-refused")
def a_transaction_is_denied_of_which_all_was_granted(h):
    h.guarded()
    h.denied("u", {"do": "txn", "if": [mod_is("a", 0)], "then": [put("a", "1")],
                   "else": [get("b")]})


@wrong("auth-shown")
def a_role_that_was_taken(h):
    h.guarded()
    shown(h, GET_U, names=["r"])
    h.change("user_revoke", user="u", role="r")
    shown(h, GET_U, names=["r"])


@wrong("auth-shown")
def a_role_that_lacks(h):
    h.guarded()
    shown(h, GET_U, names=[])


@wrong("auth-shown")
def a_permission_that_lacks(h):
    h.guarded()
    shown(h, GET_R, grants=[])


@wrong("auth-shown")
def a_permission_that_is_another(h):
    h.guarded()
    shown(h, GET_R, grants=[["a", "m", "read"]])


@wrong("auth-shown")
def a_permission_that_nobody_granted(h):
    h.guarded()
    shown(h, GET_R, grants=[["a", "m", "readwrite"], ["x", "", "read"]])


@wrong("auth-shown")
def off_although_it_is_on(h):
    h.guarded()
    shown(h, STATUS, enabled=False, auth_revision=9)


@wrong("auth-back")
def a_revision_of_users_that_goes_back(h):
    h.guarded()
    shown(h, STATUS, enabled=True, auth_revision=9)
    shown(h, STATUS, enabled=True, auth_revision=8)


@wrong("auth-back")
def a_revision_of_users_that_does_not_count(h):
    h.guarded()
    shown(h, STATUS, enabled=True, auth_revision=9)
    h.change("role_add", role="s")
    shown(h, STATUS, enabled=True, auth_revision=9)


@right
def everybody_does_what_they_may(h):
    h.done("", put("z", "0"), 2)
    h.guarded(2)
    h.denied("", put("z", "1"), error="unnamed")
    h.done("u", put("a", "1"), 3)
    h.denied("u", put("n", "1"))
    h.denied("u", get("a", end="n"))
    h.done("u", get("a", end="m"), 3, **found(kv("a", "1", 3)))
    h.done("root", get("a", end="\0"), 3, **found(kv("a", "1", 3), kv("z", "0", 2)))
    h.change("role_grant", revision=3, **{**AM, "key": "m", "end": "q", "permission": "read"})
    h.done("u", get("a", end="q"), 3, **found(kv("a", "1", 3)))
    h.denied("u", put("n", "1"))
    h.change("role_grant", revision=3, role="r", key="zz", end="", permission="write")
    h.done("u", put("zz", "1"), 4)
    h.denied("u", put("zz", "2", prev=True))
    shown(h, GET_U, 4, names=["r"])
    shown(h, GET_R, 4, grants=[["a", "m", "readwrite"], ["m", "q", "read"], ["zz", "", "write"]])
    shown(h, STATUS, 4, enabled=True, auth_revision=11)
    h.change("auth_disable", revision=4)
    h.done("", put("z", "2"), 5)
    h.done("v", delete("z"), 6, count=1)


@right
def changes_without_an_answer(h):
    h.guarded()
    h.denied("u", put("a", "0"), error="unnamed")
    h.change("role_revoke", outcome="unknown", **RANGE)
    h.done("u", put("a", "1"), 2)
    h.denied("u", put("a", "2"))
    h.done("u", put("a", "3"), 3)
    h.change("user_grant", outcome="unknown", user="u", role="root")
    h.done("u", put("n", "4"), 4)
    shown(h, GET_U, 4, names=["r", "root"])
    shown(h, GET_R, 4, grants=[])


@right
def a_change_beside_calls(h):
    h.guarded()
    h.done("root", put("a", "0"), 2, at=(1000, 1010))
    h.change("role_revoke", revision=3, at=(1020, 1090), **RANGE)
    h.done("u", put("a", "1"), 3, at=(1020, 1090))
    h.denied("u", put("a", "2"), at=(1025, 1090))
    h.done("u", get("a"), 2, at=(1020, 1090), **found(kv("a", "0", 2)))
    h.clock = 2000
    h.done("u", get("a", serializable=True), 3,
           **found(kv("a", "1", 3, create=2, version=2)))
    h.denied("u", get("a"))
    h.denied("u", get("a"), error="other")


@right
def a_role_that_is_gone_for_good_ends_all_doubt(h):
    h.guarded()
    h.change("role_delete", outcome="unknown", role="r")
    h.call({"do": "role_delete", "role": "r"}, outcome="failed", error="missing", user="root")
    h.denied("u", put("a", "1"))
    h.change("role_add", role="s")
    h.change("user_grant", user="u", role="s")
    h.change("role_grant", **{**AM, "role": "s"})
    h.done("u", put("a", "2"), 2)


@wrong("auth-allowed")
def a_put_by_a_role_that_was_found_gone(h):
    h.guarded()
    h.change("role_grant", outcome="unknown", **AM)
    h.change("role_delete", outcome="unknown", role="r")
    h.call({"do": "role_delete", "role": "r"}, outcome="failed", error="missing", user="root")
    h.done("u", put("a", "1"), 2)


@right
def leases_of_users(h):
    h.guarded()
    h.done("u", {"do": "grant", "lease": 7, "ttl": 10}, 1, ttl=10)
    h.done("u", put("a", "1", lease=7), 2)
    h.done("u", {"do": "ttl", "lease": 7, "keys": True}, 2, ttl=9, granted=10, names=["a"])
    h.denied("u", put("b", "1", lease=7))
    h.done("u", {"do": "revoke", "lease": 7}, 3)
