"""Training and validation of the model."""
