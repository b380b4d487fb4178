//! Tests that need the rig (`tests/rig/up`): Docker Engines, a registry, their programs.

mod containers;
mod context;
mod images;
