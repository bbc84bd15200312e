//! Long work on one thread that is asked, ten times a second, whether it is still wanted.

use std::time::{Duration, Instant};

use crate::error::Result;

const EVERY: Duration = Duration::from_millis(100);

/// Asks an observer now and then.
pub struct Pulse<'a> {
    observe: Box<dyn FnMut() -> Result<()> + 'a>,
    asked: Instant,
}

impl<'a> Pulse<'a> {
    /// Asks `observe`, whose error ends the work.
    pub fn new(observe: impl FnMut() -> Result<()> + 'a) -> Self {
        Self { observe: Box::new(observe), asked: Instant::now() }
    }

    /// Asks nobody.
    pub fn silent() -> Self {
        Self::new(|| Ok(()))
    }

    /// Asks if it is time to. Cheap enough for every few thousand rows.
    ///
    /// # Errors
    /// What the observer reports.
    pub fn beat(&mut self) -> Result<()> {
        if self.asked.elapsed() < EVERY {
            return Ok(());
        }
        self.asked = Instant::now();
        (self.observe)()
    }
}
