# SPDX-License-Identifier: Apache-2.0
"""Runs a script against both members and finds the first difference."""
import collections
import re
import time

import grpc

from lib.api import pb

from .known import MALFORMED, Difference, forget, is_known, shown
from .script import MACRO, answer_type, full_path, request_type
from .sides import CALL_SECONDS, twins
from .waiting import Waiting
from .watching import Watching

EXPIRY_SECONDS = 120
LONG_TTL = 60
END_SECONDS = 10
# A range_end that is there and empty, which to the reference is open: see KNOWN.md.
OPEN, EMPTY_END = ("Range", "DeleteRange", "Txn"), b"\x12\0"
REVISION = re.compile(r"rev([+-]\d+)?$")
HEADER_REVISION = re.compile(r'"header":\{[^}]*"revision":"(\d+)"')
JSON_COMPACTION = re.compile(r'/kv/compaction .*"revision": *"?(\d+)')
SESSIONS = ("Lock", "Campaign", "Proclaim", "Resign")
# Users and roles are asked for through the log.
READ_ONLY = ("Range", "LeaseTimeToLive", "LeaseLeases", "MemberList", "Status", "HashKV")
LEFT = re.compile(r'"TTL":"(\d+)", *"grantedTTL":"(\d+)"')
LEASE = re.compile(r'\{"ID":"-?\d+"\}')
# By ids, which each side chose.
UNORDERED = re.compile(r'"(?:members|alarms)":\[.*\]\}')
ONE = re.compile(r"\{[^{}]*\}")
# The reference's last words when compaction took a row that is still a key's: see KNOWN.md.
LOST_ROW = "range failed to find revision pair"
TOO_SLOW = "too slow"
OF_KEY = {"mod": "mod_revision", "create": "create_revision", "version": "version"}


class Parted(Exception):
    """One took what the other rightly refused: what they hold is not the same any more. Tells
    why."""


class Pair(Watching, Waiting):
    """A fresh member of each kind, asked the same."""

    def __init__(self, folder, flags=()):
        self.ours, self.theirs = self.sides = twins(folder, flags)
        self.changed = self.ours.changed
        self.revision = 1
        self.compacted = 0
        self.attached = False  # a lease whose id the sides chose
        self.is_past = False  # a watch that began in the past may not be caught up with
        self.until = None  # until then leases that are about to run out have not
        self.sessions = False  # somebody asked for a lock or an election
        self.pending = {}
        self.looked = None  # the revision at which those who wait were looked after
        self.observed = {}
        self.operations = 0
        self.passed_over = 0  # of these: nothing was compared, for nothing can be
        self.parted = None  # why it ended before the script did
        self.outcomes = collections.Counter()

    def __enter__(self):
        try:
            for side in self.sides:
                side.start()
            for side in self.sides:
                side.connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for side in self.sides:
            side.stop()

    def run(self, operations):
        """Returns (index, Difference) or None."""
        for index, operation in enumerate(operations):
            try:
                self.step(operation)
                self.in_time(operation)
                self.look_after_waiters()
            except Difference as found:
                if not self.is_late():
                    return index, found
                self.parted = TOO_SLOW
            except Parted as why:
                self.parted = str(why)
            if self.parted:
                break
            self.operations += 1
        return None

    def is_late(self):
        return self.until is not None and time.monotonic() > self.until

    def in_time(self, operation):
        """On a machine too slow to ask of a short lease before its end, nothing is compared."""
        if operation.name in ("Expire", "LeaseRevoke"):
            self.until = None
        elif self.is_late():
            self.count(TOO_SLOW, None)
            raise Parted(TOO_SLOW)

    def step(self, operation):
        STEPS.get(operation.name, Pair.unary)(self, operation)

    # Requests.

    def resolve(self, side, macro):
        found = REVISION.match(macro)
        if found:
            return str(self.revision + int(found[1] or 0))
        if macro == "member":
            return str(self.theirs.member_id)
        if macro in side.labels:
            return str(side.labels[macro])
        if macro[0] in "LM":
            return "404"
        word, key = macro.split(" ")
        outcome = call(self.theirs, "Range", pb.RangeRequest(key=key.encode()))
        kvs = [] if isinstance(outcome, tuple) else outcome.kvs
        return str(getattr(kvs[0], OF_KEY[word]) if kvs else 0)

    def messages(self, operation):
        """For each side its own; the same when no id is in it that the sides chose."""
        theirs = operation.message(lambda macro: self.resolve(self.theirs, macro))
        if any(macro[0] in "LM" for macro in MACRO.findall(operation.text)):
            return [operation.message(lambda macro: self.resolve(self.ours, macro)), theirs]
        return [theirs, theirs]

    # Unary calls.

    def unary(self, operation):
        name = operation.name
        if name == "Compact":
            self.settle_past()
        requests = self.messages(operation)
        if name in ("HashKV", "Hash") and self.attached:
            self.passed_over += 1
            return
        self.sessions = self.sessions or name in SESSIONS
        self.attached = self.attached or "lease: <L" in operation.text
        self.compare(operation, requests[1], self.ask_both(name, requests))

    def ask_both(self, name, requests):
        """A compaction that is not waited for leaves its hash when it is done."""
        end = time.monotonic() + END_SECONDS
        while True:
            outcomes = [call(side, name, request) for side, request in zip(self.sides, requests)]
            if name != "HashKV" or requests[1].revision != self.compacted or \
                    any(isinstance(one, tuple) for one in outcomes) or \
                    outcomes[0].compact_revision == outcomes[1].compact_revision or \
                    time.monotonic() > end:
                return outcomes
            time.sleep(0.05)

    def compare(self, operation, request, outcomes):
        ours, theirs = outcomes
        name = operation.name
        self.count(name, theirs)
        good = [not isinstance(one, tuple) for one in outcomes]
        for side, one, is_good in zip(self.sides, outcomes, good):
            if is_good and operation.label:
                side.label(operation.label, one)
        if all(good):
            self.took(name, request, theirs)
            ours, theirs = (self.comparable(name, side, one)
                            for side, one in zip(self.sides, outcomes))
        if ours != theirs and not is_known(name, request, ours, theirs):
            if isinstance(theirs, tuple) and theirs[0] == "UNAVAILABLE" and self.lost_row():
                raise Parted(LOST_ROW)
            raise Difference(name, shown(ours), shown(theirs) + self.who_is_gone())

    def comparable(self, name, side, answer):
        """Leases come by when they end; once a session renews some, that is nobody's to say."""
        answer = forget(name, side.unlabelled(answer), side.first_index)
        if name == "LeaseLeases" and self.sessions:
            answer.leases.sort(key=lambda lease: lease.ID)
        return answer

    def took(self, name, request, answer):
        """What both answered, the store is at its revision now."""
        if hasattr(answer, "header"):
            self.revision = max(self.revision, answer.header.revision)
        if name == "LeaseGrant" and answer.TTL < LONG_TTL:
            self.until = time.monotonic() + answer.TTL / 2
        if name == "Compact":
            self.compacted = max(self.compacted, request.revision)

    def count(self, name, outcome):
        self.outcomes[name, outcome[0] if isinstance(outcome, tuple) else "OK"] += 1

    def lost_row(self):
        """Whether the reference, which does not answer, ends for want of a row."""
        end = time.monotonic() + END_SECONDS
        while self.theirs.alive() and time.monotonic() < end:
            time.sleep(0.05)
        return LOST_ROW in self.who_is_gone()

    def who_is_gone(self):
        return "".join(f"\n{side.member.program} is gone:\n{side.member.log_tail()}"
                       for side in self.sides if not side.alive())

    def keep_alive(self, operation):
        requests = self.messages(operation)
        for side, request in zip(self.sides, requests):
            side.keep_alive(request)
        outcomes = []
        for side in self.sides:
            try:
                outcomes.append(next(side.keepalive[1]))
            except grpc.RpcError as error:
                outcomes.append((error.code().name, error.details()))
                side.keepalive = None
        self.compare(operation, requests[1], outcomes)

    def expire(self, operation):
        """Both count their own time: only that it ends is the same."""
        for side in self.sides:
            end = time.monotonic() + EXPIRY_SECONDS
            request = operation.message(lambda macro, side=side: self.resolve(side, macro))
            while time.monotonic() < end:
                outcome = call(side, "LeaseTimeToLive", request)
                if isinstance(outcome, tuple) or outcome.TTL < 0:
                    break
                time.sleep(0.1)
        self.settle_revision()
        self.sync()

    def snapshot(self, operation):
        """What is in it differs by nature; who may have it does not."""
        outcomes = []
        for side, request in zip(self.sides, self.messages(operation)):
            try:
                outcomes.append(any([part.blob for part in side.stream("Snapshot", request)]))
            except grpc.RpcError as error:
                outcomes.append((error.code().name, error.details()))
        self.count("Snapshot", outcomes[1] if isinstance(outcomes[1], tuple) else None)
        if outcomes[0] != outcomes[1] and not is_known("Snapshot", None, *outcomes):
            raise Difference("Snapshot", *map(shown, outcomes))

    # Who asks.

    def authenticate(self, operation):
        """A token is its side's own; whoever was refused asks on as before."""
        requests = self.messages(operation)
        outcomes = [call(side, "Authenticate", request)
                    for side, request in zip(self.sides, requests)]
        given = [not isinstance(one, tuple) and one.token for one in outcomes]
        for side, token, outcome in zip(self.sides, given, outcomes):
            if token:
                side.tokens.append(token)
                side.metadata = (("token", token),)
                outcome.token = "given"
        self.compare(operation, requests[1], outcomes)

    def nobody(self, _):
        for side in self.sides:
            side.metadata = ()

    def token(self, operation):
        for side in self.sides:
            if side.tokens:
                at = (operation.stream - 1) % len(side.tokens)
                side.metadata = (("token", side.tokens[at]),)

    # Requests that are not messages.

    def json(self, operation):
        text = operation.expanded(lambda macro: self.resolve(self.theirs, macro))
        path, _, body = text.partition(" ")
        compaction = JSON_COMPACTION.search(text)
        if compaction:
            self.settle_past()
        if path.endswith(("/lock", "/campaign")) and self.would_wait(body):
            self.passed_over += 1
            return
        self.sessions = self.sessions or path.split("/")[-1].capitalize() in SESSIONS
        outcomes = [json_settled(side.post(path, body)) for side in self.sides]
        if "/cluster/member/" in path or path.endswith("/alarm"):
            outcomes = [UNORDERED.sub(lambda found: str(sorted(ONE.findall(found[0]))), one)
                        for one in outcomes]
        if path.endswith("/leases") and self.sessions:
            outcomes = [LEASE.sub("", one) + str(sorted(LEASE.findall(one))) for one in outcomes]
        self.count("Json " + path[:40], (outcomes[1][:3],))
        if outcomes[0] != outcomes[1] and not is_known("Json", path, *outcomes):
            raise Difference("Json", *map(shown, outcomes))
        header = HEADER_REVISION.search(outcomes[1])
        if header:
            self.revision = max(self.revision, int(header[1]))
        if compaction and outcomes[1].startswith("200"):
            self.compacted = max(self.compacted, int(compaction[1]))

    def raw(self, operation):
        """Bytes: what both take is compared like any other answer."""
        path, data, name = operation.raw()
        if path.endswith("/Compact"):
            self.settle_past()
        outcomes = [unary_bytes(side, full_path(path), data) for side in self.sides]
        self.count("Raw", outcomes[1] if isinstance(outcomes[1], tuple) else b"")
        if not any(isinstance(one, tuple) for one in outcomes):
            if name:
                self.both_took(name, request_type(name).FromString(data), [*outcomes, data])
            return
        ours, theirs = (one if isinstance(one, tuple) else "taken" for one in outcomes)
        if ours != theirs:
            if not is_known("Raw", operation.raw(), ours, theirs):
                raise Difference("Raw", shown(ours), shown(theirs) + self.who_is_gone())
            if theirs[0] == "UNAVAILABLE":
                raise Parted("it panicked, as KNOWN.md tells")
            if name not in READ_ONLY and (theirs == "taken" or
                                          not theirs[1].startswith(MALFORMED)):
                raise Parted("one took what is no message")

    def both_took(self, name, request, outcomes):
        ours, theirs = (self.comparable(name, side, answer_type(name).FromString(one))
                        for side, one in zip(self.sides, outcomes))
        self.took(name, request, theirs)
        if ours != theirs and name in OPEN and EMPTY_END in outcomes[2]:
            raise Parted("an end that is there and empty")
        if ours != theirs and name != "HashKV" and not is_known(name, request, ours, theirs):
            raise Difference("Raw", shown(ours), shown(theirs))

    def settle_revision(self):
        """What came about by itself is the last revision too."""
        for side in self.sides:
            outcome = call(side, "AuthStatus", pb.AuthStatusRequest())
            if not isinstance(outcome, tuple):
                self.revision = max(self.revision, outcome.header.revision)


def json_settled(text):
    """The seconds that are left of a lease are each side's own."""
    return LEFT.sub(lambda found: found[0].replace(found[1], found[2], 1)
                    if 0 < int(found[1]) <= int(found[2]) else found[0], text)


def call(side, name, request):
    """The answer, or (code, text)."""
    try:
        return side.calls[name](request, timeout=CALL_SECONDS, metadata=side.metadata)
    except grpc.RpcError as error:
        return error.code().name, error.details()


def unary_bytes(side, path, data):
    try:
        return side.channel.unary_unary(path)(data, timeout=CALL_SECONDS, metadata=side.metadata)
    except grpc.RpcError as error:
        return error.code().name, error.details()


# What is not a unary call.
STEPS = {"LeaseKeepAlive": Pair.keep_alive, "Authenticate": Pair.authenticate,
         "Nobody": Pair.nobody, "Token": Pair.token, "Json": Pair.json, "Raw": Pair.raw,
         "Lock": Pair.queue, "Campaign": Pair.queue, "Observe": Pair.observe,
         "Abandon": Pair.abandon, "Snapshot": Pair.snapshot, "Expire": Pair.expire,
         "Watch": Pair.watch, "WatchClose": Pair.close_watch,
         "Sync": lambda pair, _: pair.settle(), "Member": lambda pair, _: None}
