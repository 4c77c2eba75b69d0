"""The layers of introductory deep learning, one file per idea."""
