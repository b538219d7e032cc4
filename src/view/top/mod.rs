//! What cgroups use over time, for `glassbox top` and `glassbox plot`.
//!
//! `frame.rs` is one look at the machine and the file of many; `row.rs` makes rates of two looks; `table.rs` has the
//! columns, for a pipe and for the screen alike; `app.rs` is what keys do, `screen.rs` what the terminal shows.

pub mod app;
pub mod frame;
pub mod row;
pub mod screen;
pub mod table;
