//! TLS: certificate and key from PEM files, which are read again when they change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Bytes that may wait for a client in the library; past that a write waits.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word, or what is wrong with the PEM in it.
        cause: String,
    },
    /// A file has no certificate.
    #[error("{0} has no certificate in it")]
    NoCertificate(PathBuf),
    /// Certificate and key are of no use together, or one of them is of none at all.
    #[error("the certificate of {cert} and the key of {key} cannot be used: {cause}")]
    Unusable {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What the library said.
        cause: rustls::Error,
    },
}

/// When a file was last changed, as far as it is there.
type Changed = [Option<SystemTime>; 2];

/// What accepts TLS.
pub(super) struct Tls {
    files: TlsFiles,
    config: RwLock<(Arc<ServerConfig>, Changed)>,
}

impl Tls {
    /// With certificate and key from these files.
    ///
    /// # Errors
    /// [`TlsError`] names the file that cannot be used.
    pub(super) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        // Looked at first: what changes while it is read is read again.
        let changed = changed(&files);
        let config = load(&files)?;
        Ok(Self { files, config: RwLock::new((config, changed)) })
    }

    /// The handshake.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner).0);
        TlsAcceptor::from(config)
            .accept_with(stream, |connection| connection.set_buffer_limit(Some(BUFFER_BYTES)))
            .await
    }

    /// Reads the files again whenever they change, for ever.
    pub(super) async fn keep_up(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!(cert = %self.files.cert.display(), "the certificate was read again"),
                Err(error) => tracing::warn!(%error, "the certificate was changed, and the one from before is used"),
            }
        }
    }

    /// Reads the files again if they changed since. Connections that are open keep what they have. Four short file calls.
    fn reload(&self) -> Result<bool, TlsError> {
        let now = changed(&self.files);
        {
            let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
            if config.1 == now {
                return Ok(false);
            }
            // Before it is read: what is wrong is told once, and read again when it changes again.
            config.1 = now;
        }
        let config = load(&self.files)?;
        self.config.write().unwrap_or_else(PoisonError::into_inner).0 = config;
        Ok(true)
    }
}

fn changed(files: &TlsFiles) -> Changed {
    [&files.cert, &files.key].map(|path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsFiles { cert, key } = files;
    let read = |path: &Path| fs::read(path).map_err(|error| unreadable(path, &error));
    let certificates = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(cert, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(cert.clone()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| unreadable(key, &error))?;
    let unusable = |cause| TlsError::Unusable { cert: cert.clone(), key: key.clone(), cause };
    let provider: Arc<CryptoProvider> = rustls::crypto::ring::default_provider().into();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Read { path: path.to_owned(), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct House {
        folder: tempfile::TempDir,
    }

    impl House {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn files(&self) -> TlsFiles {
            TlsFiles { cert: self.folder.path().join("cert.pem"), key: self.folder.path().join("key.pem") }
        }

        /// A certificate of a key, and the key of another where they are not to match.
        fn write(&self, match_each_other: bool) -> Vec<u8> {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            let other = rcgen::KeyPair::generate().unwrap();
            let key = if match_each_other { &made.signing_key } else { &other };
            fs::write(self.files().cert, made.cert.pem()).unwrap();
            fs::write(self.files().key, key.serialize_pem()).unwrap();
            made.cert.der().to_vec()
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let house = House::new();
        let told = || Tls::open(house.files()).err().unwrap().to_string();
        assert!(told().contains("cert.pem cannot be read: No such file"), "{}", told());
        house.write(true);
        fs::write(house.files().key, "no key").unwrap();
        assert!(told().contains("key.pem cannot be read: "), "{}", told());
        fs::copy(house.files().cert, house.files().key).unwrap();
        assert!(told().contains("key.pem cannot be read: "), "a certificate is no key: {}", told());
        house.write(false);
        assert!(told().contains("cert.pem and the key of"), "{}", told());
        house.write(true);
        assert!(Tls::open(house.files()).is_ok());
        fs::write(house.files().cert, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        assert!(told().contains("cert.pem cannot be read: "), "{}", told());
        fs::write(house.files().cert, "").unwrap();
        assert!(told().contains("cert.pem has no certificate"), "{}", told());
    }

    #[test]
    fn a_certificate_that_is_renewed_is_used_and_one_that_is_broken_is_not() {
        let house = House::new();
        house.write(true);
        let tls = Tls::open(house.files()).unwrap();
        let in_use = || Arc::as_ptr(&tls.config.read().unwrap().0);
        let first = in_use();
        assert!(!tls.reload().unwrap());
        let later = |secs| {
            let time = SystemTime::now() + Duration::from_secs(secs);
            fs::File::options().append(true).open(house.files().cert).unwrap().set_modified(time).unwrap();
        };
        house.write(true);
        later(1);
        assert!(tls.reload().unwrap());
        let second = in_use();
        assert_ne!(first, second);
        house.write(false);
        later(2);
        assert!(tls.reload().is_err());
        assert!(!tls.reload().unwrap(), "told once");
        assert_eq!(in_use(), second);
        house.write(true);
        later(3);
        assert!(tls.reload().unwrap());
        assert_ne!(in_use(), second);
    }
}
