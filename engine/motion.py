"""`FaceMotion`: the one value that crosses between the engine and Blender. NumPy only; both sides import it.

The file is an uncompressed-or-compressed NumPy `.npz` that loads with `allow_pickle=False`; see README, "Motion file".
"""

from __future__ import annotations

import json
import os
import secrets
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .array_archive import ArchiveError, check_archive, read_header
from .frame_blocks import Blocks, stored_member, write_member

ROTATION_NAMES = ("head", "jaw", "left_eye", "right_eye")
OPTIONAL_ARRAYS = {"expression": (None,), "jaw_pose": (3,), "vertices": (None, 3), "landmarks68": (68, 3)}
ARRAYS = ("fps", "channels", "weights", "rotations_names", "rotations", *OPTIONAL_ARRAYS, "meta")
MAX_FRAMES = 10_000_000  # 46 hours at 60 fps; a larger header is damage, not a performance
BLOCKS_FROM = 512 << 20  # bytes; vertices from this size on are read from the file block by block


class MotionError(ValueError):
    """A motion or motion file that breaks the format; the message is one sentence for the user."""


@dataclass(frozen=True)
class FaceMotion:
    """A face over time. Frame i is the face at i / fps seconds of the audio.

    fps: frames per second (> 0). channels: K names, ARKit's where they exist. weights: (T, K) float32.
    rotation_names: J names; rotations: (T, J, 3) float32 axis-angle in rad, axes +x subject's left, +y up, +z forward.
    expression: (T, 50|100), jaw_pose: (T, 3) rad, only from models that speak FLAME.
    vertices: (T, V, 3) and landmarks68: (T, 68, 3), float32, metres. meta: JSON-serialisable facts about the making.
    vertices may be `Blocks`, which saving writes, and loading gives from BLOCKS_FROM bytes on, without holding them whole.
    Raises MotionError when shapes disagree or a number is not finite (for Blocks: when they are saved or loaded).
    """

    fps: float
    channels: tuple[str, ...] = ()
    weights: np.ndarray = None  # type: ignore[assignment]  # without any: (T, 0), and so the rotations
    rotation_names: tuple[str, ...] = ()
    rotations: np.ndarray = None  # type: ignore[assignment]
    expression: np.ndarray | None = None
    jaw_pose: np.ndarray | None = None
    vertices: np.ndarray | Blocks | None = None
    landmarks68: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("fps", float(self.fps))
        put("channels", tuple(str(c) for c in self.channels))
        put("rotation_names", tuple(str(n) for n in self.rotation_names))
        if not (np.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise MotionError(f"A motion needs a frame rate between 0 and 1000, not {self.fps}.")
        present = {n: getattr(self, n) for n in ("weights", "rotations", *OPTIONAL_ARRAYS)}
        lengths = {len(a) for a in present.values() if a is not None and np.ndim(a) > 0}
        if len(lengths) != 1:
            raise MotionError(f"The arrays of a motion must have one common number of frames, not {sorted(lengths)}.")
        frames = lengths.pop()
        if present["weights"] is None:
            present["weights"] = np.zeros((frames, 0), np.float32)
        if present["rotations"] is None:
            present["rotations"] = np.zeros((frames, 0, 3), np.float32)
        expected = {
            "weights": (len(self.channels),),
            "rotations": (len(self.rotation_names), 3),
            **OPTIONAL_ARRAYS,
        }
        for name, value in present.items():
            if value is None:
                continue
            array = value if isinstance(value, Blocks) else np.ascontiguousarray(value, dtype=np.float32)
            tail = expected[name]
            if array.ndim != 1 + len(tail) or any(w is not None and w != g for w, g in zip(tail, array.shape[1:])):
                raise MotionError(f"The motion's '{name}' has shape {array.shape}, which does not fit.")
            if not isinstance(array, Blocks):
                _refuse_infinite(name, array)
            put(name, array)
        if len(set(self.channels)) != len(self.channels):
            raise MotionError("Two channels of the motion have the same name.")

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.weights)

    def channel(self, name: str) -> np.ndarray:
        """The (T,) float32 weights of one channel; KeyError when it is absent."""
        if name not in self.channels:
            raise KeyError(name)
        return self.weights[:, self.channels.index(name)]

    def rotation(self, name: str) -> np.ndarray:
        """The (T, 3) float32 axis-angle rotation (rad) of one joint; KeyError when it is absent."""
        if name not in self.rotation_names:
            raise KeyError(name)
        return self.rotations[:, self.rotation_names.index(name)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the motion file; it appears under its name complete or not at all.

        Raises OSError, and MotionError when vertices in blocks hold a number that is not finite.
        """
        path = Path(path)
        arrays: dict[str, np.ndarray | Blocks] = {
            "fps": np.array(self.fps, np.float64),
            "channels": np.array(self.channels, dtype=np.str_),
            "weights": self.weights,
            "rotations_names": np.array(self.rotation_names, dtype=np.str_),
            "rotations": self.rotations,
            "meta": np.array(json.dumps(self.meta, ensure_ascii=False)),
        }
        arrays.update({n: getattr(self, n) for n in OPTIONAL_ARRAYS if getattr(self, n) is not None})
        partial = path.parent / f".motion-{secrets.token_hex(8)}.part"  # mkstemp's would be readable by its owner alone
        try:
            with open(partial, "xb") as stream, zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        _write_array(member, name, array)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FaceMotion:
        """Read and check a motion file; arrays of other names in it are left alone. Never unpickles.

        Raises MotionError (not a motion) or OSError (unreadable).
        """
        with open(path, "rb") as stream:
            arrays = _read_arrays(Path(path), stream)
        missing = {"fps", "channels", "weights"} - arrays.keys()
        if missing:
            raise MotionError(f"'{Path(path).name}' lacks {', '.join(sorted(missing))}: it is not a motion file.")
        for name, array in arrays.items():
            text = name in ("channels", "rotations_names", "meta")
            if array.dtype.kind not in ("U" if text else "fiu"):
                raise MotionError(f"'{Path(path).name}' has '{name}' of type {array.dtype}, which does not fit.")
        try:
            meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
        except (ValueError, RecursionError) as error:
            raise MotionError(f"'{Path(path).name}' has a damaged 'meta' entry.") from error
        if not isinstance(meta, dict) or arrays["fps"].ndim != 0 or arrays["channels"].ndim != 1:
            raise MotionError(f"'{Path(path).name}' is not a motion file.")
        values: dict[str, Any] = {n: arrays[n] for n in ("weights", "rotations", *OPTIONAL_ARRAYS) if n in arrays}
        return cls(
            fps=float(np.asarray(arrays["fps"])),
            channels=tuple(np.asarray(arrays["channels"]).tolist()),
            rotation_names=tuple(np.atleast_1d(arrays.get("rotations_names", np.array([], np.str_))).tolist()),
            meta=meta,
            **values,
        )


def _read_arrays(path: Path, stream: BinaryIO) -> dict[str, np.ndarray | Blocks]:
    """The arrays of an open motion file by name, nothing of them checked but their size. Raises MotionError."""
    try:
        if not zipfile.is_zipfile(stream):
            raise MotionError(f"'{path.name}' is not a motion file.")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as data:
            check_archive(data.zip, os.fstat(stream.fileno()).st_size, ARRAYS, MAX_FRAMES)
            return {name: _read_array(path, data, name) for name in data.files if name in ARRAYS}
    except MotionError:
        raise
    except ArchiveError as error:
        raise MotionError(f"The motion file '{path.name}' {error}.") from None
    except Exception as error:  # zip, zlib and numpy raise almost anything over a damaged file
        raise MotionError(f"'{path.name}' is not a motion file ({type(error).__name__}).") from error


def _refuse_infinite(name: str, array: np.ndarray) -> None:
    # The sum of float32 numbers in float64 is finite exactly when all are, and needs no second large array.
    if not np.isfinite(array.sum(dtype=np.float64)):
        raise MotionError(f"The motion's '{name}' holds a number that is not finite.")


def _write_array(member: Any, name: str, array: np.ndarray | Blocks) -> None:
    if not isinstance(array, Blocks):
        np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
        return
    for block in write_member(member, array):
        _refuse_infinite(name, block)


def _read_array(path: Path, data: np.lib.npyio.NpzFile, name: str) -> np.ndarray | Blocks:
    """The array, or Blocks of large vertices, once all of it was read and its checksum and its numbers were found good."""
    found = [i for i in data.zip.infolist() if i.filename == f"{name}.npy"]
    if name != "vertices" or len(found) != 1 or found[0].file_size < BLOCKS_FROM:
        return data[name]
    with data.zip.open(found[0]) as member:
        shape, fortran, dtype = read_header(member)
        blocks = stored_member(path, found[0], shape) if len(shape) == 3 and dtype == np.dtype("<f4") and not fortran else None
        if blocks is None:
            return data[name]
        while piece := member.read(32 << 20):
            _refuse_infinite(name, np.frombuffer(piece, "<f4"))
    return blocks

