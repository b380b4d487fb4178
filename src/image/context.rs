//! The build context: which files belong to it, and their deterministic tar stream.
