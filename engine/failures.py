"""Any exception as one sentence for the user. Standard library only."""

from __future__ import annotations

import errno
import traceback

from .errors import InputError
from .messages import NO_MEMORY, Failure

DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
# How safetensors, which is written in Rust, words a full disk: on POSIX, on Windows.
DISK_FULL_WORDS = ("(os error 28)", "(os error 112)")


def describe_failure(id: str | None, error: BaseException) -> Failure:
    """The error as an event: a code, one sentence for the user, and the traceback's end for a developer."""
    detail = "".join(traceback.format_exception(error))[-4000:]
    if isinstance(error, InputError):
        return Failure(id, "input", str(error))
    if isinstance(error, ImportError):
        return Failure(id, "install", f"The engine's Python environment is incomplete ({error}).", detail)
    if out_of_memory(error):
        return Failure(id, "memory", NO_MEMORY, detail)
    if any(words in str(error) for words in DISK_FULL_WORDS):
        return Failure(id, "disk_full", "The disk is full; nothing was written.", detail)
    if isinstance(error, OSError):
        where = f" ('{error.filename}')" if error.filename else ""
        if error.errno in DISK_FULL:
            return Failure(id, "disk_full", f"The disk is full{where}; nothing was written.", detail)
        reason = error.strerror or str(error) or type(error).__name__
        return Failure(id, "file", f"A file could not be read or written: {reason}{where}.", detail)
    first_line = (str(error).splitlines() or ["no message"])[0][:200]
    message = f"The engine failed unexpectedly ({type(error).__name__}: {first_line})."
    return Failure(id, "internal", message, detail)


def out_of_memory(error: BaseException) -> bool:
    """A MemoryError, torch.OutOfMemoryError of a GPU, or the RuntimeError of PyTorch's on the CPU; told without torch."""
    words = ("not enough memory", "can't allocate memory")
    named = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, MemoryError) or named or any(word in str(error) for word in words)
