//! The one error type. Every failure has a stable `code()` that JavaScript sees as `LacewingError.code`.

use serde_json::Value;

/// Shorthand used by the whole crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What made an error happen.
pub type Cause = std::sync::Arc<dyn std::error::Error + Send + Sync>;

/// Facts behind a message, by name (camelCase, as JavaScript sees them). Bytes and counts are plain numbers.
pub type Details = serde_json::Map<String, Value>;

/// The variants, their codes and the meaning of both; `pkg/src/error-codes.ts` is made from it by `tests/typescript.rs`.
macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)*) => {
        /// Everything that can go wrong. Each message says what was expected, what was found and what to do.
        #[derive(Debug, Clone, thiserror::Error)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[doc = $doc])+ #[error("{0}")] $name(String),)*
            /// One of the others with the facts behind it; made by [`Error::with`] and [`Error::because`].
            /// [`Error::kind`] looks through it.
            #[error("{error}")]
            Detailed {
                /// Never a `Detailed` itself.
                error: Box<Error>,
                /// What a program may want to know without reading the message.
                details: Details,
                /// What made it happen, where that is an error of its own.
                #[source]
                cause: Option<Cause>,
            },
        }

        impl Error {
            /// Every code with what it means, in the order of the variants.
            pub const CODES: &[(&str, &str)] = &[$(($code, concat!($($doc),+))),*];

            /// The stable code.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Error::$name(_) => $code,)*
                    Error::Detailed { error, .. } => error.code(),
                }
            }

            /// The error for a code and a message, as they come back from JavaScript (byte sources, abort signals).
            /// An unknown code is a failed download: only byte sources send errors that way.
            pub fn from_code(code: &str, message: String) -> Error {
                match code {
                    $($code => Error::$name(message),)*
                    _ => Error::DownloadFailed(message),
                }
            }
        }
    };
}

errors! {
    /// No WebGPU adapter, or only a software one that was not asked for.
    UnsupportedWebGpu = "unsupported-webgpu",
    /// The GPU device went away (sleep, driver update, reset).
    DeviceLost = "device-lost",
    /// A GPU or heap allocation failed.
    OutOfMemory = "out-of-memory",
    /// The model needs more than a device limit allows.
    LimitExceeded = "limit-exceeded",
    /// A byte source answered with an error, cut the connection or does not exist.
    DownloadFailed = "download-failed",
    /// A hash did not match.
    IntegrityMismatch = "integrity-mismatch",
    /// The network is unreachable and the bytes are not stored.
    Offline = "offline",
    /// The browser's storage quota is used up.
    QuotaExceeded = "quota-exceeded",
    /// The file breaks its own format: truncated, overlapping, counts beyond the file's size.
    BadFile = "bad-file",
    /// A well-formed model of an architecture (or option) that is not supported.
    UnsupportedModel = "unsupported-model",
    /// A file format, format version or tensor type that is not supported.
    UnsupportedFormat = "unsupported-format",
    /// A tensor that the architecture needs is absent, or one is present that nothing uses.
    MissingTensor = "missing-tensor",
    /// Prompt plus requested tokens exceed the context length.
    ContextOverflow = "context-overflow",
    /// The caller's arguments make no sense.
    BadRequest = "bad-request",
    /// A grammar, schema or template is invalid.
    GrammarError = "grammar-error",
    /// The caller aborted.
    Aborted = "aborted",
    /// Use after `dispose()`.
    Disposed = "disposed",
    /// The adapter computes wrong numbers.
    NumericSelfTest = "numeric-self-test",
}

impl Error {
    /// The error without its details: what to match on.
    pub fn kind(&self) -> &Error {
        match self {
            Error::Detailed { error, .. } => error,
            plain => plain,
        }
    }

    /// Adds a fact; `key` is in camelCase.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Error {
        self.parts().0.insert(key.into(), value.into());
        self
    }

    /// Adds what made it happen.
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        *self.parts().1 = Some(std::sync::Arc::new(cause));
        self
    }

    /// The facts behind the message; None where there are none.
    pub fn details(&self) -> Option<&Details> {
        match self {
            Error::Detailed { details, .. } => Some(details),
            _ => None,
        }
    }

    /// What made it happen, as itself: `source()` shows it behind an `Arc`, where no downcast finds it.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        match self {
            Error::Detailed { cause, .. } => cause.as_deref(),
            _ => None,
        }
    }

    fn parts(&mut self) -> (&mut Details, &mut Option<Cause>) {
        if !matches!(self, Error::Detailed { .. }) {
            let error = Box::new(std::mem::replace(self, Error::Aborted(String::new())));
            *self = Error::Detailed { error, details: Details::new(), cause: None };
        }
        match self {
            Error::Detailed { details, cause, .. } => (details, cause),
            _ => unreachable!("made above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use std::error::Error as _;

    #[test]
    fn codes_come_back_as_the_same_error() {
        for (code, _) in Error::CODES {
            assert_eq!(Error::from_code(code, "why".into()).code(), *code);
        }
        assert_eq!(Error::from_code("never heard of", "why".into()).code(), "download-failed");
    }

    #[test]
    fn details_and_cause_change_neither_code_nor_message() {
        let plain = Error::BadFile("no header".into());
        assert!(plain.details().is_none() && plain.source().is_none());
        let io = std::io::Error::other("the disk says no");
        let error = plain.with("size", 3).with("size", 4).because(io).with("url", "x");
        assert_eq!((error.code(), error.to_string().as_str()), ("bad-file", "no header"));
        assert!(matches!(error.kind(), Error::BadFile(_)));
        assert_eq!(serde_json::json!(error.details()), serde_json::json!({"size": 4, "url": "x"}));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the disk says no"));
        assert!(error.cause().is_some_and(|cause| cause.is::<std::io::Error>()));
    }
}
