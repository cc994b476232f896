# SPDX-License-Identifier: Apache-2.0
"""compare's part for clusters: three members of each side on one machine.

Loads go to the leader (its followers' part is in the CPU, which is that of all members) or are
spread over the members. Bytes between members are what TCP says of the connections to their peer
ports, in both directions, headers counted as 66 bytes a segment.
"""
import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

SEGMENT_HEADERS = 66  # Ethernet, IPv4, TCP with timestamps

# name, arguments of bench, where: "leader", "follower" or "all"; calls in quick and in full mode,
# bars as in compare's LOADS
LOADS = [
    ("put 8x16", "put --conns 8 --streams 16", "leader", 40000, 100000, [("rate", 2)]),
    ("update 8x16", "update --conns 8 --streams 16", "leader", 40000, 100000, [("rate", 2)]),
    ("put 8x16, spread", "put --conns 9 --streams 14", "all", 40000, 100000, []),
    ("put 1x1", "put --conns 1 --streams 1", "leader", 4000, 10000, [("p50_us", 0.8)]),
    ("put 1x1, to a follower", "put --conns 1 --streams 1", "follower", 4000, 10000, []),
    ("get 8x16, spread", "get --conns 9 --streams 14", "all", 60000, 200000, [("rate", 2)]),
    ("get 8x16", "get --conns 8 --streams 16", "leader", 60000, 200000, []),
]
LEASE_TTL_S = 60  # longer than granting takes
SETTLE_S, IDLE_SHARE = 30, 0.05
GROUPS = ["load", "bytes", "kill", "leases", "fresh"]


def encode(text):
    return base64.b64encode(text.encode()).decode()


class Member:
    """A member of a group: name, addresses, process."""

    def __init__(self, group, number):
        self.group, self.name = group, f"{group.name}-{number}"
        self.endpoint = f"127.0.0.1:{group.port + 2 * number}"
        self.peer = f"http://127.0.0.1:{group.port + 2 * number + 1}"
        self.data = os.path.join(group.folder, self.name)
        self.process = None

    def start(self, cluster, state="new"):
        url = "http://" + self.endpoint
        command = [self.group.program, "--name", self.name, "--data-dir", self.data,
                   "--quota-backend-bytes", str(16 << 30), "--listen-client-urls", url,
                   "--advertise-client-urls", url, "--listen-peer-urls", self.peer,
                   "--initial-advertise-peer-urls", self.peer, "--initial-cluster", cluster,
                   "--initial-cluster-state", state] + self.group.flags
        with open(self.data + ".log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def post(self, path, body, timeout=600):
        request = urllib.request.Request(f"http://{self.endpoint}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def tries(self, path, body, timeout=0.5):
        """The answer, or None: what a client would ask again."""
        try:
            return self.post(path, body, timeout)
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def id(self):
        return self.post("/v3/maintenance/status", {})["header"]["member_id"]

    def kill(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait()


class Group:
    """Three members of one side; looks like a member to compare's Run."""

    tls = None

    def __init__(self, name, program, folder, port, flags=()):
        self.name, self.program, self.folder, self.port = name, program, folder, port
        self.flags = list(flags)
        self.members = [Member(self, number) for number in range(3)]
        self.log = os.path.join(folder, name + "-*.log")
        self.where = "leader"

    def cluster(self):
        return ",".join(f"{member.name}={member.peer}" for member in self.members)

    def start(self):
        for member in self.members:
            member.start(self.cluster())
        self.wait_write()

    def settle(self):
        """As compare's, of all members."""
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            before = sum(cpu_seconds(member.process.pid) for member in self.members)
            time.sleep(1)
            after = sum(cpu_seconds(member.process.pid) for member in self.members)
            if after - before < IDLE_SHARE * len(self.members):
                return

    def wait_write(self, members=None, seconds=120):
        """Until one of the members takes a write. One is begun every 20 ms, as a proposal that a
        dying leader was given is lost, and a client with one request would only see its timeout."""
        members = members or self.members
        taken = threading.Event()

        def write(member):
            if member.tries("/v3/kv/put", {"key": encode("alive"), "value": encode("yes")}, 10):
                taken.set()

        end = time.monotonic() + seconds
        turn = 0
        while not taken.is_set():
            if time.monotonic() > end:
                raise SystemExit(f"no write was taken: see {self.log}")
            member = members[turn % len(members)]
            threading.Thread(target=write, args=(member,), daemon=True).start()
            turn += 1
            taken.wait(0.02)

    def leader(self):
        while True:
            for member in self.members:
                status = member.tries("/v3/maintenance/status", {}, 5)
                if status and status.get("leader") == status["header"]["member_id"]:
                    return member
            time.sleep(0.05)

    @property
    def endpoint(self):
        if self.where == "all":
            return ",".join(member.endpoint for member in self.members)
        leader = self.leader()
        if self.where == "leader":
            return leader.endpoint
        return next(member for member in self.members if member is not leader).endpoint

    @property
    def process(self):
        return self

    @property
    def pid(self):
        return ",".join(str(member.process.pid) for member in self.members)

    def stop(self):
        for member in self.members:
            member.kill()
            shutil.rmtree(member.data, ignore_errors=True)

    def traffic(self):
        """Bytes on the wire and segments between the members so far: every connection is counted at
        both of its ends, each end what it sent."""
        ports = {member.peer.rsplit(":", 1)[1] for member in self.members}
        said = subprocess.run(["ss", "-tinHO"], stdout=subprocess.PIPE, check=True, text=True)
        sent, segments = 0, 0
        for line in said.stdout.splitlines():
            ends = {word.rsplit(":", 1)[1] for word in line.split()[3:5] if ":" in word}
            if ends & ports:
                sent += sum(int(n) for n in re.findall(r"\bbytes_sent:(\d+)", line))
                segments += sum(int(n) for n in re.findall(r"\bsegs_out:(\d+)", line))
        return sent, segments


class Cluster:
    """All groups of loads, on compare's Run."""

    def __init__(self, run):
        self.run, self.options = run, run.options

    def pair(self, flags=()):
        return [Group("ours", self.options.etcd, self.run.folder, self.options.port, flags),
                Group("reference", self.options.reference, self.run.folder, self.options.port + 20,
                      flags)]

    def with_groups(self, what, flags=()):
        groups = self.pair(flags)
        try:
            for group in groups:
                group.start()
            what(groups)
        finally:
            for group in groups:
                group.stop()

    def calls(self, quick, full):
        return quick if self.options.quick else full

    def loads(self, groups):
        wanted = self.options.loads
        for group in groups:
            group.where = "leader"
            self.run.bench(group, "fill --conns 8 --streams 16", 20000)
        for number in range(self.options.rounds):
            for name, arguments, where, quick, full, _ in LOADS:
                if wanted and not {name, "load", arguments.split()[0]} & set(wanted):
                    continue
                for group in groups if number % 2 == 0 else groups[::-1]:
                    group.where = where
                    calls = self.calls(quick, full)
                    self.run.note("3 members: " + name, group,
                                  self.run.bench(group, arguments, calls))

    def bytes(self, groups):
        for arguments, what in (("put --conns 8 --streams 16", "8x16"),
                                ("put --conns 1 --streams 1", "1x1")):
            calls = self.calls(20000, 50000) if what == "8x16" else 4000
            for group in groups:
                group.where = "leader"
                self.run.bench(group, arguments, 2000)
                before, segments_before = group.traffic()
                self.run.bench(group, arguments, calls)
                after, segments = group.traffic()
                sent, segments = after - before, segments - segments_before
                wire = sent + SEGMENT_HEADERS * segments
                self.run.note_number(f"3 members: put {what} of 1 KiB: bytes between members a put",
                                     group, wire / calls)
                self.run.note_number(f"3 members: put {what}: of these payload", group,
                                     sent / calls)
                self.run.note_number(f"3 members: put {what}: segments a put", group,
                                     segments / calls)

    def kills(self, groups):
        for _ in range(self.calls(5, 15)):
            for group in groups:
                leader = group.leader()
                others = [member for member in group.members if member is not leader]
                began = time.monotonic()
                leader.kill()
                group.wait_write(others)
                self.run.note_number("3 members: kill -9 of the leader to the next write, s", group,
                                     time.monotonic() - began)
                leader.start(group.cluster())
                group.wait_write([leader])
                time.sleep(2)  # until all of them are in step again

    def leases(self, groups):
        """A thousand puts a second, quiet and while leases that were granted together expire."""
        count = self.calls(20000, 200000)
        puts = "put --conns 8 --streams 4 --rate 1000"
        for group in groups:
            group.where = "leader"
            self.run.note("3 members: 1,000 puts a second, quiet", group,
                          self.run.bench(group, puts, 10000))
            self.run.bench(group, f"grant --conns 8 --streams 16 --ttl {LEASE_TTL_S}", count)
            leader = group.leader()
            before = expired(leader)
            while expired(leader) == before:
                time.sleep(0.1)
            began, before = time.monotonic(), expired(leader)
            self.run.note(f"3 members: the same, while {count:,} leases expire", group,
                          self.run.bench(group, puts, self.calls(10000, 30000)))
            self.run.note_number("3 members: leases expired a second meanwhile", group,
                                 (expired(leader) - before) / (time.monotonic() - began))

    def fresh(self, groups):
        """One group after the other: a fourth member comes to 1 GiB (quick: 200 MB) of keys."""
        keys = self.calls(200000, 1000000)
        for group in groups:
            group.where = "leader"
            self.run.bench(group, f"fill --conns 8 --streams 16 --keys {keys}", keys)
            group.settle()
            fourth = Member(group, 3)
            leader = group.leader()
            leader.post("/v3/cluster/member/add", {"peerURLs": [fourth.peer]})
            cluster = group.cluster() + f",{fourth.name}={fourth.peer}"
            cpu = sum(cpu_seconds(m.process.pid) for m in group.members)
            resident = [resident_mb(m.process.pid) for m in group.members]
            began = time.monotonic()
            fourth.start(cluster, "existing")
            group.members.append(fourth)
            last = {"key": encode(f"/registry/bench/{keys - 1:012}"), "serializable": True,
                    "keys_only": True}
            peak = resident
            while not (fourth.tries("/v3/kv/range", last, 60) or {}).get("kvs"):
                time.sleep(0.05)
                now = [resident_mb(m.process.pid) for m in group.members[:3]]
                peak = [max(pair) for pair in zip(peak, now)]
            what = f"3 members, {keys:,} keys of 1 KiB: a fourth"
            self.run.note_number(what + " caught up after, s", group, time.monotonic() - began)
            cpu = sum(cpu_seconds(m.process.pid) for m in group.members) - cpu
            self.run.note_number(what + ": CPU of all, s", group, cpu)
            grown = max(b - a for a, b in zip(resident, peak))
            self.run.note_number(what + ": resident growth of a sender, MB", group, grown)
            self.run.note_number(what + ": its own resident memory, MB", group,
                                 resident_mb(fourth.process.pid))
            group.stop()

    def everything(self):
        chosen = [group for group in GROUPS if group in self.options.loads]
        chosen += ["load"] if set(self.options.loads) - set(GROUPS) else []
        chosen = chosen or GROUPS
        for name, what in (("load", self.loads), ("bytes", self.bytes), ("kill", self.kills),
                           ("leases", self.leases)):
            if name in chosen:
                self.with_groups(what)
        if "fresh" in chosen:
            self.with_groups(self.fresh, ["--snapshot-count", "10000"])


def expired(member):
    """How many leases that member has had revoked as leader."""
    with urllib.request.urlopen(f"http://{member.endpoint}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    name = "etcd_debugging_server_lease_expired_total"
    return float(re.search(f"^{name} ([0-9.e+]+)$", text, re.M)[1])


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
