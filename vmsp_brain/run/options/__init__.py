"""What can be set in an experiment: one declaration of every key, and the checks made from it."""
