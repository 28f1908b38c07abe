#!/usr/bin/env python3
"""Compares runs that were tested on the same utterances: vmsp-compare, without installing."""

from vmsp_brain.commands.compare import main

if __name__ == "__main__":
    main()
