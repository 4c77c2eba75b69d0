"""Labs on optimizers."""
