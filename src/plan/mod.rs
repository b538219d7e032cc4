//! What a container start will do, as data. Pure.
