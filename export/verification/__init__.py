"""Exported files run on test inputs and compared with the trained model."""
