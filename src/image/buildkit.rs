//! Builds by BuildKit: a session of our own over the Engine API with differential file sync.
