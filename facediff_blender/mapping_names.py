"""Which row of a mapping a shape key's name asks for: the spellings of ARKit, Character Creator, Oculus, VRM, VRoid and MMD.

Names are compared in small letters without separators, full-width forms made plain (Unicode NFKC). ARKit's may have
anything before them ("blendShape1.jawOpen", "A25_Jaw_Open"); after them only a side, a number, or what all keys end with.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..engine.face.arkit import ARKIT_52, mirrored
from .mapping import Row

Rows = tuple[tuple[str, float], ...]  # channel and gain
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+|[^\w\s]+")
SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
HALVES = ("up", "down", "upper", "lower", "left", "right")  # parts of a shape that ARKit has as one, such as Mouth_Funnel_Up_L
ARKIT = {name.lower(): name for name in ARKIT_52}


def _both(name: str, gain: float = 1.0) -> Rows:
    """Half of each side's channel: their mean."""
    return ((f"{name}Left", gain / 2), (f"{name}Right", gain / 2))


def _sided(table: dict[str, tuple[str, float]]) -> dict[str, Rows]:
    """Names that end with a side, and the channel of the same side."""
    ends = (("l", "Left"), ("left", "Left"), ("r", "Right"), ("right", "Right"))
    return {name + end: ((channel + side, gain),) for name, (channel, gain) in table.items() for end, side in ends}


# Character Creator 3 and 4 (Extended, ExPlus), and VRChat's Unified Expressions, where they are called otherwise than ARKit's.
OTHER_DIRECT: dict[str, Rows] = {
    **_sided({
        "browdrop": ("browDown", 1.0),
        "browraiseouter": ("browOuterUp", 1.0),
        "cheekraise": ("cheekSquint", 1.0),
        "mouthdownlower": ("mouthLowerDown", 1.0),
        "mouthupupper": ("mouthUpperUp", 1.0),
        "mouthdimple": ("mouthDimple", 1.0),
        "eyeclosed": ("eyeBlink", 1.0),
        "eyesclosed": ("eyeBlink", 1.0),
        "eyeblink": ("eyeBlink", 1.0),
        "eyeslookup": ("eyeLookUp", 1.0),
        "eyeslookdown": ("eyeLookDown", 1.0),
    }),
    **{f"eye{a}lookup": ((f"eyeLookUp{b}", 1.0),) for a, b in (("l", "Left"), ("r", "Right"))},
    **{f"eye{a}lookdown": ((f"eyeLookDown{b}", 1.0),) for a, b in (("l", "Left"), ("r", "Right"))},
    "eyellookl": (("eyeLookOutLeft", 1.0),),
    "eyellookr": (("eyeLookInLeft", 1.0),),
    "eyerlookl": (("eyeLookInRight", 1.0),),
    "eyerlookr": (("eyeLookOutRight", 1.0),),
    **{f"browraiseinner{side}": (("browInnerUp", 1.0),) for side in SIDES},
    **{f"browinnerup{side}": (("browInnerUp", 1.0),) for side in SIDES},
    **{f"mouthrollin{half}{side}": ((f"mouthRoll{half.title()}", 1.0),) for half in ("upper", "lower") for side in ("", *SIDES)},
    **{f"mouthchinup{side}": (("mouthShrugLower", 0.5),) for side in ("", *SIDES)},
    "eyesblink": _both("eyeBlink"),
    "eyeblink": _both("eyeBlink"),
    "eyesclosed": _both("eyeBlink"),
    "mouthsmile": _both("mouthSmile"),
    "mouthfrown": _both("mouthFrown"),
    "mouthraiserlower": (("mouthShrugLower", 1.0),),
    "mouthraiserupper": (("mouthShrugUpper", 1.0),),
    "mouthclosed": (("mouthClose", 1.0),),
    "lippucker": (("mouthPucker", 1.0),),
    "lipfunnel": (("mouthFunnel", 1.0),),
    "lipsucklower": (("mouthRollLower", 1.0),),
    "lipsuckupper": (("mouthRollUpper", 1.0),),
}  # fmt: skip


def _alike(rows: Rows, *names: str) -> dict[str, Rows]:
    return dict.fromkeys(names, rows)


LEFT: Rows = (("eyeBlinkLeft", 1.0),)
RIGHT: Rows = (("eyeBlinkRight", 1.0),)
BLINKS: dict[str, Rows] = {
    **_alike(LEFT, "blinkl", "blinkleft", "fcleyeclosel", "ウィンク2", "wink2", "winkl", "winkleft"),
    **_alike(RIGHT, "blinkr", "blinkright", "fcleyecloser", "ウィンク2右", "wink2right", "winkr", "winkright"),
    **_alike(_both("eyeBlink"), "blink", "fcleyeclose", "まばたき"),
}

# Gains below 1 leave room: a face of joy at full weight closes the eyes of many characters.
MOODS: dict[str, Rows] = {
    **_alike((("mood joy", 0.5),), "joy", "happy", "fclalljoy"),
    **_alike((("mood fun", 0.6),), "fun", "relaxed", "fclallfun"),
    **_alike((("mood angry", 0.8),), "angry", "fclallangry", "fclbrwangry", "怒り", "anger"),
    **_alike((("mood sorrow", 0.8),), "sorrow", "sad", "fclallsorrow", "fclbrwsorrow", "困る", "sadness"),
    **_alike((("mood surprised", 0.8),), "surprised", "fclallsurprised"),
    "fclbrwsurprised": _both("browOuterUp"),
    "fclbrwjoy": _both("mouthSmile", 0.5),
    "fclmthfun": _both("mouthSmile", 0.6),
    "fcleyespread": _both("eyeWide"),
    "にこり": _both("mouthSmile", 0.6),
    "cheerful": _both("mouthSmile", 0.6),
    "にやり": _both("mouthSmile", 0.6),
    "grin": _both("mouthSmile", 0.6),
    "笑い": _both("cheekSquint", 0.3),
    "blinkhappy": _both("cheekSquint", 0.3),
    "びっくり": _both("eyeWide"),
    "上": _both("browOuterUp"),
    "下": _both("browDown", 0.5),
}

VOWEL_NAMES = {
    "vowel A": ("a", "aa", "fclmtha", "あ", "ah"),
    "vowel I": ("i", "ih", "fclmthi", "い", "ch"),
    "vowel U": ("u", "ou", "fclmthu", "う"),
    "vowel E": ("e", "ee", "fclmthe", "え"),
    "vowel O": ("o", "oh", "fclmtho", "お"),
}
VOWELS: dict[str, Rows] = {name: ((vowel, 1.0),) for vowel, names in VOWEL_NAMES.items() for name in names}
OCULUS = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
OCULUS_ALSO = {"ih": "I", "oh": "O", "ou": "U"}  # VRChat's spelling, "vrc.v_ih"
VISEMES: dict[str, Rows] = {
    start + spelt.lower(): ((f"viseme {name}", 1.0),)
    for spelt, name in (*((name, name) for name in OCULUS), *OCULUS_ALSO.items())
    for start in ("viseme", "v")
}
CREATOR = {
    "Open": "aa", "Explosive": "PP", "Dental_Lip": "FF", "Tight_O": "O", "Tight": "U", "Wide": "I", "Affricate": "CH",
    "Lip_Open": "SS", "Tongue_Out": "TH",
}  # fmt: skip
CREATOR_VISEMES: dict[str, Rows] = {
    "v" + spelt.replace("_", "").lower(): ((f"viseme {name}", 1.0),) for spelt, name in CREATOR.items()
}


@dataclass(frozen=True)
class Match:
    """rows: the table. kind: whose names they are, such as "ARKit" or "VRM or MMD". exact: all is ARKit's to the letter."""

    rows: tuple[Row, ...]
    kind: str
    exact: bool


@lru_cache(maxsize=64)
def match(keys: tuple[str, ...]) -> Match:
    """The table that the names of a mesh's shape keys (without the Basis) ask for; without rows when none is known.

    Keys that are ARKit's win: vowels, visemes, blinks and moods are used for what those leave out (mouth, lids, brows).
    """
    words = {key: words_of(key) for key in keys}
    direct = _direct(words)
    moved = {channel for rows in direct.values() for channel, _ in rows}
    free = {key: own for key, own in words.items() if key not in direct}
    bare = _without_common(words)
    if any("".join(own[-3:]).startswith("fclbrw") for own in free.values()):
        # VRoid has brows, eyes and mouth of a mood apart and all in one: both would show it twice.
        free = {key: own for key, own in free.items() if own[-3:-1] != ("fcl", "all")}
    found, kinds = dict(direct), ["ARKit"] if direct else []
    if "jawOpen" not in moved:
        for kind, table in (("Oculus", VISEMES), ("Character Creator", CREATOR_VISEMES), ("VRM or MMD", VOWELS)):
            speech = _in_table(free, bare, table)
            if len(speech) > 2:
                found.update(speech)
                kinds.append(kind)
                break
    blinks = {} if "eyeBlinkLeft" in moved else _in_table(free, bare, BLINKS)
    winks = {key for key, rows in blinks.items() if len(rows) == 1}
    found.update({key: rows for key, rows in blinks.items() if (key in winks) == (len(winks) > 1)})
    if not any(channel.startswith("brow") for channel in moved):
        moods = _in_table(free, bare, MOODS)
        if any(rows[0][0] == "mood fun" for rows in moods.values()):  # one smile is enough, and this one keeps the lips shut
            moods = {key: rows for key, rows in moods.items() if rows[0][0] != "mood joy"}
        found.update(moods)
    rows = tuple(Row(channel, key, gain) for key in keys for channel, gain in found.get(key, ()))
    exact = bool(rows) and all(row.channel == row.key and row.gain == 1.0 for row in rows)
    return Match(rows, " and ".join(kinds) or ("VRM or MMD" if rows else ""), exact)


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in small letters: "Face.M_F00_Fcl_MTH_A" -> face, m, f, 00, fcl, mth, a."""
    return tuple(word.lower() for word in WORD.findall(unicodedata.normalize("NFKC", name)) if re.match(r"\w", word))


def _direct(words: dict[str, tuple[str, ...]]) -> dict[str, Rows]:
    """The keys that are ARKit's, or another set's names for the same shapes. Of two keys for the same the plainer one."""
    ends = _common_end(words)
    best: dict[tuple[str, bool], tuple[int, str]] = {}
    found: dict[str, Rows] = {}
    for key, own in words.items():
        rest = own[: len(own) - len(ends)] if ends else own
        rows = None
        if (hit := _arkit(rest)) is None:
            rows = _table_tail(rest, OTHER_DIRECT, longest=6)
        else:
            channel, extra, part = hit
            rank = best.get((channel, part))
            if rank is not None and not part and rank[0] <= extra:
                continue
            if rank is not None and not part:
                del found[rank[1]]
            best[channel, part] = (extra, key)
            rows = ((channel, 1.0),)
        if rows is not None:
            found[key] = rows
    exact = {channel for channel, part in best if not part}
    one_sided = {ch for key, rows in found.items() if len(rows) == 1 for ch, _ in rows}
    return {
        key: rows
        for key, rows in found.items()
        # A part of a shape, or both sides in one, only where the shape itself is not there.
        if not (len(rows) == 2 and {ch for ch, _ in rows} <= one_sided)
        and not (len(rows) == 1 and rows[0][0] in exact and best[rows[0][0], False][1] != key)
    }


def _arkit(words: tuple[str, ...]) -> tuple[str, int, bool] | None:
    """ARKit's channel in the words, how many others there are, and whether the key is only a part of it."""
    hits = set()
    for start in range(len(words)):
        for stop in range(start + 1, min(len(words), start + 5) + 1):
            for channel in _spelt(words[:start], words[start:stop], words[stop:]):
                hits.add((channel, start, stop))
    whole = {hit for hit in hits if not any(o[1] <= hit[1] and hit[2] <= o[2] and o != hit for o in hits)}
    if len({channel for channel, _, _ in whole}) != 1:
        return None  # nothing, or a corrective of two shapes
    channel, start, stop = next(iter(whole))
    after = [word for word in words[stop:] if not word.isdigit()]
    if any(word not in (*SIDES, *HALVES) for word in after):
        return None
    return channel, len(words) - (stop - start), channel == mirrored(channel) and bool(after)


def _spelt(before: tuple[str, ...], words: tuple[str, ...], after: tuple[str, ...]) -> Iterable[str]:
    """The channels that these words spell, a side written short or standing before or after them included."""
    joined = "".join(words)
    if joined in ARKIT:
        yield ARKIT[joined]
    if words[-1] in SIDES and (name := "".join(words[:-1]) + SIDES[words[-1]]) in ARKIT:
        yield ARKIT[name]
    if before and not after and before[-1] in SIDES and (name := joined + SIDES[before[-1]]) in ARKIT:
        yield ARKIT[name]


def _table_tail(words: tuple[str, ...], table: dict[str, Rows], longest: int) -> Rows | None:
    """The entry for the last words of a name, the longest ending that the table has."""
    for count in range(min(longest, len(words)), 0, -1):
        name = "".join(words[len(words) - count :])
        if name in table and (count > 1 or len(words) == 1):
            return table[name]
    return None


def _in_table(
    words: dict[str, tuple[str, ...]], bare: dict[str, tuple[str, ...]], table: dict[str, Rows]
) -> dict[str, Rows]:
    """The keys that the table knows, the first of those that mean the same. bare: names without what all have in common."""
    found: dict[str, Rows] = {}
    for key, own in words.items():
        rows = _table_tail(own, table, longest=4) or table.get("".join(bare[key]))
        if rows is not None and rows not in found.values():
            found[key] = rows
    return found


def _common_end(words: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The words that all of three or more names end with."""
    return tuple(reversed(_common([tuple(reversed(own)) for own in words.values()])))


def _without_common(words: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The names without the words that all of three or more begin or end with."""
    start, end = _common(list(words.values())), _common_end(words)
    return {key: own[len(start) : len(own) - len(end)] or own for key, own in words.items()}


def _common(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if len(names) < 3:
        return ()
    count = 0
    while all(len(name) > count + 1 and name[count] == names[0][count] for name in names):
        count += 1
    return names[0][:count]
