# SPDX-License-Identifier: Apache-2.0
"""Clients that do a bit of everything to a few keys through any of the members, recorded."""
import random
import threading
import time

import grpc

from .api import compare, op_delete, op_get, op_put, prefix_end
from .recorder import REFUSED, Code

PREFIX = b"/h/"
END = prefix_end(PREFIX)


class Turns(threading.Thread):
    """One client: turn after turn on one member, on another one once that gives no answer."""

    def __init__(self, recorder, members, number, keys, timeout, pause, filler):
        super().__init__(daemon=True)
        self.recorder, self.members, self.number = recorder, members, number
        self.random = random.Random(number)
        self.keys = [PREFIX + b"k%02d" % i for i in range(keys)]
        self.timeout, self.pause, self.filler = timeout, pause, filler
        self.count, self.leases, self.short_leases, self.seen = 0, [], [], 0
        self.broken, self.ending = "", threading.Event()

    def run(self):
        place = self.number
        while not self.ending.is_set() and not self.broken:
            place += 1
            try:
                with self.recorder.api(self.members[place % len(self.members)],
                                       timeout=self.timeout) as api:
                    while not self.ending.wait(self.random.uniform(0, self.pause)):
                        self.turn(api)
            except grpc.RpcError as error:
                if error.code() is Code.INTERNAL:
                    self.broken = f"{error.code()}: {error.details()}"
            except Exception as error:  # pylint: disable=broad-except
                self.broken = repr(error)
            self.ending.wait(0.05)

    def turn(self, api):
        what = self.random.choices(
            [self.put, self.delete, self.read, self.read_old, self.read_sorted, self.swap, self.txn,
             self.grant, self.renew, self.look, self.revoke, self.compact],
            [30, 6, 16, 8, 4, 20, 10, 3, 2, 2, 2, 1])[0]
        try:
            answer = what(api)
        except grpc.RpcError as error:
            if error.code() not in REFUSED:
                raise
            return
        if answer is not None:
            self.seen = max(self.seen, answer.header.revision)

    def key(self):
        return self.random.choice(self.keys)

    def value(self):
        self.count += 1
        filler = b"x" * (self.random.randrange(self.filler) if self.count % 2 == 0 else 0)
        return b"%d.%d %s" % (self.number, self.count, filler)

    def lease(self):
        if not self.leases or self.random.random() < 0.8:
            return 0
        return self.random.choice(self.leases)

    def some_range(self):
        if self.random.random() < 0.3:
            return {"key": PREFIX, "range_end": END}
        first, last = sorted(self.random.sample(self.keys, 2))
        return {"key": first, "range_end": last}

    def put(self, api):
        return api.Put(key=self.key(), value=self.value(), lease=self.lease(),
                       prev_kv=self.random.random() < 0.3)

    def delete(self, api):
        if self.random.random() < 0.3:
            first, last = sorted(self.random.sample(self.keys, 2))
            return api.DeleteRange(key=first, range_end=last, prev_kv=True)
        return api.DeleteRange(key=self.key(), prev_kv=self.random.random() < 0.5)

    def read(self, api):
        where = {"key": self.key()} if self.random.random() < 0.5 else self.some_range()
        return api.Range(**where, limit=self.random.choice([0, 0, 3]),
                         serializable=self.random.random() < 0.3,
                         count_only=self.random.random() < 0.1)

    def read_old(self, api):
        return api.Range(**self.some_range(), serializable=self.random.random() < 0.3,
                         revision=max(1, self.seen - self.random.randrange(50)))

    def read_sorted(self, api):
        return api.Range(**self.some_range(), limit=self.random.choice([0, 3]),
                         sort_order=self.random.choice([1, 2]),
                         sort_target=self.random.choice([0, 1, 2, 3]))

    def swap(self, api):
        """As Kubernetes updates: only if nobody else did since it was read."""
        key = self.key()
        kvs = api.Range(key=key).kvs
        change = (op_put(key, self.value(), lease=self.lease()) if self.random.random() < 0.8
                  else op_delete(key))
        return api.Txn(compare=[compare(key, "MOD", kvs[0].mod_revision if kvs else 0)],
                       success=[change], failure=[op_get(key)])

    def txn(self, api):
        first, second = self.random.sample(self.keys, 2)
        then = [op_put(first, self.value()), op_get(first), op_put(second, self.value())]
        return api.Txn(compare=[compare(first, "VERSION", 3, self.random.choice([1, 2]))],
                       success=then, failure=[op_delete(first), op_put(second, self.value())])

    def grant(self, api):
        ttl = self.random.choice([2, 5, 60])
        answer = api.LeaseGrant(TTL=ttl)
        self.leases = self.leases[-5:] + [answer.ID]
        self.short_leases += [answer.ID] if ttl < 60 else []
        return answer

    def renew(self, api):
        return api.keepalive(self.random.choice(self.leases)) if self.leases else None

    def look(self, api):
        return (api.LeaseTimeToLive(ID=self.random.choice(self.leases), keys=True)
                if self.leases else None)

    def revoke(self, api):
        if not self.leases:
            return None
        return api.LeaseRevoke(ID=self.leases.pop(self.random.randrange(len(self.leases))))

    def compact(self, api):
        revision = self.seen - 100
        return api.Compact(revision=revision) if revision > 1 else None


class Load:
    """with Load(recorder, members) as load: faults."""

    def __init__(self, recorder, members, clients=4, keys=10, timeout=2, pause=0.02, seed=0,
                 filler=2000):
        self.recorder = recorder
        self.turns = [Turns(recorder, members, seed * 100 + i, keys, timeout, pause, filler)
                      for i in range(clients)]

    def __enter__(self):
        for turns in self.turns:
            turns.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, seconds=60):
        for turns in self.turns:
            turns.ending.set()
        for turns in self.turns:
            turns.join(seconds)

    def short_leases(self):
        """Those that soon end unless they are renewed."""
        return [lease for turns in self.turns for lease in turns.short_leases]

    def broken(self):
        return [turns.broken for turns in self.turns if turns.broken]

    def wait_answers(self, count, seconds=600):
        """Until so many more calls were answered."""
        wanted, deadline = self.recorder.answered + count, time.monotonic() + seconds
        while self.recorder.answered < wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"{wanted - self.recorder.answered} answers still lack")
            time.sleep(0.02)
