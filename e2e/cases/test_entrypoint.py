# SPDX-License-Identifier: Apache-2.0
"""What deploy/entrypoint makes of its variables: the command line that it would run."""
import os
import subprocess

from lib import Case
from lib.env import ROOT

ENTRYPOINT = os.path.join(ROOT, "deploy", "entrypoint")
SHOW = """#!/bin/sh
printf '%s\\n' "$0" "$@" | sed 's|.*/etcd$|etcd|'
env | sed -n 's/^ETCD_/env ETCD_/p' | sort
"""
PLAIN = ["--name=box", "--data-dir=/etcd/data", "--listen-client-urls=http://0.0.0.0:2379",
         "--advertise-client-urls=http://box:2379", "--listen-peer-urls=http://0.0.0.0:2380",
         "--initial-advertise-peer-urls=http://box:2380", "--initial-cluster-token=token-01",
         "--initial-cluster-state=new", "--snapshot-count=10000",
         "--listen-metrics-urls=http://0.0.0.0:2381"]


class Entrypoint(Case):
    def setUp(self):
        super().setUp()
        self.programs = os.path.join(self.folder, "bin")
        self.keys = os.path.join(self.folder, "key")
        os.mkdir(self.programs)
        os.mkdir(self.keys)
        for name, text in (("etcd", SHOW), ("hostname", "#!/bin/sh\necho box\n")):
            path = os.path.join(self.programs, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            os.chmod(path, 0o755)

    def run_it(self, *words, **env):
        path = self.programs + ":" + os.environ["PATH"]
        return subprocess.run([ENTRYPOINT, *words], capture_output=True, text=True, timeout=60,
                              check=False, env={"PATH": path, "ETCD_KEY_DIR": self.keys, **env})

    def command(self, *words, **env):
        """What etcd gets: flags, then the variables of its own that are left."""
        done = self.run_it(*words, **env)
        self.assertEqual(0, done.returncode, done.stderr)
        program, *rest = done.stdout.splitlines()
        self.assertEqual("etcd", program)
        return [word for word in rest if not word.startswith("env ETCD_KEY_DIR=")]

    def flags(self, *words, **env):
        return dict(word[2:].split("=", 1) for word in self.command(*words, **env))

    def key_files(self, *names):
        for name in names:
            with open(os.path.join(self.keys, name), "w", encoding="ascii"):
                pass

    def test_without_variables(self):
        self.assertEqual(PLAIN, self.command())

    def test_every_variable(self):
        got = self.flags(ETCD_PORT="3379", ETCD_PEER_PORT="3380", METRICS_PORT="3381",
                         ETCD_TOKEN="of-mine", CLUSTER_STATE="existing", ETCD_COUNT="500",
                         CLUSTER="a=http://a.example:3380,box=http://10.0.0.2:3380")
        self.assertEqual({
            "name": "box", "data-dir": "/etcd/data",
            "listen-client-urls": "http://0.0.0.0:3379",
            "advertise-client-urls": "http://10.0.0.2:3379",
            "listen-peer-urls": "http://0.0.0.0:3380",
            "initial-advertise-peer-urls": "http://10.0.0.2:3380",
            "initial-cluster": "a=http://a.example:3380,box=http://10.0.0.2:3380",
            "initial-cluster-token": "of-mine", "initial-cluster-state": "existing",
            "snapshot-count": "500", "listen-metrics-urls": "http://0.0.0.0:3381"}, got)

    def test_certificates_make_https(self):
        self.key_files("server.crt", "server.key", "ca.crt")
        got = self.flags()
        self.assertEqual(("https://0.0.0.0:2379", "https://box:2379", "http://0.0.0.0:2380"),
                         (got["listen-client-urls"], got["advertise-client-urls"],
                          got["listen-peer-urls"]))
        self.key_files("peer.crt", "peer.key")
        got = self.flags()
        self.assertEqual(("https://0.0.0.0:2380", "https://box:2380"),
                         (got["listen-peer-urls"], got["initial-advertise-peer-urls"]))
        self.assertNotIn("auto-tls", got)

    def test_certificates_of_a_flags_folder_make_https(self):
        """--key-dir as the member reads it: before the variable, the last one, empty nowhere."""
        self.key_files("server.crt", "server.key", "peer.crt", "peer.key")
        other = os.path.join(self.folder, "other")
        os.mkdir(other)
        for words in ([f"--key-dir={self.keys}"], [f"-key-dir={self.keys}"],
                      ["--key-dir", self.keys], ["--key-dir=/none", "--key-dir", self.keys]):
            with self.subTest(words):
                got = self.command(*words, ETCD_KEY_DIR=other)
                self.assertEqual(words, got[-len(words):])
                self.assertIn("--listen-client-urls=https://0.0.0.0:2379", got)
                self.assertIn("--listen-peer-urls=https://0.0.0.0:2380", got)
        for words in ([f"--key-dir={other}"], ["--key-dir", other], ["--key-dir="]):
            with self.subTest(words):
                got = self.command(*words)
                self.assertIn("--listen-client-urls=http://0.0.0.0:2379", got)
                self.assertIn("--listen-peer-urls=http://0.0.0.0:2380", got)

    def test_files_that_are_named_make_https(self):
        """An empty name is none, of several the last counts; who names another file of that side
        gets nothing out of the folder, as in the member."""
        for words, env, plain, keys in (
                (["--cert-file=/c", "--key-file=/k"], {}, "https", "https"),
                ([], {"ETCD_CERT_FILE": "/c"}, "https", "https"),
                (["--cert-file="], {}, "http", "https"),
                (["--cert-file", ""], {}, "http", "https"),
                (["--cert-file="], {"ETCD_CERT_FILE": "/c"}, "http", "https"),
                (["--cert-file=", "--cert-file=/c"], {}, "https", "https"),
                (["--trusted-ca-file=/ca"], {}, "http", "http"),
                ([], {"ETCD_KEY_FILE": "/k"}, "http", "http"),
                (["--peer-trusted-ca-file=/ca"], {}, "http", "https")):
            with self.subTest(words=words, env=env):
                for wanted, there in ((plain, []), (keys, ["server.crt", "server.key"])):
                    self.key_files(*there)
                    got = self.command(*words, **env)
                    self.assertIn(f"--listen-client-urls={wanted}://0.0.0.0:2379", got)
                    for name in there:
                        os.unlink(os.path.join(self.keys, name))

    def test_auto_tls_is_for_a_side_without_certificates(self):
        got = self.flags(AUTO_TLS="true")
        self.assertEqual(("true", "true", "https://0.0.0.0:2379", "https://0.0.0.0:2380"),
                         (got["auto-tls"], got["peer-auto-tls"], got["listen-client-urls"],
                          got["listen-peer-urls"]))
        self.key_files("server.crt", "server.key")
        got = self.flags(AUTO_TLS="true")
        self.assertNotIn("auto-tls", got)
        self.assertEqual(("true", "https://0.0.0.0:2379"),
                         (got["peer-auto-tls"], got["listen-client-urls"]))
        self.assertNotIn("peer-auto-tls", self.flags(AUTO_TLS="false"))

    def test_auto_tls_of_the_members_own_is_read_as_the_member_does(self):
        """By flag or variable, also one that says no; the flag goes first, the last one."""
        for words, env, wanted in (
                (["--auto-tls"], {}, "https"), (["-auto-tls=1"], {}, "https"),
                (["--auto-tls=false"], {}, "http"), (["--auto-tls=F"], {}, "http"),
                (["--auto-tls", "--auto-tls=false"], {}, "http"),
                (["--auto-tls=false"], {"AUTO_TLS": "true"}, "http"),
                (["--auto-tls=false"], {"ETCD_AUTO_TLS": "true"}, "http"),
                ([], {"ETCD_AUTO_TLS": "true"}, "https"),
                ([], {"ETCD_AUTO_TLS": "false"}, "http"),
                ([], {"ETCD_AUTO_TLS": "false", "AUTO_TLS": "true"}, "http"),
                ([], {"ETCD_AUTO_TLS": "", "AUTO_TLS": "true"}, "https")):
            with self.subTest(words=words, env=env):
                got = self.command(*words, **env)
                self.assertIn(f"--listen-client-urls={wanted}://0.0.0.0:2379", got)
                self.assertIn(f"--advertise-client-urls={wanted}://box:2379", got)
                peers = "https" if "AUTO_TLS" in env else "http"
                self.assertIn(f"--listen-peer-urls={peers}://0.0.0.0:2380", got)
                added = [word for word in got[:-len(words) or None] if "auto-tls" in word]
                self.assertEqual(["--peer-auto-tls=true"] if peers == "https" else [],
                                 [word for word in added if "peer" in word])
        self.assertIn("--listen-peer-urls=http://0.0.0.0:2380",
                      self.command("--peer-auto-tls=false", AUTO_TLS="true"))

    def test_flags_go_first(self):
        got = self.command("--snapshot-count=7", "--data-dir", "/mine", "-name=x")
        self.assertEqual(["--snapshot-count=7", "--data-dir", "/mine", "-name=x"], got[-4:])
        self.assertEqual([word for word in PLAIN if not word.startswith(
            ("--snapshot-count", "--data-dir", "--name"))], got[:-4])

    def test_etcds_own_variables_go_first(self):
        got = self.command(ETCD_LISTEN_CLIENT_URLS="http://127.0.0.1:1",
                           ETCD_DATA_DIR="/mine", ETCD_NAME="other")
        self.assertIn("--advertise-client-urls=http://box:2379", got)
        self.assertEqual([], [word for word in got if word.startswith(
            ("--listen-client", "--data-dir", "--name"))])
        self.assertEqual(["env ETCD_DATA_DIR=/mine"],
                         [word for word in got if word.startswith("env ETCD_DATA")])

    def test_a_variable_without_a_value_is_none(self):
        """To the member it is none, and would leave it on loopback, its data out of the volume; so
        there is a flag, beside which the member takes no variable, not even an empty one."""
        got = self.command(ETCD_DATA_DIR="", ETCD_LISTEN_CLIENT_URLS="", ETCD_NAME="",
                           ETCD_CERT_FILE="", ETCD_CONFIG_FILE="", ETCD_VERSION="", ETCD_PORT="")
        self.assertEqual(PLAIN, got)
        self.assertEqual(["--name=x"], self.command("--name=x", ETCD_NAME="")[-1:])

    def test_a_line_of_a_value_is_no_variable(self):
        self.assertIn("env ETCD_NAME=x", self.command(ETCD_NAME="x", OTHER="y\nETCD_NAME=\nz"))

    def test_a_services_address_is_no_port(self):
        """Services called etcd, etcd-peer and metrics."""
        names = ("ETCD_PORT", "ETCD_PEER_PORT", "METRICS_PORT")
        for some in (*((name,) for name in names), names):
            with self.subTest(some):
                done = self.run_it(**{name: "tcp://10.96.0.7:2379" for name in some})
                self.assertEqual(["etcd", *PLAIN, f"env ETCD_KEY_DIR={self.keys}"],
                                 done.stdout.splitlines())
                self.assertEqual("".join(
                    f"ketcd: {name}=tcp://10.96.0.7:2379 is of a Service and no port: "
                    "taken for unset\n" for name in some), done.stderr)

    def test_no_metrics_port(self):
        self.assertNotIn("listen-metrics-urls", self.flags(METRICS_PORT=""))

    def test_a_value_with_blanks_and_stars_stays_whole(self):
        self.assertEqual("a b *", self.flags(ETCD_TOKEN="a b *")["initial-cluster-token"])

    def test_a_configuration_file_stands_alone(self):
        self.assertEqual(["--config-file=/x.yaml"], self.command("--config-file=/x.yaml"))
        self.assertEqual(["--version"], self.command("--version"))

    def test_another_program_is_run_as_it_is(self):
        self.assertEqual("etcd\n--name=a b\n", self.run_it("etcd", "--name=a b").stdout.split(
            "env ")[0])
        self.assertEqual("hello\n", self.run_it("sh", "-c", "echo hello").stdout)

    def test_refusals(self):
        for env, said in (({"ETCD_PORT": "x1"}, "ketcd: x1 is not a port\n"),
                          ({"CLUSTER": "a=http://a:1,b=http://b:1"}, "ketcd: CLUSTER has no member "
                           "box: set ETCD_NAME to one of a=http://a:1,b=http://b:1\n")):
            done = self.run_it(**env)
            self.assertEqual((1, "", said), (done.returncode, done.stdout, done.stderr))
