"""The synthesiser voices of Debian bookworm that the speech corpus is made with, and which of them are installed."""

import functools
import shutil
import subprocess
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

FESTIVAL_VOICES = Path("/usr/share/festival/voices")


@dataclass(frozen=True)
class Voice:
    """One voice of one synthesiser.

    `share` is the voice's part of the training audio (all training voices together: about 1). A held-out voice is
    never trained on: it tells how the model does on a speaker it has not heard. `speaker` names the human behind the
    recordings (two engines may have the same one; "espeak" is the formant synthesiser). `phoneset` and `encoding` are
    festival's.
    """

    engine: str
    name: str
    language: str
    sex: str
    licence: str
    speaker: str
    share: float
    held_out: bool = False
    phoneset: str = ""
    encoding: str = "utf-8"


_FLITE = (
    Voice("flite", "kal16", "en-us", "male", "BSD-like", "kal", 0.09),
    Voice("flite", "slt", "en-us", "female", "BSD-like", "slt", 0.11),
    Voice("flite", "awb", "en-gb-scotland", "male", "BSD-like", "awb", 0.11),
    Voice("flite", "rms", "en-us", "male", "BSD-like", "rms", 0.10),
)


def _festival(
    name: str, language: str, sex: str, licence: str, speaker: str, share: float, phoneset: str, encoding: str = "utf-8"
) -> Voice:
    return Voice("festival", name, language, sex, licence, speaker, share, share == 0.0, phoneset, encoding)


def _czech(name: str, sex: str, licence: str, speaker: str, share: float) -> Voice:
    return _festival(name, "cs", sex, licence, speaker, share, "czech", "iso-8859-2")


_FESTIVAL = (
    _festival("kal_diphone", "en-us", "male", "BSD-like", "kal", 0.055, "radio"),
    _festival("cmu_us_slt_arctic_hts", "en-us", "female", "BSD-like", "slt", 0.055, "radio"),
    _czech("czech_krb", "male child", "GPL-3+", "krb", 0.018),
    _czech("czech_machac", "male", "GPL-3+", "machac", 0.018),
    _czech("czech_ph", "male", "GPL-2+", "ph", 0.018),
    _festival("lp_diphone", "it", "female", "GPL-2+", "lp", 0.025, "italian", "iso-8859-1"),
    _festival("pc_diphone", "it", "male", "GPL-2+", "pc", 0.025, "italian", "iso-8859-1"),
    _festival("hy_fi_mv_diphone", "fi", "male", "LGPL-2+", "mv", 0.02, "finnish", "iso-8859-1"),
    _festival("suo_fi_lj_diphone", "fi", "female", "LGPL-2+", "lj", 0.02, "finnish", "iso-8859-1"),
    _festival("upc_ca_ona_hts", "ca", "female", "LGPL-2.1+", "ona", 0.025, "catalan", "iso-8859-15"),
    _festival("msu_ru_nsh_clunits", "ru", "male", "BSD-like", "nsh", 0.025, "russian"),
    _festival("hindi_NSK_diphone", "hi", "male", "GPL-2+", "nsk", 0.013, "hindi"),
    _festival("marathi_NSK_diphone", "mr", "male", "GPL-2+", "nsk", 0.012, "marathi"),
    _festival("telugu_NSK_diphone", "te", "male", "GPL-2+", "nsk", 0.011, "telugu"),
    _festival("ked_diphone", "en-us", "male", "BSD-like", "ked", 0.05, "radio"),
    _czech("czech_dita", "female", "GPL-3+", "dita", 0.0),
)
_ESPEAK_SHARES = {
    **dict.fromkeys(("en", "en-us", "en-gb-scotland", "en-029"), 0.028),
    **dict.fromkeys(("de", "fr", "es"), 0.015),
    **dict.fromkeys(("it", "pt", "pt-br", "nl", "pl", "sv", "tr", "hu", "ro"), 0.009),
    **dict.fromkeys(("id", "sw", "el", "ru", "uk", "bg", "hi"), 0.006),
}
#: espeak-ng's speaker variants that sound like people (no whisper, croak or robot voices).
ESPEAK_VARIANTS: tuple[str, ...] = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3",
    "klatt4", "adam", "anika", "belinda", "benjamin", "boris", "david", "ed", "gustave", "iven", "john", "linda",
    "max", "michael", "miguel", "norbert", "pablo", "paul", "quincy", "rob", "robert", "steph", "travis", "victor",
    "zac",
)  # fmt: skip


@functools.cache
def find_voices() -> tuple[Voice, ...]:
    """The voices that can speak on this machine, in a fixed order; empty where no synthesiser is installed."""
    found: list[Voice] = []
    if shutil.which("flite"):
        listed = subprocess.run(["flite", "-lv"], capture_output=True, text=True, check=True).stdout.split()
        found += [voice for voice in _FLITE if voice.name in listed]
    if shutil.which("festival"):
        installed = {path.name for path in FESTIVAL_VOICES.glob("*/*") if path.is_dir()}
        found += [voice for voice in _FESTIVAL if voice.name in installed]
    if find_library("espeak-ng"):
        found += [
            Voice("espeak", language, language, "either", "GPL-3+", "espeak", share)
            for language, share in _ESPEAK_SHARES.items()
        ]
    return tuple(found)
