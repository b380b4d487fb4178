//! Pushes an image from an engine, with progress, repetition and proof.
