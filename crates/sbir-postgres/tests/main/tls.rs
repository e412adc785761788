//! TLS. The server of the tests was built without, so that something before it takes the connections.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use sbir_gallery::{Error, VectorStore as _};
use sbir_postgres::{Options, Postgres};
use sbir_servers::Postgres as Server;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::support::{alone, server};

const URL: &str = "SBIR_TEST_URL";
const WRONG: &str = "SBIR_TEST_WRONG";
const TEST: &str = "tls::certificates_are_checked";

/// Takes connections with TLS, and hands them on without; gives the port. It writes its certificate to a file.
fn before(server: u16, name: &str, certificate: &Path) -> u16 {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(certificate, made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            // The request for TLS, and yes.
            let mut request = [0; 8];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
            stream.write_all(b"S").unwrap();
            stream.set_nonblocking(true).unwrap();
            let acceptor = acceptor.clone();
            runtime.spawn(async move {
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner =
                    tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    port
}

#[test]
fn certificates_are_checked() {
    if let Ok(url) = std::env::var(URL) {
        let gallery = Postgres::connect(&url, Options::default());
        if std::env::var_os(WRONG).is_none() {
            return gallery.unwrap().ready().unwrap();
        }
        let error = gallery.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("certificate") && text.lines().count() == 1, "{text}");
        return;
    }
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("right.pem");
    let port = before(server.port(), "localhost", &certificate);
    let other = folder.path().join("other.pem");
    before(server.port(), "localhost", &other);
    let url = format!("postgres://sbir@localhost:{port}/photos?sslmode=verify-full");
    let with = |url: &str, certificate: &Path, wrong: bool| {
        let certificate = certificate.to_str().unwrap();
        let mut environment =
            vec![(URL, url), ("PGPASSWORD", Server::PASSWORD), ("PGSSLROOTCERT", certificate)];
        if wrong {
            environment.push((WRONG, "1"));
        }
        alone(TEST, &environment);
    };
    with(&url, &certificate, false);
    // Signed by nobody who is trusted; made for another name.
    with(&url, &other, true);
    with(&url.replace("localhost", "127.0.0.1"), &certificate, true);
}
