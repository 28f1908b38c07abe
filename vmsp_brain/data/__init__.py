"""From manifests to batches of several languages, and to tokens."""
