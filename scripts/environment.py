"""The Python environments that the project runs in, made from the pins in pyproject.toml. Standard library only.

`.venv` holds the engine, Blender 4.5 as a module, and the tools; `.venv-bpy-5.0` and `.venv-bpy-5.2` hold newer
Blenders. Each carries a stamp of what was installed, so that the next run installs nothing; one whose installation
was interrupted has no stamp and is completed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit("Python 3.11 is needed; run this with python3.11.")

ROOT = Path(__file__).resolve().parent.parent
STAMP = "facediff-installed.txt"
TORCH = "torch=="


class SetupError(Exception):
    """The environment cannot be made; the message is one sentence for the user."""


@dataclass(frozen=True)
class Environment:
    """A folder, the Python it needs, and the dependency groups of pyproject.toml that it holds."""

    folder: str
    python: str
    groups: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where it is."""
        return ROOT / self.folder

    @property
    def executable(self) -> Path:
        """Its interpreter."""
        return self.path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


MAIN = Environment(".venv", "3.11", ("engine", "develop"))
BLENDERS = {
    "4.5": MAIN,
    "5.0": Environment(".venv-bpy-5.0", "3.11", ("blender-5_0",)),
    "5.2": Environment(".venv-bpy-5.2", "3.13", ("blender-5_2",)),
}


def prepare(environment: Environment) -> Path:
    """Make or complete the environment, telling what happens; returns its interpreter. Raises SetupError."""
    pins = read_pins(environment.groups)
    with _one_at_a_time():
        stamp = environment.path / STAMP
        wanted = _stamp_text(environment, pins)
        if stamp.is_file() and stamp.read_text() == wanted and _version(environment.executable) == environment.python:
            return environment.executable
        _say(f"Setting up {environment.folder} (Python {environment.python}, {len(pins)} pinned packages); once only.")
        if _version(environment.executable) != environment.python:
            _make_venv(environment)
        stamp.unlink(missing_ok=True)
        _forget_half_installed(environment)
        _install(environment, pins)
        stamp.write_text(wanted)
        _say(f"{environment.folder} is ready.")
    return environment.executable


def read_pins(groups: tuple[str, ...]) -> list[str]:
    """The requirements of some dependency groups of pyproject.toml."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    return [pin for group in groups for pin in table[group]]


def find_python(version: str) -> Path | None:
    """An interpreter of that "major.minor" that runs: this one, one on the PATH, or one of pyenv's. None: not here."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(getattr(sys, "_base_executable", sys.executable))
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    return next((path for path in candidates if _version(path) == version), None)


def has_gpu() -> bool:
    """Whether this machine has a GPU that the larger PyTorch builds are for (a Mac's build serves both)."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None or Path("/dev/kfd").exists()


def child_environment() -> dict[str, str]:
    """This process's environment without settings that would lead another Python astray."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two set-ups of the same folder wait for each other, where the system has such locks."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stamp_text(environment: Environment, pins: list[str]) -> str:
    digest = hashlib.sha256("\n".join([environment.python, *pins]).encode()).hexdigest()
    return f"{digest}\n" + "".join(f"{pin}\n" for pin in pins)


def _version(python: Path) -> str | None:
    """The "major.minor" of an interpreter; None when it is not there or does not run (a shim without its Python)."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-I", "-c", question], capture_output=True, text=True, timeout=60, env=child_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _make_venv(environment: Environment) -> None:
    python = find_python(environment.python)
    if python is None:
        raise SetupError(f"Python {environment.python} is needed for {environment.folder} and was not found.")
    command = [python, "-m", "venv", "--clear", environment.path]
    made = subprocess.run(command, capture_output=True, text=True, env=child_environment())
    if made.returncode != 0:
        shutil.rmtree(environment.path, ignore_errors=True)
        if "ensurepip" in made.stdout + made.stderr or "No module named venv" in made.stderr:
            raise SetupError(
                f"Python {environment.python} lacks its 'venv' part; on Debian install it with "
                f"'apt-get install python{environment.python}-venv' and run this again."
            )
        raise SetupError(f"{environment.folder} could not be made: {(made.stderr or made.stdout).strip()[-300:]}")


def _forget_half_installed(environment: Environment) -> None:
    """Let pip install again what an interrupted run left without its list of files (RECORD is written last)."""
    for metadata in environment.path.glob("[Ll]ib*/**/site-packages/*.dist-info"):
        if not (metadata / "RECORD").is_file():
            shutil.rmtree(metadata)


def _install(environment: Environment, pins: list[str]) -> None:
    torch = next((pin for pin in pins if pin.startswith(TORCH)), None)
    if torch and not has_gpu():
        # PyTorch's own index calls its small build +cpu. Package indexes without it (PyPI has only the build of 2 to
        # 3 GB for Linux) still serve the plain version, which the full list asks for below.
        _say("No GPU here: asking for the CPU build of PyTorch.")
        if _pip(environment, [f"{torch}+cpu"])[0] != 0:
            _say("Your package index has no separate CPU build, so it may be 3 GB (README: the small PyTorch).")
    status, complaint = _pip(environment, pins)
    if status != 0:
        raise SetupError(
            f"The packages for {environment.folder} could not be installed (pip's own words are above)."
            if not complaint
            else f"The packages for {environment.folder} could not be installed: {complaint}"
        )
    if torch:
        build = "import torch; print(torch.__version__, 'CUDA', torch.version.cuda)"
        told = subprocess.run([environment.executable, "-I", "-c", build], capture_output=True, text=True)
        if told.returncode != 0:
            raise SetupError(f"PyTorch was installed but does not load: {told.stderr.strip().splitlines()[-1]}")
        _say(f"PyTorch {told.stdout.strip().replace(' CUDA None', ': the CPU build')}")


def _pip(environment: Environment, requirements: list[str]) -> tuple[int, str]:
    """pip's exit status and the last error it named. Its progress goes to the screen, its warnings nowhere."""
    command = [environment.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, *requirements], stderr=subprocess.PIPE, text=True, env=child_environment(), stdin=subprocess.DEVNULL
    )
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return done.returncode, errors[-1] if errors else done.stderr.strip()[-300:]
