//! Signals as users write them: `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3`.

/// A text that is no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal; use a name such as TERM or a number from 0 to 64")]
pub struct SignalError(String);

/// The number of a signal, 0 to 64 (signal(7)); 0 asks only whether the process is there.
pub fn signal_number(text: &str) -> Result<i32, SignalError> {
    let unknown = || SignalError(text.to_string());
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(|number| (0..=64).contains(number)).ok_or_else(unknown);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    // glibc keeps 32 and 33 for itself: the first real-time signal that a program may use is 34.
    for (base, start) in [("RTMIN", 34), ("RTMAX", 64)] {
        if let Some(offset) = name.strip_prefix(base) {
            let offset = if offset.is_empty() { 0 } else { offset.parse::<i32>().map_err(|_| unknown())? };
            let number = start + offset;
            return Some(number).filter(|number| (34..=64).contains(number)).ok_or_else(unknown);
        }
    }
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().map_err(|_| unknown())?;
    Ok(signal as i32)
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for text in ["TERM", "SIGTERM", "sigterm", "term", "15"] {
            assert_eq!(signal_number(text), Ok(15), "{text}");
        }
        assert_eq!(
            ["0", "64", "RTMIN", "SIGRTMIN+3", "RTMAX-1"].map(|t| signal_number(t).unwrap()),
            [0, 64, 34, 37, 63]
        );
        for bad in ["65", "-1", "foo", "", "SIG", "RTMIN+40", "RTMAX+1", "TERM "] {
            assert!(signal_number(bad).is_err(), "{bad:?} was taken");
        }
    }
}
