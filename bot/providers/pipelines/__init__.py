"""Pipelines: what a run is started on."""
