//! Jobs and their outcomes as they lie in the spool: JSON with its version.

use serde::{Deserialize, Serialize};

use crate::domain::{Alias, DeleteToken, UploadId};

/// The version that is written, and the only one there is.
const VERSION: u32 = 1;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Work {
    /// A picture is to be taken in.
    Upload {
        /// By what its outcome is asked for.
        id: UploadId,
        /// What it will be called, but for the extension: if the run that named it did not come to say so, the next one knows the name.
        stem: String,
        /// Its delete token, until that is told.
        token: DeleteToken,
        /// The query of the upload.
        query: Vec<(String, String)>,
    },
    /// A variant is to be made.
    Variant {
        /// Of which picture.
        alias: Alias,
        /// In which format.
        extension: String,
        /// The filters that are allowed, and how the file comes of them.
        query: Vec<(String, String)>,
    },
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    glimt_job: u32,
    /// When it was accepted, in microseconds since 1970: they are done in this order.
    pub(super) since_micros: u64,
    /// How many runs of the program have begun it: one that ends them all is not begun for ever.
    pub(super) runs: u32,
    pub(super) work: Work,
}

impl Job {
    pub(super) fn new(since_micros: u64, work: Work) -> Self {
        Self { glimt_job: VERSION, since_micros, runs: 0, work }
    }

    /// The same, begun once more.
    pub(super) fn begun(self) -> Self {
        Self { runs: self.runs + 1, ..self }
    }
}

/// What came of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It is stored.
    Stored {
        /// Its name.
        alias: Alias,
        /// The secret that deletes it.
        token: DeleteToken,
    },
    /// It was refused.
    Refused {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        msg: String,
    },
}

/// An outcome that waits to be claimed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    glimt_outcome: u32,
    /// Since when it waits, in seconds since 1970.
    pub(super) since_secs: u64,
    pub(super) outcome: Outcome,
}

impl End {
    pub(super) fn new(since_secs: u64, outcome: Outcome) -> Self {
        Self { glimt_outcome: VERSION, since_secs, outcome }
    }
}

/// Reads a note; `None`, and a line in the log, when it is none of this version.
pub(super) fn read<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Option<T> {
    let version = |note: &serde_json::Value| note.get("glimt_job").or_else(|| note.get("glimt_outcome")).cloned();
    let read = serde_json::from_slice::<serde_json::Value>(bytes).map_err(|error| error.to_string()).and_then(|note| {
        if version(&note) != Some(VERSION.into()) {
            return Err("it is of another version".to_owned());
        }
        serde_json::from_value(note).map_err(|error| error.to_string())
    });
    match read {
        Ok(note) => Some(note),
        Err(cause) => {
            tracing::warn!(name, cause, "left alone: a note in the spool that cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_version_one_stay_readable_and_others_are_left_alone() {
        let upload = br#"{"glimt_job":1,"since_micros":5,"runs":1,"work":{"kind":"upload","id":"6d3b2f3f-7b29-4d9a-868e-b269423f4d6c","stem":"a","token":"t","query":[["resize","9"]]}}"#;
        let job: Job = read("a", upload).unwrap();
        assert!(matches!(job.work, Work::Upload { ref stem, .. } if stem == "a"));
        let variant = br#"{"glimt_job":1,"since_micros":5,"runs":0,"work":{"kind":"variant","alias":"a.png","extension":"webp","query":[]}}"#;
        assert!(read::<Job>("a", variant).is_some());
        let end = br#"{"glimt_outcome":1,"since_secs":5,"outcome":{"stored":{"alias":"a.png","token":"t"}}}"#;
        assert!(read::<End>("a", end).is_some());
        let refused = br#"{"glimt_outcome":1,"since_secs":5,"outcome":{"refused":{"code":"c","msg":"m"}}}"#;
        assert!(read::<End>("a", refused).is_some());
        let written = serde_json::to_vec(&job).unwrap();
        assert_eq!(serde_json::to_vec(&read::<Job>("a", &written).unwrap()).unwrap(), written);
        for other in [upload.len() - 1, 0] {
            assert!(read::<Job>("a", &upload[..other]).is_none());
        }
        let later = String::from_utf8(upload.to_vec()).unwrap().replace(":1,\"since", ":2,\"since");
        assert!(read::<Job>("a", later.as_bytes()).is_none());
    }
}
