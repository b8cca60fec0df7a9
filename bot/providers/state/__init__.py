"""Stores for the statefile."""
