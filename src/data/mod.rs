//! Data on disk: fingerprints of channels and code, and the model archive.

pub mod archive;
pub mod fingerprint;
pub mod known;
pub mod manifest;
pub(crate) mod opened;
