# SPDX-License-Identifier: Apache-2.0
"""The part of a Pair that is about locks and elections: calls that are answered when their turn
comes, and streams that tell who leads. After each step those whose turn has come are waited for,
and nobody else is: so no race decides what the next step meets."""
import base64
import json
import threading
import time

import grpc

from lib.api import MESSAGES, pb, prefix_end

from .known import Difference, shown
from .sides import CALL_SECONDS, STREAM_SECONDS

TURN_SECONDS = 90
WAITERS_MAX = 3


class Waiter:
    """A call of both sides that waits."""

    def __init__(self, operation, request, calls, revision):
        self.operation, self.request, self.calls = operation, request, calls
        self.revision = revision  # its key's create revision

    def is_any_done(self):
        return any(call.done() for call in self.calls)


class Observer:
    """What one side says of who leads."""

    def __init__(self, side, request, changed):
        self.kvs, self.ended, self.changed = [], None, changed
        self.call = side.stream("Observe", request)
        self.side = side
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for answer in self.call:
                with self.changed:
                    self.kvs.append(self.side.unlabelled(answer.kv))
                    self.changed.notify_all()
            end = "the stream ended"
        except grpc.RpcError as error:
            end = f"{error.code().name}: {error.details()}"
        with self.changed:
            self.ended = end
            self.changed.notify_all()


def key_of(request):
    return request.name + b"/" + f"{request.lease:x}".encode()


def outcome_of(call):
    error = call.exception()
    return call.result() if error is None else (error.code().name, error.details())


def until(what, condition):
    end = time.monotonic() + TURN_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise Difference("Wait", what, f"not within {TURN_SECONDS} s")
        time.sleep(0.005)


class Waiting:
    """Mixed into Pair."""

    def kvs(self, side, key, **rest):
        return side.calls["Range"](pb.RangeRequest(key=key, **rest), timeout=CALL_SECONDS).kvs

    def older(self, request, revision):
        """Who is before that revision in the queue, oldest first."""
        prefix = request.name + b"/"
        return self.kvs(self.theirs, prefix, range_end=prefix_end(prefix), keys_only=True,
                        max_create_revision=revision - 1, sort_target="CREATE",
                        sort_order="ASCEND")

    def created_at(self, side, key):
        found = self.kvs(side, key, keys_only=True)
        return found[0].create_revision if found else None

    def is_undecided(self, request):
        """Asked for again while it waits, nobody can see whether the second call waits too. And a
        lease of the member's own choice would be in the key."""
        revision = self.created_at(self.theirs, key_of(request))
        return not request.lease or (revision and self.older(request, revision))

    def would_wait(self, body):
        """Over JSON only those ask whose turn it is."""
        fields = json.loads(body)
        request = MESSAGES["v3lockpb.LockRequest"](name=base64.b64decode(fields.get("name", "")),
                                                   lease=int(fields.get("lease", 0)))
        revision = self.created_at(self.theirs, key_of(request)) or self.revision + 1
        return not request.lease or bool(self.older(request, revision))

    def queue(self, operation):
        requests = self.messages(operation)
        request, slot = requests[1], operation.stream
        if slot in self.pending or len(self.pending) >= WAITERS_MAX or \
                self.is_undecided(request):
            self.passed_over += 1
            return
        self.sessions = True
        calls = [side.calls[operation.name].future(one, timeout=STREAM_SECONDS,
                                                   metadata=side.metadata)
                 for side, one in zip(self.sides, requests)]
        key = key_of(request)
        for side, call in zip(self.sides, calls):
            until(f"{operation.line} in the queue of {side.member.program}",
                  lambda side=side, call=call: call.done() or self.created_at(side, key))
        revision = self.created_at(self.theirs, key)
        waiter = Waiter(operation, request, calls, revision or 0)
        self.settle_revision()
        self.pending[slot] = waiter
        self.looked = None

    def look_after_waiters(self):
        """Nobody's turn comes while the store stays as it is."""
        if self.revision == self.looked and not any(
                waiter.is_any_done() for waiter in self.pending.values()):
            return
        self.looked = self.revision
        for slot, waiter in list(self.pending.items()):
            if waiter.is_any_done() or not self.older(waiter.request, waiter.revision):
                self.finish(slot, waiter)
        for slot, observers in list(self.observed.items()):
            self.look(slot, observers)

    def finish(self, slot, waiter):
        del self.pending[slot]
        for side, call in zip(self.sides, waiter.calls):
            until(f"{waiter.operation.line} answered by {side.member.program}", call.done)
        self.compare(waiter.operation, waiter.request, [outcome_of(call) for call in waiter.calls])

    def abandon(self, operation):
        slot = operation.stream
        for observer in self.observed.pop(slot, []):
            observer.call.cancel()
        waiter = self.pending.get(slot)
        if not waiter or self.created_at(self.theirs, key_of(waiter.request)) != waiter.revision:
            return
        del self.pending[slot]
        for side, call in zip(self.sides, waiter.calls):
            call.cancel()
            until(f"{side.member.program}: {waiter.operation.line} is out of the queue",
                  lambda side=side: not self.created_at(side, key_of(waiter.request)))
        self.settle_revision()

    def observe(self, operation):
        request = self.messages(operation)[1]
        if operation.stream in self.observed or operation.stream in self.pending:
            self.passed_over += 1
            return
        self.observed[operation.stream] = [Observer(side, request, self.changed)
                                           for side in self.sides]
        self.observed[operation.stream][0].request = request
        self.looked = None

    def look(self, slot, observers):
        """Both have seen whoever leads now, and the same before."""
        prefix = observers[0].request.name + b"/"
        first = self.kvs(self.theirs, prefix, range_end=prefix_end(prefix), limit=1,
                         sort_target="CREATE", sort_order="ASCEND")

        def seen(observer):
            last = observer.kvs[-1:]
            return observer.ended or not first or (
                last and last[0].mod_revision == first[0].mod_revision)

        with self.changed:
            self.changed.wait_for(lambda: all(map(seen, observers)), TURN_SECONDS)
            ours, theirs = ([*one.kvs, one.ended] for one in observers)
        if ours != theirs or not all(map(seen, observers)):
            raise Difference("Observe", shown(ours[-4:]), shown(theirs[-4:])
                             + f"\nwho leads: {shown(first[0]) if first else 'nobody'}")
        with self.changed:
            for observer in observers:
                del observer.kvs[:-1]
        if ours[-1]:
            del self.observed[slot]
