//! What every store must do, on one node.

use sbir_gallery::VectorStore;
use sbir_qdrant::{Options, Qdrant};
use sbir_store_tests::{Case, Maker};

use crate::support::node;

fn run(case: Case) {
    let Some(server) = node() else { return };
    let open = |name: &str| -> Box<dyn VectorStore> {
        Box::new(Qdrant::connect(&server.url(name), Options::default()).unwrap())
    };
    case(&Maker { open: &open, exact: false });
}

sbir_store_tests::conformance!(run);
