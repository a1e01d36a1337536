"""The engine's two ways to end a job early. Standard library only."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one clear sentence for them, on one line whatever it quotes."""

    def __str__(self) -> str:
        return "".join(c if c.isprintable() else " " for c in super().__str__())


class Cancelled(Exception):
    """The user cancelled; nothing was written."""
