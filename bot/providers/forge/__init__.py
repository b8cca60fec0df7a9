"""Forges: where merge requests live."""
