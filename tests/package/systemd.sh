#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs a package under a systemd that was booted in a container, upgrades, removes and purges
# it; the member runs all the while it should and only then. Needs root.
# tests/package/systemd.sh PACKAGE.deb ROOT: ROOT is a Debian by e2e/rootfs; it is not changed.
set -euo pipefail
deb=$(readlink -f "${1:?usage: systemd.sh PACKAGE.deb ROOT}")
root=$(readlink -f "${2:?usage: systemd.sh PACKAGE.deb ROOT}")
space=$(mktemp -d)
trap 'rm -rf "$space"' EXIT
chmod 755 "$space"

cp "$deb" "$space/old.deb"
dpkg-deb -R "$deb" "$space/newer"
sed -i 's/^Version: .*/&+newer/' "$space/newer/DEBIAN/control"
dpkg-deb -b "$space/newer" "$space/newer.deb" >/dev/null
rm -rf "$space/newer"
echo '127.0.0.1 localhost' >"$space/hosts"

cat >"$space/ketcd-test.service" <<'END_OF_UNIT'
[Unit]
Description=Steps of the test
Wants=dbus.service
After=basic.target dbus.service
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/bin/bash /ketcd/steps
StandardOutput=file:/ketcd/out
StandardError=file:/ketcd/out
END_OF_UNIT

cat >"$space/steps" <<'END_OF_STEPS'
set -e
trap 'echo "line $LINENO"; journalctl -u etcd.service -o cat --no-pager | tail -n 20' ERR
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
state() { systemctl show -P "$1" etcd.service; }
value() { test "$(etcdctl get --print-value-only /registry/a)" = "$1"; }

# On a node of kubeadm only the tools are wanted: what its kubelet runs is left alone.
mkdir -p /etc/kubernetes/manifests /var/lib/etcd/member
touch /etc/kubernetes/manifests/etcd.yaml
dpkg -i /ketcd/old.deb
test "$(state ActiveState)" = inactive
test "$(stat -c %U /var/lib/etcd /var/lib/etcd/member | sort -u)" = root
etcdctl version
dpkg --purge ketcd
test "$(stat -c %U /var/lib/etcd/member)" = root
rm -r /etc/kubernetes /var/lib/etcd

dpkg -i /ketcd/old.deb
test "$(systemctl is-enabled etcd.service)" = enabled
test "$(state ActiveState) $(stat -c %U "/proc/$(state MainPID)")" = "active etcd"
etcdctl put /registry/a 1

first=$(state MainPID)
echo '# mine' >>/etc/default/etcd
dpkg -i /ketcd/newer.deb
test "$(state ActiveState)" = active
test "$(state MainPID)" != "$first"
grep -qx '# mine' /etc/default/etcd
value 1

systemctl disable etcd.service
dpkg --remove ketcd
test "$(systemctl is-active etcd.service || true)" = inactive
test ! -e "/proc/$first"
test -d /var/lib/etcd/default/member
dpkg -i /ketcd/newer.deb
test "$(systemctl is-enabled etcd.service || true)" = disabled
systemctl enable --now etcd.service
value 1

dpkg --purge ketcd
test "$(systemctl is-active etcd.service || true)" = inactive
test -z "$(find / -xdev -path /ketcd -prune -o -name '*etcd.service*' -print)"
test ! -e /var/lib/etcd
test ! -e /etc/default/etcd
echo done
END_OF_STEPS

cgroup2='umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'
timeout --kill-after=5 180 unshare -m sh -c "$cgroup2" sh \
    systemd-nspawn -D "$root" --volatile=overlay --register=no --keep-unit --private-network \
    --console=pipe --bind="$space:/ketcd" --bind-ro="$space/hosts:/etc/hosts" \
    --bind-ro="$space/ketcd-test.service:/etc/systemd/system/ketcd-test.service" \
    --boot systemd.unit=ketcd-test.service </dev/null >"$space/console" 2>&1 || true
cat "$space/out" || cat "$space/console"
[ "$(tail -n 1 "$space/out")" = "done" ]
