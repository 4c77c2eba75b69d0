"""Labs on activations."""
