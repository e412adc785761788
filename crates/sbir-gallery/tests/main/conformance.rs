//! What every store must do.

use sbir_gallery::{Gallery, VectorStore};
use sbir_store_tests::{Case, Maker};

fn conforms(case: Case) {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| -> Box<dyn VectorStore> {
        Box::new(Gallery::open_or_create(&folder.path().join(name)).unwrap())
    };
    case(&Maker { open: &open, exact: true });
}

sbir_store_tests::conformance!(conforms);
