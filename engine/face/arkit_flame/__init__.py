"""ARKit's 52 shapes as motion of the user's FLAME file, and back."""
