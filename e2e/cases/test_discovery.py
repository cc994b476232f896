# SPDX-License-Identifier: Apache-2.0
"""Clusters that find their members: in DNS, and in the registry of another cluster."""
import json
import os
import subprocess
import sys
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib import Case
from lib.api import Api
from lib.dns import Dns
from lib.env import binary, reference
from lib.member import Member
from lib.net import Net

SECONDS = 120
ZONE = "example.test"


class Found(Case):
    def wait(self, what, words):
        deadline = time.monotonic() + SECONDS
        while not what():
            self.assertLess(time.monotonic(), deadline, words)
            time.sleep(0.05)

    def names(self, member):
        with Api(member) as api:
            return sorted(m.name for m in api.MemberList(timeout=60).members)

    def ids(self, member):
        with Api(member) as api:
            return sorted(m.ID for m in api.MemberList(timeout=60).members)

    def agree(self, members):
        """All of them are one cluster and have told their names; one put arrives everywhere."""
        for member in members:
            member.wait_ready(SECONDS)
        expected = sorted(member.name for member in members)

        def is_told():
            try:
                return all(self.names(member) == expected for member in members)
            except grpc.RpcError:
                return False
        self.wait(is_told, f"not all of {expected} have told their names")
        self.assertEqual(1, len({tuple(self.ids(member)) for member in members}))
        for member in members:
            self.put(member)
        with Api(members[-1]) as api:
            self.assertEqual(len(members), api.Range(
                key=b"from-", range_end=b"from.", count_only=True, timeout=60).count)

    def put(self, member):
        def is_taken():
            try:
                with Api(member) as api:
                    api.Put(key=b"from-" + member.name.encode(), value=b"1", timeout=60)
                return True
            except grpc.RpcError:
                return False
        self.wait(is_taken, f"{member.name} takes no put")

    def refusal(self, member):
        """What the member says last, having ended with an error."""
        member.start(wait=False)
        self.addCleanup(member.stop)
        self.assertEqual(1, member.process.wait(SECONDS), member.log_tail())
        return "\n".join(json.loads(line).get("error", "") for line in
                         member.log_tail(30).splitlines() if line.startswith("{"))


class DnsMember(Member):
    """On a host of its own, whose names come from the test's server."""

    def __init__(self, case, name, flags, program=None):
        super().__init__(os.path.join(case.folder, name), name=name, flags=flags, program=program)
        self.dns = case.dns
        self.host = case.net.host()
        self.client_port, self.peer_port = 2379, 2380
        self.target = f"{self.host.address}:2379"
        self.client_url = f"http://{self.host.address}:2379"
        self.peer_url = f"http://{self.host.address}:2380"
        self.dns.hosts[f"{name}.{ZONE}"] = self.host.address
        self.cluster = None  # --initial-cluster, if there is one

    def command(self):
        command = [word for word in super().command() if not word.startswith("--initial-cluster=")]
        command += [f"--initial-cluster={self.cluster}"] if self.cluster else []
        command = [f"--initial-advertise-peer-urls=http://{self.name}.{ZONE}:2380"
                   if word.startswith("--initial-advertise-peer") else word for word in command]
        return self.host.command(self.dns.command(command))


class OnHosts(Found):
    def setUp(self):
        super().setUp()
        self.net = Net()
        self.addCleanup(self.net.close)
        self.dns = Dns(f"10.213.{self.net.number}.1", self.folder)
        self.addCleanup(self.dns.close)

    def member(self, name, *flags, program=None):
        member = DnsMember(self, name, [f"--discovery-srv={ZONE}", *flags], program)
        self.addCleanup(member.stop)
        return member

    def records(self, service, members, port=2380):
        self.dns.srv[f"_{service}._tcp.{ZONE}"] = [(f"{m.name}.{ZONE}", port) for m in members]

    def ctl_at(self, program, host, *args):
        return subprocess.run(host.command(self.dns.command([program, *args])), check=False,
                              capture_output=True, text=True, timeout=SECONDS,
                              env=dict(os.environ, ETCDCTL_API="3"))


class Srv(OnHosts):
    def test_members_and_clients(self):
        members = [self.member(f"n{i}") for i in range(3)]
        self.records("etcd-server", members)
        for member in members:
            member.start(wait=False)
        self.agree(members)
        members[0].terminate()
        members[0].start(wait=False)
        self.agree(members)
        self.records("etcd-client", members, 2379)
        outside = self.net.host()
        for program in (binary("etcdctl"), reference("etcdctl")):
            done = self.ctl_at(program, outside, f"--discovery-srv={ZONE}", "get", "from-n1")
            self.assertEqual("from-n1\n1\n", done.stdout, done.stderr)
            done = self.ctl_at(program, outside, f"--discovery-srv={ZONE}",
                               "--insecure-discovery=false", "--command-timeout=1s", "get", "a")
            self.assertIn("ignoring discovered insecure endpoint", done.stderr)
            done = self.ctl_at(program, outside, "--discovery-srv=no.such", "get", "from-n1")
            self.assertIn("dns lookup errors: lookup _etcd-client-ssl._tcp.no.such on ",
                          done.stderr)

    def test_with_the_reference(self):
        members = [self.member("n0", "--discovery-srv-name=blue"),
                   self.member("n1", "--discovery-srv-name=blue"),
                   self.member("n2", "--discovery-srv-name=blue", program=reference("etcd"))]
        self.records("etcd-server-blue", members)
        for member in members:
            member.start(wait=False)
        self.agree(members)

    def test_refused(self):
        said = []
        for name, program in (("n0", reference("etcd")), ("n1", None)):
            said.append(self.refusal(self.member(name, program=program)))
        for text in ("error setting up initial cluster: error querying DNS SRV records for "
                     f"_etcd-server-ssl lookup _etcd-server-ssl._tcp.{ZONE} on ",
                     ": no such host"):
            for one in said:
                self.assertIn(text, one)

    def test_not_among_the_records(self):
        other = self.member("n0")
        self.records("etcd-server", [other])
        for name, program in (("n1", reference("etcd")), ("n2", None)):
            self.assertIn(f'cannot find local etcd member "{name}" in SRV records',
                          self.refusal(self.member(name, program=program)))

    def test_scheme_of_another_kind(self):
        said = []
        for name, program in (("n0", reference("etcd")), ("n0", None)):
            member = self.member(name, program=program)
            member.folder = os.path.join(self.folder, str(len(said)))
            member.data_dir = os.path.join(member.folder, "data")
            member.log_path = os.path.join(member.folder, "etcd.log")
            self.records("etcd-server-ssl", [member])
            said.append(self.refusal(member))
        for one in said:
            self.assertIn(f"bootstrap at https://n0.{ZONE}:2380 from DNS for etcd-server-ssl has "
                          f"scheme mismatch with expected peer http://n0.{ZONE}:2380", one)



class Late(OnHosts):
    """A member whose URLs stand in two ways, one of them a name that comes up later."""

    def test_own_name(self):
        for number, program in enumerate((None, reference("etcd"))):
            with self.subTest(program=program):
                member = DnsMember(self, f"n{number}", [], program)
                self.addCleanup(member.stop)
                address = self.dns.hosts.pop(f"n{number}.{ZONE}")
                member.cluster = f"n{number}=http://{address}:2380"
                member.start(wait=False)
                self.wait(lambda m=member: "failed to resolve URL Host" in m.log_tail(100),
                          "the name is not asked for")
                self.dns.hosts[f"n{number}.{ZONE}"] = address
                member.wait_ready(SECONDS)

    def test_of_a_running_cluster(self):
        """One that joins knows the members by names, they themselves by addresses."""
        first = DnsMember(self, "n0", [])
        self.addCleanup(first.stop)
        first.cluster = f"n0=http://n0.{ZONE}:2380"
        first.start()
        second = DnsMember(self, "n1", [])
        self.addCleanup(second.stop)
        with Api(first) as api:
            api.MemberAdd(peerURLs=[f"http://{second.host.address}:2380"], timeout=60)
        address = self.dns.hosts.pop(f"n1.{ZONE}")
        second.cluster = f"n0=http://n0.{ZONE}:2380,n1=http://n1.{ZONE}:2380"
        second.flags = ["--initial-cluster-state=existing"]
        second.start(wait=False)
        self.wait(lambda: "failed to resolve URL Host" in second.log_tail(100),
                  "the name is not asked for")
        self.dns.hosts[f"n1.{ZONE}"] = address
        self.agree([first, second])


    def test_whoever_waits_for_a_name_can_be_ended(self):
        first = DnsMember(self, "n0", [])
        self.addCleanup(first.stop)
        first.cluster = f"n0=http://n0.{ZONE}:2380"
        first.start()
        second = DnsMember(self, "n1", ["--initial-cluster-state=existing"])
        self.addCleanup(second.stop)
        with Api(first) as api:
            api.MemberAdd(peerURLs=[f"http://{second.host.address}:2380"], timeout=60)
        self.dns.hosts.pop(f"n1.{ZONE}")
        second.cluster = f"n0=http://n0.{ZONE}:2380,n1=http://n1.{ZONE}:2380"
        second.start(wait=False)
        self.wait(lambda: "failed to resolve URL Host" in second.log_tail(100),
                  "the name is not asked for")
        asked = second.log_tail(100).count("failed to resolve URL Host")
        second.process.terminate()
        second.process.wait(SECONDS)
        self.assertLess(second.log_tail(100).count("failed to resolve URL Host"), asked + 5)
        self.assertFalse(os.path.exists(os.path.join(second.data_dir, "member", "wal")))


class Gateway(OnHosts):
    """`etcd gateway start --discovery-srv`, beside the reference's."""

    def setUp(self):
        super().setUp()
        self.host = self.net.host()
        self.nodes = [DnsMember(self, f"n{number}", []) for number in range(2)]
        for node in self.nodes:
            self.addCleanup(node.stop)

    def start_nodes(self):
        for node in self.nodes:
            node.cluster = f"{node.name}=http://{node.name}.{ZONE}:2380"
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready(SECONDS)

    def gateway(self, program, *flags):
        """One that listens; what it logged so far."""
        path = os.path.join(self.folder, "gateway.log")
        command = self.host.command(self.dns.command(
            [program, "gateway", "start", f"--listen-addr={self.host.address}:23790", *flags]))
        with open(path, "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.addCleanup(stop, process)

        def log_of():
            with open(path, encoding="utf-8") as file:
                return file.read()
        self.wait(lambda: "ready to proxy" in log_of() or process.poll() is not None, "no gateway")
        return process, log_of()

    def ctl(self, *args):
        return self.ctl_at(binary("etcdctl"), self.net.host(),
                           f"--endpoints={self.host.address}:23790", *args).stdout

    def endpoints(self, log):
        return [line["endpoints"] for line in map(json.loads, log.splitlines())
                if line["msg"] == "ready to proxy client requests"]

    def test_insecure(self):
        self.start_nodes()
        self.records("etcd-client", self.nodes[1:], 2379)
        self.records("etcd-client-blue", self.nodes[:1], 2379)
        for flags, node in (((), 1), (("--discovery-srv-name=blue",), 0)):
            answers = []
            for program in (binary("etcd"), reference("etcd")):
                process, log = self.gateway(program, f"--discovery-srv={ZONE}",
                                            "--insecure-discovery", *flags)
                answers.append([one.replace(f"{ZONE}.:", f"{ZONE}:")
                                for one in sum(self.endpoints(log), [])])
                self.assertIn(f" n{node}, ", self.ctl("member", "list"))
                stop(process)
            self.assertEqual([[f"n{node}.{ZONE}:2379"]] * 2, answers)

    def test_only_the_secure(self):
        """Those that are reached over TLS; if none is, --endpoints."""
        self.start_nodes()
        fallback = f"--endpoints={self.nodes[0].host.address}:2379"
        self.records("etcd-client", self.nodes[1:], 2379)
        for program in (binary("etcd"), reference("etcd")):
            process, log = self.gateway(program, f"--discovery-srv={ZONE}", fallback)
            self.assertIn('"failed to validate discovered endpoints"', log)
            self.assertEqual([[self.nodes[0].host.address + ":2379"]], self.endpoints(log))
            self.assertIn(" n0, ", self.ctl("member", "list"))
            stop(process)
        self.records("etcd-client-ssl", self.nodes[1:], 2379)
        for program in (binary("etcd"), reference("etcd")):
            process, log = self.gateway(program, f"--discovery-srv={ZONE}", fallback)
            self.assertIn(f"n1.{ZONE}", self.endpoints(log)[0][0])
            self.assertIn(" n1, ", self.ctl("member", "list"))
            stop(process)
            process, log = self.gateway(program, f"--discovery-srv={ZONE}", fallback,
                                        "--trusted-ca-file=/nonexistent")
            self.assertEqual([[self.nodes[0].host.address + ":2379"]], self.endpoints(log))
            stop(process)

    def test_no_records(self):
        for program in (binary("etcd"), reference("etcd")):
            process, log = self.gateway(program, "--discovery-srv=no.such")
            self.assertEqual(1, process.wait(SECONDS))
            self.assertIn("dns lookup errors: lookup _etcd-client-ssl._tcp.no.such on ", log)


def stop(process):
    if process.poll() is None:
        process.terminate()
        process.wait(SECONDS)


class RegistryMember(Member):
    """One that is told the registry only."""

    def command(self):
        return [word for word in super().command() if not word.startswith("--initial-cluster=")]


class Registry(Found):
    TOKEN = "3f2a"
    PREFIX = f"/_etcd/registry/{TOKEN}"

    def service(self, **rest):
        service = self.member(**rest)
        self.put_at(service, "_config/size", "3")
        return service

    def put_at(self, service, key, value):
        with Api(service) as api:
            api.Put(key=f"{self.PREFIX}/{key}".encode(), value=value.encode(), timeout=60)

    def found(self, name, service, *flags):
        member = RegistryMember(os.path.join(self.folder, name), name=name, flags=[
            f"--discovery-token={self.TOKEN}",
            f"--discovery-endpoints=127.0.0.1:{service.client_port}", *flags])
        self.addCleanup(member.stop)
        return member

    def registered(self, service):
        with Api(service) as api:
            return {kv.key.decode()[len(self.PREFIX) + 9:]: kv.value.decode() for kv in api.Range(
                key=f"{self.PREFIX}/members/".encode(),
                range_end=f"{self.PREFIX}/members0".encode(), timeout=60).kvs}

    def test_three_members(self):
        service = self.service()
        members = [self.found(f"n{i}", service) for i in range(4)]
        members[0].start(wait=False)
        self.wait(lambda: len(self.registered(service)) == 1, "the first does not register")
        self.assertEqual(["n0=" + members[0].peer_url], list(self.registered(service).values()))
        members[0].kill()  # while it waits: it comes back as the same
        for member in members[:3]:
            member.start(wait=False)
        self.agree(members[:3])
        self.assertEqual({f"{i:x}" for i in self.ids(members[0])}, set(self.registered(service)))
        self.assertIn("discovery: cluster is full", self.refusal(members[3]))
        service.terminate()  # who has a log asks nobody
        members[1].terminate()
        members[1].start(wait=False)
        self.agree(members[:3])
        with open(members[1].log_path, encoding="utf-8") as file:
            self.assertIn("discovery token is ignored since cluster already initialized",
                          file.read())

    def test_a_member_of_etcd_kept_by_etcd(self):
        """The service is etcd's own, and so is one of the members: 3.5 cannot ask for the others,
        but its id, which the token is part of, must be the one that ours compute."""
        service = self.service(program=reference("etcd"))
        ours = [self.found(f"n{i}", service) for i in range(2)]
        theirs = Member(os.path.join(self.folder, "n2"), name="n2", program=reference("etcd"))
        self.addCleanup(theirs.stop)
        for member in ours:
            member.start(wait=False)
        self.wait(lambda: len(self.registered(service)) == 2, "ours do not register")
        self.put_at(service, "members/ffff", f"n2={theirs.peer_url}")
        initial = ",".join(f"{m.name}={m.peer_url}" for m in (*ours, theirs))
        theirs.flags = [f"--initial-cluster={initial}", f"--initial-cluster-token={self.TOKEN}"]
        theirs.start(wait=False)
        self.agree([*ours, theirs])

    def test_stops_while_it_waits(self):
        service = self.service()
        member = self.found("n0", service)
        member.start(wait=False)
        self.wait(lambda: self.registered(service), "it does not register")
        self.assertEqual(-15, member.terminate(SECONDS))

    def test_service_that_comes_late(self):
        service = self.service()
        self.put_at(service, "_config/size", "1")
        service.terminate()
        member = self.found("n0", service)
        member.start(wait=False)
        self.wait(lambda: "retry connecting to discovery service" in member.log_tail(50),
                  "it does not try again")
        service.start()
        self.agree([member])

    def test_with_tls_and_a_user(self):
        certs = self.certs()
        service = self.service(certs=certs)
        self.put_at(service, "_config/size", "1")
        for args in (("user", "add", "root:pw"), ("user", "grant-role", "root", "root"),
                     ("auth", "enable")):
            self.ctl(service)(*args)
        tls = ["--discovery-dial-timeout=60s", f"--discovery-cacert={certs.path('ca.crt')}",
               f"--discovery-cert={certs.path('client.crt')}",
               f"--discovery-key={certs.path('client.key')}"]
        wrong = self.found("n0", service, *tls, "--discovery-user=root", "--discovery-password=no")
        self.assertIn("authentication failed, invalid user ID or password", self.refusal(wrong))
        member = self.found("n1", service, *tls, "--discovery-user=root",
                            "--discovery-password=pw")
        member.start(wait=False)
        self.agree([member])
        self.assertNotIn('"pw"', member.log_tail(1000))

    def test_refused(self):
        service = self.member()
        self.assertIn("discovery: size key not found", self.refusal(self.found("n0", service)))
        for size in ("x", "0", "-1"):
            self.put_at(service, "_config/size", size)
            self.assertIn("failed to join discovery cluster (discovery: size key is bad)",
                          self.refusal(self.found("n" + size, service)))
        self.put_at(service, "_config/size", "2")
        self.put_at(service, "members/1", "n1=http//x")
        self.assertIn("discovery: invalid peer URL", self.refusal(self.found("n2", service)))


if __name__ == "__main__":
    import unittest
    unittest.main()
