//! Configs that are almost right: what is accepted keeps the rules that the runtime relies on.
#![no_main]

use glassbox::spec::Config;
use glassbox_fuzz::{Bytes, changed_config};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let config = changed_config(&mut Bytes::new(data));
    let Ok(Config { spec, .. }) = Config::parse(&config.to_string()) else { return };
    if let Some(process) = spec.process() {
        let texts = process.args().iter().flatten().chain(process.env().iter().flatten());
        assert!(texts.into_iter().all(|text| !text.contains('\0')), "a NUL ends a C string");
        assert!(process.user().uid() != u32::MAX && process.user().gid() != u32::MAX, "no id");
        assert!(process.cwd().is_absolute());
    }
    if let Some(linux) = spec.linux() {
        let path = linux.cgroups_path().as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        assert!(path.split('/').all(|part| part != ".."), "{path:?}");
        let unified = linux.resources().as_ref().and_then(|resources| resources.unified().clone()).unwrap_or_default();
        assert!(unified.keys().all(|key| !key.contains('/') && key != ".."));
    }
});
