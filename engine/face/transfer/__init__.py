"""ARKit's 52 shapes carried over to a head that has none."""
