# shellcheck shell=bash
# The VM's disk and kernel, made once per content and kept in the cache. Sourced, never run.

# A small Debian, with what runtimes and their tests need. `--packages` adds to it.
readonly BASE_PACKAGES="base-files base-passwd bash busybox-static containernetworking-plugins coreutils crun dash debianutils
 diffutils e2fsprogs findutils grep gzip hostname iproute2 iputils-ping jq kmod less libc-bin libcap2-bin login mawk mount
 ncurses-base nftables passwd procps psmisc runc sed strace tar uidmap usr-is-merged util-linux vim-tiny zstd"

# What the tests of tests/engines have beside them.
# shellcheck disable=SC2034  # read by vm
readonly ENGINE_PACKAGES="bsdutils buildah ca-certificates catatonit containerd docker.io netavark podman umoci"

# What there is with systemd as process 1.
# shellcheck disable=SC2034  # read by vm
readonly SYSTEMD_PACKAGES="dbus systemd"

# image KERNEL PACKAGES: sets $image to the directory with disk.ext4, vmlinuz and release, made now if need be.
image() {
    local list
    mkdir -p "$CACHE/images" "$CACHE/lists"
    exec {cache_lock}>"$CACHE/lock"
    flock "$cache_lock"
    list="$CACHE/lists/$(sha256sum <<<"$* $BASE_PACKAGES" | cut -c1-16)"
    resolve "$list" "$1" "$BASE_PACKAGES $2"
    image=$(image_of "$list")
    if [ ! -e "$image/disk.ext4" ]; then
        fetch "$list" "$1" "$BASE_PACKAGES $2"
        image=$(image_of "$list")
        make_image "$list" "$image"
    fi
    touch "$image"
    # Images of older scripts and packages go when nobody has used them for two weeks.
    find "$CACHE/images" -mindepth 1 -maxdepth 1 -mtime +14 -exec rm -rf {} +
    exec {cache_lock}>&-
}

# image_of LIST: the image's place, named by all that goes into it.
image_of() {
    local scripts=("$here"/lib/{image.sh,make-image} "$here"/guest/* "$here/busybox-rootfs")
    printf '%s/images/%s\n' "$CACHE" "$(cat "$1" "${scripts[@]}" | sha256sum | cut -c1-16)"
}

# resolve LIST KERNEL PACKAGES: writes which packages in which versions; the kernel's stands first. Kept until `vm clean`,
# so that the machine of a failed test is the machine of its next run.
resolve() {
    local list=$1 kernel=$2 packages=$3
    [ ! -e "$list" ] || return 0
    need apt-get apt
    debian_lists
    {
        debian_kernel "$kernel"
        # shellcheck disable=SC2086  # a list of words
        debian_closure $packages
    } >"$list.new"
    mv "$list.new" "$list"
}

# fetch LIST KERNEL PACKAGES: brings the listed packages into the cache. Mirrors drop old versions, so where that fails
# it is tried once more with new lists.
fetch() {
    local list=$1 packages
    need dpkg-deb dpkg
    mapfile -t packages <"$list"
    if ! debian_fetch "${packages[@]}"; then
        debian_update
        rm -f "$list"
        resolve "$@"
        mapfile -t packages <"$list"
        debian_fetch "${packages[@]}" ||
            die "Debian's packages cannot be downloaded" "check the network, or name a mirror in GLASSBOX_DEBIAN_MIRROR"
    fi
}

# make_image LIST DIR: unpacks the packages, writes the image, and puts it in its place in one step.
make_image() {
    local list=$1 target=$2 packages package files=() new start=$EPOCHREALTIME as_root=()
    need mke2fs e2fsprogs
    if [ "$(id -u)" != 0 ]; then
        need fakeroot fakeroot
        as_root=(fakeroot --)
    fi
    mapfile -t packages <"$list"
    for package in "${packages[@]}"; do
        files+=("$(deb_file "$package")")
    done
    say "making the image: ${packages[0]%%=*} and $((${#packages[@]} - 1)) packages"
    new=$(mktemp -d "$CACHE/images/.new.XXXXXX")
    if ! "${as_root[@]}" "$here/lib/make-image" "$new" "${files[@]}" >"$new/log" 2>&1; then
        cat "$new/log" >&2
        rm -rf "$new"
        die "the image could not be made" "the reason stands above; is there room? df -h $CACHE"
    fi
    rm -rf "$target"
    mv "$new" "$target"
    say "made the image in $(seconds_since "$start") s"
}
