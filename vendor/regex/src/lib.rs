//! regex-lite, under the name of regex.
//!
//! oci-spec checks one short field with a regular expression (`process.execCPUAffinity`), and for that would bring the whole
//! of regex with it: 500 KB of automata and tables of Unicode, an eighth of `glassbox-runtime`. Both crates have the same names
//! and, for ASCII, the same meaning.

pub use regex_lite::*;
