//! Texts that `create`, `exec --process` and `update --resources` read: any bytes end in a config or an error.
#![no_main]

use glassbox::spec::{Config, ContainerId, parse_process, parse_resources};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // An error is told in one message, which names what is wrong.
    for error in [
        Config::parse(text).err().map(|error| error.to_string()),
        parse_process(text).err().map(|error| error.to_string()),
        parse_resources(text).err().map(|error| error.to_string()),
    ] {
        assert!(error.is_none_or(|told| !told.is_empty()));
    }
    if let Ok(id) = ContainerId::new(text) {
        assert!(!id.as_str().contains('/') && id.as_str() != ".." && id.as_str() != ".");
    }
});
