//! The command line as a user sees it: whole outputs, no root needed.
