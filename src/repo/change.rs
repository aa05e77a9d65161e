//! A change as it is written to the journal: decided, so that doing it again gives the same rows.

use serde::{Deserialize, Serialize};

use super::record::{AliasRecord, Garbage, OriginalRecord};
use crate::domain::{Alias, Hash};

/// What happened. Variants and proxies are not journalled: they are derived, and made again when asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    /// An alias came, and its original with it if that is given. The hash is no garbage any more.
    Add {
        /// The name.
        alias: Alias,
        /// What it names.
        record: AliasRecord,
        /// The original, when it is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        original: Option<OriginalRecord>,
    },
    /// An alias went whose original has others.
    Remove {
        /// The name.
        alias: Alias,
    },
    /// An original went with all its rows; its files are garbage.
    Gone(Garbage),
    /// Another picture is shown in the place of what is not there, or none.
    StandIn {
        /// Its alias.
        alias: Option<Alias>,
    },
    /// The files of a piece of garbage are deleted.
    Forget {
        /// The original that was.
        hash: Hash,
    },
}
