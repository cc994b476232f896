# SPDX-License-Identifier: Apache-2.0
"""Runs a script against both members and finds the first difference."""
import re
import time

import grpc
from google.protobuf import text_format

from lib.api import pb

from .known import MALFORMED, forget, is_known
from .sides import twins

CALL_SECONDS = 15
EXPIRY_SECONDS = 20
WATCH_SECONDS = 6
QUIET_SECONDS = 0.02
# The reference looks after watches that start in the past every 100 ms.
CATCH_UP_SECONDS = 0.25
REVISION = re.compile(r"rev([+-]\d+)?$")
LONG = re.compile(r"(\w)\1{20,}")
OF_KEY = {"mod": "mod_revision", "create": "create_revision", "version": "version"}


class Difference(Exception):
    """Found at a line: what each side said."""

    def __init__(self, name, ours, theirs):
        super().__init__(f"ours:      {ours}\nreference: {theirs}")
        self.name = name


def shown(outcome):
    if isinstance(outcome, tuple):
        return f"{outcome[0]} {outcome[1]}"
    if isinstance(outcome, list):
        return " | ".join(shown(one) for one in outcome)
    if outcome is None or isinstance(outcome, (str, int)):
        return str(outcome)
    text = LONG.sub(r"<\1*many>", text_format.MessageToString(outcome, as_one_line=True))
    return text if len(text) < 1500 else text[:1500] + "…"


class Parted(Exception):
    """One took what the other rightly refused: what they hold is not the same any more."""


class Pair:
    """A fresh member of each kind, asked the same."""

    def __init__(self, folder):
        self.ours, self.theirs = self.sides = twins(folder)
        self.changed = self.ours.changed
        self.revision = 1
        self.compacted = 0
        self.past_watch = 0.0
        self.attached = False  # a lease whose id the sides chose
        self.operations = 0

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
            except Difference as found:
                return index, found
            except Parted:
                break
            self.operations += 1
        return None

    def step(self, operation):
        if operation.name == "Sync":
            self.sync()
        elif operation.name == "WatchClose":
            self.close_watch(operation.stream)
        elif operation.name == "Watch":
            self.watch(operation)
        elif operation.name in STEPS:
            STEPS[operation.name](self, operation)
        else:
            self.unary(operation)

    # Requests.

    def resolve(self, side, macro):
        found = REVISION.match(macro)
        if found:
            return str(self.revision + int(found[1] or 0))
        if macro == "member":
            return str(self.theirs.member_id)
        if macro in side.labels:
            return str(side.labels[macro])
        if macro.startswith("L"):
            return "404"
        word, key = macro.split(" ")
        outcome = self.outcome(self.theirs.calls["Range"].future(
            pb.RangeRequest(key=key.encode()), timeout=15, metadata=self.theirs.metadata))
        kvs = [] if isinstance(outcome, tuple) else outcome.kvs
        return str(getattr(kvs[0], OF_KEY[word]) if kvs else 0)

    def messages(self, operation):
        return [operation.message(lambda macro, side=side: self.resolve(side, macro))
                for side in self.sides]

    # Unary calls.

    def unary(self, operation):
        name = operation.name
        if name == "Compact":
            self.settle()
        requests = self.messages(operation)
        if name == "HashKV" and self.attached:
            return
        self.attached = self.attached or ("lease: <L" in operation.text)
        calls = [side.calls[name].future(request, timeout=CALL_SECONDS, metadata=side.metadata)
                 for side, request in zip(self.sides, requests)]
        self.compare(operation, requests[1], [self.outcome(call) for call in calls])

    def outcome(self, call):
        error = call.exception()
        if error is None:
            return call.result()
        return error.code().name, error.details()

    def compare(self, operation, request, outcomes):
        ours, theirs = outcomes
        name = operation.name
        good = [not isinstance(one, tuple) for one in outcomes]
        for side, one, is_good in zip(self.sides, outcomes, good):
            if is_good and operation.label and one.ID:
                side.labels[operation.label] = one.ID
        if all(good):
            self.revision = theirs.header.revision or self.revision
            if name == "Compact":
                self.compacted = max(self.compacted, request.revision)
            ours, theirs = (forget(name, side.unlabelled(one), side.first_index)
                            for side, one in zip(self.sides, outcomes))
        if ours != theirs and not is_known(name, request, ours, theirs):
            for side in self.sides:
                if not side.alive():
                    raise Difference(name, shown(ours), shown(theirs) + f"\n{side.member.program} "
                                     f"is gone:\n{side.member.log_tail()}")
            raise Difference(name, shown(ours), shown(theirs))

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
            while time.monotonic() < end:
                request = operation.message(lambda macro, side=side: self.resolve(side, macro))
                try:
                    if side.calls["LeaseTimeToLive"](request, timeout=CALL_SECONDS).TTL < 0:
                        break
                except grpc.RpcError:
                    break
                time.sleep(0.05)
        self.sync()

    # Who asks.

    def authenticate(self, operation):
        """A token is its side's own; whoever was refused asks on as before."""
        requests = self.messages(operation)
        calls = [side.calls["Authenticate"].future(request, timeout=CALL_SECONDS)
                 for side, request in zip(self.sides, requests)]
        outcomes = [self.outcome(call) for call in calls]
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
        path, _, text = text.partition(" ")
        outcomes = [side.post(path, text) for side in self.sides]
        if outcomes[0] != outcomes[1] and not is_known("Json", path, *outcomes):
            raise Difference("Json", *map(shown, outcomes))
        self.settle_revision()

    def raw(self, operation):
        path, data, _ = operation.raw()
        calls = [side.channel.unary_unary(f"/etcdserverpb.{path}").future(
            data, timeout=CALL_SECONDS, metadata=side.metadata)
            for side in self.sides]
        outcomes = [self.outcome(call) for call in calls]
        ours, theirs = (one if isinstance(one, tuple) else "taken" for one in outcomes)
        if ours != theirs:
            if not is_known("Raw", operation.raw(), ours, theirs):
                raise Difference("Raw", shown(ours), shown(theirs))
            if theirs == "taken" or not theirs[1].startswith(MALFORMED):
                raise Parted
        self.settle_revision()

    def settle_revision(self):
        """What was written by such a request is the last revision too."""
        for side in self.sides:
            outcome = self.outcome(side.calls["AuthStatus"].future(
                pb.AuthStatusRequest(), timeout=CALL_SECONDS, metadata=side.metadata))
            if not isinstance(outcome, tuple):
                self.revision = max(self.revision, outcome.header.revision)

    # Watches.

    def logs(self, number):
        return [side.watch(number) for side in self.sides]

    def watch(self, operation):
        kind = operation.text.split(" ")[0]
        logs = self.logs(operation.stream)
        if kind in ("cancel_request", "progress_request"):
            self.settle()
        requests = self.messages(operation)
        if kind == "progress_request" and (logs[1].compacted or not logs[1].live):
            return
        created, canceled = logs[1].created + 1, logs[1].canceled + 1
        progress = len(logs[1].progress) + 1
        taken = logs[1].live | logs[1].compacted
        for log, request in zip(logs, requests):
            log.requests.put(request)
        if kind == "create_request":
            self.created(logs, requests[1].create_request, created)
        elif kind == "cancel_request":
            self.canceled(logs, requests[1].cancel_request.watch_id in taken, canceled)
        elif kind == "progress_request":
            self.progressed(logs, progress)
        else:
            time.sleep(QUIET_SECONDS)

    def created(self, logs, request, count):
        self.wait(lambda: all(log.created >= count or log.ended for log in logs))
        self.watches_agree()
        start = request.start_revision
        if 0 < start <= self.revision:
            self.past_watch = time.monotonic()
        if 0 < start < self.compacted:
            self.settle()

    def canceled(self, logs, is_taken, count):
        if is_taken:
            self.wait(lambda: all(log.canceled >= count or log.ended for log in logs))
        else:
            time.sleep(QUIET_SECONDS)
        self.watches_agree()

    def progressed(self, logs, count):
        self.wait(lambda: all(len(log.progress) >= count for log in logs), 0.4)
        self.watches_agree()

    def wait(self, condition, seconds=WATCH_SECONDS):
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    def settle(self):
        """Until nothing is on its way: no race decides what the next request meets."""
        rest = self.past_watch + CATCH_UP_SECONDS - time.monotonic()
        if any(self.ours.watches):
            time.sleep(max(rest, QUIET_SECONDS))
        self.sync()

    def sync(self):
        self.wait(self.same)
        self.watches_agree()

    def same(self):
        return all(self.difference(number) is None for number in list(self.theirs.watches))

    def difference(self, number):
        """(ours, reference), the first that differs on this stream, or None."""
        ours, theirs = self.logs(number)
        if ours.wrong:
            return ours.wrong, "orderly"
        if ours.ended != theirs.ended:
            return ours.ended, theirs.ended
        if ours.progress != theirs.progress:
            return list(ours.progress), list(theirs.progress)
        for watch in sorted({*ours.by_id, *theirs.by_id}):
            mine, other = ours.by_id.get(watch, []), theirs.by_id.get(watch, [])
            if mine != other:
                at = next((i for i, pair in enumerate(zip(mine, other)) if pair[0] != pair[1]),
                          min(len(mine), len(other)))
                return [f"watch {watch} item {at}:", *mine[at:at + 3]], other[at:at + 3]
        return None

    def watches_agree(self):
        if not self.wait(self.same):
            with self.changed:
                found = [self.difference(number) for number in self.theirs.watches]
            for pair in found:
                if pair:
                    raise Difference("Watch", shown(pair[0]), shown(pair[1]))

    def close_watch(self, number):
        self.settle()
        for side in self.sides:
            if number in side.watches:
                side.watches.pop(number).close()


# What is not a unary call or about watches.
STEPS = {"LeaseKeepAlive": Pair.keep_alive, "Authenticate": Pair.authenticate,
         "Nobody": Pair.nobody, "Token": Pair.token, "Json": Pair.json, "Raw": Pair.raw,
         "Expire": Pair.expire}
