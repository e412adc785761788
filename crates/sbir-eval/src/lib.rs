//! Retrieval metrics, statistics and reports.
