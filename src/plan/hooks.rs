//! The config's hooks as steps: who runs each, and when.

use super::step::{Hook, HookKind, HostStep, InitStep, Planned, c_string};
use crate::spec::oci::{self, Spec};

/// The hooks of one list, each with the field that it comes from.
pub fn of(spec: &Spec, kind: HookKind) -> Vec<Planned<Hook>> {
    let Some(hooks) = spec.hooks() else { return Vec::new() };
    let list = match kind {
        HookKind::Prestart => hooks.prestart(),
        HookKind::CreateRuntime => hooks.create_runtime(),
        HookKind::CreateContainer => hooks.create_container(),
        HookKind::StartContainer => hooks.start_container(),
        HookKind::Poststart => hooks.poststart(),
        HookKind::Poststop => hooks.poststop(),
    };
    let one = |(index, entry)| Planned::new(hook(entry), format!("hooks.{}[{index}]", kind.name()));
    list.iter().flatten().enumerate().map(one).collect()
}

/// What we run ourselves while the process waits: `prestart` is the older name of `createRuntime`.
pub(super) fn ours(spec: &Spec) -> Vec<Planned<HostStep>> {
    let run = |kind| {
        of(spec, kind)
            .into_iter()
            .map(move |planned| Planned::new(HostStep::RunHook { kind, hook: planned.step }, planned.because))
    };
    run(HookKind::Prestart).chain(run(HookKind::CreateRuntime)).collect()
}

/// The wait for those, and what the process runs itself before its root is swapped.
pub(super) fn before_the_root_is_swapped(spec: &Spec) -> Vec<Planned<InitStep>> {
    let kinds = [HookKind::Prestart, HookKind::CreateRuntime, HookKind::CreateContainer, HookKind::StartContainer];
    if kinds.iter().all(|kind| of(spec, *kind).is_empty()) {
        return Vec::new();
    }
    let mut steps = vec![Planned::new(InitStep::AwaitHooks, "hooks")];
    steps.extend(inside(spec, HookKind::CreateContainer));
    steps
}

/// What the process runs itself.
pub(super) fn inside(spec: &Spec, kind: HookKind) -> impl Iterator<Item = Planned<InitStep>> {
    of(spec, kind)
        .into_iter()
        .map(move |planned| Planned::new(InitStep::RunHook { kind, hook: planned.step }, planned.because))
}

fn hook(hook: &oci::Hook) -> Hook {
    let path = c_string(&hook.path().to_string_lossy());
    let args = hook.args().iter().flatten().map(|arg| c_string(arg)).collect::<Vec<_>>();
    Hook {
        args: if args.is_empty() { vec![path.clone()] } else { args },
        path,
        env: hook.env().iter().flatten().map(|variable| c_string(variable)).collect(),
        timeout: hook.timeout().and_then(|seconds| u32::try_from(seconds).ok()),
    }
}
