//! What every [`VectorStore`] must do: cases that any store is put through, each on galleries of its own.
//!
//! ```no_run
//! # fn open(name: &str) -> Box<dyn sbir_gallery::VectorStore> { unimplemented!() }
//! sbir_store_tests::all(&sbir_store_tests::Maker { open: &open, exact: true });
//! ```
//!
//! [`conformance!`](crate::conformance) makes a test of each case instead. Cases panic where a store does not conform.

mod crowds;
mod empty;
mod filters;
mod many;
mod model;
mod pages;
mod paths;
mod reading;
mod searches;
mod spaces;
mod writes;

use sbir_gallery::VectorStore;

pub use crowds::crowds;
pub use empty::empty;
pub use filters::filters;
pub use many::many;
pub use pages::pages;
pub use paths::paths;
pub use reading::reading;
pub use searches::searches;
pub use spaces::spaces;
pub use writes::{deletes, writes};

/// Makes the stores of one kind.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// Opens the gallery of a name (lower-case letters and `_`) as a new client would. The first time there is none of
    /// that name, and it is made, empty; the same name opens the same gallery again.
    pub open: &'a (dyn Fn(&str) -> Box<dyn VectorStore> + Sync),
    /// Whether searches compare every photo. Else nine and ninety in a hundred of the nearest must be found; the list
    /// is as long as it should be all the same.
    pub exact: bool,
}

/// A case.
pub type Case = fn(&Maker<'_>);

/// Every case with its name.
pub const CASES: [(&str, Case); 11] = [
    ("spaces", spaces),
    ("empty", empty),
    ("writes", writes),
    ("deletes", deletes),
    ("reading", reading),
    ("paths", paths),
    ("searches", searches),
    ("filters", filters),
    ("pages", pages),
    ("crowds", crowds),
    ("many", many),
];

/// Puts a store through every case.
///
/// # Panics
/// Where it does not conform.
#[allow(clippy::print_stdout)]
pub fn all(maker: &Maker<'_>) {
    for (name, case) in CASES {
        println!("case {name}");
        case(maker);
    }
}

/// Makes a test of each case. The argument takes a case and runs it with a [`Maker`], or skips it:
/// `fn(sbir_store_tests::Case)`.
#[macro_export]
macro_rules! conformance {
    ($run:path) => {
        $crate::conformance!($run: spaces, empty, writes, deletes, reading, paths, searches, filters, pages, crowds, many);
    };
    ($run:path: $($case:ident),+) => {
        $(
            #[test]
            fn $case() {
                $run($crate::$case);
            }
        )+

        #[test]
        fn no_case_is_left_out() {
            assert_eq!($crate::CASES.map(|(name, _)| name).as_slice(), [$(stringify!($case)),+]);
        }
    };
}
