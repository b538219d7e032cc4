# shellcheck shell=bash
# One boot: QEMU's command line, the streams between guest and caller, and what the guest's end means. Sourced, never run.

# As timeout(1) has it.
readonly EXIT_TIMEOUT=124

# accelerator IMAGE: sets $accel to kvm where a guest really boots with it, else to tcg, software emulation. That /dev/kvm
# opens proves little (nested and locked-down hosts), so a boot is tried, once per start of this machine.
accelerator() {
    local verdict
    accel=tcg
    verdict="$CACHE/kvm-$(cat /proc/sys/kernel/random/boot_id)"
    if [ ! -e /dev/kvm ]; then
        slow_because="this machine has no /dev/kvm"
    elif ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
        slow_because="/dev/kvm may not be opened by $(id -un); sudo adduser $(id -un) kvm mends it"
    else
        [ -e "$verdict" ] || try_kvm "$1" "$verdict"
        if [ "$(cat "$verdict")" = works ]; then
            accel=kvm
        else
            slow_because="/dev/kvm is there, but no guest boots with it"
        fi
    fi
}

# try_kvm IMAGE VERDICT: a boot under KVM takes a second; ten without a word from init mean that it does not work.
try_kvm() {
    local word=works
    say "trying whether KVM works here"
    accel=kvm
    start_qemu "$1" "glassbox.streams=1 glassbox.mark=x"
    if ! { read -r -t 10 line <&"$control" && [ "$line" = booted ]; }; then
        word=broken
    fi
    stop_qemu
    accel=tcg
    rm -f "$CACHE"/kvm-*
    echo "$word" >"$2.new"
    mv "$2.new" "$2"
}

# start_qemu IMAGE OPTIONS: starts the machine on the files in $run, with the guest's options on the kernel's command line.
# Sets $qemu (its process id) and $control (a descriptor: lines from init; its end is QEMU's end).
start_qemu() {
    local image=$1 append name devices=() serial=() arguments
    append="console=ttyS0 root=/dev/nvme0n1 rootfstype=ext4 rootflags=noinit_itable rw init=/glassbox/init glassbox.vm=1 $2"
    # Programs at the same addresses each time: emulated, they start in a fraction of the time, it seems because QEMU need not
    # translate them anew.
    append+=" norandmaps init_on_alloc=0"
    # A kernel that goes round in circles, which emulation brings about now and then, ends the machine in half a minute.
    append+=" panic=-1 oops=panic softlockup_panic=1 watchdog_thresh=15 psi=1 mitigations=off tsc=reliable no_timer_check loglevel=6"
    devices=(-chardev "file,id=control,path=/dev/fd/3" -device "virtserialport,chardev=control,name=control")
    for name in stdout stderr files; do
        [ -p "$run/$name" ] || continue
        devices+=(-chardev "file,id=$name,path=$run/$name" -device "virtserialport,chardev=$name,name=$name")
    done
    [ -z "${terminal:-}" ] || serial=(-chardev "stdio,id=terminal,signal=off" -serial chardev:terminal)
    arguments=(-nodefaults -no-user-config -no-reboot -display none -machine q35 -smp 2 -m "$memory"
        -kernel "$image/vmlinuz" -append "$append"
        -drive "if=none,id=root,file=$image/disk.ext4,format=raw,snapshot=on,cache=unsafe"
        -device "nvme,drive=root,serial=root"
        -drive "if=none,id=in,file=$run/in.tar,format=raw,readonly=on" -device "virtio-blk-pci,drive=in"
        -chardev "file,id=log,path=$run/kernel.log" -serial chardev:log "${serial[@]}"
        -device virtio-serial-pci "${devices[@]}")
    case $accel in
    kvm) arguments+=(-accel kvm -cpu host) ;;
    tcg) arguments+=(-accel "tcg,thread=multi" -cpu max) ;;
    esac
    # The control port is a pipe to us: its end of file is QEMU's end. QEMU dies with this script, however the script ends.
    exec {qemu_in}<&0 {qemu_out}>&1
    # shellcheck disable=SC2261,SC2093
    exec {control}< <(
        exec 3>&1 0<&"$qemu_in" 1>&"$qemu_out"
        exec setpriv --pdeathsig TERM qemu-system-x86_64 "${arguments[@]}" 2>"$run/qemu.log"
    )
    qemu=$!
    exec {qemu_in}<&- {qemu_out}>&-
}

# stop_qemu: pulls the plug. The disk is a snapshot, so nothing is lost that was asked for.
stop_qemu() {
    [ -n "${qemu:-}" ] || return 0
    kill "$qemu" 2>/dev/null || true
    wait "$qemu" 2>/dev/null || true
    qemu=
    exec {control}<&-
}

# pump NAME: passes a stream of the guest on to stdout, byte for byte as it comes, up to the mark that ends it.
pump() {
    perl -e '
        my ($file, $mark) = @ARGV;
        open(my $in, "<", $file) or die "$file: $!\n";
        my $held = "";
        while (sysread($in, my $new, 65536)) {
            $held .= $new;
            my $end = index($held, $mark);
            # What could be the beginning of the mark waits for the rest of it.
            my $safe = $end >= 0 ? $end : length $held;
            if ($end < 0) {
                for (my $n = length($mark) - 1; $n > 0; $n--) {
                    if (substr($held, -$n) eq substr($mark, 0, $n)) { $safe -= $n; last }
                }
            }
            for (my $at = 0; $at < $safe; ) {
                $at += syswrite(STDOUT, $held, $safe - $at, $at) // exit 1;
            }
            exit 0 if $end >= 0;
            $held = substr($held, $safe);
        }
        syswrite(STDOUT, $held);
    ' "$run/$1" "$mark"
}

# boot IMAGE: runs the machine that is prepared in $run. Returns the command's exit status, or ends the script with the
# reason when the machine came to none.
boot() {
    local image=$1 options start=$EPOCHREALTIME deadline=$((SECONDS + timeout)) line status='' pumps=()
    mark="<end of stream $(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')>"
    mark=${mark// /-}
    options="glassbox.mark=$mark"
    if [ -n "${terminal:-}" ]; then
        options+=" glassbox.terminal=1 glassbox.rows=$(tput lines) glassbox.cols=$(tput cols)"
    else
        mkfifo "$run/stdout"
        pump stdout & pumps+=($!)
        # Where both streams end in one place, they travel as one, so that their order holds.
        if [ "$(stat -Lc %d:%i /dev/fd/1)" = "$(stat -Lc %d:%i /dev/fd/2)" ]; then
            options+=" glassbox.streams=1"
        else
            mkfifo "$run/stderr"
            pump stderr >&2 & pumps+=($!)
        fi
    fi
    if [ -n "${out:-}" ]; then
        options+=" glassbox.files=1"
        mkfifo "$run/files"
        pump files >"$run/out.tar" & pumps+=($!)
    fi
    # systemd mounts securityfs, by which docker finds AppArmor and wants its parser; labels are tested without docker.
    [ -z "${systemd:-}" ] || options+=" glassbox.systemd=1 apparmor=0"
    start_qemu "$image" "$options"
    while read -r -t $((deadline > SECONDS ? deadline - SECONDS : 1)) line <&"$control"; do
        case $line in
        booted) say "booted in $(seconds_since "$start") s" ;;
        status*)
            status=${line#status }
            # Without arguments wait would wait for QEMU too.
            [ ${#pumps[@]} = 0 ] || wait "${pumps[@]}" || true
            break
            ;;
        esac
    done
    if [ -z "$status" ]; then
        explain_end "$deadline"
    fi
    stop_qemu
    return "$status"
}

# explain_end DEADLINE: why there is no exit status, with the kernel's last words.
explain_end() {
    if [ "$SECONDS" -ge "$1" ]; then
        say_end "the VM was not done after $timeout s" "give it longer: --timeout SECONDS"
        exit "$EXIT_TIMEOUT"
    fi
    if [ -s "$run/qemu.log" ] && [ ! -s "$run/kernel.log" ]; then
        die "QEMU did not start: $(cat "$run/qemu.log")" "rootfs-scripts/install-tools installs what QEMU needs"
    fi
    say_end "the VM ended before the command did" "the kernel's last words stand above"
    exit "$EXIT_BROKEN"
}

say_end() {
    {
        echo "--- kernel log, last lines ---"
        tr -d '\r' <"$run/kernel.log" | tail -n 80
        cat "$run/qemu.log"
        echo "------------------------------"
        printf '%s: %s\n  hint: %s\n' "${0##*/}" "$1" "$2"
    } >&2
}
