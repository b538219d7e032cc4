//! Says what the program was built from, and rebuilds it when a lab is added: `include_dir!` tracks the files that it
//! saw, not new ones.

fn main() {
    println!("cargo::rerun-if-changed=labs");
    // Set by the Makefile. Asking git here would build everything anew after every commit.
    println!("cargo::rerun-if-env-changed=GLASSBOX_COMMIT");
    let commit = std::env::var("GLASSBOX_COMMIT").unwrap_or_default();
    println!("cargo::rustc-env=GLASSBOX_COMMIT={}", if commit.is_empty() { "unknown" } else { &commit });
}
