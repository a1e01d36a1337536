"""The engine's two ways to end a job early. Standard library only."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one clear sentence for them."""


class Cancelled(Exception):
    """The user cancelled; nothing was written."""
