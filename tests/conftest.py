"""Tests never reach for the network: a name on a model hub that is not there fails at once."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
