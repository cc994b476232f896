# SPDX-License-Identifier: Apache-2.0
"""What befalls a cluster: cut networks, killed and paused processes, disks that fill up or crawl.
Each of these holds until the clients got on under it (where a majority is left), is mended, and
is counted."""
import contextlib
import itertools
import os
import random
import signal
import subprocess
import threading
import time

import grpc

from . import faults
from .faults import Faults
from .load import END, PREFIX, Load

LONG_S = 120
PAUSE_S = 0.02
# Longer than a member itself waits: five seconds and two election timeouts.
ANSWER_S = 12


class Prober(threading.Thread):
    """Puts to one member, one after the other. acks: when each was asked for and answered; failed:
    when and how others were not."""

    def __init__(self, recorder, member, number):
        super().__init__(daemon=True)
        self.recorder, self.member, self.number = recorder, member, number
        self.acks, self.failed, self.count = [], [], 0
        self.broken, self.ending = "", threading.Event()

    def run(self):
        while not self.ending.is_set() and not self.broken:
            try:
                with self.recorder.api(self.member, timeout=ANSWER_S) as api:
                    while not self.ending.wait(PAUSE_S):
                        self.put(api)
            except grpc.RpcError as error:
                self.failed.append((time.monotonic(), error.code(), error.details()))
                self.ending.wait(PAUSE_S)
            except Exception as error:  # pylint: disable=broad-except
                self.broken = repr(error)

    def put(self, api):
        self.count += 1
        asked = time.monotonic()
        api.Put(key=b"/h/probe%d" % self.number, value=b"p%d.%d" % (self.number, self.count))
        self.acks.append((asked, time.monotonic()))


class Storm:
    """Over a running cluster: clients that record and roam, a prober and a watch at each
    member."""

    def __init__(self, cluster, recorder, clients=3, seed=1):
        self.cluster, self.recorder = cluster, recorder
        self.chance = random.Random(seed)
        self.load = Load(recorder, cluster.members, clients=clients, timeout=ANSWER_S, seed=seed)
        self.probers = [Prober(recorder, member, number)
                        for number, member in enumerate(cluster.members)]
        self.outages, self.last = {}, ""

    def start(self):
        recorder, members = self.recorder, self.cluster.members
        for number in range(len(members)):
            recorder.watch(members[number:] + members[:number], PREFIX, END)
        for turns in [*self.load.turns, *self.probers]:
            turns.start()
        self.progress()
        return self

    def stop(self):
        for prober in self.probers:
            prober.ending.set()
        self.load.stop(LONG_S)
        for prober in self.probers:
            prober.join(LONG_S)
        if self.broken():
            raise AssertionError("; ".join(self.broken()))

    def broken(self):
        return self.load.broken() + [prober.broken for prober in self.probers if prober.broken]

    def progress(self, count=20):
        """Waits until that many writes were asked for and answered from now on."""
        began = time.monotonic()
        while len(self.asked_after(began)) < count:
            if self.broken():
                raise AssertionError("; ".join(self.broken()))
            if time.monotonic() - began > LONG_S:
                raise AssertionError(f"fewer than {count} writes in {LONG_S} s")
            time.sleep(0.02)

    def asked_after(self, moment):
        """When the writes that were asked for after that moment were answered."""
        return sorted(answered for prober in self.probers for asked, answered in prober.acks[-99:]
                      if asked > moment)

    def longest(self, since, until, victims):
        """Of the waits for answered writes that began then: everybody's, and any one client's
        whose member was in service."""
        acks = {prober.member: [answered for _, answered in prober.acks] for prober in self.probers}
        return (longest_gap(sorted(sum(acks.values(), [])), since, until),
                max((longest_gap(times, since, until) for member, times in acks.items()
                     if member not in victims), default=0.0))

    def leader(self, among=None):
        return self.cluster.leader(among, seconds=LONG_S)

    def others(self, *members):
        return [m for m in self.cluster.members if m not in members]

    def followers(self, count):
        return self.chance.sample(self.others(self.leader()), count)

    @contextlib.contextmanager
    def outage(self, name, *victims):
        """A fault: while it lasts, and until the clients got on again after it. victims: members
        that nobody expects an answer of."""
        began, self.last = time.monotonic(), name
        yield
        self.progress()
        self.all_live()
        self.outages.setdefault(name, []).append((began, time.monotonic(), victims))

    # Networks.

    def cut(self, ones, others):
        for one in ones:
            one.host.cut_off(*[m.host for m in others])

    def mend(self):
        for member in self.cluster.members:
            member.host.mend()

    def partition(self, name, *ones):
        """These on one side, the others, a majority, on the other."""
        with self.outage(name, *ones):
            self.cut(ones, self.others(*ones))
            self.progress()
            self.mend()
        self.leader()

    def leader_alone(self):
        self.partition("partition of the leader", self.leader())

    def minority(self):
        leader = self.leader()
        count = (len(self.cluster.members) - 1) // 2
        ones = self.chance.sample(self.others(leader), count)
        self.partition("partition of a minority", *ones)

    def minority_with_leader(self):
        leader = self.leader()
        count = (len(self.cluster.members) - 1) // 2 - 1
        self.partition("partition of a minority with the leader", leader,
                       *self.chance.sample(self.others(leader), count))

    def deaf_leader(self):
        """Nothing arrives at the leader from the others; what it sends goes out."""
        leader = self.leader()
        with self.outage("one-way partition: deaf leader", leader):
            leader.host.deafen(*[m.host for m in self.others(leader)])
            self.progress()
            self.mend()
        self.leader()

    def mute_leader(self):
        leader = self.leader()
        with self.outage("one-way partition: mute leader", leader):
            for member in self.others(leader):
                member.host.deafen(leader.host)
            self.progress()
            self.mend()
        self.leader()

    def broken_link(self):
        """Between the leader and one follower only, both of whom the third reaches."""
        leader = self.leader()
        other = self.chance.choice(self.others(leader))
        with self.outage("link cut between leader and a follower", leader, other):
            leader.host.cut_off(other.host)
            self.progress()
            self.mend()
        self.leader()

    def flapping(self, times=6):
        """Cut and whole again, again and again, of whoever leads at the start."""
        leader = self.leader()
        with self.outage("flapping network", leader):
            for _ in range(times):
                self.cut([leader], self.others(leader))
                time.sleep(self.chance.uniform(0.05, 1.2))
                self.mend()
                time.sleep(self.chance.uniform(0.05, 0.6))
        self.leader()

    # Processes.

    def kill(self, name, *members):
        with self.outage(name, *members):
            for member in members:
                member.process.kill()
            for member in members:
                member.process.wait()
            self.progress()
            self.bring_back(members)

    def all_live(self):
        """Nobody has ended who was not killed."""
        for member in self.cluster.members:
            if member.process.poll() is not None:
                raise AssertionError(f"{member.name} ended with {member.process.returncode} after "
                                     f"{self.last}:\n{member.log_tail(40)}")

    def bring_back(self, members):
        for member in members:
            member.start(wait=False)
        for member in members:
            member.wait_ready(LONG_S)

    def kill_leader(self):
        self.kill("kill -9 of the leader", self.leader())

    def kill_follower(self):
        self.kill("kill -9 of a follower", self.chance.choice(self.others(self.leader())))

    def kill_all(self):
        """Of all at once; started again in any order."""
        members = list(self.cluster.members)
        with self.outage("kill -9 of all", *members):
            for member in members:
                member.process.kill()
            for member in members:
                member.process.wait()
            self.chance.shuffle(members)
            self.bring_back(members)

    def pause(self, member, name="pause of the leader"):
        """SIGSTOP until the others chose a new leader and went on."""
        others = self.others(member)
        with self.outage(name, member):
            member.process.send_signal(signal.SIGSTOP)
            try:
                self.leader(others)
                self.progress()
            finally:
                member.process.send_signal(signal.SIGCONT)
        self.leader()

    def restart(self, member):
        """As a rolling restart does it: the next one only when this one is back."""
        with self.outage("restart", member):
            member.process.send_signal(signal.SIGTERM)
            if member.process.wait(LONG_S) != 0:
                raise AssertionError(f"{member.name} ended badly:\n{member.log_tail()}")
            self.bring_back([member])
            self.leader()

    def majority_lost(self):
        """Without a majority nobody's write is answered."""
        leader = self.leader()
        count = len(self.cluster.members) // 2
        lost = [leader, *self.chance.sample(self.others(leader), count)]
        with self.outage("majority killed", *self.cluster.members):
            for member in lost:
                member.process.kill()
            for member in lost:
                member.process.wait()
            gone = time.monotonic()
            time.sleep(1.5)
            answered = self.asked_after(gone)
            if answered:
                raise AssertionError(f"{len(answered)} writes without a majority")
            self.bring_back(lost)
        self.leader()

    def lag(self, writes=150):
        """A follower is away for longer than the log reaches back, and the leader is killed while
        the follower is caught up."""
        leader = self.leader()
        behind = self.chance.choice(self.others(leader))
        with self.outage("kill of the leader while a follower gets a snapshot", leader, behind):
            self.cut([behind], self.others(behind))
            self.progress(writes)
            self.mend()
            leader.process.kill()
            leader.process.wait()
            self.progress()
            self.bring_back([leader])
        self.wait("a snapshot", lambda: behind.log_has("applied snapshot"))

    @staticmethod
    def wait(what, is_true):
        deadline = time.monotonic() + LONG_S
        while not is_true():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come in {LONG_S} s")
            time.sleep(0.05)

    # Disks and clocks: with_disk.

    def disk_full(self, member):
        """The member stops itself, the others go on; with room again it comes back."""
        with self.outage("full disk", member):
            member.disk.rule(faults.WRITE | faults.CREATE | faults.ALLOCATE | faults.MKDIR,
                             error=faults.code("ENOSPC"))
            try:
                member.process.wait(LONG_S)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{member.name} lives on a full disk") from None
            self.progress()
            member.disk.clear()
            self.bring_back([member])

    def slow_disk(self, member, delay_ms=700):
        """Each sync takes that long; nobody has to wait for it but who asks this member."""
        with self.outage("slow disk", member):
            member.disk.rule(faults.SYNC, delay_us=delay_ms * 1000)
            self.progress()
            member.disk.clear()

    def clock_jump(self, member, seconds=3600):
        with self.outage("jump of the wall clock, there and back"):
            member.disk.clock(seconds)
            self.progress()
            member.disk.clock(0)

    # All of it.

    def anything(self):
        """One of all these, by chance."""
        self.all_live()
        member = self.chance.choice(self.cluster.members)
        lost = self.chance.sample(self.cluster.members, (len(self.cluster.members) - 1) // 2)
        acts = [self.leader_alone, self.minority, self.minority_with_leader, self.deaf_leader,
                self.mute_leader, self.broken_link, self.flapping, self.kill_leader,
                self.kill_follower, self.kill_all, self.majority_lost, self.lag,
                lambda: self.kill(f"kill -9 of {len(lost)}", *lost),
                lambda: self.pause(self.leader()), lambda: self.restart(member)]
        if hasattr(member, "disk"):
            acts += [lambda: self.disk_full(member), lambda: self.slow_disk(member),
                     lambda: self.clock_jump(member)]
        self.chance.choice(acts)()

    def words(self):
        """Figures, once the clients have ended: how many of each fault, and the longest waits."""
        lines = []
        for name, outages in sorted(self.outages.items()):
            waits = [self.longest(*outage) for outage in outages]
            lasted = sum(until - since for since, until, _ in outages) / len(outages)
            lines.append(f"{len(outages):4} {name}, {lasted:.1f} s each: nobody's write answered "
                         f"for {spread(wait for wait, _ in waits)} s, one client's for "
                         f"{spread(wait for _, wait in waits)}")
        events = sum(watch.count for watch in self.recorder.watches)
        return "\n".join([*lines, f"{sum(map(len, self.outages.values())):4} faults; "
                          f"{self.recorder.answered} answers and {events} events judged"])


def longest_gap(times, since, until):
    """That ends after since and begins before until."""
    return max((b - a for a, b in zip(times, times[1:]) if b >= since and a <= until), default=0.0)


def spread(numbers):
    """The least, the median and the most."""
    ordered = sorted(numbers)
    if len(ordered) == 1:
        return f"{ordered[0]:.1f}"
    return " ".join(f"{one:.1f}" for one in (ordered[0], ordered[len(ordered) // 2], ordered[-1]))


def with_disk(member):
    """The shim's rules under that member, which is not started yet."""
    member.disk = Faults(member, os.path.join(member.folder, "faults"))
    return member
