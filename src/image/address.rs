//! The image's content address: one hash over everything that decides what is built.
