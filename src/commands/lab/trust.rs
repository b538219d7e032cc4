//! Somebody else's labs: their commands are shown before they run, and outside a throw-away VM they run only when asked for.

use super::{Common, phrases};
use crate::commands::output;
use crate::error::Failure;
use crate::lab::lang::Lang;
use crate::lab::machine;
use crate::lab::script::Lab;

/// Whether labs of `--labs` may run.
#[derive(Debug, Clone, clap::Args)]
pub struct Trust {
    /// Run the labs of --labs without showing their commands first, also outside a throw-away VM
    #[arg(long, requires = "labs")]
    trust: bool,
}

impl Trust {
    /// Shows the commands of a lab that is not built in.
    ///
    /// # Errors
    /// Outside a throw-away VM.
    pub fn gate(&self, common: &Common, lab: &Lab, lang: Lang) -> anyhow::Result<()> {
        if common.labs.is_none() || self.trust {
            return Ok(());
        }
        output::eprint_line(&phrases::foreign(lang, &lab.id, &lab.file))?;
        for (what, script) in lab.scripts() {
            output::eprint_line(&format!("  # {what}"))?;
            for line in script.trim().lines() {
                output::eprint_line(&format!("  {line}"))?;
            }
        }
        if machine::is_throw_away() {
            return Ok(());
        }
        let failure =
            Failure::new(format!("lab {} is not one of glassbox's own, and this is no throw-away VM", lab.id));
        Err(failure
            .hint("Its commands stand above: read them; --trust runs them here.")
            .hint("A VM that is gone when you leave it: make vm-shell.")
            .into())
    }
}
