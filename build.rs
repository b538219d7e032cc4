//! Rebuilds the program when a lab is added: `include_dir!` tracks the files that it saw, not new ones.

fn main() {
    println!("cargo::rerun-if-changed=labs");
}
