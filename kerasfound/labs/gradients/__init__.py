"""Labs on gradients."""
