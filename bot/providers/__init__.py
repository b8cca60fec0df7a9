"""The only floor that knows vendors and touches the world."""
