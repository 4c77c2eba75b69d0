"""Labs on why networks are deep."""
