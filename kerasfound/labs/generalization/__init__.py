"""Labs on generalization and its cures."""
