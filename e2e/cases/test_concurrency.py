# SPDX-License-Identifier: Apache-2.0
"""The Lock and Election services over JSON and gRPC: what one asks after the other, who waits for
whom, who leaves; the same asked of the reference, and the bodies compared."""
import base64
import json
import os
import re
import threading
import urllib.error
import urllib.request
from functools import partial

import grpc

from lib import Case, Member, reference, wait_until
from lib.api import MESSAGES, Api

WAIT = 60
until = partial(wait_until, seconds=WAIT)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def text_of(value):
    return base64.b64decode(value).decode()


def ask(node, path, body=None, token=None, timeout=WAIT, headers=None):
    """Status and body of a POST under /v3/."""
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = token
    request = urllib.request.Request(f"{node.client_url}/v3/{path}", headers=headers,
                                     data=json.dumps(body or {}).encode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def good(node, path, body=None, **rest):
    status, text = ask(node, path, body, **rest)
    if status != 200:
        raise AssertionError(f"{path} {body}: {status} {text}")
    return json.loads(text)


def keys_under(node, prefix, token=None):
    """The keys under NAME/, oldest first."""
    kvs = good(node, "kv/range", {"key": b64(prefix + "/"), "range_end": b64(prefix + "0"),
                                  "sort_target": "CREATE", "sort_order": "ASCEND"},
               token=token).get("kvs", [])
    return [text_of(kv["key"]) for kv in kvs]


class Later(threading.Thread):
    """A POST that is answered when others let it."""

    def __init__(self, node, path, body, **rest):
        super().__init__(daemon=True)
        self.todo = (node, path, body)
        self.rest = rest
        self.answer = None
        self.start()

    def run(self):
        self.answer = ask(*self.todo, **self.rest)

    def result(self):
        self.join(WAIT)
        if self.is_alive():
            raise AssertionError(f"{self.todo[1:]} is not answered")
        return self.answer


def leases(node, *ids):
    for number in ids:
        good(node, "lease/grant", {"ID": str(number), "TTL": "600"})


def leader_key(name, lease, rev):
    return {"name": b64(name), "key": b64(f"{name}/{lease:x}"), "rev": str(rev),
            "lease": str(lease)}


class Service(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member()


class Locks(Service):
    def test_waiters_come_in_order(self):
        leases(self.node, 1, 2, 3, 4)
        first = good(self.node, "lock/lock", {"name": b64("l"), "lease": "1"})
        self.assertEqual("l/1", text_of(first["key"]))
        waiting = []
        for number in (2, 3, 4):
            waiting.append(Later(self.node, "lock/lock", {"name": b64("l"), "lease": number}))
            until("in the queue", lambda: len(keys_under(self.node, "l")) == len(waiting) + 1)
        key = first["key"]
        for number, waiter in zip((2, 3, 4), waiting):
            self.assertEqual([None] * (5 - number),
                             [other.answer for other in waiting[number - 2:]])
            good(self.node, "lock/unlock", {"key": key})
            status, text = waiter.result()
            self.assertEqual(200, status, text)
            key = json.loads(text)["key"]
            self.assertEqual(f"l/{number:x}", text_of(key))

    def test_the_key_fences(self):
        leases(self.node, 1, 2)
        key = good(self.node, "lock/lock", {"name": b64("l"), "lease": "1"})["key"]
        holds = {"compare": [{"key": key, "target": "CREATE", "result": "GREATER",
                              "create_revision": "0"}],
                 "success": [{"request_put": {"key": b64("x"), "value": b64("1")}}]}
        self.assertTrue(good(self.node, "kv/txn", holds).get("succeeded"))
        waiter = Later(self.node, "lock/lock", {"name": b64("l"), "lease": "2"})
        until("in the queue", lambda: len(keys_under(self.node, "l")) == 2)
        good(self.node, "lease/revoke", {"ID": "1"})
        self.assertEqual(200, waiter.result()[0])
        self.assertFalse(good(self.node, "kv/txn", holds).get("succeeded"))

    def test_a_waiter_whose_lease_ends_is_told(self):
        leases(self.node, 1, 2)
        key = good(self.node, "lock/lock", {"name": b64("l"), "lease": "1"})["key"]
        waiter = Later(self.node, "lock/lock", {"name": b64("l"), "lease": "2"})
        until("in the queue", lambda: len(keys_under(self.node, "l")) == 2)
        good(self.node, "lease/revoke", {"ID": "2"})
        good(self.node, "lock/unlock", {"key": key})
        self.assertEqual((500, '{"code":2, "message":"mutex: session is expired"}'),
                         waiter.result())

    def test_who_goes_away_leaves_the_queue(self):
        leases(self.node, 1, 2, 3)
        key = good(self.node, "lock/lock", {"name": b64("l"), "lease": "1"})["key"]
        try:
            ask(self.node, "lock/lock", {"name": b64("l"), "lease": "2"}, timeout=0.5)
            self.fail("the lock is held")
        except OSError:
            pass
        until("alone again", lambda: keys_under(self.node, "l") == ["l/1"])
        status, text = ask(self.node, "lock/lock", {"name": b64("l"), "lease": "3"},
                           headers={"Grpc-Timeout": "300m"})
        self.assertEqual((504, '{"code":4, "message":"context deadline exceeded"}'),
                         (status, text))
        until("alone again", lambda: keys_under(self.node, "l") == ["l/1"])
        with Api(self.node) as api:
            with self.assertRaises(grpc.RpcError) as caught:
                call(api, "v3lockpb.Lock/Lock", "v3lockpb.Lock", name=b"l", lease=3, timeout=0.5)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, caught.exception.code())
        until("alone again", lambda: keys_under(self.node, "l") == ["l/1"])
        good(self.node, "lock/unlock", {"key": key})

    def test_a_member_that_stops_keeps_places(self):
        leases(self.node, 1, 2)
        good(self.node, "lock/lock", {"name": b64("l"), "lease": "1"})
        waiter = Later(self.node, "lock/lock", {"name": b64("l"), "lease": "2"})
        until("in the queue", lambda: len(keys_under(self.node, "l")) == 2)
        self.assertEqual(0, self.node.terminate())
        self.assertEqual((503, '{"code":14, "message":"etcdserver: server stopped"}'),
                         waiter.result())
        self.node.start()
        self.assertEqual(["l/1", "l/2"], keys_under(self.node, "l"))

    def test_many_wait_and_all_get_it(self):
        count = 40
        leases(self.node, *range(1, count + 1))
        held = []
        errors = []

        def work(number):
            try:
                with Api(self.node) as api:
                    answer = call(api, "v3lockpb.Lock/Lock", "v3lockpb.Lock", name=b"m",
                                  lease=number, timeout=WAIT)
                    held.append(number)
                    if keys_under(self.node, "m")[0] != answer.key.decode():
                        errors.append(f"{number} is not the first")
                    held.remove(number)
                    if held:
                        errors.append(f"{held} beside {number}")
                    call(api, "v3lockpb.Lock/Unlock", "v3lockpb.Unlock", key=answer.key,
                         timeout=WAIT)
            except Exception as error:  # pylint: disable=broad-except
                errors.append(repr(error))
        threads = [threading.Thread(target=work, args=(i,)) for i in range(1, count + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], errors)
        self.assertEqual([], keys_under(self.node, "m"))


def call(api, path, stem, timeout=WAIT, **fields):
    """A unary call of the two services over gRPC."""
    return api.channel.unary_unary(
        "/" + path, request_serializer=MESSAGES[stem + "Request"].SerializeToString,
        response_deserializer=MESSAGES[stem + "Response"].FromString)(
            MESSAGES[stem + "Request"](**fields), timeout=timeout)


class Observer:
    """Observe over gRPC: values as they come."""

    def __init__(self, api, name):
        self.values = []
        self.calling = api.channel.unary_stream(
            "/v3electionpb.Election/Observe",
            request_serializer=MESSAGES["v3electionpb.LeaderRequest"].SerializeToString,
            response_deserializer=MESSAGES["v3electionpb.LeaderResponse"].FromString)(
                MESSAGES["v3electionpb.LeaderRequest"](name=name), timeout=2 * WAIT)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for answer in self.calling:
                self.values.append((answer.kv.key.decode(), answer.kv.value.decode()))
        except grpc.RpcError:
            pass

    def close(self):
        self.calling.cancel()
        self.thread.join(WAIT)


class Elections(Service):
    def test_leaders_follow_each_other(self):
        leases(self.node, 1, 2)
        with Api(self.node) as api:
            observer = Observer(api, b"e")
            won = good(self.node, "election/campaign",
                       {"name": b64("e"), "lease": "1", "value": b64("a")})
            until("seen", lambda: observer.values == [("e/1", "a")])
            good(self.node, "election/proclaim", {"leader": won["leader"], "value": b64("b")})
            until("seen", lambda: observer.values[1:] == [("e/1", "b")])
            waiter = Later(self.node, "election/campaign",
                           {"name": b64("e"), "lease": "2", "value": b64("c")})
            until("in the queue", lambda: len(keys_under(self.node, "e")) == 2)
            good(self.node, "election/resign", {"leader": won["leader"]})
            status, text = waiter.result()
            self.assertEqual(200, status, text)
            until("seen", lambda: observer.values[2:] == [("e/2", "c")])
            self.assertEqual(b64("c"),
                             good(self.node, "election/leader", {"name": b64("e")})["kv"]["value"])
            status, text = ask(self.node, "election/proclaim",
                               {"leader": won["leader"], "value": b64("d")})
            self.assertEqual((500, '{"code":2, "message":"election: not leader"}'), (status, text))
            observer.close()

    def test_who_goes_away_leaves_the_queue(self):
        leases(self.node, 1, 2)
        good(self.node, "election/campaign", {"name": b64("e"), "lease": "1"})
        with self.assertRaises(OSError):
            ask(self.node, "election/campaign", {"name": b64("e"), "lease": "2"}, timeout=0.5)
        until("alone again", lambda: keys_under(self.node, "e") == ["e/1"])

    def test_many_observers(self):
        leases(self.node, 1)
        won = good(self.node, "election/campaign", {"name": b64("e"), "lease": "1",
                                                    "value": b64("0")})
        with Api(self.node) as api:
            observers = [Observer(api, b"e") for _ in range(20)]
            for observer in observers:
                until("seen", lambda o=observer: o.values)
            for number in range(1, 51):
                good(self.node, "election/proclaim",
                     {"leader": won["leader"], "value": b64(str(number))})
            for observer in observers:
                until("all seen", lambda o=observer: len(o.values) == 51)
                self.assertEqual([str(n) for n in range(51)], [v for _, v in observer.values])
                observer.close()


# On both: path, body. What waits is given up after that time by Grpc-Timeout.
CALLS = [
    ("lock/lock", {"name": b64("n"), "lease": "99"}),
    ("lock/lock", {"name": b64("n"), "lease": "-1"}),
    ("lease/grant", {"ID": "1", "TTL": "600"}),
    ("lease/grant", {"ID": "255", "TTL": "600"}),
    ("lock/lock", {"name": b64("n"), "lease": "255"}),
    ("lock/lock", {"name": b64("n"), "lease": "255"}),
    ("lock/lock", {"name": b64("n"), "lease": "1"}, "1S"),
    ("kv/range", {"key": b64("n/"), "range_end": b64("n0")}),
    ("lock/lock", {"name": b64("n"), "lease": "1"}, "soon"),
    ("lock/unlock", {}),
    ("lock/unlock", {"key": b64("none")}),
    ("lock/unlock", {"key": b64("n/ff")}),
    ("lock/lock", {"lease": "1"}),
    ("lock/unlock", {"key": b64("/1")}),
    ("lock/lock", {"name": 5}),
    ("lock/nothing", {}),
    ("election/leader", {}),
    ("election/leader", {"name": b64("e")}),
    ("election/campaign", {"name": b64("e"), "lease": "99", "value": b64("a")}),
    ("election/campaign", {"name": b64("e"), "lease": "1", "value": b64("a")}),
    ("election/campaign", {"name": b64("e"), "lease": "1", "value": b64("a")}),
    ("election/campaign", {"name": b64("e"), "lease": "1", "value": b64("b")}),
    ("election/campaign", {"name": b64("e"), "lease": "255", "value": b64("c")}, "1S"),
    ("election/leader", {"name": b64("e")}),
    ("election/proclaim", {}),
    ("election/proclaim", {"leader": {}, "value": b64("d")}),
    ("election/proclaim", {"leader": leader_key("e", 1, 2), "value": b64("d")}),
    ("election/proclaim", {"leader": leader_key("e", 99, 2), "value": b64("d")}),
    ("election/resign", {}),
    ("election/resign", {"leader": {}}),
    ("election/resign", {"leader": leader_key("e", 1, 99)}),
    ("kv/range", {"key": b64("e/"), "range_end": b64("e0")}),
]


class Compared(Service):
    """Byte for byte, but for ids and terms."""

    def setUp(self):
        super().setUp()
        self.other = Member(os.path.join(self.folder, "reference"), program=reference("etcd"))
        self.other.is_ready = self.is_healthy
        self.addCleanup(self.other.stop)
        self.other.start()

    def is_healthy(self):
        try:
            return self.other.get("/health")[0] == 200
        except OSError:
            return False

    @staticmethod
    def mask(answer):
        text = re.sub(r'"(cluster_id|member_id)":"\d+"', r'"\1":"ID"', answer[1])
        return answer[0], re.sub(r'"raft_term":"\d+"', '"raft_term":"T"', text)

    def compare(self, calls):
        wrong = []
        for path, body, *more in calls:
            ours, theirs = (self.mask(ask(node, path, body, headers=dict(
                [("Grpc-Timeout", timeout) for timeout in more[:1] if timeout]),
                token=more[1][node] if len(more) > 1 else None))
                for node in (self.node, self.other))
            if ours != theirs:
                wrong.append(f"{path} {body}\n  ours:   {ours}\n  theirs: {theirs}")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))

    def test_bodies_are_the_references(self):
        self.compare(CALLS)

    def test_observe_is_the_references(self):
        lines = {}
        for node in (self.node, self.other):
            leases(node, 1)
            request = urllib.request.Request(f"{node.client_url}/v3/election/observe",
                                             data=json.dumps({"name": b64("e")}).encode())
            won = good(node, "election/campaign", {"name": b64("e"), "lease": "1",
                                                   "value": b64("a")})
            with urllib.request.urlopen(request, timeout=WAIT) as stream:
                got = [stream.readline().decode()]
                good(node, "election/proclaim", {"leader": won["leader"], "value": b64("b")})
                got.append(stream.readline().decode())
                good(node, "election/resign", {"leader": won["leader"]})
                good(node, "election/campaign", {"name": b64("e"), "lease": "1",
                                                 "value": b64("c")})
                got.append(stream.readline().decode())
            lines[node] = [self.mask((200, line)) for line in got]
        self.assertEqual(lines[self.other], lines[self.node])

    def test_with_access_control(self):
        names = {"root": {}, "w": {}, "r": {}}
        for node in (self.node, self.other):
            leases(node, 1, 2)
            good(node, "auth/role/add", {"name": "root"})
            for role, kind in (("w", "READWRITE"), ("r", "READ")):
                good(node, "auth/role/add", {"name": role})
                good(node, "auth/role/grant", {"name": role, "perm": {
                    "permType": kind, "key": b64("l/"), "range_end": b64("l0")}})
            for name in names:
                good(node, "auth/user/add", {"name": name, "password": "p"})
                good(node, "auth/user/grant", {"user": name, "role": name})
            good(node, "auth/enable")
            for name, of in names.items():
                of[node] = good(node, "auth/authenticate", {"name": name, "password": "p"})["token"]
        nobody = {self.node: None, self.other: None}
        wrong = {self.node: "wrong.1", self.other: "wrong.1"}
        calls = []
        for name, path in (("l", "lock/lock"), ("x", "lock/lock"), ("l", "election/campaign"),
                           ("x", "election/leader")):
            for token in (nobody, wrong, names["r"], names["w"], names["root"]):
                body = {"name": b64(name)}
                if not path.endswith("leader"):
                    body["lease"] = "1"
                calls.append((path, body, None, token))
        for token in (nobody, wrong, names["r"], names["w"]):
            calls.append(("lock/unlock", {"key": b64("l/1")}, None, token))
        calls.append(("election/observe", {"name": b64("l")}, None, nobody))
        self.compare(calls)


class Places(Service):
    def test_a_waiter_leaves_in_its_own_name(self):
        """The reference cleans up without a name: with access control on, the key stays."""
        leases(self.node, 1, 2)
        good(self.node, "auth/role/add", {"name": "root"})
        good(self.node, "auth/user/add", {"name": "root", "password": "p"})
        good(self.node, "auth/user/grant", {"user": "root", "role": "root"})
        good(self.node, "auth/enable")
        token = good(self.node, "auth/authenticate", {"name": "root", "password": "p"})["token"]
        good(self.node, "lock/lock", {"name": b64("l"), "lease": "1"}, token=token)
        with self.assertRaises(OSError):
            ask(self.node, "lock/lock", {"name": b64("l"), "lease": "2"}, token=token, timeout=0.5)
        until("alone again", lambda: keys_under(self.node, "l", token) == ["l/1"])


class Bytes(Service):
    def test_malformed_requests(self):
        with Api(self.node) as api:
            for path in ("v3lockpb.Lock/Lock", "v3lockpb.Lock/Unlock",
                         "v3electionpb.Election/Campaign", "v3electionpb.Election/Resign"):
                with self.assertRaises(grpc.RpcError) as caught:
                    api.raw("/" + path, b"\x0a\xff")
                self.assertEqual(grpc.StatusCode.INTERNAL, caught.exception.code())
