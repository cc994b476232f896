#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Looks into a built package, then installs, removes and purges it in a throwaway copy of this
# system (an overlay in its own mount and process namespaces; needs root).
# tests/package/deb.sh PACKAGE.deb; the last line sums up.
set -uo pipefail

deb=$(readlink -f "${1:?usage: deb.sh PACKAGE.deb}")
passed=0 failed=0 skipped=0

# expect NAME COMMAND...: the command must succeed.
expect() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok       $name"
    else
        failed=$((failed + 1))
        printf 'FAILED   %s\n%s\n' "$name" "$output"
    fi
}

skip() {
    skipped=$((skipped + 1))
    echo "skipped  $1: $2"
}

has_file() {
    dpkg-deb -c "$deb" | awk -v mode="$1" -v path=".$2" \
        '$1 == mode && $2 == "root/root" && $6 == path { found = 1 } END { exit !found }' ||
        { dpkg-deb -c "$deb" | grep -F "$2"; return 1; }
}

field_has() {
    dpkg-deb -f "$deb" "$1" | tr ',' '\n' | grep -qE "^ *$2( |$)"
}

man_is_clean() {
    local page
    page=$(dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/share/man/man1/$1.1.gz" | zcat) ||
        return 1
    [ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z <(printf '%s\n' "$page") 2>&1 >/dev/null)" ]
}

has_conffile() {
    dpkg-deb -I "$deb" conffiles | grep -qx "$1"
}

# Debian's own judgement.
lintian_is_clean() {
    lintian --fail-on error "$deb"
}

for program in etcd etcdctl etcdutl etcd-pki; do
    expect "/usr/bin/$program" has_file -rwxr-xr-x "/usr/bin/$program"
    expect "its man page" has_file -rw-r--r-- "/usr/share/man/man1/$program.1.gz"
    expect "without warnings" man_is_clean "$program"
done
expect "the unit" has_file -rw-r--r-- /lib/systemd/system/etcd.service
expect "its environment" has_file -rw-r--r-- /etc/default/etcd
expect "which is a conffile" has_conffile /etc/default/etcd
for name in etcd-server etcd-client; do
    for field in Provides Conflicts Replaces; do
        expect "$field $name" field_has "$field" "$name"
    done
done
expect "depends on shared libraries" field_has Depends libssl3
if command -v lintian >/dev/null; then
    expect "lintian finds no error" lintian_is_clean
else
    skip "lintian" "not installed"
fi

# The unit as it is packed, without its page; the binary that it names has to be here for systemd
# to be content.
verify_unit() {
    local folder status
    folder=$(mktemp -d) || return 1
    dpkg-deb --fsys-tarfile "$deb" | tar -xO ./lib/systemd/system/etcd.service |
        sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' >"$folder/etcd.service"
    systemd-analyze verify --man=no "$folder/etcd.service"
    status=$?
    rm -r "$folder"
    return $status
}

if command -v systemd-analyze >/dev/null; then
    expect "systemd takes the unit" verify_unit
else
    skip "the unit" "systemd is not installed"
fi

# Runs in the copy, with the package at /package.deb.
# shellcheck disable=SC2016
in_the_copy='
set -e
export DEBIAN_FRONTEND=noninteractive
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
dpkg --purge etcd etcd-server etcd-client >/dev/null 2>&1 || true
dpkg -i /package.deb
getent passwd etcd
test "$(stat -c "%U %a" /var/lib/etcd)" = "etcd 700"
etcd-pki version
port=$((20000 + RANDOM % 10000))
setpriv --reuid=etcd --regid=etcd --clear-groups \
    etcd --name=packaged --data-dir=/var/lib/etcd/default \
    --listen-client-urls="unix:///tmp/etcd.sock,http://127.0.0.1:$port" \
    --advertise-client-urls="http://127.0.0.1:$port" \
    --listen-peer-urls="http://127.0.0.1:$((port + 1))" \
    --initial-advertise-peer-urls="http://127.0.0.1:$((port + 1))" \
    --initial-cluster="packaged=http://127.0.0.1:$((port + 1))" >/tmp/etcd.log 2>&1 &
member=$!
for _ in $(seq 100); do
    etcdctl --endpoints="127.0.0.1:$port" endpoint health >/dev/null 2>&1 && break
    kill -0 $member || { cat /tmp/etcd.log; exit 1; }
    sleep 0.1
done
etcdctl --endpoints="127.0.0.1:$port" put /registry/packaged yes
test "$(etcdctl --endpoints="127.0.0.1:$port" get --print-value-only /registry/packaged)" = yes
etcdctl --endpoints="127.0.0.1:$port" snapshot save /tmp/packaged.db
etcdutl snapshot status /tmp/packaged.db
kill $member
wait $member # 0: it drained
rm -rf /var/lib/etcd/default
test "$(dpkg-query -W -f "\${Status}" ketcd)" = "install ok installed"
dpkg -i /package.deb
echo "# mine" >>/etc/default/etcd
install -d -o etcd -m 0700 /var/lib/etcd/default/member
dpkg --remove ketcd
test -e /etc/default/etcd
test -d /var/lib/etcd/default/member
dpkg -i /package.deb
grep -qx "# mine" /etc/default/etcd
dpkg --purge ketcd
test ! -e /etc/default/etcd
test ! -e /var/lib/etcd
test ! -e /usr/bin/etcd
dpkg -i /package.deb
install -d -o etcd -m 0700 /var/lib/etcd/member
dpkg --purge ketcd
test -d /var/lib/etcd/member
rm -r /var/lib/etcd

# In place of the one of Debian, whose purge must leave the data and the user alone.
mkdir -p /tmp/theirs/DEBIAN /tmp/theirs/etc/default
echo "# theirs" >/tmp/theirs/etc/default/etcd
echo /etc/default/etcd >/tmp/theirs/DEBIAN/conffiles
printf "%s\n" "Package: etcd-server" "Version: 3.4.23-4" "Architecture: all" \
    "Maintainer: nobody <nobody@example.org>" "Description: of Debian" >/tmp/theirs/DEBIAN/control
cat >/tmp/theirs/DEBIAN/postrm <<END
#!/bin/sh
if [ "\$1" = purge ]; then
    deluser --system etcd
    rm -rf /var/lib/etcd
fi
END
chmod 755 /tmp/theirs/DEBIAN/postrm
dpkg-deb -b /tmp/theirs /tmp/theirs.deb
dpkg -i /tmp/theirs.deb
install -d -o etcd -m 0700 /var/lib/etcd/default/member
dpkg -i /package.deb
test "$(dpkg-query -W -f "\${db:Status-Status}" etcd-server)" = config-files
dpkg --purge etcd-server
test -d /var/lib/etcd/default/member
getent passwd etcd
grep -q "^# The environment of etcd.service" /etc/default/etcd
dpkg --purge ketcd
test ! -e /var/lib/etcd
'

install_in_a_copy() {
    local space status
    space=$(mktemp -d) || return 1
    # shellcheck disable=SC2016
    unshare -m -p -f --kill-child bash -c '
        set -e
        mount --make-rprivate /
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/upper" "$1/inner" "$1/root"
        mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/inner" overlay "$1/root"
        rm -rf "$1/root/var/lib/etcd" "$1/root/etc/default/etcd"
        cp "$2" "$1/root/package.deb"
        chroot "$1/root" bash -c "$3"
    ' bash "$space" "$deb" "$in_the_copy"
    status=$?
    rmdir "$space"
    return $status
}

can_overlay() {
    [ "$(id -u)" = 0 ] && { grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null; } &&
        unshare -m -p -f true 2>/dev/null
}

if can_overlay; then
    expect "installs, starts and answers, again, removes, purges" install_in_a_copy
else
    skip "installing" "needs root, namespaces and overlayfs"
fi

# The unit as systemd itself runs it.
root=${KETCD_ROOTFS:-build/rootfs}
if [ -d "$root/etc" ] && [ "$(id -u)" = 0 ] && command -v systemd-nspawn >/dev/null; then
    expect "under systemd: installs, starts, upgrades, removes, purges" \
        "$(dirname "$0")/systemd.sh" "$deb" "$root"
else
    skip "under systemd" "needs root, systemd-nspawn and a Debian by e2e/rootfs (KETCD_ROOTFS)"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
