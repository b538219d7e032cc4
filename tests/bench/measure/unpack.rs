//! Unpacking one large layer, beside the programs that do it without checks: tar, and gzip or zstd before it.
//!
//! All on one CPU, onto one tmpfs, so that no disk and no second core tells the difference. What counts is the time on the
//! CPU; the wall clock is told beside.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cost;
use super::peer::Peer;
use super::place::Place;
use super::sample::{median, rounded};

/// Runs of which the median counts.
const RUNS: usize = 3;
/// Bytes of a file of the layer: small and large ones, as in a distribution.
const FILES: [u64; 8] = [300, 2_000, 9_000, 25_000, 70_000, 200_000, 900_000, 6_000_000];

/// For each compression, milliseconds of ours and of tar's; and the peak memory of ours for a tenth of the layer and for all
/// of it, in KiB.
pub fn measure(place: &Place, ours: &Peer, megabytes: u64) -> Result<Value> {
    let work = place.path("unpack");
    fs::create_dir_all(&work)?;
    let tmpfs = nix::mount::mount(
        Some("tmpfs"),
        &work,
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some(format!("size={}M", megabytes * 3 + 100).as_str()),
    );
    tmpfs.context("a tmpfs for the layer")?;
    let result = in_directory(&work, ours, megabytes);
    nix::mount::umount2(&work, nix::mount::MntFlags::MNT_DETACH)?;
    result
}

fn in_directory(work: &Path, ours: &Peer, megabytes: u64) -> Result<Value> {
    let mut report = serde_json::Map::new();
    for (kind, program, media) in
        [("plain", None, ""), ("gzip", Some("gzip"), "+gzip"), ("zstd", Some("zstd"), "+zstd")]
    {
        let mut peaks = Vec::new();
        for size in [megabytes / 10, megabytes] {
            let layout = work.join("layout");
            let Some(blob) = layout_with_layer(&layout, size << 20, program, media)? else { continue };
            let target = work.join("target");
            let mut unpack = Command::new(&ours.program);
            unpack.args(["image", "unpack"]).arg(&layout).arg(&target);
            let own = timed_on_one_cpu(&unpack, &target)?;
            peaks.push(own.peak_rss_kib);
            if size == megabytes {
                let theirs = timed_on_one_cpu(&tar(program, &blob, &target), &target)?;
                let figures = |figures: &Figures| json!({ "cpu_ms": figures.cpu_ms, "wall_ms": figures.wall_ms });
                let ratio = rounded(own.cpu_ms / theirs.cpu_ms);
                let json = json!({ "glassbox": figures(&own), "tar": figures(&theirs), "ratio": ratio, "peak_rss_kib": peaks });
                report.insert(kind.to_string(), json);
            }
            fs::remove_dir_all(&layout)?;
        }
    }
    report.insert("megabytes".into(), megabytes.into());
    Ok(report.into())
}

/// What is compared: `tar -xpf` alone, or behind the program that decompresses.
fn tar(program: Option<&str>, blob: &Path, target: &Path) -> Command {
    let mut command = Command::new("sh");
    let line = match program {
        None => "mkdir \"$2\" && tar -xpf \"$1\" -C \"$2\"".to_string(),
        Some(program) => format!("mkdir \"$2\" && {program} -dc \"$1\" | tar -xpf - -C \"$2\""),
    };
    command.args(["-c", &line, "sh"]).arg(blob).arg(target);
    command
}

struct Figures {
    cpu_ms: f64,
    wall_ms: f64,
    peak_rss_kib: f64,
}

/// Runs it some times, each time into a `target` that is not there.
fn timed_on_one_cpu(command: &Command, target: &Path) -> Result<Figures> {
    let (mut cpu, mut wall, mut peak) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut words = vec![OsString::from(cost::OWN_WORD), command.get_program().into()];
        words.extend(command.get_args().map(OsString::from));
        let start = std::time::Instant::now();
        let mut child = Command::new(std::env::current_exe()?).args(words).stdout(Stdio::piped()).spawn()?;
        let mut one = CpuSet::new();
        one.set(0)?;
        sched_setaffinity(Pid::from_raw(child.id() as i32), &one)?;
        let said = io::read_to_string(child.stdout.take().expect("a pipe"))?;
        ensure!(child.wait()?.success(), "{command:?} failed");
        wall.push(start.elapsed().as_secs_f64() * 1000.0);
        let words: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [rss, _, milliseconds] = words.as_slice() else { anyhow::bail!("it said {said:?}") };
        peak.push(*rss);
        cpu.push(*milliseconds);
        fs::remove_dir_all(target)?;
    }
    Ok(Figures { cpu_ms: rounded(median(&cpu)), wall_ms: rounded(median(&wall)), peak_rss_kib: median(&peak) })
}

/// Makes an OCI image layout with one layer of about `bytes`; the path of the layer's blob, none without the program that
/// compresses.
fn layout_with_layer(layout: &Path, bytes: u64, program: Option<&str>, media: &str) -> Result<Option<PathBuf>> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let tar = layout.join("layer.tar");
    write_tar(&tar, bytes)?;
    let diff_id = digest(&tar)?;
    if let Some(program) = program {
        match Command::new(program).args(["-q", "-3", "-k"]).arg(&tar).status() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            status => ensure!(status?.success(), "{program} failed"),
        }
        let suffix = if program == "gzip" { "gz" } else { "zst" };
        fs::rename(layout.join(format!("layer.tar.{suffix}")), &tar)?;
    }
    let layer = keep(&blobs, fs::read(&tar)?)?;
    fs::remove_file(&tar)?;
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] } });
    let config = keep(&blobs, config.to_string().into_bytes())?;
    let described = |media: &str, (digest, size): &(String, u64)| json!({ "mediaType": media, "digest": format!("sha256:{digest}"), "size": size });
    let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described(&format!("application/vnd.oci.image.layer.v1.tar{media}"), &layer)] });
    let manifest = keep(&blobs, manifest.to_string().into_bytes())?;
    let index = json!({ "schemaVersion": 2, "manifests": [described("application/vnd.oci.image.manifest.v1+json", &manifest)] });
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(layout.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}")?;
    Ok(Some(blobs.join(layer.0)))
}

fn keep(blobs: &Path, bytes: Vec<u8>) -> Result<(String, u64)> {
    let name = hex(&Sha256::digest(&bytes));
    fs::write(blobs.join(&name), &bytes)?;
    Ok((name, bytes.len() as u64))
}

fn digest(path: &Path) -> Result<String> {
    Ok(hex(&Sha256::digest(fs::read(path)?)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files whose bytes compress about as programs and documents do: to a little less than half.
fn write_tar(path: &Path, bytes: u64) -> Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(File::create(path)?));
    let (mut written, mut number, mut state) = (0, 0, 0x9e37_79b9_7f4a_7c15_u64);
    while written < bytes {
        let size = FILES[number % FILES.len()];
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(if number % 5 == 0 { 0o755 } else { 0o644 });
        header.set_mtime(1_700_000_000 + number as u64);
        header.set_entry_type(tar::EntryType::Regular);
        let name = format!("usr/lib/part{}/file{number}", number / 200);
        archive.append_data(&mut header, name, data(size as usize, &mut state).as_slice())?;
        written += size + 512;
        number += 1;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

fn data(size: usize, state: &mut u64) -> Vec<u8> {
    const WORDS: [&[u8]; 8] = [
        b"the kernel ",
        b"cgroup.procs ",
        b"\x48\x89\xe5\x48\x83\xec",
        b"return 0;\n",
        b"\0\0\0\0\0\0\0\0",
        b"struct ",
        b"int ",
        b"->next",
    ];
    let mut data = Vec::with_capacity(size + 16);
    while data.len() < size {
        // xorshift64: the same bytes on every machine.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        match *state & 1 {
            0 => data.extend_from_slice(WORDS[(*state >> 8 & 7) as usize]),
            _ => data.extend_from_slice(&state.to_le_bytes()[2..6]),
        }
    }
    data.truncate(size);
    data
}
