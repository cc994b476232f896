# SPDX-License-Identifier: Apache-2.0
"""Raw gRPC with the messages of base/proto: what is sent is what a case says, to the field."""
import os
import queue
import subprocess
import tempfile
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from .env import ROOT

PROTO = os.path.join(ROOT, "base", "proto")
UNARY = {
    "KV": "Range:Range Put:Put DeleteRange:DeleteRange Txn:Txn Compact:Compaction",
    "Lease": "LeaseGrant:LeaseGrant LeaseRevoke:LeaseRevoke LeaseTimeToLive:LeaseTimeToLive "
             "LeaseLeases:LeaseLeases",
    "Cluster": "MemberList:MemberList MemberAdd:MemberAdd MemberRemove:MemberRemove "
               "MemberUpdate:MemberUpdate MemberPromote:MemberPromote",
    "Maintenance": "Alarm:Alarm Status:Status Defragment:Defragment Hash:Hash HashKV:HashKV "
                   "MoveLeader:MoveLeader Downgrade:Downgrade",
    "Auth": "AuthEnable:AuthEnable AuthDisable:AuthDisable AuthStatus:AuthStatus "
            "Authenticate:Authenticate UserAdd:AuthUserAdd UserDelete:AuthUserDelete "
            "UserGet:AuthUserGet UserGrantRole:AuthUserGrantRole "
            "UserRevokeRole:AuthUserRevokeRole RoleAdd:AuthRoleAdd RoleDelete:AuthRoleDelete "
            "RoleGet:AuthRoleGet RoleGrantPermission:AuthRoleGrantPermission "
            "RoleRevokePermission:AuthRoleRevokePermission",
}
SERVER_STREAMS = {"RangeStream": ("KV", "RangeRequest", "RangeStreamResponse"),
                  "Snapshot": ("Maintenance", "SnapshotRequest", "SnapshotResponse")}
BOTH_STREAMS = {"Watch": ("Watch", "WatchRequest", "WatchResponse"),
                "LeaseKeepAlive": ("Lease", "LeaseKeepAliveRequest", "LeaseKeepAliveResponse")}


def load():
    """The messages by full name, compiled from the same files as the member's."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "set")
        subprocess.run(["protoc-c", f"--descriptor_set_out={path}", "--include_imports",
                        f"-I{PROTO}", "rpc.proto", "health.proto", "v3lockpb.proto",
                        "v3electionpb.proto"], check=True, timeout=60)
        with open(path, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
    pool = descriptor_pool.DescriptorPool()
    factory = message_factory.MessageFactory(pool)
    messages = {}
    for file in files:
        pool.Add(file)
        for message in file.message_type:
            name = f"{file.package}.{message.name}"
            messages[name] = factory.GetPrototype(pool.FindMessageTypeByName(name))
    return messages


MESSAGES = load()


class Messages:
    """pb.RangeRequest and so on."""

    def __getattr__(self, name):
        for package in ("etcdserverpb", "mvccpb", "authpb", "grpc.health.v1"):
            if f"{package}.{name}" in MESSAGES:
                return MESSAGES[f"{package}.{name}"]
        raise AttributeError(name)


pb = Messages()


def prefix_end(prefix):
    """The smallest key behind all keys with this prefix."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1])


def compare(key, target, number, result=0):
    """VERSION, CREATE, MOD or LEASE of key against a number."""
    field = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision",
             "LEASE": "lease"}[target]
    order = ["VERSION", "CREATE", "MOD", "VALUE", "LEASE"]
    return pb.Compare(result=result, target=order.index(target), key=key, **{field: number})


def op_put(key, value, **rest):
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, **rest))


def op_get(key, **rest):
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, **rest))


def op_delete(key, **rest):
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, **rest))


class Stream:
    """A bidirectional call: send() as one likes, next() with a time limit."""

    def __init__(self, call, metadata=None):
        self.requests = queue.Queue()
        self.answers = queue.Queue()
        self.call = call(iter(self.requests.get, None), metadata=metadata)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            for answer in self.call:
                self.answers.put(answer)
            self.answers.put(EOFError("the stream ended"))
        except grpc.RpcError as error:
            self.answers.put(error)

    def send(self, request):
        self.requests.put(request)

    def next(self, timeout=60):
        """The next answer; the error that ended the stream; queue.Empty when none comes."""
        answer = self.answers.get(timeout=timeout)
        if isinstance(answer, Exception):
            self.answers.put(answer)
            raise answer
        return answer

    def events(self, count, timeout=60):
        """That many events, over as many answers as they take."""
        got = []
        while len(got) < count:
            got += self.next(timeout).events
        return got

    def close(self):
        self.requests.put(None)
        self.call.cancel()
        self.reader.join(60)


class Api:
    """One connection. api.Range(key=b"a") sends that RangeRequest and returns the answer."""

    def __init__(self, member, client="client", options=()):
        options = [("grpc.max_receive_message_length", -1),
                   ("grpc.use_local_subchannel_pool", 1), *options]
        target = getattr(member, "target", f"127.0.0.1:{member.client_port}")
        if member.certs:
            self.channel = grpc.secure_channel(target, credentials(member.certs, client), options)
        else:
            self.channel = grpc.insecure_channel(target, options)
        self.calls = {}
        for service, methods in UNARY.items():
            for method in methods.split():
                name, stem = method.split(":")
                self.calls[name] = self._unary(service, name, stem)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()

    def _unary(self, service, name, stem):
        request = getattr(pb, stem + "Request")
        call = self.channel.unary_unary(
            f"/etcdserverpb.{service}/{name}", request_serializer=request.SerializeToString,
            response_deserializer=getattr(pb, stem + "Response").FromString)
        return lambda message=None, timeout=60, metadata=None, **fields: call(
            message if message is not None else request(**fields), timeout=timeout,
            metadata=metadata)

    def __getattr__(self, name):
        try:
            return self.calls[name]
        except KeyError:
            raise AttributeError(name) from None

    def streaming(self, name, timeout=60, **fields):
        """RangeStream and Snapshot: an iterator of answers."""
        service, request, answer = SERVER_STREAMS[name]
        call = self.channel.unary_stream(
            f"/etcdserverpb.{service}/{name}",
            request_serializer=getattr(pb, request).SerializeToString,
            response_deserializer=getattr(pb, answer).FromString)
        return call(getattr(pb, request)(**fields), timeout=timeout)

    def stream(self, name, metadata=None):
        service, request, answer = BOTH_STREAMS[name]
        return Stream(self.channel.stream_stream(
            f"/etcdserverpb.{service}/{name}",
            request_serializer=getattr(pb, request).SerializeToString,
            response_deserializer=getattr(pb, answer).FromString), metadata)

    def watch(self, key, metadata=None, **fields):
        """A watch on a stream of its own; its created answer is waited for."""
        stream = self.stream("Watch", metadata)
        stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key, **fields)))
        created = stream.next()
        if not created.created:
            raise AssertionError(f"not created: {created}")
        stream.created = created
        return stream

    def raw(self, path, body, timeout=60):
        """Bytes as they are, to a unary call."""
        return self.channel.unary_unary(path)(body, timeout=timeout)


def credentials(certs, client="client"):
    def read(path):
        with open(path, "rb") as file:
            return file.read()
    if not client:
        return grpc.ssl_channel_credentials(read(certs.ca))
    cert, key = certs.pair(client)
    return grpc.ssl_channel_credentials(read(certs.ca), read(key), read(cert))
