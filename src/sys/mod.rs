//! The only unsafe code: system calls that nix and rustix do not have, and what must hold around `clone3`.

pub mod feature;
