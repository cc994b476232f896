# SPDX-License-Identifier: Apache-2.0
"""Requests of every method that are no requests, or ask for what is not there: as JSON to the
gateway and as bytes over gRPC."""
import base64
import http.client
import json

import grpc
from google.protobuf import json_format

from .api import MESSAGES

# gateway path: service, method, request
METHODS = {}
for line in """
kv/range KV Range; kv/put KV Put; kv/deleterange KV DeleteRange; kv/txn KV Txn
kv/compaction KV Compact Compaction; lease/grant Lease LeaseGrant; lease/revoke Lease LeaseRevoke
kv/lease/revoke Lease LeaseRevoke; lease/timetolive Lease LeaseTimeToLive
kv/lease/timetolive Lease LeaseTimeToLive; lease/leases Lease LeaseLeases
kv/lease/leases Lease LeaseLeases; lease/keepalive Lease LeaseKeepAlive; watch Watch Watch
cluster/member/add Cluster MemberAdd; cluster/member/remove Cluster MemberRemove
cluster/member/update Cluster MemberUpdate; cluster/member/list Cluster MemberList
cluster/member/promote Cluster MemberPromote; maintenance/alarm Maintenance Alarm
maintenance/status Maintenance Status; maintenance/defragment Maintenance Defragment
maintenance/hash Maintenance HashKV; maintenance/snapshot Maintenance Snapshot
maintenance/transfer-leadership Maintenance MoveLeader
maintenance/downgrade Maintenance Downgrade; auth/authenticate Auth Authenticate
auth/enable Auth AuthEnable; auth/disable Auth AuthDisable; auth/status Auth AuthStatus
auth/user/add Auth UserAdd AuthUserAdd; auth/user/get Auth UserGet AuthUserGet
auth/user/list Auth UserList AuthUserList; auth/user/delete Auth UserDelete AuthUserDelete
auth/user/changepw Auth UserChangePassword AuthUserChangePassword
auth/user/grant Auth UserGrantRole AuthUserGrantRole
auth/user/revoke Auth UserRevokeRole AuthUserRevokeRole; auth/role/add Auth RoleAdd AuthRoleAdd
auth/role/get Auth RoleGet AuthRoleGet; auth/role/list Auth RoleList AuthRoleList
auth/role/delete Auth RoleDelete AuthRoleDelete
auth/role/grant Auth RoleGrantPermission AuthRoleGrantPermission
auth/role/revoke Auth RoleRevokePermission AuthRoleRevokePermission
lock/lock v3lockpb.Lock Lock; lock/unlock v3lockpb.Lock Unlock
election/campaign v3electionpb.Election Campaign; election/leader v3electionpb.Election Leader
election/proclaim v3electionpb.Election Proclaim; election/resign v3electionpb.Election Resign
election/observe v3electionpb.Election Observe LeaderRequest
""".replace("\n", ";").split(";"):
    if line.strip():
        path, service, method, *request = line.split()
        package, _, service = service.rpartition(".")
        package = package or "etcdserverpb"
        name = request[0].removesuffix("Request") if request else method
        METHODS[path] = (f"/{package}.{service}/{method}", MESSAGES[f"{package}.{name}Request"])
METHODS["maintenance/hash"] = ("/etcdserverpb.Maintenance/Hash",
                               MESSAGES["etcdserverpb.HashRequest"])
METHODS["maintenance/hashkv"] = ("/etcdserverpb.Maintenance/HashKV",
                                 MESSAGES["etcdserverpb.HashKVRequest"])

# These wait, stream or change more than an answer: only what cannot be read is sent to them.
ONLY_UNREADABLE = {"lock/lock", "election/campaign", "election/observe", "watch",
                   "maintenance/snapshot", "lease/keepalive", "maintenance/defragment",
                   "maintenance/status", "maintenance/alarm", "maintenance/hash",
                   "cluster/member/list"}
ANY = ["", "{", "[]", '"a"', "5", "{}x", '{"a":1}', '{"":1}', "{'a':1}"]
VALUES = ["{}", "[]", "[{}]", "true", '"x"', '"!"', "1.5", '"-1"', "99999999999999999999", "null"]
NO_MESSAGES = [b"\xff" * 20, b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\x0f", b"\x08" + b"\x80" * 11,
               b"\x0b", b"\x00", b"\x0d\x01\x02\x03\x04", b"\xa7\x06",
               b"\x78\x01\x0d\x01\x02\x03\x04"]  # behind an unknown field
# Well formed, and refused for what they say; over both doors.
REFUSED = {
    "kv/range": ['{}', '{"key":"YQ==","revision":"9999"}', '{"key":"Yg==","range_end":"YQ=="}'],
    "kv/put": ['{}', '{"key":"YQ==","lease":"7"}', '{"key":"YQ==","ignore_lease":true}',
               '{"key":"YQ==","value":"Yg==","ignore_value":true}',
               '{"key":"YQ==","lease":"7","ignore_lease":true}',
               '{"key":"bm8=","ignore_value":true}'],
    "kv/deleterange": ['{}'],
    "kv/txn": ['{"compare":[{}]}', '{"success":[{"request_put":{}}]}',
               '{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}',
               '{"success":[{"request_put":{"key":"YQ=="}},'
               '{"request_delete_range":{"key":"YQ=="}}]}',
               '{"failure":[{"request_range":{"key":"YQ==","revision":"9999"}}]}',
               '{"success":[{}]}', '{"success":[{"request_txn":{"success":[{}]}}]}',
               '{"compare":[{"key":"YQ==","target":9}]}',
               '{"compare":[{"key":"YQ==","result":9}]}',
               '{"success":[' + ",".join(['{"request_range":{"key":"YQ=="}}'] * 129) + ']}'],
    "kv/compaction": ['{"revision":"9999"}', '{"revision":"-1"}'],
    "lease/grant": ['{}', '{"TTL":"-1"}', '{"TTL":"9000000001"}', '{"TTL":"60","ID":"-1"}'],
    "lease/revoke": ['{}', '{"ID":"12345"}'],
    "kv/lease/revoke": ['{"ID":"12345"}'],
    "lease/timetolive": ['{}', '{"ID":"12345"}'],
    "kv/lease/timetolive": ['{"ID":"12345"}'],
    "cluster/member/add": ['{}', '{"peerURLs":["x"]}', '{"peerURLs":["ftp://x:1"]}',
                           '{"peerURLs":["http://x"]}', '{"peerURLs":["http://x:1/y"]}'],
    "cluster/member/remove": ['{}', '{"ID":"12345"}'],
    "cluster/member/update": ['{}', '{"ID":"12345","peerURLs":["http://127.0.0.1:1"]}',
                              '{"ID":"12345","peerURLs":["x"]}'],
    "cluster/member/promote": ['{}', '{"ID":"12345"}'],
    "maintenance/transfer-leadership": ['{}', '{"targetID":"12345"}'],
    "maintenance/hashkv": ['{"revision":"9999"}', '{"revision":"-1"}'],
    "maintenance/downgrade": ['{}', '{"action":1}', '{"action":1,"version":"x"}',
                              '{"action":1,"version":"9.9"}', '{"action":2}', '{"action":9}'],
    "auth/authenticate": ['{}', '{"name":"x","password":"y"}'],
    "auth/enable": ['{}'], "auth/disable": ['{}'],
    "auth/user/add": ['{}', '{"name":"u"}', '{"name":"u","password":"p"}',
                      '{"name":"v","options":{"no_password":true}}',
                      '{"name":"w","password":"p","options":{"no_password":true}}'],
    "auth/user/get": ['{}', '{"name":"no"}'],
    "auth/user/delete": ['{}', '{"name":"no"}'],
    "auth/user/changepw": ['{}', '{"name":"no","password":"p"}', '{"name":"v","password":"p"}'],
    "auth/user/grant": ['{}', '{"user":"no","role":"r"}', '{"user":"u","role":"no"}',
                        '{"user":"u","role":"root"}'],
    "auth/user/revoke": ['{}', '{"name":"no","role":"r"}', '{"name":"u","role":"no"}'],
    "auth/role/add": ['{}', '{"name":"r"}', '{"name":"r"}', '{"name":"root"}'],
    "auth/role/get": ['{}', '{"role":"no"}'],
    "auth/role/delete": ['{}', '{"role":"no"}'],
    "auth/role/grant": ['{}', '{"name":"no","perm":{"key":"YQ=="}}', '{"name":"r"}',
                        '{"name":"r","perm":{}}', '{"name":"r","perm":{"permType":9}}',
                        '{"name":"r","perm":{"key":"Yg==","range_end":"YQ=="}}'],
    "auth/role/revoke": ['{}', '{"role":"no"}', '{"role":"r","key":"YQ=="}'],
    "lock/lock": ['{"name":"YQ==","lease":"12345"}'],
    "lock/unlock": ['{}', '{"key":"bm8="}'],
    "election/campaign": ['{"name":"YQ==","lease":"12345"}'],
    "election/leader": ['{}', '{"name":"bm8="}'],
    "election/proclaim": ['{}', '{"leader":{}}', '{"leader":{"name":"YQ==","key":"YQ==",'
                          '"lease":"12345"}}'],
    "election/resign": ['{}', '{"leader":{}}', '{"leader":{"name":"YQ==","key":"YQ=="}}'],
}


def is_readable(request, body):
    try:
        json_format.Parse(body, request(), ignore_unknown_fields=True)
        return True
    except (json_format.ParseError, ValueError, TypeError, AttributeError):
        return False


def bodies(path):
    """JSON for the gateway."""
    if path == "watch":  # its answer begins before the first request is read; then it waits
        return []
    request = METHODS[path][1]
    found = list(ANY)
    for field in request.DESCRIPTOR.fields:
        found += [f'{{"{field.name}":{value}}}' for value in VALUES]
    found = [body for body in found
             if path not in ONLY_UNREADABLE or not is_readable(request, body.rstrip("x") or "{}")]
    return found + REFUSED.get(path, [])


class Gateway:
    def __init__(self, member):
        self.port = member.client_port
        self.connection = None

    def ask(self, path, body):
        """Status, and the body of a refusal."""
        if not self.connection:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            self.connection.request("POST", "/v3/" + path, body.encode(),
                                    {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read().decode()
        except (http.client.HTTPException, OSError) as error:
            self.connection.close()
            self.connection = None
            return f"no answer: {type(error).__name__}"
        return "200" if answer.status == 200 else f"{answer.status} {text}"

    def close(self):
        if self.connection:
            self.connection.close()


def ask_grpc(api, path, body):
    """Code and text. Every method is called as if it were unary: one that streams answers a call
    that cannot be read all the same."""
    try:
        answer = api.channel.stream_stream(METHODS[path][0])(iter([body]), timeout=60)
        for _ in answer:
            pass
        return "OK"
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"


def requests():
    """(door, path, body) of all, in the order in which they are sent."""
    for path in METHODS:
        for body in bodies(path):
            yield "json", path, body
        for body in NO_MESSAGES:
            yield "grpc", path, body
        for text in REFUSED.get(path, []):
            message = METHODS[path][1]()
            try:
                json_format.Parse(text, message)
            except json_format.ParseError:
                continue
            yield "grpc", path, message.SerializeToString()


def label(door, path, body):
    text = body if door == "json" else base64.b64encode(body).decode()
    return f"{door} {path} {text if len(text) < 120 else text[:120] + '…'}"


def ask_all(member, api):
    """{label: answer}"""
    gateway = Gateway(member)
    said = {}
    for door, path, body in requests():
        said.setdefault(label(door, path, body), []).append(
            gateway.ask(path, body) if door == "json" else ask_grpc(api, path, body))
    gateway.close()
    return {name: " | ".join(answers) for name, answers in said.items()}


def write(said, file):
    """Requests by answer: many have the same."""
    by_answer = {}
    for name, answer in said.items():
        by_answer.setdefault(answer, []).append(name)
    for answer, names in by_answer.items():
        print(json.dumps(answer, ensure_ascii=False), file=file)
        for name in names:
            print("  " + json.dumps(name, ensure_ascii=False), file=file)


def read(file):
    said, answer = {}, None
    for line in file:
        if line.startswith("  "):
            said[json.loads(line)] = answer
        else:
            answer = json.loads(line)
    return said
