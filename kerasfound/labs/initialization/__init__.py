"""Labs on initialization and normalization."""
