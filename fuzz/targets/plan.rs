//! From a config that was accepted to a plan, and to all the ways in which it is told.
#![no_main]

use glassbox::plan::{self, InitStep, Options, Plan, Target, uapi};
use glassbox::spec::Config;
use glassbox_fuzz::{Bytes, changed_config, hosts};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let options = Options {
        preserve_fds: bytes.short().into(),
        listen_fds: bytes.byte().into(),
        no_new_keyring: bytes.byte() % 2 == 0,
        ..Options::default()
    };
    let Ok(Config { spec, .. }) = Config::parse(&changed_config(&mut bytes).to_string()) else { return };
    for host in hosts() {
        if let Ok(plan) = plan::create("fuzz", &spec, &host, options) {
            check(&plan);
        }
    }
    let Some(process) = spec.process() else { return };
    let target = Target {
        pid: 42,
        namespaces: uapi::CLONE_NEWNS | uapi::CLONE_NEWPID,
        cgroup: Some("/sys/fs/cgroup/fuzz".to_string()),
        last_capability: 40,
        home: None,
    };
    if let Ok(plan) = plan::exec("fuzz", &spec, process, &target, &options) {
        check(&plan);
    }
});

fn check(plan: &Plan) {
    assert!(matches!(plan.init.last().map(|planned| &planned.step), Some(InitStep::Execute { .. })));
    let waits = plan.init.iter().filter(|planned| matches!(planned.step, InitStep::AwaitStart)).count();
    assert_eq!(waits, 1);
    let json = plan.json();
    let steps = json["steps"].as_array().expect("a list").len();
    assert_eq!(steps, plan.story().len());
    for (number, line) in plan.story().iter().enumerate() {
        assert_eq!(line.number, number + 1);
    }
    assert!(!plan.shell().is_empty() && !plan.mermaid().is_empty());
    assert!(plan::difference(plan, plan).is_empty());
}
