"""A trained model in use: to transcribe and translate, to be evaluated, exported and tried."""
