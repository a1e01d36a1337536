"""The engine's state, in the preferences and below the choice of a device; the installation of the full engine."""

import os

import bpy

from .. import installation, preferences, session
from ..engine_client import EngineClient
from ..installer import index, locks, running
from ..installer.places import Layout, read_record
from ..operators import install
from .common import draw_message, sentence

WIDTH = 84  # letters in a line of the preferences


def device_text(client: EngineClient | None, choice: str) -> str:
    """What the choice of a device comes to, as far as the engine has said it; "" when nothing needs saying."""
    hello = client.hello if client is not None else None
    if hello is None:
        return "chosen when the engine starts" if choice == "auto" else ""
    devices = {device.id: device for device in hello.devices}
    device = devices.get(hello.default_device if choice == "auto" else choice)
    if device is None:
        return ""
    if not device.usable:
        return f"{device.label} cannot be used: {device.reason}"
    return f"uses {device.label}" if choice == "auto" else ""


def draw_engine_state(layout: bpy.types.UILayout, details: bool = False) -> None:
    """Whether the engine runs, which version and, with details, each device and why it is (not) usable."""
    client = session.current.client
    if client is None or client.state == "stopped":
        sentence(layout, "The engine is not running; it starts when it is needed.", "RADIOBUT_OFF", width=WIDTH)
    elif (hello := client.hello) is None:
        sentence(layout, "The engine is starting ...", "TIME", width=WIDTH)
    else:
        sentence(layout, f"Engine {hello.engine_version} is running (Python {hello.python}).", "CHECKMARK", width=WIDTH)
        for device in hello.devices if details else ():
            mark = "RADIOBUT_ON" if device.id == hello.default_device else "DOT"
            sentence(layout, f"{device.label}: {device.reason}", mark if device.usable else "X", width=WIDTH)
    draw_message(layout, width=WIDTH)


def plan_sentences(lock: locks.Lock, folder: str, free: int) -> list[str]:
    """What an installation of this lock would do: size, place, from where, whose. free: bytes on the disk."""
    custom = index.sources(os.environ).index
    hosts = [index.without_login(custom)] if custom else lock.hosts
    about = "about " if lock.estimated else ""
    lines = [
        f"Downloads {about}{lock.download_bytes / 1e6:.0f} MB: PyTorch {lock.torch}, Python {lock.python.version} and "
        f"{len(lock.packages) - 1} packages that they need.",
        f"From {', '.join(hosts)}.",
        f"Takes {about}{lock.installed_bytes / 1e9:.1f} GB in {folder} ({free / 1e9:.0f} GB are free), and as much as the "
        "download on top while it installs.",
        f"Nothing else on the computer is changed. {_pinning(lock)} Their licences are listed in LICENSES.md.",
    ]
    if lock.accelerator in ("cuda", "xpu"):
        maker = {"cuda": "NVIDIA", "xpu": "Intel"}[lock.accelerator]
        lines.append(f"Among the packages are {maker}'s libraries, which are free to use under {maker}'s own licence.")
    return lines


def _pinning(lock: locks.Lock) -> str:
    """How sure it is that the files are those that are meant."""
    stated = sorted({file.index for file in lock.packages if not file.sha256})
    but = f", but for PyTorch's own, whose checksum is the one that {stated[0]} states" if stated else ""
    return f"Every file is pinned by its checksum{but}."


def draw_installation(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The full engine: whether it is installed, and the buttons that install, repair and remove it."""
    box = layout.box()
    box.label(text="Full engine (PyTorch: GPU, published models, video tracking)", icon="PACKAGE")
    prefs, state = preferences.get(context), installation.current
    folder = preferences.folder(context)
    record = read_record(Layout(folder))
    outdated = False
    if record is None:
        sentence(box, "Not installed. The built-in engine animates with the starter model without it.", width=WIDTH)
    else:
        outdated = not _is_current(record.accelerator, record.lock)
        what = f"PyTorch {record.torch}, Python {record.python}, {record.size / 1e9:.1f} GB in {folder}"
        sentence(box, f"Installed: {what}.", "CHECKMARK", width=WIDTH)
        client = session.current.client
        for device in record.devices if client is None or client.hello is None else ():  # else they stand above already
            sentence(box, f"{device['label']}: {device['reason']}", "DOT" if device["usable"] else "X", width=WIDTH)
        if outdated:
            sentence(box, "It was made by another version of this add-on: press Update.", "ERROR", width=WIDTH)
    if state.task is not None:
        _draw_task(box)
    elif state.planning:
        box.prop(prefs, "engine_folder", placeholder=str(folder))
        _draw_plan(box, context, str(folder))
    else:
        row = box.row()
        if record is None:
            box.prop(prefs, "engine_folder", placeholder=str(folder))
        if record is None or outdated:
            row.operator("facediff.plan_engine", text="Update ..." if outdated else "Install Full Engine ...", icon="IMPORT")
        if why := install.why_not_installed(context):
            sentence(box, f"{why}.", "INFO", width=WIDTH) if record is not None else None
        else:
            row.operator("facediff.repair_engine", icon="TOOL_SETTINGS")
            row.operator("facediff.uninstall_engine", icon="TRASH")
    if state.message:
        sentence(box, state.message, "ERROR" if state.failed else "INFO", width=WIDTH)
        for note in state.notes:
            sentence(box, note, width=WIDTH)


def _draw_task(box: bpy.types.UILayout) -> None:
    task = installation.current.task
    row = box.row()
    row.progress(factor=task.fraction, text=task.describe())
    row.operator("facediff.cancel_installation", text="", icon="X")


def _draw_plan(box: bpy.types.UILayout, context: bpy.types.Context, folder: str) -> None:
    prefs, state = preferences.get(context), installation.current
    box.prop(prefs, "build")
    for choice in state.choices or ():
        sentence(box, f"{choice.label}: {choice.reason}", "DOT" if choice.usable else "X", width=WIDTH)
    build = install.chosen_build(context)
    if build in locks.available(locks.this_system()):
        lock = locks.read(locks.this_system(), build)
        for line in plan_sentences(lock, folder, running.free_bytes(preferences.folder(context))):
            sentence(box, line, width=WIDTH)
    row = box.row()
    row.operator("facediff.install_engine", icon="IMPORT")
    row.operator("facediff.install_from_folder", icon="FILE_FOLDER")
    row.operator("facediff.download_engine", icon="EXPORT")
    row.operator("facediff.close_plan", text="", icon="X")
    if why := install.why_not_online_install(context):
        sentence(box, f"{why}.", "INFO", width=WIDTH)


def _is_current(accelerator: str, digest: str) -> bool:
    system = locks.this_system()
    return accelerator in locks.available(system) and locks.read(system, accelerator).digest == digest
