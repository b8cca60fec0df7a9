"""Bytes and sentences: pure functions from values to text."""
