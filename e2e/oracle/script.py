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
    MemberAdd =M1 peerURLs: "…"       as with leases
    Lock 1 name: "l" lease: 3         whose turn it is not waits as number 1, and so does Campaign
    Abandon 1                         number 1 waits no longer
    Observe 2 name: "e"               until number 2 is abandoned
    Member --flag=value               first of all: both members get that flag
"""
import re

from google.protobuf import text_format

from lib.api import MESSAGES, pb

UNARY = {
    "Range": ("KV", "Range"), "Put": ("KV", "Put"), "DeleteRange": ("KV", "DeleteRange"),
    "Txn": ("KV", "Txn"), "Compact": ("KV", "Compaction"),
    "LeaseGrant": ("Lease", "LeaseGrant"), "LeaseRevoke": ("Lease", "LeaseRevoke"),
    "LeaseTimeToLive": ("Lease", "LeaseTimeToLive"), "LeaseLeases": ("Lease", "LeaseLeases"),
    "MemberList": ("Cluster", "MemberList"), "Alarm": ("Maintenance", "Alarm"),
    "Status": ("Maintenance", "Status"), "HashKV": ("Maintenance", "HashKV"),
    "MoveLeader": ("Maintenance", "MoveLeader"), "AuthStatus": ("Auth", "AuthStatus"),
    "Authenticate": ("Auth", "Authenticate"), "AuthEnable": ("Auth", "AuthEnable"),
    "AuthDisable": ("Auth", "AuthDisable"), "MemberAdd": ("Cluster", "MemberAdd"),
    "MemberRemove": ("Cluster", "MemberRemove"), "MemberUpdate": ("Cluster", "MemberUpdate"),
    "MemberPromote": ("Cluster", "MemberPromote"), "Defragment": ("Maintenance", "Defragment"),
    "Hash": ("Maintenance", "Hash"), "Downgrade": ("Maintenance", "Downgrade"),
    "Lock": ("Lock", "Lock"), "Unlock": ("Lock", "Unlock"), "Campaign": ("Election", "Campaign"),
    "Proclaim": ("Election", "Proclaim"), "Leader": ("Election", "Leader"),
    "Resign": ("Election", "Resign"),
}
UNARY.update((name, ("Auth", "Auth" + name)) for name in (
    "UserAdd", "UserGet", "UserList", "UserDelete", "UserChangePassword", "UserGrantRole",
    "UserRevokeRole", "RoleAdd", "RoleGet", "RoleList", "RoleDelete", "RoleGrantPermission",
    "RoleRevokePermission"))
OTHER = {"Watch": "WatchRequest", "LeaseKeepAlive": "LeaseKeepAliveRequest",
         "Expire": "LeaseTimeToLiveRequest"}


STREAMS = {"Observe": ("Election", "Leader"), "Snapshot": ("Maintenance", "Snapshot")}
PACKAGES = {"Lock": "v3lockpb", "Election": "v3electionpb"}


def message_type(service, stem):
    return MESSAGES[f"{PACKAGES.get(service, 'etcdserverpb')}.{stem}"]


def request_type(name):
    service, stem = (UNARY.get(name) or STREAMS[name])
    return message_type(service, stem + "Request")


def answer_type(name):
    service, stem = (UNARY.get(name) or STREAMS[name])
    return message_type(service, stem + "Response")


def method(name):
    """As the path of its calls has it."""
    return f"{(UNARY.get(name) or STREAMS[name])[0]}/{name}"


def full_path(path):
    """/package.Service/Method of Service/Method; what begins with / is so already."""
    if path.startswith("/"):
        return path
    return f"/{PACKAGES.get(path.split('/')[0], 'etcdserverpb')}.{path}"


NAMES = {method(name): name for name in UNARY}


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
        kind = getattr(pb, OTHER[self.name]) if self.name in OTHER else request_type(self.name)
        return text_format.Parse(self.expanded(resolve), kind())

    def raw(self):
        """Of bytes: the method's path, the bytes, the name whose request they should be."""
        path, *data = self.text.split(" ")
        return path, bytes.fromhex("".join(data)), NAMES.get(path)

    def expanded(self, resolve):
        def expand(found):
            repeat = REPEAT.match(found[1])
            return repeat[1] * int(repeat[2]) if repeat else resolve(found[1])
        return MACRO.sub(expand, self.text)


def parse(lines):
    lines = (line.strip() for line in lines)
    return [Operation(line) for line in lines if line and not line.startswith("#")]


def flags(operations):
    """What the members of a script are started with."""
    return [operation.text for operation in operations if operation.name == "Member"]
