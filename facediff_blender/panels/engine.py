"""The engine's state, in the preferences and below the choice of a device."""

import bpy

from .. import session
from ..engine_client import EngineClient
from .common import draw_message, sentence


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
        sentence(layout, "The engine is not running; it starts when it is needed.", "RADIOBUT_OFF", width=70)
    elif (hello := client.hello) is None:
        sentence(layout, "The engine is starting ...", "TIME", width=70)
    else:
        sentence(layout, f"Engine {hello.engine_version} is running (Python {hello.python}).", "CHECKMARK", width=70)
        for device in hello.devices if details else ():
            mark = "RADIOBUT_ON" if device.id == hello.default_device else "DOT"
            sentence(layout, f"{device.label}: {device.reason}", mark if device.usable else "X", width=70)
    draw_message(layout, width=70)
