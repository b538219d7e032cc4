# shellcheck shell=bash
# What the scripts of this directory share: how they speak, where they keep things. Sourced, never run.

# Our own failure, beside the status of a command that we run: as env(1), timeout(1) and docker-run(1) have it.
readonly EXIT_BROKEN=125

# Everything that can be made again lives here, and `vm clean` removes it.
# shellcheck disable=SC2034  # read by the scripts that source this file
readonly CACHE="${XDG_CACHE_HOME:-${HOME:?names no directory: set HOME or XDG_CACHE_HOME}/.cache}/glassbox/vm"

# say TEXT...: progress for a person, on stderr; silent with --quiet.
say() {
    [ -n "${QUIET:-}" ] || printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die TEXT [HINT]: why we stop, and what to do about it.
die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    [ -z "${2:-}" ] || printf '  hint: %s\n' "$2" >&2
    exit "$EXIT_BROKEN"
}

# need COMMAND PACKAGE: stops unless the command is there (sbin included: it is not on an ordinary user's PATH in Debian).
need() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ||
        die "$1 is not installed" "sudo apt-get install $2   (or run rootfs-scripts/install-tools)"
}

# print_help FILE: the comment at the top of a script is its help.
print_help() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"
}

# seconds_since EPOCHREALTIME: with one decimal.
seconds_since() {
    local now=${EPOCHREALTIME/[.,]/} then=${1/[.,]/}
    local tenths=$(((now - then + 50000) / 100000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}
