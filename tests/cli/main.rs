//! The command line as a user sees it: whole outputs, no root needed.

mod as_runc;
mod command_line;
mod console;
mod cost;
mod doctor;
mod documents;
mod explain;
mod image;
#[path = "../image/build.rs"]
#[allow(dead_code)]
mod image_build;
mod lab;
mod malformed;
mod plot;
mod qos;
#[allow(dead_code)]
mod support;
mod top;
mod why;
