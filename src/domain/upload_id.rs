//! An upload id: by what a client asks for the outcome of an upload that it did not wait for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::alias::uuid;

/// A UUID, which whoever uploads is told and nobody else: with it goes the delete token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UploadId(String);

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload id is a UUID")]
pub struct UploadIdError;

impl UploadId {
    /// A new random one.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid())
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for UploadId {
    type Error = UploadIdError;

    fn try_from(text: String) -> Result<Self, UploadIdError> {
        let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let fits = |(at, byte): (usize, u8)| if is_dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
        let is_one = text.len() == 36 && text.bytes().enumerate().all(fits);
        if is_one { Ok(Self(text.to_ascii_lowercase())) } else { Err(UploadIdError) }
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        text.to_owned().try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let id = UploadId::generate();
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id.clone()));
        assert_ne!(id, UploadId::generate());
        let text = id.to_string();
        for none in
            ["", "../../../../../../../../../../etc/pass", &text[1..], &format!("{text}0"), &text.replace('-', "0")]
        {
            assert_eq!(none.parse::<UploadId>(), Err(UploadIdError), "{none}");
        }
    }
}
