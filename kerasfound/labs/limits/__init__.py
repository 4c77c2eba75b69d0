"""Labs on the limits of deep learning."""
