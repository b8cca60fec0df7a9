"""Reads and checks the config repository; pure over bytes."""
