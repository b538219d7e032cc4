# shellcheck shell=bash
# Debian packages as files: found through apt, fetched into the cache, never installed. Sourced, never run.
#
# apt gets a state of its own (sources, lists, an empty list of installed packages), so that the test VM is the same
# Debian on every Debian and Ubuntu, whatever is installed there, and so that an ordinary user can do it all.

readonly SUITE=bookworm
readonly DEBS="$CACHE/debs"
readonly APT="$CACHE/apt"

# debian_mirror: where to fetch from: $GLASSBOX_DEBIAN_MIRROR, else the mirror this Debian uses, else Debian's own.
debian_mirror() {
    local site
    # shellcheck disable=SC2016  # apt expands $(SITE)
    site=$(apt-get indextargets --no-release-info --format '$(SITE)' 'Created-By: Packages' 2>/dev/null |
        grep -E '/debian/?$' | head -n 1) || true
    site=${GLASSBOX_DEBIAN_MIRROR:-${site:-http://deb.debian.org/debian}}
    printf '%s\n' "${site%/}"
}

# debian_keyring: the file of Debian's archive keys. Ubuntu has them in a package, fetched with its own apt.
debian_keyring() {
    local have=/usr/share/keyrings/debian-archive-keyring.gpg own="$APT/keyring"
    if [ ! -r "$have" ]; then
        have="$own$have"
        if [ ! -r "$have" ]; then
            rm -rf "$own"
            mkdir -p "$own"
            (cd "$own" && apt-get -qq -o APT::Sandbox::User=root download debian-archive-keyring) >&2 ||
                die "Debian's archive keys cannot be fetched" "sudo apt-get update && sudo apt-get install debian-archive-keyring"
            dpkg-deb -x "$own"/debian-archive-keyring_*.deb "$own"
        fi
    fi
    printf '%s\n' "$have"
}

# debian_apt ARGUMENTS...: runs `apt-get` (or another tool of apt: APT_TOOL) on our own state.
debian_apt() {
    APT_CONFIG="$APT/apt.conf" "${APT_TOOL:-apt-get}" \
        -o Dir::Etc::sourcelist="$APT/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$APT/state" -o Dir::State::status="$APT/status" -o Dir::Cache="$APT/cache" \
        -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Install-Recommends=false \
        -o APT::Sandbox::User=root "$@"
}

# debian_lists: the lists of packages, fetched when there are none yet.
debian_lists() {
    [ -e "$APT/fetched" ] || debian_update
}

# debian_update: fetches the lists of packages anew (about 10 MB).
debian_update() {
    local mirror keyring
    say "fetching Debian's package lists"
    mkdir -p "$APT"/state/lists/partial "$APT"/cache/archives/partial
    mirror=$(debian_mirror)
    keyring=$(debian_keyring)
    : >"$APT/status"
    cat >"$APT/sources.list" <<EOF
deb [signed-by=$keyring] $mirror $SUITE main
deb [signed-by=$keyring] $mirror $SUITE-updates main
deb [signed-by=$keyring] $mirror-security $SUITE-security main
EOF
    # The machine's proxy and certificate settings hold for us too; its hooks, pins and sources do not.
    {
        apt-config dump | grep -E '^Acquire::'
        echo 'Dir::Etc::main "/dev/null"; Dir::Etc::Parts "/dev/null";'
    } >"$APT/apt.conf"
    debian_apt -qq -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Update::Error-Mode=any update >&2 ||
        die "the package lists of $mirror cannot be fetched" \
            "check the network, or name a mirror: GLASSBOX_DEBIAN_MIRROR=http://deb.debian.org/debian"
    touch "$APT/fetched"
}

# debian_kernel SERIES: the package of the newest cloud kernel of a series such as 6.1, with its version: NAME=VERSION.
debian_kernel() {
    local series=$1 meta name version
    for meta in "linux-image-$series-cloud-amd64" linux-image-cloud-amd64; do
        name=$(APT_TOOL=apt-cache debian_apt depends "$meta" 2>/dev/null | awk '$1 == "Depends:" { print $2 }') || continue
        [[ $name == linux-image-"$series".* ]] || continue
        version=$(APT_TOOL=apt-cache debian_apt policy "$name" | awk '$1 == "Candidate:" { print $2 }')
        printf '%s=%s\n' "$name" "$version"
        return
    done
    die "Debian $SUITE has no cloud kernel $series" "take --kernel 6.1 or --kernel 6.12"
}

# debian_closure PACKAGE...: these packages and all that they need, one NAME=VERSION a line.
debian_closure() {
    local plan
    plan=$(debian_apt -qq -s install "$@" 2>&1) || die "apt cannot satisfy: $*" "$(grep '^E:' <<<"$plan" | head -n 3)"
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' <<<"$plan" | sort
}

# deb_file NAME=VERSION: the package's file in the cache, whether there or not yet.
deb_file() {
    local version=${1#*=} found
    found=("$DEBS/${1%%=*}_${version//:/%3a}"_*.deb)
    printf '%s\n' "${found[0]}"
}

# debian_fetch NAME=VERSION...: brings what is missing into the cache. A list gone stale is fetched anew, once.
debian_fetch() {
    local package missing=() partial
    for package in "$@"; do
        [ -e "$(deb_file "$package")" ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    mkdir -p "$DEBS"
    partial=$(mktemp -d "$DEBS/.partial.XXXXXX")
    say "downloading ${#missing[@]} Debian packages"
    if ! (cd "$partial" && debian_apt -qq -o Acquire::Retries=3 download "${missing[@]}") >&2; then
        rm -rf "$partial"
        return 1
    fi
    mv "$partial"/*.deb "$DEBS"/
    rmdir "$partial"
}
