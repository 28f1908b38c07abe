"""What a run shows, in TensorBoard and in figures, and how runs compare."""
