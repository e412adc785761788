//! TLS towards the server: certificates are checked against the name that the address gives.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What connects with TLS. It trusts the certificates that `PGSSLROOTCERT` names, else those of the system.
///
/// # Errors
/// If there is no certificate to trust.
pub(crate) fn connector() -> Result<MakeRustlsConnect, String> {
    let named =
        std::env::var_os("PGSSLROOTCERT").filter(|value| !value.is_empty() && value != "system");
    let mut roots = RootCertStore::empty();
    let from = match &named {
        Some(path) => {
            let path = Path::new(path);
            let name = path.display().to_string();
            let failed = |error: rustls::pki_types::pem::Error| format!("{name}: {error}");
            for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                roots
                    .add(certificate.map_err(failed)?)
                    .map_err(|error| format!("{name}: {error}"))?;
            }
            name
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            "the system".into()
        }
    };
    if roots.is_empty() {
        return Err(format!(
            "no certificate to trust in {from}; name the file of your authority's with PGSSLROOTCERT"
        ));
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
