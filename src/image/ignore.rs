//! `.dockerignore` with the semantics of moby's patternmatcher.
