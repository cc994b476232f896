# SPDX-License-Identifier: Apache-2.0
"""k8s-manifests/etcd.yaml as a kubelet takes it: its command line word for word, with its own paths
and addresses, in a mount and network namespace, and its probes by their own settings."""
import os
import subprocess
import time
import unittest

from lib import BIN, Case
from lib.env import ROOT, few
from lib.space import Space

try:
    import yaml
except ImportError:
    yaml = None

MANIFEST = os.path.join(ROOT, "k8s-manifests", "etcd.yaml")
# What kubeadm wrote before etcd 3.6.
OLDER = {"--feature-gates=InitialCorruptCheck=true": "--experimental-initial-corrupt-check=true",
         "--watch-progress-notify-interval=5s": "--experimental-watch-progress-notify-interval=5s"}
NODE, ADDRESS = "control-plane", "192.0.2.10"


def manifest():
    if yaml is None:
        raise unittest.SkipTest("no YAML for Python: install python3-yaml")
    with open(MANIFEST, encoding="utf-8") as file:
        return yaml.safe_load(file)


class Probe:
    """One probe of a container, called from where a kubelet is."""

    def __init__(self, space, container, name):
        settings = container[name]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        get = settings["httpGet"]
        self.space = space
        self.url = (f"{get['scheme'].lower()}://{get['host']}:{ports.get(get['port'], get['port'])}"
                    f"{get['path']}")
        self.delay = settings.get("initialDelaySeconds", 0)
        self.period = settings["periodSeconds"]
        self.timeout = settings["timeoutSeconds"]
        self.failures = settings["failureThreshold"]

    def succeeds(self):
        return 200 <= self.space.status(self.url, timeout=self.timeout) < 400


class Manifest(Case):
    def setUp(self):
        super().setUp()
        self.pod = manifest()
        self.container, = self.pod["spec"]["containers"]
        self.space = Space(os.path.join(self.folder, "space"))
        self.addCleanup(self.space.stop)
        self.pki = self.certs(name=NODE, sans=(ADDRESS,))
        self.data = os.path.join(self.folder, "data")
        os.mkdir(self.data, 0o700)
        self.space.writable("/etc")
        self.space.writable("/var/lib")
        self.mount("etcd-certs", self.pki.folder)
        self.mount("etcd-data", self.data)
        self.space.address(ADDRESS)
        self.process, self.probes = None, {}
        self.addCleanup(self.end)

    def mount(self, volume, folder):
        """The host's folder of a volume is the container's, on the path that the manifest says."""
        path, = (one["mountPath"] for one in self.container["volumeMounts"]
                 if one["name"] == volume)
        host, = (one["hostPath"]["path"] for one in self.pod["spec"]["volumes"]
                 if one["name"] == volume)
        self.assertEqual(host, path)
        self.space("mkdir", "-p", path)
        self.space("mount", "--bind", folder, path)

    def start(self, command):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.space.command(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=few(PATH=BIN + ":" + os.environ["PATH"]))
        self.probes = {name: Probe(self.space, self.container, name + "Probe")
                       for name in ("startup", "liveness", "readiness")}
        return self.probes

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def told(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
            return file.read()[-3000:]

    def wait(self, probe, seconds=60):
        deadline = time.monotonic() + seconds
        while not probe.succeeds():
            self.assertIsNone(self.process.poll(), self.told())
            self.assertLess(time.monotonic(), deadline, self.told())
            time.sleep(0.1)

    def etcdctl(self, *words):
        pki = "/etc/kubernetes/pki/etcd/"
        return self.space(os.path.join(BIN, "etcdctl"), f"--endpoints=https://{ADDRESS}:2379",
                          f"--cacert={pki}ca.crt", f"--cert={pki}healthcheck-client.crt",
                          f"--key={pki}healthcheck-client.key", *words)

    def check_member(self, command):
        probes = self.start(command)
        self.wait(probes["startup"])
        self.assertEqual("OK\n", self.etcdctl("put", "/registry/a", "1"))
        self.assertIn(f", {NODE}, https://{ADDRESS}:2380, https://{ADDRESS}:2379, false",
                      self.etcdctl("member", "list"))
        self.process.kill()
        self.process.wait()
        self.assertFalse(probes["liveness"].succeeds())
        self.assertFalse(probes["readiness"].succeeds())
        self.start(command)
        self.wait(probes["readiness"])
        self.assertEqual("/registry/a\n1\n", self.etcdctl("get", "/registry/a"))
        self.process.terminate()
        self.assertEqual(0, self.process.wait(60))

    def test_the_probes_keep_to_their_settings(self):
        """As a kubelet calls them: liveness and readiness once startup has succeeded."""
        probes = self.start(self.container["command"])
        startup, liveness, readiness = probes.values()
        time.sleep(startup.delay)
        for _ in range(startup.failures):
            if is_started := startup.succeeds():
                break
            time.sleep(startup.period)
        self.assertTrue(is_started, self.told())
        self.assertLessEqual(liveness.delay, startup.delay)
        for _ in range(readiness.failures):
            self.assertTrue(liveness.succeeds())
            self.assertTrue(readiness.succeeds())
            time.sleep(readiness.period)
        self.assertEqual((10, 24), (startup.period, startup.failures))

    def test_as_written(self):
        self.check_member(self.container["command"])

    def test_as_older_kubeadm_writes_it(self):
        command = [OLDER.get(word, word) for word in self.container["command"]]
        self.assertEqual(2, len(set(command) - set(self.container["command"])))
        self.check_member(command)

    def test_only_the_image_is_ours(self):
        """Every path of the command line is below a volume."""
        mounts = tuple(one["mountPath"] for one in self.container["volumeMounts"])
        paths = [word.split("=", 1)[1] for word in self.container["command"] if "=/" in word]
        self.assertEqual(7, len(paths))
        self.assertEqual([], [path for path in paths if not path.startswith(mounts)])
        self.assertEqual("etcd", self.container["command"][0])
        self.assertIn("ketcd", self.container["image"])
