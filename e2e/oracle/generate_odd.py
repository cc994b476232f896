# SPDX-License-Identifier: Apache-2.0
"""The same requests in other clothes: as JSON to the gateway, and as bytes that were broken."""
import json
import re

from google.protobuf import json_format

from .script import MACRO, REPEAT, UNARY, Operation, method

PATHS = {
    "Range": "kv/range", "Put": "kv/put", "DeleteRange": "kv/deleterange", "Txn": "kv/txn",
    "Compact": "kv/compaction", "LeaseGrant": "lease/grant", "LeaseRevoke": "lease/revoke",
    "LeaseTimeToLive": "lease/timetolive", "LeaseLeases": "lease/leases",
    "MemberList": "cluster/member/list", "AuthStatus": "auth/status", "UserAdd": "auth/user/add",
    "UserGet": "auth/user/get", "UserList": "auth/user/list", "UserDelete": "auth/user/delete",
    "UserChangePassword": "auth/user/changepw", "UserGrantRole": "auth/user/grant",
    "UserRevokeRole": "auth/user/revoke", "RoleAdd": "auth/role/add", "RoleGet": "auth/role/get",
    "RoleList": "auth/role/list", "RoleDelete": "auth/role/delete",
    "RoleGrantPermission": "auth/role/grant", "RoleRevokePermission": "auth/role/revoke",
    "Unlock": "lock/unlock", "Leader": "election/leader", "Proclaim": "election/proclaim",
    "Resign": "election/resign", "Lock": "lock/lock", "Campaign": "election/campaign",
    "Alarm": "maintenance/alarm", "MoveLeader": "maintenance/transfer-leadership",
    "MemberRemove": "cluster/member/remove", "MemberUpdate": "cluster/member/update",
    "MemberPromote": "cluster/member/promote", "Downgrade": "maintenance/downgrade",
    "Defragment": "maintenance/defragment", "LeaseKeepAlive": "lease/keepalive",
}
BROKEN = ["", "[]", "null", "{", "}", "{]", '{"key"', '{"key":}', '{"key": 5}', '{"key": "a"}',
          '{"key": "!!"}', '{"nope": 1}', '{"key": "YQ==", "key": "Yg=="}', '{"limit": 1.5}',
          '{"limit": "x"}', '{"limit": 9223372036854775808}', '{"key": {"a": 1}}', '"text"', "5",
          '{"key": "YQ=="} x', '{"sort_order": "NOPE"}', '{"sort_order": 1}', "{'key': 1}",
          '{"key": "\\ud800"}', '{"key": null}', '{"key": true}', "\x00", '{"key": "YQ"}',
          '{"key": "_-8="}', '{"revision": "1e2"}', '{"revision": 1e2}', '{"revision": "-1"}',
          '{"key":"YQ==",}', '{"prev_kv": "true"}', '{"prevKv": true, "key": "YQ=="}']
# Whatever they are given, these do something to the whole member, or their answer is a stream.
NOT_RAW = ("Compact", "AuthEnable", "AuthDisable", "LeaseGrant", "MoveLeader", "Alarm", "UserAdd",
           "Authenticate", "UserChangePassword", "MemberAdd", "MemberRemove", "MemberUpdate",
           "MemberPromote", "Defragment", "Hash", "Downgrade", "Lock", "Campaign",
           "Proclaim", "Resign")
# Only as what cannot be a message: what they do, a pair of members alone cannot be compared on.
NEVER_TAKEN = ("Cluster/MemberAdd", "Cluster/MemberRemove", "Cluster/MemberUpdate",
               "Cluster/MemberPromote", "Maintenance/Alarm", "Maintenance/Defragment",
               "Maintenance/Hash", "Maintenance/MoveLeader", "Maintenance/Downgrade",
               "Lease/LeaseGrant", "Auth/AuthEnable", "Auth/AuthDisable", "Auth/Authenticate",
               "Auth/UserAdd", "Auth/UserChangePassword", "Lock/Lock", "Election/Campaign",
               "Election/Proclaim", "Election/Resign",
               "Election/Observe", "Watch/Watch", "Lease/LeaseKeepAlive", "Maintenance/Snapshot")
NO_MESSAGE = (b"\x0a\xff\xff\x7f", b"\xff" * 11, b"\x08", b"\x0d\x00", b"\x09\x01")
# Whose empty request has the member choose an id, or differs and takes a log entry there, or goes
# on when it is answered.
NEVER_BROKEN = ("Compact", "LeaseGrant", "Lock", "Campaign", "MemberUpdate")
NUMBER = 7_000_000_000_000_000


def message_of(line):
    """The message of a line, its macros as numbers that stand for them."""
    operation = Operation(line)
    macros = []

    def stand_in(macro):
        macros.append(macro)
        return str(NUMBER + len(macros))
    return operation, operation.message(stand_in), macros


def as_json(generator, line):
    """A line that asks the same of the gateway, or None when it cannot."""
    name = line.split(" ", 1)[0]
    if name not in PATHS or "<L" in line or "=L" in line or "<M" in line \
            or big(line):
        return None
    operation, message, macros = message_of(line)
    if name == "Range":
        message.ClearField("sort_target")  # among equals the reference's order is a whim
    elif name == "LeaseTimeToLive":
        message.ClearField("keys")
    body = json_format.MessageToDict(message, preserving_proto_field_name=generator.chance(0.7),
                                     use_integers_for_enums=generator.chance(0.2))
    text = json.dumps(body)
    for number, macro in enumerate(macros, 1):
        text = text.replace(str(NUMBER + number), f"<{macro}>")
    if generator.chance(0.1):
        text = re.sub(r'"(<[^<>"]+>|-?\d{1,15})"', r"\1", text)  # numbers as numbers
    if generator.chance(0.15) and name not in NEVER_BROKEN:
        text = generator.pick(BROKEN)
    return f"Json /v3/{PATHS[operation.name]} {text}"


def as_bytes(generator, line):
    """A line with the bytes of a request that was damaged, or None."""
    if generator.chance(0.1):
        data = generator.pick(NO_MESSAGE)
        return f"Raw {generator.pick(NEVER_TAKEN)} {data.hex()}"
    name = line.split(" ", 1)[0]
    if name not in UNARY or name in NOT_RAW or "<L" in line or "<M" in line or big(line):
        return None
    data = bytearray(message_of(line)[1].SerializeToString())
    for _ in range(generator.random.randint(1, 3)):
        damage(generator, data)
    return f"Raw {method(name)} {bytes(data).hex()}".rstrip()



def damage(generator, data):
    kind = generator.random.randrange(4)
    at = generator.random.randrange(len(data)) if data else 0
    if kind == 0 and data:
        data[at] ^= 1 << generator.random.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = generator.random.randbytes(generator.random.randint(1, 4))
    else:
        data += generator.pick([b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x0c", b"\x07",
                                b"\xf8\x7f\x01", b"\x00", b"\x0b\x0c"])


def big(line):
    """Too long to be worth it, or a macro that only a running side can resolve to one number."""
    found = (REPEAT.match(macro) for macro in MACRO.findall(line))
    return any(one and int(one[2]) > 5000 for one in found)
