"""The lock room: what a project needs on top of a base, and the file that remembers it."""
