#!/bin/sh
# The start of the container web as shell commands, for root.
# It needs coreutils, util-linux, iproute2, hostname, and capsh of libcap.
#
# The numbers are those of `glassbox explain`. Two things a shell does in another way:
# - clone3 makes the process in its namespaces and its cgroup at once; here unshare makes the namespaces, and the
#   process moves itself into its cgroup.
# - pivot_root takes the host's commands away, so it comes at the very end and is done from outside. Until then the
#   process works in the rootfs directory: the container's /proc is ./proc.
set -eu
umask 0022

# ---- On the host, before the process exists ----

# 1. enable the controllers cpuset, io below /sys/fs/cgroup (linux.resources)
for controller in cpuset io; do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || : # it only counts
done 2>/dev/null

# 2. make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
mkdir /sys/fs/cgroup/glassbox-web
trap 'rmdir /sys/fs/cgroup/glassbox-web' EXIT

# 3. write "67108864" into /sys/fs/cgroup/glassbox-web/memory.max (linux.resources.memory.limit)
echo 67108864 >/sys/fs/cgroup/glassbox-web/memory.max

# The process and this script wait for each other by two FIFOs. At the end nothing is left.
fifos=$(mktemp -d)
mkfifo "$fifos/ready" "$fifos/go"
helper=
trap 'kill "$helper" 2>/dev/null || :; rm -rf "$fifos"; rmdir /sys/fs/cgroup/glassbox-web' EXIT

# 4. clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup
#   /sys/fs/cgroup/glassbox-web (linux.namespaces)
clone() {
  exec 5>"$fifos/ready" 6<"$fifos/go"
  # shellcheck disable=SC2016 # the shell inside expands them
  exec unshare --mount --propagation unchanged --uts --ipc --pid --fork --net \
    sh -euc '
      read -r pid _ </proc/self/stat # its number on the host
      echo 0 >/sys/fs/cgroup/glassbox-web/cgroup.procs # 0: whoever writes it
      echo "$pid" >&5
      read -r _ <&6
      exec "$@"
    ' sh "$@"
}

# ---- Beside the process ----

beside() {
  exec 3<"$fifos/ready" 4>"$fifos/go"
  rm -r "$fifos"
  read -r pid <&3
  # 5. set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard) (process.rlimits[0])
  prlimit --pid "$pid" --nofile=1024:1024
  echo go >&4
  read -r _ <&3 # the process waits in its last shell
  # 27. make the rootfs the root and let go of the host's (root.path)
  nsenter --target "$pid" --mount pivot_root /web/rootfs /web/rootfs
  nsenter --target "$pid" --mount umount --lazy /
  echo go >&4
}

# ---- The process: each command becomes the next ----

set --
# 6. close the file descriptors from 3 on (nothing of the host's stays open in the container)
set -- "$@" sh -euc 'exec 3<&- 4<&- 8<&- 9<&-; exec "$@"' sh
# 7. set the file mode creation mask to 0000 (modes are taken as they are written)
set -- "$@" sh -euc 'umask 0000; exec "$@"' sh
# 8. start a session of its own (a container does not share our terminal's session)
set -- "$@" setsid
# 10. run on every CPU that the cgroup allows (what binds the caller does not bind it)
set -- "$@" taskset 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
# 11. make a new cgroup namespace (linux.namespaces "cgroup")
set -- "$@" unshare --cgroup

# At last it becomes the shell that reads what follows. The program gets this script's own stdin back.
exec 7<&0
beside &
helper=$!
status=0
(clone "$@" sh -eus) <<'INSIDE' || status=$?
# ---- Inside, by the process itself ----

# capsh gives power away at the end; its arguments are gathered on the way.
capsh=$(command -v capsh)
set --

# A symbolic link of the rootfs must not lead out of it. The runtime resolves such a link inside; a command cannot.
below() {
  case $(realpath -m "$1") in
  "$PWD" | "$PWD"/*) ;;
  *) echo "$1 leads out of the rootfs by a symbolic link" >&2 && exit 1 ;;
  esac
}

# A directory and those above it, where they are missing.
directory() {
  below "$1"
  [ -d "$1" ] || (umask 0022 && mkdir -p "$1")
}

# No symbolic link may stand in the way.
straight() {
  [ "$(realpath "$1")" = "$PWD/${1#./}" ] || { echo "$1 is a symbolic link, or below one" >&2 && exit 1; }
}

# Other options for a mount and for all mounts below it.
remount_all() {
  mounts=$(findmnt --noheadings --list --output TARGET --submounts "$(realpath "$1")")
  echo "$mounts" | while IFS= read -r mount; do
    mount -o "remount,bind,$2" "$mount"
  done
}

# 9. join the new session keyring _ses.web (the keys of whoever starts it are not the container's)
# Not done: that takes keyctl(1), which few machines have: the program keeps this script's session keyring.

# 12. make the mounts of / rslave (no mount of the container may reach the host)
mount --make-rslave /

# 13. mount /web/rootfs with all below it over itself and enter it (root.path)
mount --rbind /web/rootfs /web/rootfs
cd /web/rootfs

# 14. mount proc on /proc (mounts[0])
directory ./proc
straight ./proc
mount -t proc proc ./proc

# 15. mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1])
directory ./dev
mount -t tmpfs -o nosuid,strictatime,mode=755,size=65536k tmpfs ./dev

# 16. make the device /dev/null (1:3, mode 0666) (every container has this device)
[ -c ./dev/null ] || mknod -m 0666 ./dev/null c 1 3

# 17. make the device /dev/zero (1:5, mode 0666) (every container has this device)
[ -c ./dev/zero ] || mknod -m 0666 ./dev/zero c 1 5

# 18. make the device /dev/full (1:7, mode 0666) (every container has this device)
[ -c ./dev/full ] || mknod -m 0666 ./dev/full c 1 7

# 19. make the device /dev/random (1:8, mode 0666) (every container has this device)
[ -c ./dev/random ] || mknod -m 0666 ./dev/random c 1 8

# 20. make the device /dev/urandom (1:9, mode 0666) (every container has this device)
[ -c ./dev/urandom ] || mknod -m 0666 ./dev/urandom c 1 9

# 21. make the device /dev/tty (5:0, mode 0666) (every container has this device)
[ -c ./dev/tty ] || mknod -m 0666 ./dev/tty c 5 0

# 22. link /dev/fd to /proc/self/fd (every container has this link)
[ -L ./dev/fd ] || [ -e ./dev/fd ] || ln -s /proc/self/fd ./dev/fd

# 23. link /dev/stdin to /proc/self/fd/0 (every container has this link)
[ -L ./dev/stdin ] || [ -e ./dev/stdin ] || ln -s /proc/self/fd/0 ./dev/stdin

# 24. link /dev/stdout to /proc/self/fd/1 (every container has this link)
[ -L ./dev/stdout ] || [ -e ./dev/stdout ] || ln -s /proc/self/fd/1 ./dev/stdout

# 25. link /dev/stderr to /proc/self/fd/2 (every container has this link)
[ -L ./dev/stderr ] || [ -e ./dev/stderr ] || ln -s /proc/self/fd/2 ./dev/stderr

# 26. link /dev/ptmx to pts/ptmx (every container has this link)
[ -L ./dev/ptmx ] || [ -e ./dev/ptmx ] || ln -s pts/ptmx ./dev/ptmx

# 27. make the rootfs the root and let go of the host's (root.path)
# Done from outside, in beside() above.

# 28. set the host name to glassbox (hostname)
hostname glassbox

# 29. bring the loopback device lo up (many programs listen on 127.0.0.1)
ip link set lo up

# 30. make /proc/sys read-only (linux.readonlyPaths[0])
if [ -e ./proc/sys ]; then mount --rbind ./proc/sys ./proc/sys; remount_all ./proc/sys ro; fi # else nothing to protect

# 31. mask /proc/kcore (linux.maskedPaths[0])
if [ -d ./proc/kcore ]; then mount -t tmpfs -o ro tmpfs ./proc/kcore
elif [ -e ./proc/kcore ]; then mount --bind ./dev/null ./proc/kcore; fi # else nothing to hide

# 32. change the mount / (ro) (root.readonly)
mount -o remount,bind,ro .

# 33. drop 40 capabilities for good (process.capabilities.bounding)
set -- "$@" --drop=cap_chown,cap_dac_override,cap_dac_read_search,cap_fowner,cap_fsetid \
  --drop=cap_setgid,cap_setuid,cap_setpcap,cap_linux_immutable,cap_net_bind_service \
  --drop=cap_net_broadcast,cap_net_admin,cap_net_raw,cap_ipc_lock,cap_ipc_owner \
  --drop=cap_sys_module,cap_sys_rawio,cap_sys_chroot,cap_sys_ptrace,cap_sys_pacct \
  --drop=cap_sys_admin,cap_sys_boot,cap_sys_nice,cap_sys_resource,cap_sys_time \
  --drop=cap_sys_tty_config,cap_mknod,cap_lease,cap_audit_write,cap_audit_control \
  --drop=cap_setfcap,cap_mac_override,cap_mac_admin,cap_syslog,cap_wake_alarm \
  --drop=cap_block_suspend,cap_audit_read,cap_perfmon,cap_bpf,cap_checkpoint_restore

# 34. go to / (process.cwd)
cd .

# 35. become user 0 and group 0 (process.user)
set -- "$@" --keep=1 --groups= --gid=0 --uid=0

# 36. set the file mode creation mask to 0022 (process.user.umask)
umask 0022

# 37. keep the capabilities CAP_KILL (permitted the same, inheritable none, ambient none)
#   (process.capabilities)
set -- "$@" --caps='= cap_kill+ep'

# 38. give up gaining privileges by execve (process.noNewPrivileges)
set -- "$@" --no-new-privs

exec env -i \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  TERM=xterm \
  HOME=/root \
  "$capsh" "$@" --shell=/bin/sh -- -euc '
exec <&7
echo ready >&5
read -r _ <&6 # until the root is swapped
exec 5>&- 6<&- 7<&-

# 39. check that /usr/local/sbin/sh or its namesake further down PATH can be executed (process.args[0])
found=
for file in /usr/local/sbin/sh /usr/local/bin/sh /usr/sbin/sh /usr/bin/sh /sbin/sh /bin/sh; do
  if [ -f "$file" ] && [ -x "$file" ]; then found=$file && break; fi
done
if [ -z "$found" ]; then echo "$1: no such program" >&2 && exit 127; fi

# 40. wait for start (create makes the container, start runs it)
# Not done: nobody starts this container later: it goes on at once.

# 41. become the program: sh -c echo it'\''s "$HOME" (process.args)
unset PWD OLDPWD SHLVL _
exec "$@"
' sh sh -c 'echo it'\''s "$HOME"'
INSIDE
exit "$status"
