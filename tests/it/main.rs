//! Black-box tests: they drive the real binary in a clean environment.

mod project;
mod train;
