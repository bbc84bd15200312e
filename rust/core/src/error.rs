//! The one error type of the core.
//!
//! Messages name columns, reasons and remedies. They never hold values of identifiers, queries or keys.

use std::fmt;

use arrow_schema::ArrowError;

/// What kind of thing went wrong; the binding maps each to a Python exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A column is missing or of a type that cannot be read.
    Column,
    /// Input that cannot be read, or is not what it should be.
    Data,
    /// An option that cannot be, alone or with another.
    Usage,
    /// A file of our own that cannot be made, written or read.
    Io,
    /// Refused for privacy.
    Privacy,
    /// A detector of the user's own failed, or gave an answer that cannot be.
    Detector,
    /// The caller asked to stop.
    Interrupted,
    /// A bug in this library.
    Internal,
}

/// An error with its kind and a message that says what, where and what to do.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Result of the core's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A column is missing or of a type that cannot be read.
    pub fn column(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Column, message: message.into() }
    }

    /// Input that cannot be read.
    pub fn data(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Data, message: message.into() }
    }

    /// An option that cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Usage, message: message.into() }
    }

    /// A file of our own that cannot be made, written or read.
    pub fn io(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Io, message: message.into() }
    }

    /// Refused for privacy.
    pub fn privacy(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Privacy, message: message.into() }
    }

    /// A detector of the user's own failed.
    pub fn detector(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Detector, message: message.into() }
    }

    /// The caller asked to stop.
    pub fn interrupted() -> Self {
        Self { kind: ErrorKind::Interrupted, message: "interrupted".into() }
    }

    /// A bug in this library.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Internal, message: message.into() }
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for ArrowError {
    fn from(e: Error) -> Self {
        Self::ExternalError(Box::new(e))
    }
}

impl From<ArrowError> for Error {
    /// Arrow's own messages, and those of the producers of streams, can quote cell values ("Cannot cast string '…'"), so
    /// only the class is kept. Our own errors come through whole.
    fn from(e: ArrowError) -> Self {
        match e {
            ArrowError::ExternalError(e) => match e.downcast::<Self>() {
                Ok(own) => *own,
                Err(_) => Self::data(
                    "the input stream broke off while it was read: a file is damaged or cut short, or its producer failed; read it alone to find where",
                ),
            },
            ArrowError::CDataInterface(_) | ArrowError::IoError(..) => Self::data(
                "the input stream broke off while it was read: a file is damaged or cut short, or its producer failed; read it alone to find where",
            ),
            ArrowError::SchemaError(_) => {
                Self::column("the batches of the stream do not have the schema it announced")
            }
            ArrowError::MemoryError(_) => Self::data("out of memory while reading Arrow data"),
            ArrowError::OffsetOverflowError(_) => {
                Self::data("a text column exceeds 2 GiB in one batch: use smaller batches or large_string")
            }
            _ => Self::data("Arrow data that cannot be read: not of the type its schema says"),
        }
    }
}
