//! Signed addresses: who has a key says which variants may be made, and until when.
//!
//! What is signed is the path and the query as they stand in the request, up to the last parameter, which is the signature:
//! `/image/process.webp?src=asdf.png&thumbnail=256&expires=1800000000`, and then `&signature=` and the HMAC-SHA256 of that (RFC 2104) as 64
//! hexadecimal digits. `expires` is in seconds since 1970 and may be left out. With several keys any of them verifies, and the first one
//! signs: so they can be exchanged.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::Secret;

/// What comes before a signature, which is the last parameter.
const SIGNATURE: &str = "signature=";

/// What comes before the time until which an address counts.
const EXPIRES: &str = "expires=";

/// Why an address does not count as signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It has none.
    #[error("this server makes what is signed: the last parameter has to be signature=<64 hexadecimal digits>")]
    Missing,
    /// No key made it of this.
    #[error("the signature is not one of this path and query")]
    Wrong,
    /// It counts no more.
    #[error("the signature counted until {until}, it is {now} now, in seconds since 1970")]
    Expired {
        /// Until when it did.
        until: u64,
        /// What time it is.
        now: u64,
    },
}

/// Signs and verifies.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    keys: Vec<Secret>,
}

impl Signing {
    /// By these keys, the first of which signs.
    #[must_use]
    pub const fn new(keys: Vec<Secret>) -> Self {
        Self { keys }
    }

    /// Whether a path and query are signed, at `now_secs` since 1970.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, path_and_query: &str, now_secs: u64) -> Result<(), SignatureError> {
        let (signed, signature) = path_and_query.rsplit_once(SIGNATURE).ok_or(SignatureError::Missing)?;
        let signed = signed.strip_suffix(['&', '?']).ok_or(SignatureError::Missing)?;
        let signature = unhex(signature).ok_or(SignatureError::Wrong)?;
        let is_right = |key: &Secret| mac(key, signed).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
        if !self.keys.iter().any(is_right) {
            return Err(SignatureError::Wrong);
        }
        match expires(signed) {
            Some(until) if until < now_secs => Err(SignatureError::Expired { until, now: now_secs }),
            Some(_) | None => Ok(()),
        }
    }

    /// The path and query with a signature behind them, which counts until `expires_secs` since 1970; `None` without a key.
    #[must_use]
    pub fn sign(&self, path_and_query: &str, expires_secs: Option<u64>) -> Option<String> {
        let and = |text: &str| if text.contains('?') { '&' } else { '?' };
        let mut signed = path_and_query.to_owned();
        if let Some(until) = expires_secs {
            signed = format!("{signed}{}{EXPIRES}{until}", and(&signed));
        }
        let mac = mac(self.keys.first()?, &signed)?.finalize().into_bytes();
        let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{signed}{}{SIGNATURE}{digits}", and(&signed)))
    }
}

fn mac(key: &Secret, text: &str) -> Option<Hmac<Sha256>> {
    // A key of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

/// The last time that the query names; a text that is no number is none, and was signed as that.
fn expires(signed: &str) -> Option<u64> {
    let (_, query) = signed.split_once('?')?;
    query.split('&').rev().find_map(|pair| pair.strip_prefix(EXPIRES))?.parse().ok().or(Some(0))
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| u8::try_from(16 * digit(*high)? + digit(*low)?).ok()).collect();
    if rest.is_empty() { bytes?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a key of thirty-two bytes, about";
    const PATH: &str = "/image/process.webp?src=a.jpg&thumbnail=256";

    fn signing(keys: &[&str]) -> Signing {
        Signing::new(keys.iter().map(|key| Secret::from(*key)).collect())
    }

    #[test]
    fn the_mac_is_the_one_of_the_standard() {
        // RFC 4231, test case 2.
        let signed = signing(&["Jefe"]).sign("what do ya want for nothing?", None).unwrap();
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signed.rsplit_once('=').unwrap().1, wanted);
    }

    #[test]
    fn what_was_signed_counts_and_nothing_else() {
        let signing = signing(&[KEY]);
        let signed = signing.sign(PATH, None).unwrap();
        assert_eq!(signing.verify(&signed, u64::MAX), Ok(()));
        assert_eq!(signing.verify(PATH, 0), Err(SignatureError::Missing));
        for (from, to) in [("256", "257"), ("a.jpg", "b.jpg"), ("webp", "png"), ("&signature", "&x=1&signature")] {
            assert_eq!(signing.verify(&signed.replacen(from, to, 1), 0), Err(SignatureError::Wrong), "{to}");
        }
        for tail in ["&x=1", "0", "="] {
            assert_eq!(signing.verify(&format!("{signed}{tail}"), 0), Err(SignatureError::Wrong));
        }
        assert_eq!(signing.verify(&signed[..signed.len() - 2], 0), Err(SignatureError::Wrong));
        assert_eq!(signing.verify("/image/process.webp?xsignature=00", 0), Err(SignatureError::Missing));
        assert_eq!(Signing::default().verify(&signed, 0), Err(SignatureError::Wrong));
        assert_eq!(Signing::default().sign(PATH, None), None);
    }

    #[test]
    fn a_time_that_is_over_is_told() {
        let signing = signing(&[KEY]);
        let signed = signing.sign(PATH, Some(1000)).unwrap();
        assert!(signed.contains("&expires=1000&signature="));
        assert_eq!(signing.verify(&signed, 1000), Ok(()));
        assert_eq!(signing.verify(&signed, 1001), Err(SignatureError::Expired { until: 1000, now: 1001 }));
        // A time is signed too, and one that cannot be read is over.
        assert_eq!(signing.verify(&signed.replace("=1000", "=9999"), 0), Err(SignatureError::Wrong));
        let odd = signing.sign("/p?expires=never", None).unwrap();
        assert!(matches!(signing.verify(&odd, 5), Err(SignatureError::Expired { until: 0, .. })));
    }

    #[test]
    fn keys_can_be_exchanged() {
        let (old, both, new) = (signing(&["old key"]), signing(&["new key", "old key"]), signing(&["new key"]));
        let before = old.sign(PATH, None).unwrap();
        assert_eq!(both.verify(&before, 0), Ok(()));
        let after = both.sign(PATH, None).unwrap();
        assert_eq!(new.verify(&after, 0), Ok(()));
        assert_eq!(new.verify(&before, 0), Err(SignatureError::Wrong));
        assert_eq!(old.verify(&after, 0), Err(SignatureError::Wrong));
    }
}
