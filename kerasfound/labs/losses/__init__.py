"""Labs on losses."""
