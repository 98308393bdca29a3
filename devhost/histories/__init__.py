"""Recorded histories: saved from a hub's state, and replayed by today's code before it is deployed."""
