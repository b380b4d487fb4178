//! What a Dockerfile says before anything is built: base images, arguments, copied files.
