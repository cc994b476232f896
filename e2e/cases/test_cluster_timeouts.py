# SPDX-License-Identifier: Apache-2.0
"""What a member says that has lost its majority: codes and words of each call, held against what
etcd's own member says in the same place. Both clusters go through it at the same time."""
import datetime
import json
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from lib import reference
from lib.api import compare, op_put, pb
from lib.cluster import ClusterCase, until_taken

PATIENCE = 120  # of a client: longer than any member lets it wait
BRIEF = 3  # for what a member lets wait as long as the client does
HAS_LEADER = (("hasleader", "true"),)
LONG_LEASE = 3600
NOBODY = ["https://127.0.0.1:1"]


TIMED_OUT = "UNAVAILABLE: etcdserver: request timed out"
LEADER_FAILED = TIMED_OUT + ", possibly due to previous leader failure"
CONNECTION_LOST = TIMED_OUT + ", possibly due to connection lost"
UNHEALTHY = "UNAVAILABLE: etcdserver: unhealthy cluster"
LEADER_CHANGED = "UNAVAILABLE: etcdserver: leader changed"
# A read whose leader is lost is told so at once, and may go to another member: etcd's own lets it
# wait. And a leader that cannot know that it still leads speaks for no lease.
BETTER = {**{f"at once: {name}": (LEADER_CHANGED,) for name in (
    "range", "range, which wants a leader", "read-only txn", "member list", "auth status")},
          **{f"at once: lease {name}": ("UNAVAILABLE: etcdserver: no leader",)
             for name in ("time to live", "keep alive")}}


def said(call):
    """What the client hears."""
    try:
        call()
        return "OK"
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{error.code().name}: {error.details().lower()}"  # the member's or gRPC's own
        return f"{error.code().name}: {error.details()}"


def through_the_log(api, lease):
    put = [op_put(b"t", b"1")]
    return {
        "put": lambda: api.Put(key=b"a", value=b"2", timeout=PATIENCE),
        "put, which wants a leader": lambda: api.Put(
            key=b"a", value=b"2", timeout=PATIENCE, metadata=HAS_LEADER),
        "delete": lambda: api.DeleteRange(key=b"a", timeout=PATIENCE),
        "txn": lambda: api.Txn(compare=[compare(b"t", "VERSION", 0)], success=put,
                               timeout=PATIENCE),
        "compact": lambda: api.Compact(revision=2, timeout=PATIENCE),
        "lease grant": lambda: api.LeaseGrant(TTL=60, timeout=PATIENCE),
        "lease revoke": lambda: api.LeaseRevoke(ID=lease, timeout=PATIENCE),
        "alarm list": lambda: api.Alarm(action=0, timeout=PATIENCE),
        "alarm": lambda: api.Alarm(action=1, alarm=1, timeout=PATIENCE),
        "user add": lambda: api.UserAdd(name="u", password="p", timeout=PATIENCE),
        "role add": lambda: api.RoleAdd(name="r", timeout=PATIENCE),
    }


def reads(api, lease):
    return {
        "range": lambda: api.Range(key=b"a", timeout=PATIENCE),
        "range, which wants a leader": lambda: api.Range(
            key=b"a", timeout=PATIENCE, metadata=HAS_LEADER),
        "serializable range": lambda: api.Range(key=b"a", serializable=True, timeout=PATIENCE),
        "read-only txn": lambda: api.Txn(success=[pb.RequestOp(
            request_range=pb.RangeRequest(key=b"a"))], timeout=PATIENCE),
        "member list": lambda: api.MemberList(linearizable=True, timeout=PATIENCE),
        "member list as it is": lambda: api.MemberList(linearizable=False, timeout=PATIENCE),
        "lease time to live": lambda: api.LeaseTimeToLive(ID=lease, timeout=PATIENCE),
        "lease list": lambda: api.LeaseLeases(timeout=PATIENCE),
        "lease keep alive": lambda: keep_alive(api, lease),
        "auth status": lambda: api.AuthStatus(timeout=PATIENCE),
        "user list": lambda: api.raw("/etcdserverpb.Auth/UserList", b"", timeout=PATIENCE),
        "role list": lambda: api.raw("/etcdserverpb.Auth/RoleList", b"", timeout=PATIENCE),
    }


def upkeep(api, other):
    return {
        "status": lambda: api.Status(timeout=PATIENCE),
        "defragment": lambda: api.Defragment(timeout=PATIENCE),
        "hash": lambda: api.HashKV(timeout=PATIENCE),
        "downgrade": lambda: api.Downgrade(action="VALIDATE", version="3.4.0", timeout=PATIENCE),
        "move leader": lambda: api.MoveLeader(targetID=other, timeout=BRIEF),
        "member add": lambda: api.MemberAdd(peerURLs=NOBODY, timeout=BRIEF),
        "learner add": lambda: api.MemberAdd(peerURLs=NOBODY, isLearner=True,
                                             timeout=BRIEF),
        "member remove": lambda: api.MemberRemove(ID=other, timeout=BRIEF),
        "member update": lambda: api.MemberUpdate(ID=other, peerURLs=NOBODY,
                                                  timeout=BRIEF),
        "promote": lambda: api.MemberPromote(ID=12345, timeout=PATIENCE),
        "promote a voter": lambda: api.MemberPromote(ID=other, timeout=PATIENCE),
    }


def keep_alive(api, lease):
    stream = api.stream("LeaseKeepAlive")
    try:
        stream.send(pb.LeaseKeepAliveRequest(ID=lease))
        stream.next(timeout=PATIENCE)
    finally:
        stream.close()


class Side:
    """One of the two clusters: what is said in it, by call."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.words = {}

    def choose(self, survivor_leads):
        leader = self.cluster.leader()
        self.survivor = leader if survivor_leads else self.cluster.followers()[0]
        self.others = [m for m in self.cluster.members if m is not self.survivor]
        self.other_id = self.others[0].member_id()

    def prepare(self, api):
        self.leases = [until_taken(None, lambda seconds: api.LeaseGrant(
            TTL=LONG_LEASE, timeout=seconds)).ID for _ in range(2)]
        until_taken(None, lambda seconds: api.Put(key=b"a", value=b"1", timeout=seconds))

    def stop(self, members):
        for member in members:
            member.process.send_signal(signal.SIGSTOP)

    def kill(self, members):
        for member in members:
            member.kill()

    def wait_for(self, is_so, words):
        deadline = time.monotonic() + 60
        while not is_so(self.survivor.status().leader):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.survivor.name}: {words} after a minute")
            time.sleep(0.05)

    def wait_unhealthy(self, api):
        """Until it knows that the connections are gone as well."""
        deadline = time.monotonic() + 60
        while (word := said(lambda: api.MemberAdd(peerURLs=NOBODY, timeout=BRIEF))) != UNHEALTHY:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.survivor.name}, adding a member: {word}")
            time.sleep(0.1)

    def ask(self, when, calls):
        """All at once."""
        with ThreadPoolExecutor(len(calls)) as pool:
            words = {f"{when}: {name}": pool.submit(said, call) for name, call in calls.items()}
            self.words.update({name: word.result() for name, word in words.items()})

    def lose_majority(self, survivor_leads):
        self.choose(survivor_leads)
        with self.survivor.api() as api:
            self.prepare(api)
            self.stop(self.others)
            try:
                self.ask("at once", {**through_the_log(api, self.leases[0]),
                                     **reads(api, self.leases[1])})
                self.wait_for(lambda leader: not leader, "a leader is still seen")
            finally:
                self.kill(self.others)
            self.wait_unhealthy(api)
            self.ask("later", {**through_the_log(api, self.leases[0]),
                               **reads(api, self.leases[1]), **upkeep(api, self.other_id)})

    def open_streams(self, api, metadata):
        keeping = api.stream("LeaseKeepAlive", metadata)
        keeping.send(pb.LeaseKeepAliveRequest(ID=self.leases[0]))
        keeping.next()
        return {"watch": api.watch(b"w", metadata=metadata), "keep alive": keeping}

    def lose_streams(self):
        """What those are told that want a leader, once there has been none for long; the others
        stay."""
        self.choose(False)
        with self.survivor.api() as api:
            self.prepare(api)
            eager, patient = self.open_streams(api, HAS_LEADER), self.open_streams(api, None)
            self.kill(self.others)
            for name, stream in eager.items():
                self.words[name] = said(lambda stream=stream: stream.next(timeout=PATIENCE))
            self.wait_for(lambda leader: not leader, "a leader is still seen")
            self.words["watch, anew"] = said(lambda: api.watch(b"w", metadata=HAS_LEADER))
            self.words["keep alive, anew"] = said(
                lambda: self.open_streams(api, HAS_LEADER)["keep alive"])
            self.words["stay"] = [name for name, stream in patient.items()
                                  if stream.answers.empty()]
            patient["watch"].send(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"x")))
            self.words["watch, patient"] = said(patient["watch"].next)

    def change_leader(self):
        """The old one stands still, and takes along what was passed on to it. What the next one
        told who had asked it meanwhile."""
        self.choose(False)
        old = self.cluster.leader()
        old_id = old.member_id()
        others = [m for m in self.cluster.members if m is not old]
        calls = {member.member_id(): [] for member in others}
        with others[0].api() as one, others[1].api() as two, ThreadPoolExecutor(300) as pool:
            apis = dict(zip(calls, (one, two)))
            for api in apis.values():
                self.prepare(api)
            self.stop([old])

            def is_other(leader):
                for member, api in apis.items():
                    calls[member].append(pool.submit(said, lambda api=api: api.Put(
                        key=b"a", value=b"2", timeout=PATIENCE)))
                    calls[member].append(pool.submit(said, lambda api=api: api.Range(
                        key=b"a", timeout=PATIENCE)))
                time.sleep(0.2)
                self.leader = leader
                return leader not in (0, old_id)
            try:
                self.wait_for(is_other, "no other leader")
                self.words = {word.result() for word in calls[self.leader]}
            finally:
                self.kill([old])


    def lose_connection(self):
        """To a leader that stays: what was passed on to it is lost with the connection, and the
        next one is younger than the call."""
        self.choose(False)
        member, leader = self.survivor, self.cluster.leader()
        with member.api() as api, ThreadPoolExecutor(1) as pool:
            self.prepare(api)
            member.host.run("iptables", "-A", "OUTPUT", "-d", leader.host.address, "-j", "DROP")
            try:
                word = pool.submit(said, lambda: api.Put(key=b"a", value=b"2", timeout=PATIENCE))
                time.sleep(0.5)  # until it is on its way
                member.host.run("ss", "-K", "dst", leader.host.address)
            finally:
                member.host.mend()
            self.words = word.result()


class TwoKinds(ClusterCase):
    """A cluster of our members and one of the reference's, which go through the same."""

    def setUp(self):
        super().setUp()
        self.programs = {"ours": None, "theirs": reference("etcd")}

    def new_side(self, name, prepare=lambda members: None):
        cluster = self.cluster(0, start=False)
        cluster.folder = tempfile.mkdtemp(dir=self.folder)
        for _ in range(3):
            cluster.add_host(program=self.programs[name])
        prepare(cluster.members)
        side = Side(cluster.start())
        side.is_ours = name == "ours"
        return side

    def both(self, story, **rest):
        """What is said on either side in that story, which takes a side."""
        sides, broken = {}, []

        def tell(name):
            try:
                sides[name] = self.new_side(name, **rest)
                story(sides[name])
            except Exception as error:  # pylint: disable=broad-except
                broken.append(f"{name}: {error!r}")
            finally:
                if name in sides:
                    sides[name].cluster.stop()
        threads = [threading.Thread(target=tell, args=(name,)) for name in self.programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(broken, [])
        return sides["ours"].words, sides["theirs"].words


def elect_slowly(members):
    for member in members:
        member.flags.append("--election-timeout=4000")


class Timeouts(TwoKinds):
    def majority_lost(self, survivor_leads):
        """On a slow machine some calls may come when the leader is lost already, on one side: that
        is tried once more, and then they may be told what is told later."""
        for is_last in (False, True):
            ours, theirs = self.both(lambda side: side.lose_majority(survivor_leads))
            self.assertEqual(ours.keys(), theirs.keys())
            different = {}
            for name, word in theirs.items():
                later = name.replace("at once", "later")
                is_late = ours[name] == ours[later] or word == theirs[later]
                if ours[name] not in (word, *BETTER.get(name, ())) and not (is_last and is_late):
                    different[name] = ours[name], word
            if not different:
                break
        self.assertEqual(different, {})

    def test_a_follower_alone(self):
        self.majority_lost(False)

    def test_a_leader_alone(self):
        self.majority_lost(True)

    def test_streams_that_want_a_leader(self):
        ours, theirs = self.both(Side.lose_streams)
        self.assertEqual(ours, theirs)
        sent_away = "UNAVAILABLE: etcdserver: no leader"
        self.assertEqual(ours, {
            "watch": sent_away, "keep alive": sent_away, "watch, anew": sent_away,
            "keep alive, anew": sent_away, "stay": ["watch", "keep alive"],
            "watch, patient": "OK"})

    def test_a_leader_that_stands_still(self):
        """Who did not become the next one itself is told less by etcd's own. On a slow machine the
        calls may come too late to be lost."""
        for _ in range(3):
            both = self.both(Side.change_leader, prepare=elect_slowly)
            for words in both:
                self.assertLessEqual(words, {"OK", TIMED_OUT, LEADER_FAILED, LEADER_CHANGED})
            if all(words >= {LEADER_FAILED, LEADER_CHANGED} for words in both):
                return
        self.fail(both)

    def test_a_connection_that_is_lost(self):
        """On a slow machine another leader may come between."""
        for _ in range(3):
            both = self.both(Side.lose_connection, prepare=elect_slowly)
            if both == (CONNECTION_LOST,) * 2:
                return
        if both[1] == "OK":
            self.skipTest("ss -K ends no connections on this kernel")
        self.fail(both)


# Of connections between members. Who shows what: the timeout, and how it is told to the member.
LONG_READ, LONG_WRITE, SHORT_READ = 12, 10, 5
GRACE = 3  # what came last came that long before the silence, and clocks of loops are not exact


def set_links(members):
    first, second, third = members
    first.flags += [f"--raft-write-timeout={LONG_WRITE}s", "--raft-read-timeout=1s"]
    second.env["ETCD_RAFT_READ_TIMEOUT"] = f"{LONG_READ}s"
    third.env["ETCD_RAFT_WRITE_TIMEOUT"] = "1s"


class Silent:
    """The third member stands still: it neither sends nor reads. What the others say of it."""

    def __init__(self, side):
        self.members = side.cluster.members
        self.silent = self.members[2]
        self.id = f"{self.silent.member_id():x}"
        self.since = time.time()
        self.silent.process.send_signal(signal.SIGSTOP)

    def lines(self, member, words, kind):
        """Of that member's log, since then: what it lost, as a kind of stream."""
        with open(member.log_path, encoding="utf-8", errors="replace") as file:
            entries = [json.loads(line) for line in file if words in line]
        return [entry for entry in entries if entry.get("remote-peer-id") == self.id
                and kind in entry and self.after(entry) > 0]

    def after(self, entry):
        stamp = datetime.datetime.strptime(entry["ts"][:26].rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f")
        return stamp.replace(tzinfo=datetime.timezone.utc).timestamp() - self.since

    def wait(self, member, kind, meanwhile=lambda: time.sleep(0.2), seconds=60):
        """The first loss of that kind."""
        deadline = time.monotonic() + seconds
        while True:
            lost = self.lines(member, "lost TCP streaming connection", kind)
            if lost:
                return lost[0]
            if time.monotonic() > deadline:
                raise AssertionError(f"{member.name} lost no {kind}")
            meanwhile()


class Links(TwoKinds):
    """--raft-read-timeout and --raft-write-timeout."""

    def lead(self, side, target):
        """Only a leader has much to send."""
        deadline = time.monotonic() + 60
        while (leader := side.cluster.leader()) is not target:
            with leader.api() as api:
                said(lambda api=api: api.MoveLeader(targetID=target.member_id()))
            self.assertLess(time.monotonic(), deadline)

    def see_silence(self, side):
        first, second, _ = side.cluster.members
        self.lead(side, first)
        silent = Silent(side)
        big = bytes(1 << 20)
        try:
            with first.api() as api:
                def put():
                    said(lambda: api.Put(key=b"big", value=big, timeout=PATIENCE))
                    time.sleep(0.2)
                write = silent.wait(first, "stream-writer-type", put)
            self.assertGreater(silent.after(write), LONG_WRITE - 1)
            if side.is_ours:
                self.see_no_word(silent, first, SHORT_READ)
                self.see_no_word(silent, second, LONG_READ)
        finally:
            silent.silent.kill()
        side.words = {"write": sorted(write), "level": write["level"]}
        for member in side.cluster.members:
            with open(member.log_path, encoding="utf-8") as file:
                side.words[member.name] = [
                    (entry["level"], entry["msg"]) for entry in map(json.loads, file)
                    if "minimum value" in entry["msg"]]

    def see_no_word(self, silent, member, seconds):
        lost = silent.wait(member, "stream-reader-type")
        self.assertIn("i/o timeout", lost["error"])
        self.assertGreater(silent.after(lost), seconds - GRACE)

    def test_who_neither_sends_nor_reads_is_let_go(self):
        """The reference (3.5 to 3.7) limits no read of a stream: its dialer is not the one with the
        timeouts, since another has been preferred to it."""
        ours, theirs = self.both(self.see_silence, prepare=set_links)
        self.assertEqual(ours, theirs)
        self.assertEqual(ours["n1"], [("info", "raft-read-timeout increased to minimum value: 5s")])
