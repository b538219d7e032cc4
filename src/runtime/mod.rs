//! Doing what a plan says.

pub mod survey;
