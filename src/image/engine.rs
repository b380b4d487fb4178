//! The Docker Engine: where it listens, what it can do, how much space it has.
