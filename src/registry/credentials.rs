//! Credentials for registries: Docker's config file, its helpers, environment variables.
