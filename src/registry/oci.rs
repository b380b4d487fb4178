//! A client for any OCI registry: what it has under a tag or digest.
