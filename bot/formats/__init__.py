"""Formats: the configurations of other tools, read into trigger definitions and edited in place. Pure."""
