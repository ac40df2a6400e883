"""The simulated exchange that the built-in market and replay share."""
