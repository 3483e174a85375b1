"""Configuration, the training loop, checkpoints, and what is saved of a model."""
