//! Kubernetes' rules, case by case: tables of pods and of quantities with what comes of them.
//!
//! The expected values were taken from Kubernetes 1.36.2's own code where it computes them (class, pod and container level,
//! scores, errors), and worked out by hand from its rules for the rest (names, node levels, systemd's rounding).

mod case;
mod dry_run;
mod manifests;
mod pods;
mod quantities;
