//! Behaviour of the trainer, and its numbers against PyTorch's.

mod parity;
