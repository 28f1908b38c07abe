"""Commands that need no repository: each reads a command line and calls the library."""
