#!/usr/bin/env python3
"""Serves a page to try models: vmsp-demo, without installing."""

from vmsp_brain.commands.demo import main

if __name__ == "__main__":
    main()
