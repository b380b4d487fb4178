//! Black-box tests: they drive the real binary in a clean environment.

mod logs;
mod metrics;
mod project;
mod train;
