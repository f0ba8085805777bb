//! What a template may use: steps, bytes that it moves, and bytes that it holds at one time. A template is a program of
//! strangers; without these bounds two lines of it hang a page or exhaust its memory.

use std::cell::Cell;

/// Nesting of lists, tuples and dicts that a template builds; dropping them recurses.
pub(super) const MOST_DEPTH: u32 = 140;
/// Widest field that a format may ask for.
pub(super) const MOST_WIDTH: usize = 1000;

/// Why a render or a compilation ended early.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Not a template.
    Syntax,
    /// The template's own words (`raise_exception`).
    Refused,
    /// What Jinja would raise, too.
    Failed,
    /// Beyond a [`Bounds`].
    Stopped,
}

/// An error of a template; `line` counts from 1, 0 where it is unknown.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub kind: Kind,
    pub message: String,
    pub line: u32,
}

/// A small `Err`: every step of a template returns one of these.
pub(super) type Res<T> = Result<T, Box<Fault>>;

/// What Jinja raises (TypeError, UndefinedError ...).
pub(super) fn failed<T>(message: impl Into<String>) -> Res<T> {
    Err(Box::new(Fault { kind: Kind::Failed, message: message.into(), line: 0 }))
}

pub(super) fn stopped<T>(message: &str) -> Res<T> {
    Err(Box::new(Fault { kind: Kind::Stopped, message: message.into(), line: 0 }))
}

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that a value of a template holds, counted until it is dropped. A render stays on its thread.
pub(super) struct Held(usize);

impl Held {
    pub fn new(bytes: usize) -> Held {
        LIVE.set(LIVE.get() + bytes);
        Held(bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - self.0);
    }
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Expressions and statements to run, and items to look at.
    pub steps: u64,
    /// Bytes to copy, compare or search.
    pub work: u64,
    /// Bytes of values and of output at one time.
    pub held: usize,
    /// Expressions and statements inside each other, through macros as well; low enough for a browser's stack.
    pub depth: u32,
}

/// Counts down what is left of [`Bounds`].
pub(super) struct Meter {
    steps: Cell<u64>,
    work: Cell<u64>,
    held: usize,
    depth: Cell<u32>,
}

impl Meter {
    pub fn new(bounds: Bounds) -> Meter {
        Meter {
            steps: Cell::new(bounds.steps),
            work: Cell::new(bounds.work),
            held: LIVE.get().saturating_add(bounds.held),
            depth: Cell::new(bounds.depth),
        }
    }

    /// Before every expression and statement.
    pub fn step(&self) -> Res<()> {
        self.steps(1)?;
        self.room(0)
    }

    pub fn steps(&self, n: usize) -> Res<()> {
        match self.steps.get().checked_sub(n as u64) {
            Some(left) => self.steps.set(left),
            None => return stopped("it takes too many steps"),
        }
        Ok(())
    }

    /// Bytes about to be copied, compared or searched.
    pub fn work(&self, bytes: usize) -> Res<()> {
        match self.work.get().checked_sub(bytes as u64) {
            Some(left) => self.work.set(left),
            None => return stopped("it moves too many bytes"),
        }
        Ok(())
    }

    /// Fails when `bytes` more would not fit; ask before a small thing makes a large one.
    pub fn room(&self, bytes: usize) -> Res<()> {
        if LIVE.get().saturating_add(bytes) > self.held {
            return stopped("it builds values that are too large");
        }
        Ok(())
    }

    /// [`Meter::room`] and [`Meter::work`] for a text, a list or an output that reaches `bytes`.
    pub fn grow(&self, bytes: usize) -> Res<()> {
        self.room(bytes)?;
        self.work(bytes)
    }

    /// Appends to an output that no [`Held`] counts yet.
    pub fn push(&self, out: &mut String, text: &str) -> Res<()> {
        self.work(text.len())?;
        self.room(out.len() + text.len())?;
        out.push_str(text);
        Ok(())
    }

    /// One level deeper; each call needs an [`Meter::ascend`], unless it or what follows fails.
    pub fn descend(&self) -> Res<()> {
        match self.depth.get().checked_sub(1) {
            Some(left) => self.depth.set(left),
            None => return stopped("it calls itself too deeply"),
        }
        Ok(())
    }

    pub fn ascend(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// Levels left, to go on after an error.
    pub fn level(&self) -> u32 {
        self.depth.get()
    }

    pub fn set_level(&self, level: u32) {
        self.depth.set(level);
    }
}
