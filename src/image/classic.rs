//! Builds by the classic builder, for engines without BuildKit: the context as a streamed tar.
