"""Sources of change: refs and ancestry of code repositories."""
