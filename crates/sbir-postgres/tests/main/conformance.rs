//! What every store must do.

use sbir_gallery::VectorStore;
use sbir_store_tests::{Case, Maker};

use crate::support::{open, server};

fn conforms(case: Case) {
    let Some(server) = server() else { return };
    let open = |name: &str| -> Box<dyn VectorStore> { Box::new(open(&server, name)) };
    case(&Maker { open: &open, exact: false });
}

sbir_store_tests::conformance!(conforms);
