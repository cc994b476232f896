# SPDX-License-Identifier: Apache-2.0
"""Who is let in between members: revoked, of another name, expired, under another authority, and
certificates that change while the members run. Three members on loopback, clients over plain
HTTP."""
import json
import os
import shutil
import subprocess
import sys
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib import Case
from lib.api import Api
from lib.authority import Authority
from lib.env import need_ipv6, reference
from lib.member import Member
from lib.net import Net, ip

HERE = ["IP:127.0.0.1", "DNS:localhost"]
OVER = ("20200101000000Z", "20200201000000Z")
NAMES = ("n1", "n2", "n3")
LONG = 60


class Peer(Member):
    """Plain HTTP for clients, TLS for members."""

    def __init__(self, folder, name, peer_flags, program=None):
        super().__init__(folder, name=name, program=program,
                         flags=["--heartbeat-interval=50", "--election-timeout=500",
                                "--initial-cluster-token=tls", *peer_flags])
        self.peer_url = f"https://127.0.0.1:{self.peer_port}"
        self.target = f"127.0.0.1:{self.client_port}"
        self.initial = ""
        self.host = None

    def command(self):
        command = [f"--initial-cluster={self.initial}" if flag.startswith("--initial-cluster=")
                   else flag for flag in super().command()]
        return self.host.command(command) if self.host else command

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


class TlsCase(Case):
    kind = Peer

    def grows(self, members):
        for member in members:
            member.wait_ready(LONG)
        for member in members:
            self.put(member, member.name.encode())
        for member in members:
            self.until(lambda m=member: self.get(m, b"n3") == b"v", f"{member.name} lags")

    def setUp(self):
        super().setUp()
        self.authority = Authority(os.path.join(self.folder, "authority"))
        self.members = []

    def flags_of(self, name, authority=None):
        cert, key = (authority or self.authority).pair(name)
        return [f"--peer-cert-file={cert}", f"--peer-key-file={key}",
                "--peer-client-cert-auth=true", f"--peer-trusted-ca-file={self.authority.ca}"]

    def group(self, make_flags, programs=None):
        for name in NAMES:
            peer = self.kind(os.path.join(self.folder, name), name, make_flags(name),
                             (programs or {}).get(name))
            self.addCleanup(peer.stop)
            self.members.append(peer)
        initial = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
        for member in self.members:
            member.initial = initial
            member.start(wait=False)
        return self.members

    def until(self, what, why="never came", seconds=LONG):
        deadline = time.monotonic() + seconds
        while True:
            got = what()
            if got:
                return got
            if time.monotonic() > deadline:
                self.fail(f"{why}\n" + "\n".join(
                    f"{m.name}: {m.log_tail(8)}" for m in self.members))
            time.sleep(0.1)

    def logged(self, member, text):
        self.until(lambda: text in member.log(), f"{member.name} never said {text!r}")

    def put(self, member, key, value=b"v"):
        """Through that member, tried again as clients do."""
        def attempt():
            try:
                with Api(member) as api:
                    return api.Put(key=key, value=value, timeout=5).header.revision
            except Exception:  # pylint: disable=broad-except
                return None
        return self.until(attempt, f"no write through {member.name}")

    def get(self, member, key):
        """That member's own value; None while it has none."""
        try:
            with Api(member) as api:
                kvs = api.Range(key=key, serializable=True, timeout=5).kvs
                return kvs[0].value if kvs else None
        except Exception:  # pylint: disable=broad-except
            return None

    def holds_out(self, outsider, said_by, text):
        """The others serve; the outsider is turned away by name of the reason, takes no write and
        has nothing."""
        inside = [m for m in self.members if m is not outsider]
        for member in inside:
            member.wait_ready(LONG)
        self.put(inside[0], b"a")
        self.until(lambda: self.get(inside[1], b"a") == b"v")
        self.logged(said_by, text)
        self.assertFalse(outsider.is_ready())
        with Api(outsider) as api:
            self.assertRaises(grpc.RpcError, api.Put, key=b"lost", value=b"v", timeout=2)
        self.assertIsNone(self.get(outsider, b"a"))


    def refused_by(self, member, why):
        """Its log has the line that operators look for, with the address and the reason."""
        def lines():
            said = [json.loads(line) for line in member.log().splitlines()
                    if "rejected connection on peer endpoint" in line]
            return [line for line in said if line["error"] == why]
        line = self.until(lines, f"{member.name} refused nobody for {why!r}")[0]
        self.assertEqual("warn", line["level"])
        self.assertRegex(line["remote-addr"], r"^127\.0\.0\.1:\d+$")
        self.assertIn("server-name", line)


class Refused(TlsCase):
    def test_a_revoked_certificate(self):
        for name in NAMES:
            self.authority.issue(name, HERE)
        revoked = self.authority.list_revoked("n3")
        n1, n2, n3 = self.group(lambda name: [*self.flags_of(name), f"--peer-crl-file={revoked}"])
        serial = self.authority.serial("n3")
        self.holds_out(n3, n1, f"transport: certificate serial {serial} revoked")
        self.refused_by(n1, f"transport: certificate serial {serial} revoked")
        # The list is read again: with a certificate of its own that is not on it, n3 comes in.
        self.authority.issue("n3", HERE)
        n3.wait_ready(LONG)
        self.until(lambda: self.get(n3, b"a") == b"v")
        # And who is put on it while it is connected is not let in again.
        self.authority.list_revoked("n2")
        n2.kill()
        n2.start(wait=False)
        self.logged(n1, f"transport: certificate serial {self.authority.serial('n2')} revoked")
        self.put(n3, b"b")

    def test_a_list_that_cannot_be_read_keeps_all_out(self):
        for name in NAMES:
            self.authority.issue(name, HERE)
        revoked = self.authority.list_revoked()
        n1, n2, n3 = self.group(lambda name: [*self.flags_of(name), f"--peer-crl-file={revoked}"])
        for member in (n1, n2, n3):
            member.wait_ready(LONG)
        os.rename(revoked, revoked + ".gone")
        n3.kill()
        n3.start(wait=False)
        self.logged(n1, f"open {revoked}: No such file or directory")
        os.rename(revoked + ".gone", revoked)
        n3.wait_ready(LONG)

    def test_another_common_name(self):
        for name, cn in zip(NAMES, ("etcd", "etcd", "stranger")):
            self.authority.issue(name, HERE, cn=cn)
        n1, _, n3 = self.group(lambda name: [*self.flags_of(name),
                                             "--peer-cert-allowed-cn=other,etcd"])
        self.holds_out(n3, n1, "client certificate authentication failed")
        self.authority.issue("n3", HERE, cn="other")
        n3.wait_ready(LONG)

    def test_another_host_name(self):
        for name, host in zip(NAMES, ("a.etcd.test", "b.etcd.test", "c.else.test")):
            self.authority.issue(name, [*HERE, f"DNS:{host}"])
        n1, _, n3 = self.group(lambda name: [
            *self.flags_of(name), "--peer-cert-allowed-hostname=a.etcd.test,b.etcd.test"])
        self.holds_out(n3, n1, "client certificate authentication failed")
        self.authority.issue("n3", [*HERE, "DNS:b.etcd.test"])
        n3.wait_ready(LONG)

    def test_who_is_dialed_must_have_the_name_too(self):
        """n1 and n2 refuse what n3 serves with, though what n3 shows when it dials is good."""
        for name in NAMES:
            self.authority.issue(name, HERE, cn="etcd")
        self.authority.issue("n3-served", HERE, cn="stranger")

        def flags(name):
            names = "etcd,stranger" if name == "n3" else "etcd"
            if name != "n3":
                return [*self.flags_of(name), f"--peer-cert-allowed-cn={names}"]
            cert, key = self.authority.pair("n3")
            return [*self.flags_of("n3-served"), f"--peer-client-cert-file={cert}",
                    f"--peer-client-key-file={key}", f"--peer-cert-allowed-cn={names}"]
        n1, _, n3 = self.group(flags)
        self.logged(n1, "client certificate authentication failed")
        self.put(n3, b"a")  # what it dials itself is good
        self.assertNotIn("rejected connection", n1.log())
        self.assertIn("client certificate authentication failed",
                      [line for line in n1.log().splitlines() if "remote-peer" in line
                       and "authentication" in line][0])

    def test_a_certificate_for_another_host(self):
        for name in NAMES:
            self.authority.issue(name, HERE if name != "n3" else ["IP:10.1.2.3"])
        n1, _, n3 = self.group(self.flags_of)
        self.holds_out(n3, n1, "does not match any of DNSNames")

    def test_unless_that_is_not_to_be_looked_at(self):
        """n3's is good for where it is dialed, and comes from elsewhere."""
        for name in NAMES:
            self.authority.issue(name, HERE)
        self.authority.issue("n3-shown", ["IP:10.1.2.3"])
        cert, key = self.authority.pair("n3-shown")
        shown = [f"--peer-client-cert-file={cert}", f"--peer-client-key-file={key}"]
        members = self.group(lambda name: [*self.flags_of(name), *(shown if name == "n3" else []),
                                           "--peer-skip-client-san-verification"])
        for member in members:
            member.wait_ready(LONG)
        self.put(members[2], b"a")
        self.assertNotIn("does not match any of DNSNames", members[0].log())

    def test_an_expired_certificate(self):
        for name in NAMES:
            self.authority.issue(name, HERE, dates=OVER if name == "n3" else ())
        n1, _, n3 = self.group(self.flags_of)
        self.holds_out(n3, n1, "certificate has expired")
        self.refused_by(n1, "tls: certificate has expired")
        self.authority.issue("n3", HERE)
        n3.wait_ready(LONG)

    def test_another_authority(self):
        other = Authority(os.path.join(self.folder, "other"), name="other")
        for name in NAMES:
            (other if name == "n3" else self.authority).issue(name, HERE)
        n1, _, n3 = self.group(
            lambda name: self.flags_of(name, other if name == "n3" else self.authority))
        self.holds_out(n3, n1, "unable to get local issuer certificate")

    def test_no_certificate(self):
        for name in NAMES:
            self.authority.issue(name, HERE)
        n1, _, _ = self.group(self.flags_of)
        n1.wait_ready(LONG)
        done = subprocess.run(["curl", "-sS", "--max-time", "20", "--cacert", self.authority.ca,
                               n1.peer_url + "/members"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertNotEqual(0, done.returncode, done.stdout)
        self.assertEqual("", done.stdout)
        self.refused_by(n1, "tls: peer did not return a certificate")


class Changing(TlsCase):
    def serial_of(self, member):
        said = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{member.peer_port}", "-showcerts"],
            input="", capture_output=True, text=True, timeout=60, check=False).stdout
        if "BEGIN CERTIFICATE" not in said:
            return None
        done = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=said, text=True,
                              capture_output=True, timeout=60, check=False)
        return done.stdout.strip().split("=")[-1]

    def test_certificates_are_exchanged_under_running_members(self):
        for name in NAMES:
            self.authority.issue(name, HERE, cn=f"{name}-old")
        n1, n2, n3 = self.group(self.flags_of)
        for member in (n1, n2, n3):
            member.wait_ready(LONG)
        self.put(n1, b"before")
        for member in (n1, n2, n3):
            self.authority.issue(member.name, HERE, cn=f"{member.name}-new")
            want = self.authority.serial(member.name)
            self.until(lambda m=member, w=want: self.serial_of(m) == w, "the old one is served")
        # The new authority is trusted beside the old one, then certificates come from it alone.
        other = Authority(os.path.join(self.folder, "other"), name="other")
        with open(other.ca, encoding="utf-8") as file:
            added = file.read()
        with open(self.authority.ca, encoding="utf-8") as file:
            had = file.read()
        for text in (had + added, added):
            with open(self.authority.ca + ".new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(self.authority.ca + ".new", self.authority.ca)
            for member in (n1, n2, n3):
                other.issue(member.name, HERE)
                for mine, theirs in zip(self.authority.pair(member.name), other.pair(member.name)):
                    shutil.copy(theirs, mine + ".new")
                    os.replace(mine + ".new", mine)
                want = other.serial(member.name)
                self.until(lambda m=member, w=want: self.serial_of(m) == w, "the old one is served")
        # Every connection is made anew: two of three come back one after the other.
        for member in (n2, n3):
            member.kill()
            member.start(wait=False)
            member.wait_ready(LONG)
        self.put(n1, b"after")
        for member in (n1, n2, n3):
            self.until(lambda m=member: self.get(m, b"after") == b"v", f"{member.name} lags")
        self.assertIsNone(n1.process.poll())

    def test_a_broken_certificate_changes_nothing(self):
        for name in NAMES:
            self.authority.issue(name, HERE)
        n1, n2, n3 = self.group(self.flags_of)
        for member in (n1, n2, n3):
            member.wait_ready(LONG)
        want = self.authority.serial("n1")
        with open(self.authority.path("n1.crt"), "w", encoding="utf-8") as file:
            file.write("no certificate")
        self.logged(n1, "certificates changed but cannot be used; the old ones stay")
        self.assertEqual(want, self.serial_of(n1))
        n2.kill()
        n2.start(wait=False)
        n2.wait_ready(LONG)
        self.put(n3, b"a")


class SelfSigned(TlsCase):
    def flags(self, name):
        del name
        return ["--peer-auto-tls"]

    def test_members_make_their_own_certificates(self):
        members = self.group(self.flags)
        self.grows(members)
        for member in members:
            path = os.path.join(member.data_dir, "fixtures", "peer", "cert.pem")
            self.assertTrue(os.path.exists(path), path)
        for member in members:
            member.kill()
        for member in members:
            member.start(wait=False)
        self.grows(members)

    def test_beside_a_member_of_the_reference(self):
        program = reference("etcd")
        self.grows(self.group(self.flags, {"n2": program}))


class WildPeer(Peer):
    """Listens on all addresses of both families, and advertises one of IPv4."""

    def command(self):
        return [f"--listen-peer-urls=https://[::]:{self.peer_port}"
                if flag.startswith("--listen-peer-urls=") else flag for flag in super().command()]


class Wildcard(TlsCase):
    """To a listener on [::] a peer of IPv4 comes from ::ffff:127.0.0.1; the certificates say
    127.0.0.1, and no name that could be looked up instead."""
    kind = WildPeer
    programs = staticmethod(lambda: {})

    def setUp(self):
        super().setUp()
        need_ipv6()

    def grown(self, ips):
        for name, address in ips.items():
            self.authority.issue(name, [f"IP:{address}"])
        return self.group(self.flags_of, self.programs())

    def test_peers_of_ipv4_come_in(self):
        members = self.grown(dict.fromkeys(NAMES, "127.0.0.1"))
        self.grows(members)
        for member in members:
            self.assertNotIn("rejected connection", member.log())

    def test_but_not_with_another_hosts_certificate(self):
        n1, n2, n3 = self.grown({"n1": "127.0.0.1", "n2": "127.0.0.1", "n3": "10.1.2.3"})
        for member in (n1, n2):
            member.wait_ready(LONG)

        def lines():
            said = [json.loads(line) for line in n1.log().splitlines()
                    if "rejected connection on peer endpoint" in line]
            return [line for line in said if "127.0.0.1" in line["error"]]
        line = self.until(lines, "n1 refused nobody for where it comes from")[0]
        self.assertRegex(line["remote-addr"], r"^127\.0\.0\.1:\d+$")
        self.assertNotIn("ffff", line["error"])
        self.assertFalse(n3.is_ready())


class WildcardOfReference(Wildcard):
    """The same asked of the reference."""
    programs = staticmethod(lambda: dict.fromkeys(NAMES, reference("etcd")))


class LocalAddress(TlsCase):
    """The second host has two addresses. The one that is not the kernel's choice is advertised, and
    in the certificate."""

    def on_hosts(self, flags):
        net = Net()
        self.addCleanup(net.close)
        hosts = [net.host(), net.host()]
        second = hosts[0].address.rsplit(".", 1)[0] + ".200"
        ip("-n", hosts[1].space, "addr", "add", f"{second}/24", "dev", f"kw{net.number}-2")
        for name, host, address in zip(NAMES, hosts, (hosts[0].address, second)):
            self.authority.issue(name, [f"IP:{address}"])
            peer = Peer(os.path.join(self.folder, name), name, [*self.flags_of(name), *flags])
            self.addCleanup(peer.stop)
            peer.host = host
            peer.peer_url = f"https://{address}:{peer.peer_port}"
            peer.client_url = f"http://{host.address}:{peer.client_port}"
            peer.target = f"{host.address}:{peer.client_port}"
            self.members.append(peer)
        for member in self.members:
            member.initial = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
            member.start(wait=False)
        return self.members

    def test_connections_come_from_the_advertised_address_with_the_gate(self):
        n1, n2 = self.on_hosts(["--feature-gates=SetMemberLocalAddr=true"])
        for member in (n1, n2):
            member.wait_ready(LONG)
        self.logged(n2, "setting member local address")
        self.put(n2, b"a")

    def test_they_come_from_where_the_kernel_likes_without(self):
        n1, _ = self.on_hosts([])
        self.logged(n1, f'\\"{self.members[1].host.address}\\" does not match any of DNSNames')
