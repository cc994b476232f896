# SPDX-License-Identifier: Apache-2.0
"""systemd/etcd.service under a real systemd, booted in a container; e2e/rootfs makes its Debian."""
import os
import subprocess

from lib import Case, binary
from lib.env import ROOT
from lib.space import CGROUP2, need_root, rootfs

BOOT_SECONDS = 400

# After=etcd.service keeps the stopped unit, and with it how it ended, loaded.
UNIT = """[Unit]
Description=Steps of the test
Wants=dbus.service
After=basic.target dbus.service etcd.service
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/bin/sh /ketcd/steps
StandardOutput=file:/ketcd/out
StandardError=file:/ketcd/err
"""

# Each step prints "name: what it saw".
STEPS = r"""
trap 'journalctl -u etcd.service -o cat --no-pager >/ketcd/journal 2>&1' EXIT
state() { systemctl show -P "$1" etcd.service; }
say() { printf '%s: %s\n' "$1" "$2"; }
ctl() { etcdctl --endpoints=http://127.0.0.1:2379 "$@" 2>&1; }
# One look: of two, the first may see the process that ends and the second the one that begins.
is_another() {
    shown=$(systemctl show -p ActiveState,MainPID etcd.service)
    echo "$shown" | grep -qx ActiveState=active && ! echo "$shown" | grep -qx "MainPID=$1"
}
useradd --system --no-create-home etcd
systemctl start etcd.service; say start "$?"
[ "$(state MainPID)" -gt 1 ] || exit 1
say started "$(state ActiveState) $(state SubState) $(state Type)"
say status "$(state StatusText)"
first=$(state MainPID)
say user "$(stat -c %U /proc/"$first")"
say name "$(ctl member list | cut -d, -f3 | tr -d ' ')"
say put "$(ctl put a 1)"
systemctl reload etcd.service; say reload "$?"
sleep 0.5
[ "$(state MainPID)" = "$first" ]; say reloaded "$? $(state ActiveState)"
kill -9 "$first"
for _ in $(seq 300); do
    sleep 0.2
    is_another "$first" && break
done
second=$(state MainPID)
[ "$second" != "$first" ]; say killed "$? $(state ActiveState) $(state NRestarts)"
say got "$(ctl get a --print-value-only)"
systemctl restart etcd.service; say restart "$?"
[ "$(state MainPID)" != "$second" ]; say restarted "$? $(state ActiveState)"
say got-again "$(ctl get a --print-value-only)"
third=$(state MainPID)
kill -STOP "$third"
for _ in $(seq 300); do
    sleep 0.2
    is_another "$third" && break
done
[ "$(state MainPID)" != "$third" ]; say hung "$? $(state ActiveState) $(state NRestarts)"
say got-at-last "$(ctl get a --print-value-only)"
systemctl stop etcd.service; say stop "$?"
say stopped "$(state ActiveState) $(state Result) $(state ExecMainCode) $(state ExecMainStatus)"
mkdir -p /run/systemd/system/etcd.service.d
cat >/run/systemd/system/etcd.service.d/alone.conf <<END
[Service]
TimeoutStartSec=10
Environment=ETCD_DATA_DIR=/var/lib/etcd/alone
Environment=ETCD_INITIAL_CLUSTER=node7=http://localhost:2380,other=http://127.0.0.1:9
END
systemctl daemon-reload
systemctl start --no-block etcd.service
for _ in $(seq 300); do
    sleep 0.2
    [ "$(state MainPID)" -gt 0 ] && break
done
fourth=$(state MainPID)
sleep 12
[ "$(state MainPID)" = "$fourth" ]; say waiting "$? $(state ActiveState) $(state NRestarts)"
systemctl stop etcd.service
"""

WANTED = {
    "start": "0", "started": "active running notify", "user": "etcd", "name": "node7", "put": "OK",
    "reload": "0", "reloaded": "0 active", "killed": "0 active 1", "got": "1",
    "restart": "0", "restarted": "0 active", "got-again": "1",
    "hung": "0 active 1", "got-at-last": "1",
    "stop": "0", "stopped": "inactive success 1 0", "waiting": "0 activating 0",
}


class Systemd(Case):
    first = True
    root = ""

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def boot(self):
        """Boots into the test's unit, which powers off at its end. nspawn wants one cgroup
        hierarchy: a mount namespace of its own has it, whatever the host's is."""
        self.write("steps", STEPS)
        unit = self.write("ketcd-test.service", UNIT)
        env = self.write("env", "ETCD_NAME=node7\n")
        hosts = self.write("hosts", "127.0.0.1 localhost\n")
        service = os.path.join(ROOT, "systemd", "etcd.service")
        fast = self.write("fast.conf", "[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\n")
        command = ["systemd-nspawn", "-D", self.root, "--volatile=overlay", "--register=no",
                   "--keep-unit", "--private-network", "--console=pipe",
                   f"--bind={self.folder}:/ketcd",
                   f"--bind-ro={hosts}:/etc/hosts",
                   f"--bind-ro={env}:/etc/etcd.env",
                   f"--bind-ro={unit}:/etc/systemd/system/ketcd-test.service",
                   f"--bind-ro={service}:/etc/systemd/system/etcd.service",
                   f"--bind-ro={fast}:/etc/systemd/system/etcd.service.d/fast.conf"]
        command += [f"--bind-ro={binary(name)}:/usr/bin/{name}" for name in ("etcd", "etcdctl")]
        script = CGROUP2 + '; exec "$@" --boot systemd.unit=ketcd-test.service'
        with open(os.path.join(self.folder, "console"), "wb") as console:
            subprocess.run(["timeout", "--kill-after=5", str(BOOT_SECONDS), "unshare", "-m",
                            "sh", "-c", script, "sh", *command], stdin=subprocess.DEVNULL,
                           stdout=console, stderr=console, check=False)

    def test_the_unit_starts_restarts_and_stops(self):
        need_root("systemd-nspawn")
        self.root = rootfs()
        os.chmod(self.folder, 0o755)
        self.boot()
        seen = dict(line.split(": ", 1) for line in self.read("out").splitlines() if ": " in line)
        told = "\n".join(self.read(name)[-3000:] for name in ("err", "journal", "console"))
        self.assertEqual(WANTED, {name: seen.get(name) for name in WANTED}, told)
