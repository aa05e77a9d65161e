//! A delete token: the secret that comes back from an upload and deletes its alias.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::alias::{ALPHABET, LENGTH};

/// Ten letters and digits. Compared in constant time; never printed by `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeleteToken(String);

impl DeleteToken {
    /// A new random token.
    #[must_use]
    pub fn generate() -> Self {
        Self(nanoid::nanoid!(LENGTH, &ALPHABET))
    }

    /// What a client presents as a token.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether both are the same secret; takes the same time wherever they first differ.
    #[must_use]
    pub fn matches(&self, presented: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), presented.0.as_bytes()).into()
    }

    /// The secret itself, for the answer that hands it out.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeleteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeleteToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_matches_and_debug_hides_it() {
        let token = DeleteToken::generate();
        assert_eq!(token.reveal().len(), LENGTH);
        assert!(token.reveal().chars().all(|c| c.is_ascii_alphanumeric()));
        assert!(token.matches(&DeleteToken::presented(token.reveal())));
        assert!(!token.matches(&DeleteToken::generate()));
        assert!(!token.matches(&DeleteToken::presented("")));
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
