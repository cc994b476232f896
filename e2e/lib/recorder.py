# SPDX-License-Identifier: Apache-2.0
"""What clients asked and were told, as tests/history reads it, and its judgement.

    recorder = Recorder(os.path.join(self.folder, "history"))
    api = recorder.api(member)                   # an Api whose calls are recorded
    watch = recorder.watch(members, b"a", b"b")  # a thread; taken up again on another member
    ...
    recorder.finish(members)                     # everybody caught up; dumps and hashes
    self.assertEqual("", recorder.check())
"""
import hashlib
import itertools
import json
import os
import queue
import subprocess
import threading
import time

import grpc

from .api import Api, pb
from .env import BIN, ROOT

# Without retries of its own: Debian's gRPC crashes in them when an old server (3.4's) goes away.
QUICK = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50),
         ("grpc.min_reconnect_backoff_ms", 100), ("grpc.enable_retries", 0)]
CAUGHT_UP_SECONDS = 60
# A watch that shows nothing for so long although it was asked is taken up elsewhere.
PATIENCE_S = 5
VALUE_MAX = 40
Code = grpc.StatusCode
# A request refused with one of these was never applied and never will be.
REFUSED = {Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE, Code.NOT_FOUND, Code.ALREADY_EXISTS,
           Code.PERMISSION_DENIED, Code.UNAUTHENTICATED, Code.RESOURCE_EXHAUSTED,
           Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED}
WORDS = {"required revision has been compacted": "compacted",
         "required revision is a future revision": "future",
         "requested lease not found": "lease", "permission denied": "denied",
         "user name is empty": "unnamed", "name not found": "missing",
         "name already exists": "present"}
KINDS = {"Range": "range", "Put": "put", "DeleteRange": "delete", "Txn": "txn",
         "Compact": "compact", "LeaseGrant": "grant", "LeaseRevoke": "revoke",
         "LeaseTimeToLive": "ttl", "AuthEnable": "auth_enable", "AuthDisable": "auth_disable",
         "AuthStatus": "auth_status", "UserAdd": "user_add", "UserDelete": "user_delete",
         "UserGrantRole": "user_grant", "UserRevokeRole": "user_revoke", "UserGet": "user_get",
         "RoleAdd": "role_add", "RoleDelete": "role_delete", "RoleGet": "role_get",
         "RoleGrantPermission": "role_grant", "RoleRevokePermission": "role_revoke"}
REQUESTS = {"Compact": "Compaction"}
PERMISSIONS = ["read", "write", "readwrite"]
NAMES = ["version", "create", "mod", "value", "lease"]
FIELDS = ["version", "create_revision", "mod_revision", "value", "lease"]


def program():
    """history_check: beside the binaries' tests, or in the dev preset's build."""
    places = [os.environ.get("KETCD_HISTORY_CHECK", ""),
              os.path.join(os.path.dirname(BIN), "tests", "history_check"),
              os.path.join(ROOT, "build", "dev", "tests", "history_check")]
    for path in places:
        if path and os.access(path, os.X_OK):
            return path
    raise AssertionError("history_check is missing: build the dev preset")


def check_file(path):
    """What history_check finds wrong in the file; empty: nothing."""
    done = subprocess.run([program(), path], capture_output=True, text=True, check=False,
                          errors="replace")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def text(data):
    return data.decode("latin-1")


def short(value):
    """A value, or what stands for it: equal ones stay equal, others differ."""
    if len(value) <= VALUE_MAX:
        return text(value)
    return f"#{len(value)}:{hashlib.sha1(value).hexdigest()[:20]}"


def kv_of(kv):
    return [text(kv.key), short(kv.value), kv.create_revision, kv.mod_revision, kv.version,
            kv.lease]


def op_range(request):
    if request.min_mod_revision or request.max_mod_revision \
            or request.min_create_revision or request.max_create_revision:
        raise ValueError("the history has no filtered ranges")
    if request.sort_target == 4 or (request.sort_target and not request.sort_order):
        raise ValueError("the history has not the values to sort by, and needs an order")
    return {"key": text(request.key), "end": text(request.range_end), "limit": request.limit,
            "order": ["", "ascend", "descend"][request.sort_order],
            "sort": ["", "version", "create", "mod"][request.sort_target],
            "revision": request.revision, "serializable": request.serializable,
            "keys_only": request.keys_only, "count_only": request.count_only}


def op_put(request):
    return {"key": text(request.key), "value": short(request.value), "lease": request.lease,
            "prev": request.prev_kv, "keep_value": request.ignore_value,
            "keep_lease": request.ignore_lease}


def op_delete(request):
    return {"key": text(request.key), "end": text(request.range_end), "prev": request.prev_kv}


def op_compare(compare):
    said = {"key": text(compare.key), "end": text(compare.range_end),
            "target": NAMES[compare.target], "is": ["=", ">", "<", "!="][compare.result]}
    value = getattr(compare, FIELDS[compare.target])
    said["value" if compare.target == 3 else "number"] = (short(value) if compare.target == 3
                                                          else value)
    return said


def op_inner(request):
    kind = request.WhichOneof("request")
    return op_of({"request_range": "Range", "request_put": "Put", "request_txn": "Txn",
                  "request_delete_range": "DeleteRange"}[kind], getattr(request, kind))


def op_txn(request):
    return {"if": [op_compare(compare) for compare in request.compare],
            "then": [op_inner(inner) for inner in request.success],
            "else": [op_inner(inner) for inner in request.failure]}


def op_role(request):
    if isinstance(request, pb.AuthRoleGrantPermissionRequest):
        return {"role": request.name, "key": text(request.perm.key),
                "end": text(request.perm.range_end),
                "permission": PERMISSIONS[request.perm.permType]}
    return {"role": request.role, "key": text(request.key), "end": text(request.range_end)}


def op_user_role(request):
    name = request.user if isinstance(request, pb.AuthUserGrantRoleRequest) else request.name
    return {"user": name, "role": request.role}


def nothing(_):
    return {}


MAKERS = {"Range": op_range, "Put": op_put, "DeleteRange": op_delete, "Txn": op_txn,
          "Compact": lambda request: {"revision": request.revision},
          "LeaseGrant": lambda request: {"lease": request.ID, "ttl": request.TTL},
          "LeaseRevoke": lambda request: {"lease": request.ID},
          "LeaseTimeToLive": lambda request: {"lease": request.ID, "keys": request.keys},
          "AuthEnable": nothing, "AuthDisable": nothing, "AuthStatus": nothing,
          "UserAdd": lambda request: {"user": request.name},
          "UserDelete": lambda request: {"user": request.name},
          "UserGet": lambda request: {"user": request.name},
          "UserGrantRole": op_user_role, "UserRevokeRole": op_user_role,
          "RoleAdd": lambda request: {"role": request.name},
          "RoleDelete": lambda request: {"role": request.role},
          "RoleGet": lambda request: {"role": request.role},
          "RoleGrantPermission": op_role, "RoleRevokePermission": op_role}


def op_of(name, request):
    said = {key: value for key, value in MAKERS[name](request).items() if value}
    return {"do": KINDS[name], **said}


def result_of(answer):
    """Whichever of the answers it is."""
    said = {"revision": answer.header.revision}
    if isinstance(answer, pb.RangeResponse):
        said.update(kvs=[kv_of(kv) for kv in answer.kvs], count=answer.count, more=answer.more)
    elif isinstance(answer, pb.PutResponse) and answer.HasField("prev_kv"):
        said.update(kvs=[kv_of(answer.prev_kv)])
    elif isinstance(answer, pb.DeleteRangeResponse):
        said.update(kvs=[kv_of(kv) for kv in answer.prev_kvs], count=answer.deleted)
    elif isinstance(answer, pb.TxnResponse):
        inner = [result_of(getattr(one, one.WhichOneof("response"))) for one in answer.responses]
        said.update(succeeded=answer.succeeded, results=inner)
    elif isinstance(answer, (pb.LeaseGrantResponse, pb.LeaseKeepAliveResponse)):
        said.update(ttl=answer.TTL)
    elif isinstance(answer, pb.LeaseTimeToLiveResponse):
        said.update(ttl=answer.TTL, granted=answer.grantedTTL,
                    names=[text(key) for key in answer.keys])
    elif isinstance(answer, pb.AuthStatusResponse):
        said.update(enabled=answer.enabled, auth_revision=answer.authRevision)
    elif isinstance(answer, pb.AuthUserGetResponse):
        said.update(names=list(answer.roles))
    elif isinstance(answer, pb.AuthRoleGetResponse):
        said.update(grants=[[text(one.key), text(one.range_end), PERMISSIONS[one.permType]]
                            for one in answer.perm])
    return said


def event_of(event):
    kind = "delete" if event.type == pb.Event.DELETE else "put"
    return [kind, kv_of(event.kv)] + ([kv_of(event.prev_kv)] if event.HasField("prev_kv") else [])


class Recorder:
    """Writes the file. run: fields of its run line (sane_clocks, slack, revision, kvs, …).
    stale_looks: etcd's own leaders say of leases what they know, without a look at who leads."""

    def __init__(self, path, stale_looks=False, **run):
        self.path, self.stale_looks = path, stale_looks
        self.lock = threading.Lock()
        self.file = open(path, "w", encoding="ascii")  # pylint: disable=consider-using-with
        self.open = {}
        self.numbers = itertools.count(1)
        self.members = {}
        self.watches = []
        self.answered = self.revision = 0
        self.times = []
        self.write({"type": "run", **run})

    def write(self, line):
        encoded = json.dumps(line, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(encoded)

    def number(self):
        return next(self.numbers)

    def member(self, member):
        """The number that stands for a member."""
        with self.lock:
            return self.members.setdefault(id(member), len(self.members) + 1)

    def api(self, member, **rest):
        return RecordedApi(self, member, **rest)

    def watch(self, members, key, end=b"", **fields):
        watch = RecordedWatch(self, members, key, end, **fields)
        self.watches.append(watch)
        watch.start()
        return watch

    def began(self, line):
        number = self.number()
        with self.lock:
            self.open[number] = line
        line["invoke"] = time.monotonic_ns()
        return number

    def ended(self, number, **rest):
        with self.lock:
            line = self.open.pop(number)
        line.update(rest)
        if rest["outcome"] == "ok":
            self.answered += 1
            self.times.append(line["return"])
            self.revision = max(self.revision, line["result"]["revision"])
        self.write(line)

    def longest_gap(self):
        """Seconds between two answers, at most."""
        times = sorted(self.times)
        return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e9

    def finish(self, members, seconds=CAUGHT_UP_SECONDS):
        """Once faults are over and the clients have ended: all members and watches come to the
        newest revision; each member's keys and hash are recorded."""
        newest = self.newest(members, seconds)
        for member in members:
            self.dump(member, newest, seconds)
        for watch in self.watches:
            watch.finish(newest)
        for watch in self.watches:
            watch.join(seconds)
            if watch.is_alive() or watch.broken:
                raise AssertionError(f"a watch does not come to {newest}: {watch.words()}")

    def newest(self, members, seconds):
        """What a read through consensus answers, once one does."""
        deadline = time.monotonic() + seconds
        for member in itertools.cycle(members):
            try:
                with self.api(member) as api:
                    return max(api.Range(key=b"\0", limit=1, timeout=5).header.revision,
                               self.revision)
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def dump(self, member, newest, seconds):
        deadline = time.monotonic() + seconds
        with Api(member, options=QUICK) as api:
            while True:
                try:
                    line = {"type": "call", "member": self.member(member), "op": {"do": "dump"},
                            "invoke": time.monotonic_ns(), "outcome": "ok"}
                    answer = api.Range(key=b"\0", range_end=b"\0", serializable=True, timeout=20)
                    if answer.header.revision >= newest:
                        break
                except grpc.RpcError:
                    pass
                if time.monotonic() > deadline:
                    raise AssertionError(f"member {line['member']} does not come to {newest}")
                time.sleep(0.1)
            line["return"] = time.monotonic_ns()
            line["result"] = {"revision": answer.header.revision,
                              "kvs": [kv_of(kv) for kv in answer.kvs]}
            self.write(line)
            found = api.HashKV(revision=newest, timeout=20)
            self.write({"type": "hash", "member": line["member"], "revision": newest,
                        "compact": found.compact_revision, "hash": found.hash})

    def close(self):
        """What is still open is unknown."""
        with self.lock:
            still_open = list(self.open.values())
            self.open.clear()
        for line in still_open:
            self.write({**line, "outcome": "unknown"})
        with self.lock:
            self.file.close()

    def check(self):
        """Closes; what is wrong, or nothing."""
        if not self.file.closed:
            self.close()
        return check_file(self.path)


class RecordedApi:
    """recorded.Range(key=b"a") and so on, as Api has them, and keepalive(lease). user: who that
    is, for the history; with a token, or by the client's certificate."""

    def __init__(self, recorder, member, timeout=5, user=None, token=None, **rest):
        self.recorder, self.timeout, self.user = recorder, timeout, user
        self.metadata = [("token", token)] if token else None
        self.client, self.member = recorder.number(), recorder.member(member)
        self.api = Api(member, options=QUICK, **rest)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.api.close()

    def close(self):
        self.api.close()

    def __getattr__(self, name):
        if name not in KINDS:
            return getattr(self.api, name)
        return lambda timeout=None, **fields: self.call(name, timeout or self.timeout, fields)

    def begin(self, op):
        who = {} if self.user is None else {"user": self.user}
        return self.recorder.began({"type": "call", "client": self.client,
                                    "member": self.member, "op": op, **who})

    def end(self, number, work):
        """Runs work, which answers; records how it went."""
        try:
            answer = work()
        except grpc.RpcError as error:
            if error.code() in REFUSED:
                said = next((word for words, word in WORDS.items() if words in error.details()),
                            error.details() or "")
                self.recorder.ended(number, outcome="failed", error=said,
                                    **{"return": time.monotonic_ns()})
            else:
                self.recorder.ended(number, outcome="unknown")
            raise
        self.recorder.ended(number, outcome="ok", result=result_of(answer),
                            **{"return": time.monotonic_ns()})
        return answer

    def call(self, name, timeout, fields):
        stem = f"Auth{name}" if name.startswith(("User", "Role")) else REQUESTS.get(name, name)
        request = getattr(pb, stem + "Request")(**fields)
        if name == "LeaseGrant" and not request.ID:
            request.ID = int.from_bytes(os.urandom(7), "big") | 1
        op = op_of(name, request)
        if name == "LeaseTimeToLive" and self.recorder.stale_looks:
            op["serializable"] = True
        number = self.begin(op)
        return self.end(number, lambda: getattr(self.api, name)(request, timeout=timeout,
                                                                metadata=self.metadata))

    def keepalive(self, lease):
        """The answer; its TTL is 0 when there is no such lease."""
        number = self.begin({"do": "keepalive", "lease": lease})
        stream = self.api.stream("LeaseKeepAlive")
        try:
            return self.end(number, lambda: self._next(stream, lease))
        finally:
            stream.close()

    def _next(self, stream, lease):
        stream.send(pb.LeaseKeepAliveRequest(ID=lease))
        try:
            return stream.next(timeout=self.timeout)
        except (queue.Empty, EOFError) as error:
            raise NoAnswer() from error


class NoAnswer(grpc.RpcError):
    """A stream that stays silent."""

    def code(self):
        return Code.DEADLINE_EXCEEDED

    def details(self):
        return "no answer"


class RecordedWatch(threading.Thread):
    """Follows from start on; what breaks or goes silent is taken up again from the next revision,
    on the next of the members; what was compacted away meanwhile is skipped."""

    def __init__(self, recorder, members, key, end, start=0, **fields):
        super().__init__(daemon=True)
        self.recorder, self.members = recorder, members
        self.fields = {"key": key, "range_end": end, "prev_kv": True, **fields}
        self.next, self.passed, self.until = start, 0, None
        self.count, self.broken = 0, ""

    def words(self):
        return f"at {self.next}, {self.count} events, {self.broken or 'silent'}"

    def finish(self, until):
        """Ends once it has passed that revision."""
        self.until = until

    def is_done(self):
        return self.until is not None and self.passed >= self.until

    def run(self):
        for turn in itertools.count():
            members = list(self.members)  # which may come and go meanwhile
            member = members[turn % len(members)]
            try:
                with Api(member, options=QUICK) as api:
                    self.follow(api, member)
            except (grpc.RpcError, EOFError, queue.Empty):
                pass
            except Exception as error:  # pylint: disable=broad-except
                self.broken = repr(error)
            if self.is_done() or self.broken:
                return
            time.sleep(0.05)

    def follow(self, api, member):
        stream = api.stream("Watch")
        try:
            stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(
                start_revision=self.next, **self.fields)))
            created = stream.next(timeout=PATIENCE_S)
            watch = self.recorder.number()
            filters = self.fields.get("filters", [])
            self.recorder.write({
                "type": "watch", "watch": watch, "client": watch,
                "member": self.recorder.member(member), "time": time.monotonic_ns(),
                "revision": created.header.revision, "key": text(self.fields["key"]),
                "end": text(self.fields["range_end"]), "start": self.next,
                "no_put": 0 in filters, "no_delete": 1 in filters,
                "prev": self.fields["prev_kv"], "fragment": self.fields.get("fragment", False)})
            self.next = self.next or created.header.revision + 1
            self.listen(stream, watch)
        finally:
            stream.close()

    def listen(self, stream, watch):
        silent_since, is_torn = time.monotonic(), False
        while not self.is_done() or is_torn:
            try:
                answer = stream.next(timeout=0.2 if self.until is not None else 1)
            except queue.Empty:
                if time.monotonic() - silent_since > PATIENCE_S:
                    return
                stream.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
                continue
            silent_since, is_torn = time.monotonic(), answer.fragment
            self.take(answer, watch)
            if answer.canceled:
                return

    def take(self, answer, watch):
        self.recorder.write({
            "type": "response", "watch": watch, "time": time.monotonic_ns(),
            "revision": answer.header.revision, "events": [event_of(e) for e in answer.events],
            "fragment": answer.fragment, "canceled": answer.canceled,
            "compact": answer.compact_revision})
        if answer.canceled:
            self.next = max(self.next, answer.compact_revision)
        elif answer.events:
            last = answer.events[-1].kv.mod_revision
            self.count += len(answer.events)
            # The rest of a revision that came in fragments is asked for again.
            self.next = last if answer.fragment else last + 1
            self.passed = max(self.passed, self.next - 1)
        else:
            self.passed = max(self.passed, answer.header.revision)
            self.next = max(self.next, self.passed + 1)
