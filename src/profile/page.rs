//! The page `docs/profiles.md`.
