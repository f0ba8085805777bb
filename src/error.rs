//! The one error type. Every failure has a stable `code()` that JavaScript sees as `LacewingError.code`.

/// Shorthand used by the whole crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. Each message says what was expected, what was found and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No WebGPU adapter, or only a software one that was not asked for.
    #[error("{0}")]
    UnsupportedWebGpu(String),
    /// The GPU device went away (sleep, driver update, reset).
    #[error("{0}")]
    DeviceLost(String),
    /// A GPU or heap allocation failed.
    #[error("{0}")]
    OutOfMemory(String),
    /// The model needs more than a device limit allows.
    #[error("{0}")]
    LimitExceeded(String),
    /// A byte source answered with an error, cut the connection or does not exist.
    #[error("{0}")]
    DownloadFailed(String),
    /// A hash did not match.
    #[error("{0}")]
    IntegrityMismatch(String),
    /// The network is unreachable and the bytes are not stored.
    #[error("{0}")]
    Offline(String),
    /// The browser's storage quota is used up.
    #[error("{0}")]
    QuotaExceeded(String),
    /// The file breaks its own format: truncated, overlapping, counts beyond the file's size.
    #[error("{0}")]
    BadFile(String),
    /// A well-formed model of an architecture (or option) that is not supported.
    #[error("{0}")]
    UnsupportedModel(String),
    /// A file format, format version or tensor type that is not supported.
    #[error("{0}")]
    UnsupportedFormat(String),
    /// A tensor that the architecture needs is absent, or one is present that nothing uses.
    #[error("{0}")]
    MissingTensor(String),
    /// Prompt plus requested tokens exceed the context length.
    #[error("{0}")]
    ContextOverflow(String),
    /// The caller's arguments make no sense.
    #[error("{0}")]
    BadRequest(String),
    /// A grammar, schema or template is invalid.
    #[error("{0}")]
    GrammarError(String),
    /// The caller aborted.
    #[error("{0}")]
    Aborted(String),
    /// Use after `dispose()`.
    #[error("{0}")]
    Disposed(String),
    /// The adapter computes wrong numbers.
    #[error("{0}")]
    NumericSelfTest(String),
}

impl Error {
    /// The stable code that `pkg/src/errors.ts` knows too.
    pub fn code(&self) -> &'static str {
        match self {
            Error::UnsupportedWebGpu(_) => "unsupported-webgpu",
            Error::DeviceLost(_) => "device-lost",
            Error::OutOfMemory(_) => "out-of-memory",
            Error::LimitExceeded(_) => "limit-exceeded",
            Error::DownloadFailed(_) => "download-failed",
            Error::IntegrityMismatch(_) => "integrity-mismatch",
            Error::Offline(_) => "offline",
            Error::QuotaExceeded(_) => "quota-exceeded",
            Error::BadFile(_) => "bad-file",
            Error::UnsupportedModel(_) => "unsupported-model",
            Error::UnsupportedFormat(_) => "unsupported-format",
            Error::MissingTensor(_) => "missing-tensor",
            Error::ContextOverflow(_) => "context-overflow",
            Error::BadRequest(_) => "bad-request",
            Error::GrammarError(_) => "grammar-error",
            Error::Aborted(_) => "aborted",
            Error::Disposed(_) => "disposed",
            Error::NumericSelfTest(_) => "numeric-self-test",
        }
    }

    /// The error for a code and a message, as they come back from JavaScript (byte sources, abort signals).
    /// An unknown code is a failed download: only byte sources send errors that way.
    pub fn from_code(code: &str, message: String) -> Error {
        match code {
            "unsupported-webgpu" => Error::UnsupportedWebGpu(message),
            "device-lost" => Error::DeviceLost(message),
            "out-of-memory" => Error::OutOfMemory(message),
            "limit-exceeded" => Error::LimitExceeded(message),
            "integrity-mismatch" => Error::IntegrityMismatch(message),
            "offline" => Error::Offline(message),
            "quota-exceeded" => Error::QuotaExceeded(message),
            "bad-file" => Error::BadFile(message),
            "unsupported-format" => Error::UnsupportedFormat(message),
            "unsupported-model" => Error::UnsupportedModel(message),
            "missing-tensor" => Error::MissingTensor(message),
            "context-overflow" => Error::ContextOverflow(message),
            "grammar-error" => Error::GrammarError(message),
            "numeric-self-test" => Error::NumericSelfTest(message),
            "bad-request" => Error::BadRequest(message),
            "aborted" => Error::Aborted(message),
            "disposed" => Error::Disposed(message),
            _ => Error::DownloadFailed(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn codes_come_back_as_the_same_error() {
        let codes = "unsupported-webgpu device-lost out-of-memory limit-exceeded download-failed integrity-mismatch \
                     offline quota-exceeded bad-file unsupported-model unsupported-format missing-tensor \
                     context-overflow bad-request grammar-error aborted disposed numeric-self-test";
        for code in codes.split_whitespace() {
            assert_eq!(Error::from_code(code, "why".into()).code(), code);
        }
        assert_eq!(Error::from_code("never heard of", "why".into()).code(), "download-failed");
    }
}
