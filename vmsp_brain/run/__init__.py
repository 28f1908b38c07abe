"""A run's folder, experiment file, checkpoints, scores and costs, each with one owner."""
