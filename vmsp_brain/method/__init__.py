"""What is done with the gradients: hierarchy, penalties, weightings, rows, the step. No audio."""
