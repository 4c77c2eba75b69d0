"""The optimizers, one file per family: each `update_step` is the equation and nothing else."""
