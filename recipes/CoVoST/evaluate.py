#!/usr/bin/env python3
"""Tests a run or an exported model: vmsp-evaluate, without installing."""

from vmsp_brain.commands.evaluate import main

if __name__ == "__main__":
    main()
