# SPDX-License-Identifier: Apache-2.0
"""What Debian packages and keeps its state in etcd over the JSON gateway: patroni's client with
users and tokens, and OpenStack's etcd3gw."""
import os
import subprocess
import unittest

from lib import Case

PYTHON = "/usr/bin/python3"
LONG = 300
PATRONI = """
import json, sys, time
from patroni.dcs import get_dcs

def one(name, port, user):
    return get_dcs({"scope": "db", "name": name, "ttl": 30, "loop_wait": 10, "retry_timeout": 60,
                    "etcd3": {"hosts": ["127.0.0.1:" + port], "use_proxies": True,
                              "username": user, "password": "pw"}})

def until(what):
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)

first, second = one("first", *sys.argv[1:3]), one("second", *sys.argv[1:3])
assert first.get_cluster().is_unlocked()
assert first.initialize(create_new=True, sysid="7") and not second.initialize(sysid="8")
assert first.set_config_value(json.dumps({"ttl": 30}))
assert first.touch_member({"role": "master"}) and second.touch_member({"role": "replica"})
assert first.attempt_to_acquire_leader()
assert not second.attempt_to_acquire_leader()
until(lambda: second.get_cluster().leader and second.get_cluster().leader.name == "first")
cluster = second.get_cluster()
assert sorted(member.name for member in cluster.members) == ["first", "second"]
assert cluster.initialize == "7" and cluster.config.data == {"ttl": 30}
assert first.update_leader(1000) and first.write_leader_optime is not None
until(lambda: second.get_cluster().last_lsn == 1000)
assert first.manual_failover("first", "second")
until(lambda: second.get_cluster().failover and
      second.get_cluster().failover.candidate == "second")
until(lambda: first.get_cluster().leader and first.get_cluster().leader.name == "first")
assert first.delete_leader()
until(lambda: second.get_cluster().is_unlocked())
assert second.attempt_to_acquire_leader()
until(lambda: first.get_cluster().leader and first.get_cluster().leader.name == "second")
assert second.delete_cluster()
until(lambda: not first.get_cluster().members)
print("done", flush=True)
import os
os._exit(0)
"""
GATEWAY = """
import sys
from etcd3gw import client as make
from etcd3gw.lock import Lock
client = make(host="127.0.0.1", port=int(sys.argv[1]), timeout=60)
assert client.status()["version"]
assert client.members()[0]["name"] == "node1"
assert client.create("a", "1") and not client.create("a", "2")
assert client.replace("a", "1", "3") and client.get("a") == [b"3"]
lease = client.lease(600)
client.put("b", "x", lease=lease)
assert lease.keys() == [b"b"] and 0 < lease.ttl() <= 600 and lease.refresh() > 0
events, cancel = client.watch_prefix("w")
client.put("w1", "1")
assert next(events)["kv"]["key"] == b"w1"
cancel()
assert lease.revoke() and client.get("b") == []
with Lock("l", ttl=600, client=client) as held:
    assert held.is_acquired() and not Lock("l", ttl=600, client=client).acquire()
assert client.delete("a") and not client.delete("a")
print("done")
"""


def has(module):
    return subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, check=False,
                          timeout=LONG).returncode == 0 if os.path.exists(PYTHON) else False


class Apps(Case):
    def run_script(self, script, *args):
        done = subprocess.run([PYTHON, "-c", script, *args], capture_output=True, text=True,
                              timeout=LONG, check=False, cwd=self.folder)
        self.assertEqual("done\n", done.stdout[-5:], done.stdout[-2000:] + done.stderr[-3000:])

    @unittest.skipUnless(has("patroni.dcs.etcd3"), "no patroni: install patroni")
    def test_patroni_with_users(self):
        node = self.member()
        ctl = self.ctl(node)
        for args in (("user", "add", "root:pw"), ("user", "grant-role", "root", "root"),
                     ("user", "add", "db:pw"), ("role", "add", "db"),
                     ("role", "grant-permission", "--prefix", "db", "readwrite", "/service/"),
                     ("user", "grant-role", "db", "db"), ("auth", "enable")):
            ctl(*args)
        self.run_script(PATRONI, str(node.client_port), "db")

    @unittest.skipUnless(has("etcd3gw"), "no etcd3gw: install python3-etcd3gw")
    def test_etcd3gw(self):
        self.run_script(GATEWAY, str(self.member().client_port))
