//! Which known name somebody may have meant who wrote another.

/// Longer names are not looked at: nothing that is known is so long.
const MAX_CHARS: usize = 64;

/// The one of `known` that `got` is most like, if it is like one: a third of its letters may be wrong, missing, too many or
/// swapped, or it is the beginning of the other. Upper and lower case are one.
pub fn nearest<'k>(got: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if got.is_empty() || got.chars().count() > MAX_CHARS {
        return None;
    }
    let got = got.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let lower = name.to_lowercase();
        let wrong = strsim::damerau_levenshtein(&got, &lower);
        let allowed = (lower.chars().count().max(got.chars().count()) / 3).max(1);
        let begins = got.len() >= 3 && lower.starts_with(&got) || lower.len() >= 3 && got.starts_with(&lower);
        // Of several that begin so, the shortest is the one with the least to add.
        if (wrong <= allowed || begins) && best.is_none_or(|(least, _)| wrong < least) {
            best = Some((wrong, name));
        }
    }
    best.map(|(_, name)| name)
}

/// The end of a message that `got` is not known: the nearest that is, or nothing.
pub fn hint<'k>(got: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(got, known).map_or_else(String::new, |name| format!("; the nearest is {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_found_and_what_is_not_is_not() {
        let known = ["max-file-size", "max-frames", "cache-size", "cache-age", "jpg", "png", "software", "auto"];
        for (got, meant) in [
            ("max-file-siz", "max-file-size"),
            ("max_file_size", "max-file-size"),
            ("MAX-FRAMES", "max-frames"),
            ("mac-fraems", "max-frames"),
            ("jpeg", "jpg"),
            ("soft", "software"),
            ("auot", "auto"),
            ("cache", "cache-age"),
        ] {
            assert_eq!(nearest(got, known), Some(meant), "{got}");
        }
        for got in ["", "gif", "x", "quality", "certificate", &"max-frames".repeat(9)] {
            assert_eq!(nearest(got, known), None, "{got}");
        }
        assert_eq!(hint("auo", known), "; the nearest is auto");
        assert_eq!(hint("magic", known), "");
    }
}
