"""Labs on networks that use the structure of their inputs."""
