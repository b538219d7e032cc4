//! Images made in memory, honest and hostile, unpacked by the library. No root is needed, and nothing outside of a test's own
//! directory is touched; what only root can do is in tests/vm.

mod build;
mod formats;
mod honest;
mod hostile;
mod limits;
mod support;
