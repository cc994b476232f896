# SPDX-License-Identifier: Apache-2.0
"""The two members that are compared, each with its streams and what it said on them."""
import http.client
import os
import queue
import shutil
import threading
import time

import grpc

from lib.api import pb
from lib.env import binary, free_port, reference
from lib.member import Member

from .script import UNARY, answer_type, full_path, method, request_type

CALL_SECONDS = 60
START_SECONDS = 120
STREAM_SECONDS = 3600
DUE = ("\netcd_debugging_mvcc_slow_watcher_total ", "\netcd_debugging_mvcc_pending_events_total ")
LABELLED = 0x7000000000000000
REFUSED = -2
FLAGS = ["--unsafe-no-fsync", "--log-level=error", "--bcrypt-cost=4",
         "--auth-token-ttl=3600"]
# For the reference: less time spent on what is not compared.
THRIFTY = {"GOMAXPROCS": "1", "GOGC": "400"}
PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.use_local_subchannel_pool", 1)]


class Twin(Member):
    """Both advertise the same URLs, so that their ids are the same."""

    def __init__(self, folder, program, peer_url, flags):
        super().__init__(folder, program=program, flags=[*FLAGS, *flags], env=THRIFTY)
        self.advertised = peer_url

    def command(self):
        return [part.replace(self.peer_url, self.advertised).replace(
                    f"--listen-peer-urls={self.advertised}", f"--listen-peer-urls={self.peer_url}")
                if "peer" in part or "initial-cluster" in part
                else part.replace("--advertise-client-urls=" + self.client_url,
                                  "--advertise-client-urls=" + self.advertised)
                for part in super().command()]


class WatchLog:
    """One watch stream of one side: what came, by watch id, events merged over answers."""

    def __init__(self, side, changed):
        self.side, self.changed = side, changed
        self.created = 0
        self.progress = []
        self.by_id = {}
        self.canceled = 0
        self.live = {}  # start revision by watch id
        self.newest = None
        self.barrier = False
        self.compacted = set()
        self.ended = None
        self.wrong = []
        self.last = {}
        self.requests = queue.Queue()
        self.call = side.bidi("Watch", "Watch", "Watch")(iter(self.requests.get, None),
                                                         metadata=side.metadata)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for answer in self.call:
                with self.changed:
                    self._take(answer)
                    self.changed.notify_all()
            end = "the stream ended"
        except grpc.RpcError as error:
            end = f"{error.code().name}: {error.details()}"
        with self.changed:
            self.ended = end
            self.changed.notify_all()

    def _take(self, answer):
        is_refusal = answer.created and answer.canceled
        # A refusal's -1 is no number, though a watch may be called that: it has a list of its own.
        number = REFUSED if is_refusal else answer.watch_id
        items = self.by_id.setdefault(number, [])
        if answer.events:
            self._take_events(answer, items)
        elif answer.created or answer.canceled:
            self.created += answer.created
            self.canceled += answer.canceled
            items.append(answer)
            if is_refusal:
                return
            self.last.pop(number, None)  # a number may be another watch's the next time
            if answer.canceled:
                self.live.pop(number, None)
                self.compacted.discard(number)
                if answer.compact_revision:
                    self.compacted.add(number)
            else:
                self.live[number] = 0
                self.newest = number
        elif number == -1 and self.barrier:
            self.barrier = False
        elif number == -1:
            self.progress.append(answer)

    def _take_events(self, answer, items):
        """What may differ is how events are grouped; a revision is never split but in fragments."""
        first, highest = answer.events[0].kv.mod_revision, 0
        if self.last.get(answer.watch_id, 0) >= first:
            self.wrong.append(f"revision {first} came in two answers to {answer.watch_id}")
        for event in answer.events:
            if event.kv.mod_revision < highest:
                self.wrong.append(f"revision {event.kv.mod_revision} behind {highest}")
            highest = event.kv.mod_revision
            items.append(self.side.unlabelled(event))
        if answer.header.revision < highest:
            self.wrong.append(f"header {answer.header.revision} below event {highest}")
        if not answer.fragment:
            self.last[answer.watch_id] = highest

    def ask_barrier(self, revision):
        """Asks for progress, which is answered behind all events so far, and returns itself; None
        when there would be no answer, False when no event can be on its way."""
        with self.changed:
            if self.ended or not self.live:
                return False
            if self.compacted or max(self.live.values()) > revision:
                return None
            self.barrier = True
        self.requests.put(PROGRESS)
        return self

    def close(self):
        self.requests.put(None)
        self.call.cancel()


class Side:
    """One member and its client."""

    def __init__(self, member, changed):
        self.member, self.changed = member, changed
        self.labels = {}
        self.watches = {}
        self.channel = None
        self.keepalive = None
        self.calls = {}
        self.first_index = self.member_id = 0
        self.tokens = []
        self.metadata = ()
        self.http = None

    def start(self):
        shutil.rmtree(self.member.folder, ignore_errors=True)
        self.member.start(wait=False)

    def connect(self):
        self.member.wait_ready(START_SECONDS)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.member.client_port}", OPTIONS)
        for name in UNARY:
            self.calls[name] = self.channel.unary_unary(
                full_path(method(name)),
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=answer_type(name).FromString)
        self.member_id = self.calls["Status"](pb.StatusRequest()).header.member_id
        self.first_index = self._settled_index()

    def _settled_index(self):
        """What a member proposes when it starts is behind it: the cluster's version, its URLs."""
        end = time.monotonic() + START_SECONDS
        while "not_decided" in self.member.get("/version")[1] or not self.calls["MemberList"](
                pb.MemberListRequest()).members[0].clientURLs:
            if time.monotonic() > end:
                raise AssertionError(f"{self.member.program} does not settle")
            time.sleep(0.05)
        return self.calls["Status"](pb.StatusRequest()).raftIndex

    def drain(self, logs, is_past, revision):
        """Until these streams are caught up with, and their events ahead of the answers to come.
        The reference's count of pending events never comes down by those that a filter took: so
        what was asked for behind them is waited for, and where it is not answered, the count's
        rest."""
        if is_past:
            self.catch_up()
        asked = [log.ask_barrier(revision) for log in logs]
        if None in asked:
            self._until_due(lambda now, before: now == before)
        with self.changed:
            if not self.changed.wait_for(
                    lambda: not any(log and log.barrier and not log.ended for log in asked),
                    START_SECONDS):
                raise AssertionError(f"{self.member.program} does not deliver: "
                                     f"{[log.live for log in logs]} at {revision}")

    def catch_up(self):
        """Until every watch has had what was there before it."""
        self._until_due(lambda now, _: not float(now[0]))

    def _until_due(self, condition):
        end, before = time.monotonic() + START_SECONDS, None
        while time.monotonic() < end:
            now = due(self.metrics())
            if condition(now, before):
                return
            before = now
            time.sleep(0.05)
        raise AssertionError(f"{self.member.program} does not catch up: {now}")

    def metrics(self):
        try:
            return self._ask("GET", "/metrics")[1]
        except (OSError, http.client.HTTPException):
            return self._ask("GET", "/metrics")[1]

    def _ask(self, verb, path, body=None, headers=None):
        """The answer and its text."""
        if not self.http:
            self.http = http.client.HTTPConnection("127.0.0.1", self.member.client_port,
                                                   timeout=CALL_SECONDS)
        try:
            self.http.request(verb, path, body, headers or {})
            answer = self.http.getresponse()
            return answer, answer.read().decode("latin-1")
        except (OSError, http.client.HTTPException):
            self.http = None
            raise

    def post(self, path, body):
        """Status, kind and body of the gateway's answer, ids that this side chose replaced."""
        headers = {"Authorization": self.metadata[0][1]} if self.metadata else {}
        try:
            answer, text = self._ask("POST", path, body.encode("latin-1"), headers)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        for number, (_, actual) in enumerate(self.labels.items()):
            text = text.replace(f'"{actual}"', f'"{LABELLED + number}"')
        return f"{answer.status} {answer.getheader('Content-Type')} {text}"

    def stream(self, name, request):
        """The iterator of a call with many answers."""
        return self.channel.unary_stream(
            full_path(method(name)), request_serializer=request_type(name).SerializeToString,
            response_deserializer=answer_type(name).FromString)(
                request, timeout=STREAM_SECONDS, metadata=self.metadata)

    def label(self, label, answer):
        """What this side chose is known by the label from now on."""
        number = answer.member.ID if label.startswith("M") else answer.ID
        if number:
            self.labels[label] = number

    def bidi(self, service, name, stem):
        return self.channel.stream_stream(
            f"/etcdserverpb.{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(pb, stem + "Response").FromString)

    def stop(self):
        for watch in self.watches.values():
            watch.close()
        if self.keepalive:
            self.keepalive[0].put(None)
            self.keepalive[1].cancel()
        if self.channel:
            self.channel.close()
        if self.http:
            self.http.close()
        if self.member.process and self.member.process.poll() is None:
            self.member.kill()
        shutil.rmtree(self.member.folder, ignore_errors=True)

    def alive(self):
        return self.member.process.poll() is None

    def unlabelled(self, message):
        """The message with ids this side chose replaced by what both call them."""
        if self.labels:
            self._replace(message, {actual: LABELLED + number
                                    for number, (_, actual) in enumerate(self.labels.items())})
        return message

    def _replace(self, message, ids):
        for field, value in message.ListFields():
            if field.name in ("lease", "ID") and value in ids:
                setattr(message, field.name, ids[value])
            elif field.message_type:
                for inner in value if field.label == field.LABEL_REPEATED else [value]:
                    self._replace(inner, ids)

    def keep_alive(self, message):
        """Sends on the one keep-alive stream; the answer comes from answer_of()."""
        if not self.keepalive:
            requests = queue.Queue()
            call = self.bidi("Lease", "LeaseKeepAlive", "LeaseKeepAlive")
            self.keepalive = (requests, call(iter(requests.get, None), metadata=self.metadata,
                                             timeout=STREAM_SECONDS))
        self.keepalive[0].put(message)

    def watch(self, number):
        if number not in self.watches:
            self.watches[number] = WatchLog(self, self.changed)
        return self.watches[number]


def due(metrics):
    """The values of DUE."""
    return [metrics[metrics.index(name) + len(name):].split("\n", 1)[0] for name in DUE]


def twins(folder, flags):
    """Ours and the reference, not started; on the same ports each time."""
    changed = threading.Condition()
    free_port.next = twins.first = getattr(twins, "first", None) or free_port()
    peer_url = f"http://127.0.0.1:{free_port()}"
    ours = Twin(os.path.join(folder, "ours"), binary("etcd"), peer_url, flags)
    theirs = Twin(os.path.join(folder, "reference"), reference("etcd"), peer_url, flags)
    return Side(ours, changed), Side(theirs, changed)
