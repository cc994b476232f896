# SPDX-License-Identifier: Apache-2.0
"""A script is lines of operations: a name, perhaps a label, a request as protobuf text.

    LeaseGrant =L1 TTL: 300           the granted id is <L1> in later lines, on each side its own
    Put key: "a" value: "<x*60000>" lease: <L1>
    Compact revision: <rev-3>         <rev> is the last revision seen
    Txn compare { result: EQUAL target: MOD key: "a" mod_revision: <mod a> }
    Watch 2 create_request { key: "a" }      on watch stream 2, opened when first used
    WatchClose 2
    LeaseKeepAlive ID: 7
    Sync                              wait until the watch streams of both sides say the same
    Authenticate name: "u" password: "p"      what follows is asked with this token
    Nobody                            what follows is asked without one
    Token 2                           what follows is asked with the second token given
    Json /v3/kv/put {"key": "YQ=="}   POST to the gateway; a body is any text
    Raw KV/Put 0a01ff                 bytes that need not be a message
    Expire ID: 88                     wait until that lease has run out on both sides
"""
import re

from google.protobuf import text_format

from lib.api import pb

UNARY = {
    "Range": ("KV", "Range"), "Put": ("KV", "Put"), "DeleteRange": ("KV", "DeleteRange"),
    "Txn": ("KV", "Txn"), "Compact": ("KV", "Compaction"),
    "LeaseGrant": ("Lease", "LeaseGrant"), "LeaseRevoke": ("Lease", "LeaseRevoke"),
    "LeaseTimeToLive": ("Lease", "LeaseTimeToLive"), "LeaseLeases": ("Lease", "LeaseLeases"),
    "MemberList": ("Cluster", "MemberList"), "Alarm": ("Maintenance", "Alarm"),
    "Status": ("Maintenance", "Status"), "HashKV": ("Maintenance", "HashKV"),
    "MoveLeader": ("Maintenance", "MoveLeader"), "AuthStatus": ("Auth", "AuthStatus"),
    "Authenticate": ("Auth", "Authenticate"), "AuthEnable": ("Auth", "AuthEnable"),
    "AuthDisable": ("Auth", "AuthDisable"),
}
UNARY.update((name, ("Auth", "Auth" + name)) for name in (
    "UserAdd", "UserGet", "UserList", "UserDelete", "UserChangePassword", "UserGrantRole",
    "UserRevokeRole", "RoleAdd", "RoleGet", "RoleList", "RoleDelete", "RoleGrantPermission",
    "RoleRevokePermission"))
OTHER = {"Watch": "WatchRequest", "LeaseKeepAlive": "LeaseKeepAliveRequest",
         "Expire": "LeaseTimeToLiveRequest"}


def method(name):
    """As the path of its calls has it."""
    service, stem = UNARY[name]
    return f"{service}/{name if service != 'Auth' or name == 'AuthStatus' else stem[4:]}"


LINE = re.compile(r"(\w+)(?: =(\w+))?(?: (\d+)(?= |$))?(?: (.*))?$")
MACRO = re.compile(r"<([^<>]+)>")
REPEAT = re.compile(r"(.)\*(\d+)$")


class Operation:
    """One line."""

    def __init__(self, line):
        found = LINE.match(line)
        if not found:
            raise ValueError(f"not an operation: {line}")
        self.line = line
        self.name, self.label, stream, self.text = found.groups()
        self.stream = int(stream) if stream else None
        self.text = self.text or ""

    def message(self, resolve):
        """The request; resolve(macro) gives the text that stands for <macro>."""
        stem = UNARY[self.name][1] + "Request" if self.name in UNARY else OTHER[self.name]
        return text_format.Parse(self.expanded(resolve), getattr(pb, stem)())

    def raw(self):
        """Of bytes: the method's path, the bytes, the message they should be."""
        path, *data = self.text.split(" ")
        return path, bytes.fromhex("".join(data)), next(
            (getattr(pb, stem + "Request") for name, (_, stem) in UNARY.items()
             if method(name) == path), None)

    def expanded(self, resolve):
        def expand(found):
            repeat = REPEAT.match(found[1])
            return repeat[1] * int(repeat[2]) if repeat else resolve(found[1])
        return MACRO.sub(expand, self.text)


def parse(lines):
    lines = (line.strip() for line in lines)
    return [Operation(line) for line in lines if line and not line.startswith("#")]
