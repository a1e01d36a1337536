"""Shape keys by their names, ARKit's weights onto them, and tables as files. Nothing here needs Blender."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from facediff.engine.face.arkit import ARKIT_52
from facediff.facediff_blender import mapping
from facediff.facediff_blender.mapping import MappingError, Row, apply, from_json, identity, to_json, why_unusable
from facediff.facediff_blender.mapping_names import match
from hypothesis import given, settings
from hypothesis import strategies as st


def snake(name: str) -> str:
    """jawOpen -> jaw_open"""
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def ending(name: str, left: str, right: str) -> str:
    """The side at the end of a name in another spelling."""
    return name[:-4] + left if name.endswith("Left") else name[:-5] + right if name.endswith("Right") else name


def before(name: str) -> str:
    """The side as a word in front."""
    return "L_" + name[:-4] if name.endswith("Left") else "R_" + name[:-5] if name.endswith("Right") else name


SPELLINGS = {
    "exact": lambda n: n,
    "JawOpen": lambda n: n[0].upper() + n[1:],
    "jaw_open": snake,
    "jawopen": str.lower,
    "ARKit_": lambda n: "ARKit_" + n,
    "blendShape1.": lambda n: "blendShape1." + n,
    "_L": lambda n: ending(n, "_L", "_R"),
    ".L": lambda n: ending(n, ".L", ".R"),
    "L_": before,
    "A25_Jaw_Open": lambda n: "A25_" + snake(n).title(),
    "suffix": lambda n: n + "_Mesh",
    "words": lambda n: snake(n).replace("_", " ").title(),
    "prefix": lambda n: "Face.M_F00_000_00_Fcl_" + n,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_arkit_in_its_spellings(spelling):
    keys = tuple(SPELLINGS[spelling](name) for name in ARKIT_52)
    found = match(keys)
    assert {row.channel: row.key for row in found.rows} == dict(zip(ARKIT_52, keys))
    assert len(found.rows) == 52 and all(row.gain == 1 for row in found.rows)
    assert found.exact == (spelling == "exact")


def rows_of(*keys: str) -> dict[str, set[str]]:
    """Key -> channels."""
    found: dict[str, set[str]] = {}
    for row in match(keys).rows:
        found.setdefault(row.key, set()).add(row.channel)
    return found


BLINK = {"eyeBlinkLeft", "eyeBlinkRight"}


def test_vrm_vroid_and_mmd():
    assert rows_of("A", "I", "U", "E", "O", "Blink", "Joy") == {
        **{v: {f"vowel {v}"} for v in "AIUEO"}, "Blink": BLINK, "Joy": {"mood joy"}
    }  # fmt: skip
    found = rows_of("aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight", "happy", "relaxed", "lookUp")
    assert found["ih"] == {"vowel I"} and found["ou"] == {"vowel U"} and found["oh"] == {"vowel O"}
    assert found["blinkLeft"] == {"eyeBlinkLeft"} and "blink" not in found, "both lids once, and each by itself"
    assert "relaxed" in found and "happy" not in found, "one smile"
    vroid = [f"Face.M_F00_000_00_Fcl_{n}" for n in ("ALL_Angry", "BRW_Angry", "EYE_Close", "EYE_Close_L", "EYE_Close_R")]
    found = rows_of(*vroid, *(f"Face.M_F00_000_00_Fcl_MTH_{v}" for v in "AIUEO"))
    assert vroid[0] not in found and found[vroid[1]] == {"mood angry"} and vroid[2] not in found
    assert found[vroid[3]] == {"eyeBlinkLeft"} and found["Face.M_F00_000_00_Fcl_MTH_O"] == {"vowel O"}
    found = rows_of("あ", "い", "う", "え", "お", "まばたき", "ウィンク２", "ｳｨﾝｸ２右", "にこり", "怒り")
    assert found["え"] == {"vowel E"} and found["ｳｨﾝｸ２右"] == {"eyeBlinkRight"} and "まばたき" not in found
    assert rows_of("あ", "い", "う", "え", "お", "まばたき", "ウィンク２")["まばたき"] == BLINK, "one wink is no blink"


@pytest.mark.parametrize("start", ["viseme_", "vrc.v_"])
def test_oculus_visemes(start):
    names = "sil PP FF TH DD kk CH SS nn RR aa E I O U".split()
    found = match(tuple(start + name for name in names))
    assert {row.key: row.channel for row in found.rows} == {start + name: f"viseme {name}" for name in names}


def test_character_creator():
    keys = (
        "Jaw_Open Mouth_Close Mouth_Smile_L Mouth_Smile_R Mouth_Smile_Sharp_L Eye_Blink_L Eye_Blink_R Eye_L_Look_L "
        "Eye_R_Look_L Brow_Raise_Inner_L Brow_Raise_Inner_R Brow_Drop_L Mouth_Funnel_Up_L Mouth_Roll_In_Upper_R "
        "Mouth_Down_Lower_L Mouth_Up_Upper_R Cheek_Raise_L Cheek_Puff_L Jaw_L V_Open V_Explosive V_Wide"
    ).split()
    found = rows_of(*keys)
    expected = {
        "Jaw_Open": "jawOpen", "Mouth_Close": "mouthClose", "Mouth_Smile_L": "mouthSmileLeft",
        "Mouth_Smile_R": "mouthSmileRight", "Eye_Blink_L": "eyeBlinkLeft", "Eye_Blink_R": "eyeBlinkRight",
        "Eye_L_Look_L": "eyeLookOutLeft", "Eye_R_Look_L": "eyeLookInRight", "Brow_Raise_Inner_L": "browInnerUp",
        "Brow_Raise_Inner_R": "browInnerUp", "Brow_Drop_L": "browDownLeft", "Mouth_Funnel_Up_L": "mouthFunnel",
        "Mouth_Roll_In_Upper_R": "mouthRollUpper", "Mouth_Down_Lower_L": "mouthLowerDownLeft",
        "Mouth_Up_Upper_R": "mouthUpperUpRight", "Cheek_Raise_L": "cheekSquintLeft", "Cheek_Puff_L": "cheekPuff",
        "Jaw_L": "jawLeft",
    }  # fmt: skip
    assert found == {key: {channel} for key, channel in expected.items()}, "and no viseme beside a jaw"
    assert rows_of("V_Open", "V_Explosive", "V_Wide", "V_Tight_O")["V_Explosive"] == {"viseme PP"}


def test_names_that_are_none():
    assert match(("Key 1", "Key 2", "expression001", "Old", "Thin", "A_big")).rows == ()
    assert rows_of("jawOpen", "corr_jawOpen_mouthPucker", "jawOpen.001", "jawOpen_fix") == {"jawOpen": {"jawOpen"}}
    assert match(()).rows == ()


@given(st.lists(st.text(max_size=20), max_size=30, unique=True))
@settings(max_examples=150, deadline=None)
def test_any_names_do_no_harm(keys):
    for row in match(tuple(keys)).rows:
        assert row.key in keys and row.channel in mapping.CHANNELS


def weights(**values: float) -> np.ndarray:
    """(1, 52); `smile=0.5` style names are ARKit's, both sides for names without one."""
    found = np.zeros((1, 52), np.float32)
    for name, value in values.items():
        for full in (name, f"{name}Left", f"{name}Right"):
            if full in ARKIT_52:
                found[0, ARKIT_52.index(full)] = value
    return found


def vowels(**values: float) -> dict[str, float]:
    """The five vowels of one face."""
    rows = [Row(name, name) for name in mapping.VOWELS]
    return {name[-1]: float(value[0]) for name, value in apply(rows, ARKIT_52, weights(**values)).items()}


def test_each_vowel_is_itself():
    names = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthStretch", "mouthLowerDown")
    for name, shape in mapping.VOWELS.items():
        found = vowels(**dict(zip(names, shape)))
        assert found[name[-1]] > 0.9 and sum(found.values()) <= 1 + 1e-6, (name, found)
        half = vowels(**{n: v / 2 for n, v in zip(names, shape)})
        assert abs(half[name[-1]] - 0.5) < 0.06, (name, half)


def test_closed_lips_close_everything():
    for jaw in (0.05, 0.1, 0.3, 0.6):
        found = vowels(jawOpen=jaw, mouthClose=jaw, mouthPucker=0.4, mouthLowerDown=0.3)
        assert max(found.values()) < 1e-3, found
        seen = apply([Row(f"viseme {n}", n) for n in ("PP", "aa", "sil")], ARKIT_52, weights(jawOpen=jaw, mouthClose=jaw))
        assert seen["PP"][0] > 0.99 and seen["aa"][0] < 1e-3 and seen["sil"][0] < 0.01
    assert max(vowels().values()) == 0


@given(st.integers(0, 2**31))
@settings(max_examples=12, deadline=None)
def test_mixtures_are_never_negative_nor_more_than_one(seed):
    rng = np.random.default_rng(seed)
    some = rng.uniform(0, 1, (20, 52)) ** rng.uniform(0.5, 4, 52)
    visemes = tuple(name for name in mapping.DERIVED if name.startswith("viseme"))
    assert len(visemes) == 15
    for names in (tuple(mapping.VOWELS), visemes):
        found = apply([Row(name, name) for name in names], ARKIT_52, some)
        table = np.stack(list(found.values()), 1)
        assert table.min() >= 0 and table.sum(1).max() <= 1 + 1e-4


def test_the_mixture_is_the_least_squares_one():
    from scipy.optimize import nnls

    rng = np.random.default_rng(0)
    for shapes in (mapping.VOWELS, mapping.VISEMES):
        basis = np.array(list(shapes.values())) * mapping.EMPHASIS
        ridge = np.vstack([basis.T, np.sqrt(mapping.RIDGE) * np.eye(len(basis))])
        few = 0
        for shown in rng.uniform(0, 0.1, (60, 5)) * (rng.uniform(size=(60, 5)) < 0.6):
            ours = np.array([value[0] for value in mapping.mixture(shapes, shown[None], np.ones(1)).values()])
            best, _ = nnls(ridge, np.r_[shown * mapping.EMPHASIS, np.zeros(len(basis))])
            if (best > 0).sum() <= mapping.MOST:
                few += 1
                assert np.abs(ours - best / max(1.0, best.sum())).max() < 1e-6
        assert few > 40


def test_gains_add_up_and_are_cut():
    rows = [Row("jawOpen", "open", 2.0), Row("mouthClose", "open", -2.0), Row("mouthSmileLeft", "smile", 0.5)]
    found = apply(rows, ARKIT_52, weights(jawOpen=0.4, mouthClose=0.1, mouthSmile=0.6))
    assert found["open"][0] == pytest.approx(0.6) and found["smile"][0] == pytest.approx(0.3)
    assert apply(rows, ARKIT_52, weights(jawOpen=0.9))["open"][0] == 1
    assert apply(rows, ARKIT_52, weights(mouthClose=0.9))["open"][0] == 0
    assert apply(rows, ("jawOpen",), np.full((3, 1), 0.25))["smile"].tolist() == [0, 0, 0], "absent channels rest"
    assert identity(("jawOpen", "x")) == (Row("jawOpen", "jawOpen"),)


def test_a_minute_takes_no_time():
    import time

    some = np.random.default_rng(1).uniform(0, 0.5, (3600, 52))
    start = time.perf_counter()
    apply([Row(f"viseme {n}", n) for n in ("aa", "DD", "sil")], ARKIT_52, some)
    assert time.perf_counter() - start < 2


def test_tables_as_files(tmp_path):
    rows = match(("あ", "い", "う", "え", "お", "まばたき")).rows
    path = tmp_path / "表.json"
    path.write_text(to_json(rows, "ミク"), encoding="utf-8")
    assert mapping.load(path) == rows
    assert json.loads(path.read_text(encoding="utf-8"))["rows"][0] == {"channel": "vowel A", "key": "あ", "gain": 1.0}


def file(rows: object, **others: object) -> str:
    """A table as text."""
    return json.dumps({"format": "facediff_mapping", "version": 1, "rows": rows, **others})


ROW = {"channel": "jawOpen", "key": "A", "gain": 1}
BAD = {
    "text": "no", "list": "[]", "deep": "[" * 100_000, "format": json.dumps({"format": "x"}), "no rows": file(None),
    "none": file([]), "version": json.dumps({"format": "facediff_mapping", "version": True, "rows": [ROW]}),
    "entry": file([ROW], script="x"), "row": file([3]), "field": file([{**ROW, "more": 1}]),
    "channel": file([{**ROW, "channel": "jaw"}]),
    "no key": file([{"channel": "jawOpen"}]), "empty": file([{**ROW, "key": ""}]), "long": file([{**ROW, "key": "ä" * 32}]),
    "gain": file([{**ROW, "gain": "1"}]), "true": file([{**ROW, "gain": True}]), "nan": file([{**ROW, "gain": float("nan")}]),
    "large": file([{**ROW, "gain": 1e9}]), "twice": file([ROW, ROW]), "many": file([{**ROW, "key": str(n)} for n in range(2001)]),
    "number": file([{**ROW, "gain": 10**400}]), "surrogate": file([{**ROW, "key": "\ud800" * 70}]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_one_sentence(name):
    with pytest.raises(MappingError) as info:
        from_json(BAD[name], "my.json")
    said = str(info.value)
    assert "my.json" in said and said.endswith(".") and "\n" not in said and len(said) < 200


def test_bad_files(tmp_path):
    (tmp_path / "big.json").write_bytes(b" " * (mapping.MAX_BYTES + 1))
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\x00")
    for name, words in (("big.json", "larger"), ("latin.json", "UTF-8"), ("none.json", "cannot be read")):
        with pytest.raises(MappingError, match=words):
            mapping.load(tmp_path / name)


def test_missing_keys_are_named():
    rows = [Row("jawOpen", "a"), Row("mouthClose", "b"), Row("tongueOut", "c")]
    assert why_unusable(rows, ("a",), "'Head'") == "'Head' lacks shape keys of its table: 'b', 'c'."
    assert why_unusable(rows, ("a", "b", "c")) == ""
