# SPDX-License-Identifier: Apache-2.0
"""deploy/Dockerfile, built by buildah and run by podman: health from outside, etcdctl and sh
inside, data that outlives its container."""
import os
import shutil
import tempfile
import time
import unittest

from lib import Certs
from lib.podman import PROGRAMS, Podman
from test_manifest import ADDRESS, NODE, manifest

IMAGE_BYTES_MAX = 60_000_000
IN_CONTAINER = "/key/"


class Container(unittest.TestCase):
    maxDiff = None
    first = True
    missing = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ketcd-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        try:
            cls.podman = Podman(os.path.join(cls.folder, "podman"))
        except unittest.SkipTest as why:
            cls.missing = str(why)
            return
        cls.addClassCleanup(cls.podman.stop)
        cls.podman.build()

    def setUp(self):
        if self.missing:
            self.skipTest(self.missing)
        self.addCleanup(self.podman.remove)
        self.name = self.id().rsplit(".", 1)[1].replace("_", "-")
        self.data = os.path.join(self.folder, self.name)
        os.mkdir(self.data, 0o700)

    def start(self, *flags, command=(), url="http://127.0.0.1:2381/readyz", name=None):
        self.podman.start(name or self.name, flags, command)
        self.podman.wait(name or self.name, url)

    def ctl(self, *words):
        return self.podman.exec(self.name, "etcdctl", *words)

    def put_until(self, flags, key, value, seconds=60):
        """A put that was on its way to a leader when that died is lost: its client tries again."""
        end = time.monotonic() + seconds
        while True:
            done = self.podman.call("exec", self.name, "etcdctl", *flags, "put", key, value)
            if done.returncode == 0 or time.monotonic() > end:
                break
        self.assertEqual("OK\n", done.stdout, done.stderr)

    def kept(self):
        """The flags of a folder of ours as the container's data."""
        return "-v", f"{self.data}:/etcd/data"

    def args(self):
        """The command line of the container's first process."""
        return self.podman.exec(self.name, "sh", "-c",
                                "tr '\\0' '\\n' </proc/1/cmdline").splitlines()

    def test_it_is_small_and_has_what_an_operator_calls(self):
        size = int(self.podman("image", "inspect", "--format", "{{.Size}}", "ketcd:e2e"))
        print(f"{size / 1e6:.1f} MB", end=" ")
        self.assertLess(size, IMAGE_BYTES_MAX)
        for program in PROGRAMS:
            done = self.podman.once(program, "version" if program != "etcd" else "--version")
            self.assertEqual((0, ""), (done.returncode, done.stderr))
        done = self.podman.once("sh", "-c", "cd /usr/local/bin && echo * && ls /etcd | cat && "
                                "cat /var/lib/dpkg/status.d/librocksdb7.8 | grep ^Package")
        self.assertEqual("etcd etcd-pki etcdctl etcdutl\ndata\nPackage: librocksdb7.8\n",
                         done.stdout)

    def test_it_starts_and_answers_without_a_word(self):
        self.start()
        for path in ("/livez", "/readyz", "/health"):
            for port in (2379, 2381):
                self.assertEqual(200, self.podman.space.status(f"http://127.0.0.1:{port}{path}"))
        self.assertEqual("OK\n", self.ctl("put", "/registry/a", "1"))
        self.assertEqual("/registry/a\n1\n", self.ctl("get", "/registry/a"))
        said = self.podman.exec(self.name, "sh", "-c", "echo $$ >/tmp/x && ls /etcd/data && ps")
        self.assertRegex(said, r"(?m)^member$")
        self.assertRegex(said, r"(?m)^ +1 root +etcd --name=")

    def test_variables(self):
        self.start("-e", "ETCD_PORT=25010", "-e", "ETCD_PEER_PORT=25011", "-e",
                   "METRICS_PORT=25012", "-e", "ETCD_TOKEN=token-of-mine", "-e", "ETCD_COUNT=777",
                   "-e", "ETCD_NAME=one", "-e", "CLUSTER=one=http://127.0.0.1:25011",
                   url="http://127.0.0.1:25012/readyz")
        self.assertEqual(200, self.podman.space.status("http://127.0.0.1:25010/health"))
        args = self.args()
        for flag in ("--initial-cluster-token=token-of-mine", "--snapshot-count=777",
                     "--initial-cluster=one=http://127.0.0.1:25011", "--initial-cluster-state=new"):
            self.assertIn(flag, args)
        self.assertIn(", one, http://127.0.0.1:25011, http://127.0.0.1:25010, false",
                      self.ctl("--endpoints=127.0.0.1:25010", "member", "list"))
        logs = self.podman.call("logs", self.name)
        self.assertNotIn("unrecognized environment variable", logs.stdout + logs.stderr)

    def test_certificates_in_key(self):
        certs = Certs(os.path.join(self.data, "pki"), name="box")
        flags = ("-v", f"{certs.folder}:/key:ro", "-e", "ETCD_NAME=box",
                 "-e", "CLUSTER=box=https://127.0.0.1:2380")
        self.start(*flags)
        url = "https://127.0.0.1:2379/health"
        self.assertEqual(0, self.podman.space.status(url, "--cacert", certs.ca))
        self.assertEqual(200, self.podman.space.status(url, *certs.curl_flags("client")))
        tls = [f"--cacert={IN_CONTAINER}ca.crt", f"--cert={IN_CONTAINER}client.crt",
               f"--key={IN_CONTAINER}client.key"]
        self.assertEqual("OK\n", self.ctl("--endpoints=https://127.0.0.1:2379", *tls, "put",
                                          "/registry/a", "1"))
        logs = self.podman.call("logs", self.name)
        self.assertIn("serving client traffic securely", logs.stdout + logs.stderr)

    def test_auto_tls(self):
        self.start("-e", "AUTO_TLS=true")
        url = "https://127.0.0.1:2379/health"
        self.assertEqual(0, self.podman.space.status(url))
        self.assertEqual(200, self.podman.space.status(url, "-k"))
        made = "--cacert=/etcd/data/fixtures/client/cert.pem"
        name = self.podman.exec(self.name, "hostname").strip()
        self.assertEqual("OK\n", self.ctl("--endpoints=https://127.0.0.1:2379", made,
                                          "--insecure-skip-tls-verify", "put", "/registry/a", "1"))
        # The image has no roots of a system: that is no reason to fall over.
        done = self.podman.call("exec", self.name, "etcdctl", "--command-timeout=1s",
                                "--endpoints=https://127.0.0.1:2379", "get", "/registry/a")
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn("Error: context deadline exceeded", done.stderr)
        self.assertIn(f"https://{name}:2380, https://{name}:2379, false", self.ctl(
            "--endpoints=https://127.0.0.1:2379", "--insecure-skip-tls-verify", "member", "list"))

    def test_three_members(self):
        """By CLUSTER, with certificates that sign themselves; one is lost and comes back."""
        ports = {name: 25110 + 10 * i for i, name in enumerate(("a", "b", "c"))}
        cluster = ",".join(f"{name}=https://127.0.0.1:{port + 1}" for name, port in ports.items())
        for name, port in ports.items():
            self.podman.start(name, ("-e", f"ETCD_PORT={port}", "-e", f"ETCD_PEER_PORT={port + 1}",
                                     "-e", f"METRICS_PORT={port + 2}", "-e", f"ETCD_NAME={name}",
                                     "-e", f"CLUSTER={cluster}", "-e", "AUTO_TLS=true"))
        for name, port in ports.items():
            self.podman.wait(name, f"http://127.0.0.1:{port + 2}/readyz")
        self.name = "a"
        ask = ["--insecure-skip-tls-verify", "--command-timeout=30s",
               "--endpoints=" + ",".join(f"https://127.0.0.1:{port}" for port in ports.values())]
        self.put_until(ask, "/registry/a", "1")
        self.assertEqual(3, self.ctl(*ask, "member", "list").count("started"))
        self.podman("kill", "-s", "KILL", "c")
        self.podman("wait", "c")
        self.put_until(ask, "/registry/a", "2")
        self.podman("start", "c")
        self.podman.wait("c", f"http://127.0.0.1:{ports['c'] + 2}/readyz")
        ask[-1] = f"--endpoints=https://127.0.0.1:{ports['c']}"
        self.assertEqual("/registry/a\n2\n", self.ctl(*ask, "get", "/registry/a"))

    def test_sigterm_ends_it_well_and_a_start_finds_the_data(self):
        self.start(*self.kept())
        self.ctl("put", "/registry/a", "1")
        self.podman("stop", "-t", "20", self.name)
        self.assertEqual("0", self.podman.inspect(self.name, "State.ExitCode"))
        self.podman("start", self.name)
        self.podman.wait(self.name, "http://127.0.0.1:2381/readyz")
        self.assertEqual("/registry/a\n1\n", self.ctl("get", "/registry/a"))
        self.podman("kill", "-s", "KILL", self.name)
        self.podman("wait", self.name)
        self.podman("start", self.name)
        self.podman.wait(self.name, "http://127.0.0.1:2381/readyz")
        self.assertEqual("/registry/a\n1\n", self.ctl("get", "/registry/a"))

    def test_the_data_outlives_its_container(self):
        """The second container has another name of its own, as a new one always does."""
        for turn in ("1", "2"):
            self.podman.start(self.name, self.kept() + ("--hostname", "box" + turn))
            self.podman.wait(self.name, "http://127.0.0.1:2381/readyz")
            self.ctl("put", "/registry/" + turn, turn)
            self.podman("rm", "-f", "-t", "20", self.name)
        self.start(*self.kept())
        self.assertEqual("/registry/1\n1\n/registry/2\n2\n",
                         self.ctl("get", "--prefix", "/registry"))

    def test_an_etcd_command_line(self):
        self.start("-v", f"{self.data}:/var/lib/etcd", command=(
            "/usr/local/bin/etcd", "--name=mine", "--data-dir=/var/lib/etcd",
            "--listen-metrics-urls=http://127.0.0.1:2381"))
        self.assertEqual("etcd\n--name=mine", "\n".join(self.args()[:2]).replace(
            "/usr/local/bin/", ""))
        self.assertEqual("OK\n", self.ctl("put", "/registry/a", "1"))
        self.assertEqual(["member"], os.listdir(self.data))

    def test_without_a_data_directory_it_is_below_the_working_one(self):
        self.start("-v", f"{self.data}:/var/lib/etcd", command=(
            "etcd", "--name=mine", "--listen-metrics-urls=http://127.0.0.1:2381"))
        self.assertEqual(["mine.etcd"], os.listdir(self.data))
        self.assertEqual(["member"], os.listdir(os.path.join(self.data, "mine.etcd")))

    def test_the_working_folder_is_its_users_alone(self):
        said = self.podman.once("sh", "-c", "pwd; ls -ld .").stdout
        self.assertRegex(said, "^/var/lib/etcd\ndrwx------ ")

    def test_kubeadms_container(self):
        """The manifest's container: its command in place of the entrypoint, its volumes."""
        container, = manifest()["spec"]["containers"]
        certs = Certs(os.path.join(self.data, "pki"), name=NODE, sans=(ADDRESS,))
        self.podman.space.address(ADDRESS)
        os.mkdir(os.path.join(self.data, "data"), 0o700)
        self.start("-v", f"{certs.folder}:/etc/kubernetes/pki/etcd:ro", "-v",
                   f"{self.data}/data:/var/lib/etcd", "--entrypoint", container["command"][0],
                   command=container["command"][1:])
        url = f"https://{ADDRESS}:2379/version"
        self.assertEqual(200, self.podman.space.status(
            url, *certs.curl_flags("healthcheck-client")))
        pki = "/etc/kubernetes/pki/etcd/"
        self.assertEqual("OK\n", self.ctl(
            "--endpoints=https://127.0.0.1:2379", f"--cacert={pki}ca.crt",
            f"--cert={pki}healthcheck-client.crt", f"--key={pki}healthcheck-client.key", "put",
            "/registry/a", "1"))
