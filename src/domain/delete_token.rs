//! A delete token: the secret that comes back from an upload and deletes its alias.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Hash,
    alias::{ALPHABET, Alias, LENGTH},
};

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

    /// What is kept of it for this alias.
    #[must_use]
    pub fn kept(&self, alias: &Alias) -> KeptToken {
        KeptToken::TokenSha256(self.sha256(alias))
    }

    /// Of the alias too, so that one guess is not a guess for every picture there is.
    fn sha256(&self, alias: &Alias) -> Hash {
        let hasher = Sha256::new().chain_update(alias.as_str()).chain_update([0]).chain_update(&self.0);
        Hash::from_bytes(hasher.finalize().into())
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

/// What is kept of the delete token of an alias: whoever reads the metadata, or a copy of them, can delete nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptToken {
    /// The SHA-256 of the alias, a NUL and the token.
    TokenSha256(Hash),
    /// The token itself, as it was kept before. Whatever is written of it anew is hashed.
    DeleteToken(DeleteToken),
}

impl KeptToken {
    /// Whether `presented` is the token of `alias`; takes the same time wherever they first differ.
    #[must_use]
    pub fn matches(&self, alias: &Alias, presented: &DeleteToken) -> bool {
        let same = |kept: &Hash| {
            subtle::ConstantTimeEq::ct_eq(kept.as_bytes().as_slice(), presented.sha256(alias).as_bytes()).into()
        };
        match self {
            Self::TokenSha256(kept) => same(kept),
            Self::DeleteToken(token) => same(&token.sha256(alias)),
        }
    }

    /// The same, as it is kept now.
    #[must_use]
    pub fn hashed(self, alias: &Alias) -> Self {
        match self {
            Self::TokenSha256(_) => self,
            Self::DeleteToken(token) => token.kept(alias),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_of_the_same_alias_matches_and_nothing_shows_it() {
        let (token, alias) = (DeleteToken::generate(), Alias::asked("a.png"));
        assert_eq!(token.reveal().len(), LENGTH);
        assert!(token.reveal().chars().all(|c| c.is_ascii_alphanumeric()));
        let before = KeptToken::DeleteToken(token.clone());
        for kept in [token.kept(&alias), before.clone(), before.clone().hashed(&alias)] {
            assert!(kept.matches(&alias, &DeleteToken::presented(token.reveal())));
            assert!(!kept.matches(&alias, &DeleteToken::generate()));
            assert!(!kept.matches(&alias, &DeleteToken::presented("")));
            assert!(!format!("{kept:?} {token:?}").contains(token.reveal()));
        }
        assert!(!token.kept(&alias).matches(&Alias::asked("b.png"), &token));
        assert!(!serde_json::to_string(&before.hashed(&alias)).unwrap().contains(token.reveal()));
    }
}
