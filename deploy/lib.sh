# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by deploy/start and deploy/test; sourced, from the root of the tree.

say() {
    printf '\n==> %s\n' "$*"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# install_packages LIST...: installs what the lists name and is not there yet.
install_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null || die "this needs Debian 12 or a system with its packages"
    while read -r package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing+=("$package")
    done < <(sed -e 's/#.*//' -e '/^ *$/d' "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    say "installing: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "these packages are missing and installing needs root: ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -q || die "apt-get update failed"
    # Somebody else (unattended upgrades) may hold the lock for a while.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        -o DPkg::Lock::Timeout=600 \
        --no-install-recommends "${missing[@]}" || die "apt-get install failed"
}

# build PRESET: configures and builds.
build() {
    say "building: $1"
    cmake --preset "$1" && cmake --build --preset "$1" -j "${KETCD_JOBS:-$(nproc)}"
}
