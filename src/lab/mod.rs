//! Guided labs: the format, its checks, and the engine that runs them. Drives the machine and our binary as a user would.
