"""The full engine's own Python environment: installed, checked, repaired and removed. No bpy, standard library only.

Everything lies in one folder per user that all Blender versions share (`places.py`). The work is done by a child process
(`worker.py`) that Blender talks to through pipes (`process.py`); what is installed is pinned in `locks/`.
"""

from __future__ import annotations

from pathlib import Path

from .places import Layout, default_folder, read_record


def engine_python(folder: Path | None = None) -> Path | None:
    """The Python of the installed full engine, None when none is installed (or its installation was not finished).

    folder: where it was installed; None for the folder of this user, `places.default_folder`.
    """
    layout = Layout(folder or default_folder())
    return layout.python if read_record(layout) is not None and layout.python.is_file() else None
