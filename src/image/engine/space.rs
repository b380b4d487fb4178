//! Whether a build fits on the engine's disk.

use super::Engine;
use crate::error::{Error, ExitCode, Result};
use crate::report::text;

/// Storage drivers that copy a whole image for each layer.
const COPYING_DRIVERS: &[&str] = &["vfs"];

/// What a build takes on the engine's disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// Files of the context: the engine keeps them once as received and once as a layer.
    pub context: u64,
    /// What the engine keeps of the context already, from builds before.
    pub kept: u64,
    /// The base images that the engine has.
    pub bases: u64,
}

impl Engine {
    /// Free space where the engine keeps its data, in bytes; nothing when that is not known, as on
    /// another machine.
    #[must_use]
    pub fn free_space(&self) -> Option<u64> {
        let facts = self.facts();
        if !facts.is_local {
            return None;
        }
        let stat = rustix::fs::statvfs(&facts.root).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// What a build takes at least, in bytes. Base images that the engine has take nothing more,
    /// except where every layer is a full copy.
    #[must_use]
    pub fn expected_space(&self, need: Need) -> u64 {
        let Need {
            context,
            kept,
            bases,
        } = need;
        let is_copying = COPYING_DRIVERS.contains(&self.facts().storage_driver.as_str());
        let received = context.saturating_sub(kept);
        let layer = match is_copying {
            true => context.saturating_add(bases),
            false => context,
        };
        received.saturating_add(layer)
    }

    /// Whether a build fits, as far as that is known.
    ///
    /// # Errors
    /// It does not fit.
    pub fn check_space(&self, need: Need) -> Result<()> {
        let Some(free) = self.free_space() else {
            return Ok(());
        };
        let expected = self.expected_space(need);
        match expected <= free {
            true => Ok(()),
            false => Err(self.too_little(expected, free)),
        }
    }

    fn too_little(&self, expected: u64, free: u64) -> Error {
        let size = |bytes: u64| text::bytes(bytes);
        let message = format!(
            "the image does not fit on the engine's disk ({})",
            self.facts().root.display()
        );
        Error::new(ExitCode::Build, message)
            .because(format!(
                "it takes at least {}, and {} are free",
                size(expected),
                size(free)
            ))
            .hint(
                "make space with `docker system prune` (images and containers that nothing uses) \
                 and `docker builder prune` (what builds keep), or name what the image does not \
                 need in `.dockerignore`",
            )
    }
}
