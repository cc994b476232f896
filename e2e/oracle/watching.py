# SPDX-License-Identifier: Apache-2.0
"""The part of a Pair that is about watch streams: what is asked on them, and what they said."""
from .known import Difference, shown

# However slow the machine: no answer within this is an answer that does not come.
WATCH_SECONDS = 90


class Watching:
    """Mixed into Pair, which has sides, changed, revision and compacted."""

    def logs(self, number):
        return [side.watch(number) for side in self.sides]

    def watch(self, operation):
        kind = operation.text.split(" ")[0]
        logs = self.logs(operation.stream)
        if kind in ("cancel_request", "progress_request"):
            self.settle(operation.stream)
        requests = self.messages(operation)
        if kind == "progress_request" and (logs[1].compacted or not logs[1].live):
            self.passed_over += 1
            return
        created, canceled = logs[1].created + 1, logs[1].canceled + 1
        progress = len(logs[1].progress) + 1
        taken = set(logs[1].live) | logs[1].compacted
        for log, request in zip(logs, requests):
            log.requests.put(request)
        if kind == "create_request":
            self.created(logs, requests[1].create_request, created, canceled)
        elif kind == "cancel_request" and requests[1].cancel_request.watch_id in taken:
            self.wait(lambda: all(log.canceled >= canceled or log.ended for log in logs))
        elif kind == "progress_request" and max(logs[1].live.values()) <= self.revision:
            # While a watch waits for its first revision, the reference does not answer.
            self.wait(lambda: all(len(log.progress) >= progress or log.ended for log in logs))
        self.watches_agree()

    def created(self, logs, request, count, canceled):
        self.wait(lambda: all(log.created >= count or log.ended for log in logs))
        self.watches_agree()
        if logs[1].ended or logs[1].canceled >= canceled:
            return
        start = request.start_revision
        with self.changed:
            for log in logs:
                log.live[log.newest] = start
        self.is_past = self.is_past or 0 < start <= self.revision
        if start and start < self.compacted:
            self.wait(lambda: all(log.canceled >= canceled or log.ended for log in logs))
            self.watches_agree()

    def wait(self, condition):
        with self.changed:
            return self.changed.wait_for(condition, WATCH_SECONDS)

    def settle(self, number=None):
        """Until nothing is on its way, on this stream or any: no race decides what the next
        request meets."""
        numbers = [number] if number else list(self.ours.watches)
        if numbers:
            for side in self.sides:
                side.drain([side.watches[one] for one in numbers if one in side.watches],
                           self.is_past, self.revision)
            self.is_past = False
            self.sync()

    def settle_past(self):
        """Until what compaction would take was looked at, by watches and by whoever waits."""
        if self.is_past or self.observed or self.pending:
            for side in self.sides:
                side.catch_up()
            self.is_past = False
            self.sync()

    def sync(self):
        """Until both have said the same."""
        self.watches_agree()

    def same(self):
        return all(self.difference(number) is None for number in list(self.theirs.watches))

    def difference(self, number):
        """(ours, reference), the first that differs on this stream, or None. What agrees is
        dropped."""
        ours, theirs = self.logs(number)
        if ours.wrong:
            return ours.wrong, "orderly"
        if ours.ended != theirs.ended:
            return ours.ended, theirs.ended
        if ours.progress != theirs.progress:
            return list(ours.progress), list(theirs.progress)
        for watch in sorted({*ours.by_id, *theirs.by_id}):
            mine, other = ours.by_id.setdefault(watch, []), theirs.by_id.setdefault(watch, [])
            at = next((i for i, pair in enumerate(zip(mine, other)) if pair[0] != pair[1]),
                      min(len(mine), len(other)))
            if at < max(len(mine), len(other)):
                return [f"watch {watch} item {at}:", *mine[at:at + 3]], other[at:at + 3]
            mine.clear()
            other.clear()
        return None

    def watches_agree(self):
        if not self.wait(self.same):
            with self.changed:
                found = [self.difference(number) for number in self.theirs.watches]
            for pair in found:
                if pair:
                    raise Difference("Watch", shown(pair[0]), shown(pair[1]))

    def close_watch(self, operation):
        self.settle(operation.stream)
        for side in self.sides:
            if operation.stream in side.watches:
                side.watches.pop(operation.stream).close()
