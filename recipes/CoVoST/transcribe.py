#!/usr/bin/env python3
"""Prints what is spoken in audio files: vmsp-transcribe, without installing."""

from vmsp_brain.commands.transcribe import main

if __name__ == "__main__":
    main()
