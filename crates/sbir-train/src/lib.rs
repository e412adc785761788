//! Losses, optimiser, checkpoints and the trainer.
