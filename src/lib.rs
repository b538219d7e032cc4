//! glassbox: a container you can see through.
//!
//! Read the modules in this order. A container start is data: [`spec`] loads what the user wrote, [`plan`] decides what
//! will be done, [`runtime`] does it, and everything that is printed comes from [`commands`].

pub mod spec;

pub mod plan;

pub mod cgroup;

pub mod runtime;

pub mod image;

pub mod kube;

pub mod net;

pub mod pod;

pub mod view;

pub mod lab;

pub mod error;

pub mod cli;

pub mod commands;

#[allow(unsafe_code)]
pub mod sys;
