//! Says what the program was built from, rebuilds it when a lab is added (`include_dir!` tracks the files that it saw, not
//! new ones), and compiles the pause process of pods, which is a program of its own.

// A build script speaks to cargo by its standard output.
#![allow(clippy::print_stdout)]

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The pause process.
const PAUSE: &str = "src/sys/pause.rs";

/// A linker script: which functions stand at the beginning of the program.
const ORDER: &str = "build/start.ld";

fn main() {
    println!("cargo::rerun-if-changed=labs");
    // Set by the Makefile. Asking git here would build everything anew after every commit.
    println!("cargo::rerun-if-env-changed=GLASSBOX_COMMIT");
    let commit = env::var("GLASSBOX_COMMIT").unwrap_or_default();
    println!("cargo::rustc-env=GLASSBOX_COMMIT={}", if commit.is_empty() { "unknown" } else { &commit });
    println!("cargo::rerun-if-changed={PAUSE}");
    pause();
    order();
}

/// Puts what a start needs of `glassbox-runtime` side by side ([`ORDER`]). GNU ld's own script is known to take it, which is
/// what links programs for musl.
fn order() {
    println!("cargo::rerun-if-changed={ORDER}");
    let is = |name: &str, value: &str| env::var_os(name).is_some_and(|found| found == value);
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("PROFILE", "release") {
        let script = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(ORDER);
        println!("cargo::rustc-link-arg-bin=glassbox-runtime=-Wl,-T,{}", script.display());
    }
}

/// Static, without the C library, and the same in debug builds: as small as it is in a release.
fn pause() {
    let variable = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-name=pause", "--crate-type=bin", "-Cpanic=abort", "-Copt-level=z"]);
    rustc.args(["-Cstrip=symbols", "-Crelocation-model=static", "-Ctarget-feature=+crt-static"]);
    rustc.args(
        ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"].map(|word| format!("-Clink-arg={word}")),
    );
    // On musl rustc would add start files of its own (rustc book, "link-self-contained").
    if env::var_os("CARGO_CFG_TARGET_ENV").is_some_and(|name| name == "musl") {
        rustc.arg("-Clink-self-contained=no");
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut word = std::ffi::OsString::from("-Clinker=");
        word.push(linker);
        rustc.arg(word);
    }
    rustc.arg("--target").arg(variable("TARGET"));
    rustc.arg("-o").arg(PathBuf::from(variable("OUT_DIR")).join("pause"));
    let status = rustc.arg(PAUSE).status().unwrap_or_else(|cause| panic!("cannot run rustc: {cause}"));
    assert!(status.success(), "rustc cannot compile {PAUSE}");
}
