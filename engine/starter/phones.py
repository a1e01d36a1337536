"""One phone inventory for every label source: espeak-ng (IPA), flite, festival, ARPAbet and MRPA phone files.

Every label becomes a list of canonical classes. An empty list means "no phone of its own": its time belongs to the
phone before (length marks, language-switch notes). `[UNKNOWN]` means the label has no mouth shape we know.
"""

from collections.abc import Sequence
from unicodedata import combining, normalize

#: The canonical classes, in the order of the corpus' `segment_phone` indices. The order is part of the file format.
PHONES: tuple[str, ...] = (
    "sil",
    "p", "b", "m", "f", "v", "θ", "ð", "t", "d", "n", "s", "z", "ʃ", "ʒ", "tʃ", "dʒ", "ts",
    "k", "ɡ", "ŋ", "ɲ", "x", "h", "ʔ", "r", "ɾ", "l", "w", "j",
    "i", "ɪ", "e", "ɛ", "æ", "a", "ɑ", "ɒ", "ɔ", "o", "ʊ", "u", "ʌ", "ə", "ɜ", "y", "ø",
)  # fmt: skip
PHONE_INDEX: dict[str, int] = {phone: i for i, phone in enumerate(PHONES)}
UNKNOWN = "unk"
VOWELS: frozenset[str] = frozenset(PHONES[PHONES.index("i") :])
VOICELESS_STOPS: frozenset[str] = frozenset({"p", "t", "k", "tʃ", "ts"})
NASALS: frozenset[str] = frozenset({"m", "n", "ŋ", "ɲ"})

# "r" is the English (rounded, approximant) r, "ɾ" every tap and trill: they differ at the lips.
_IPA: dict[str, str] = {
    **{phone: phone for phone in PHONES if phone not in ("sil", "r")},
    "ɹ": "r", "ɻ": "r", "r": "ɾ", "ɽ": "ɾ", "ɺ": "ɾ",
    "r̝": "ʒ", "r̝̊": "ʃ",
    "ɓ": "b", "β": "v", "ɸ": "f", "ʋ": "v", "ɱ": "v", "ⱱ": "v",
    "ʈ": "t", "ɖ": "d", "ɗ": "d", "ɳ": "n", "c": "t", "ɟ": "d", "ç": "x", "ʝ": "j",
    "ʂ": "ʃ", "ʐ": "ʒ", "ɕ": "ʃ", "ʑ": "ʒ", "ɬ": "l", "ɮ": "l", "ɭ": "l", "ʎ": "l", "ʟ": "l", "ɫ": "l",
    "tɕ": "tʃ", "dʑ": "dʒ", "tʂ": "tʃ", "ʈʂ": "tʃ", "dʐ": "dʒ", "ɖʐ": "dʒ", "ʧ": "tʃ", "ʤ": "dʒ",
    "dz": "ts", "ʦ": "ts", "ʣ": "ts",
    "g": "ɡ", "ɠ": "ɡ", "q": "k", "ɢ": "ɡ", "ɣ": "ɡ", "ɰ": "ɡ", "ɴ": "ŋ",
    "χ": "x", "ʁ": "x", "ʀ": "x", "ħ": "h", "ʕ": "h", "ɦ": "h", "?": "ʔ",
    "ʍ": "w", "ɥ": "w",
    "ɨ": "ɪ", "ᵻ": "ɪ", "ʏ": "y", "ɯ": "ɪ", "ɯᵝ": "ʊ", "ʉ": "u", "ɵ": "ʊ", "ɘ": "ə", "ɤ": "ʌ", "œ": "ø", "ɶ": "ø",
    "ɧ": "ʃ", "sx": "ʃ", "ɐ": "ʌ", "ɞ": "ɜ", "ɚ": "ɜ", "ɝ": "ɜ", "ε": "ɛ",
}  # fmt: skip
_IPA_LONGEST = max(len(symbol) for symbol in _IPA)
_IPA_IGNORED = frozenset('":ːˑʰʱʲʷˠˤʼˈˌ.͜͡-_| ')

_ARPABET: dict[str, tuple[str, ...]] = {
    "AA": ("ɑ",), "AE": ("æ",), "AH": ("ʌ",), "AO": ("ɔ",), "AW": ("a", "ʊ"), "AX": ("ə",), "AXR": ("ɜ",),
    "AY": ("a", "ɪ"), "EH": ("ɛ",), "ER": ("ɜ",), "EY": ("e", "ɪ"), "IH": ("ɪ",), "IX": ("ɪ",), "IY": ("i",),
    "OW": ("o", "ʊ"), "OY": ("ɔ", "ɪ"), "UH": ("ʊ",), "UW": ("u",), "UX": ("u",),
    "B": ("b",), "CH": ("tʃ",), "D": ("d",), "DH": ("ð",), "DX": ("ɾ",), "EL": ("ə", "l"), "EM": ("m",), "EN": ("n",),
    "F": ("f",), "G": ("ɡ",), "HH": ("h",), "HV": ("h",), "JH": ("dʒ",), "K": ("k",), "L": ("l",), "M": ("m",),
    "N": ("n",), "NX": ("n",), "NG": ("ŋ",), "P": ("p",), "Q": ("ʔ",), "R": ("r",), "S": ("s",), "SH": ("ʃ",),
    "T": ("t",), "TH": ("θ",), "V": ("v",), "W": ("w",), "WH": ("w",), "Y": ("j",), "Z": ("z",), "ZH": ("ʒ",),
    "PT": ("p", "t"),
}  # fmt: skip
_SILENCES = frozenset({"", "sil", "pau", "sp", "spn", "h#", "#", "##", "_", "brth", "ssil", "<eps>", "0"})

# MRPA/Unilex, the British label set of Edinburgh's tools: upper and lower case differ.
_MRPA: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "pbmfvtdnszkhlwj"}, "g": ("ɡ",), "r": ("r",), "T": ("θ",), "D": ("ð",), "N": ("ŋ",),
    "S": ("ʃ",), "Z": ("ʒ",), "tS": ("tʃ",), "dZ": ("dʒ",), "x": ("x",), "?": ("ʔ",), "lw": ("l",), "l!": ("ə", "l"),
    "m!": ("m",), "n!": ("n",), "t^": ("ɾ",),
    "a": ("æ",), "A": ("ɑ",), "V": ("ʌ",), "Q": ("ɒ",), "O": ("ɔ",), "@": ("ə",), "@@": ("ɜ",), "@r": ("ɜ",),
    "E": ("ɛ",), "I": ("ɪ",), "i": ("i",), "U": ("ʊ",), "u": ("u",), "@U": ("ə", "ʊ"), "eI": ("e", "ɪ"),
    "aI": ("a", "ɪ"), "OI": ("ɔ", "ɪ"), "aU": ("a", "ʊ"), "I@": ("ɪ", "ə"), "E@": ("ɛ", "ə"), "U@": ("ʊ", "ə"),
}  # fmt: skip

_ITALIAN: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "jwptkbdfsvzmnliaou"}, "e": ("e",), "E": ("ɛ",), "O": ("ɔ",), "g": ("ɡ",), "S": ("ʃ",),
    "Z": ("ʒ",), "ts": ("ts",), "tS": ("tʃ",), "dz": ("ts",), "dZ": ("dʒ",), "J": ("ɲ",), "ng": ("ŋ",), "nf": ("v",),
    "L": ("l",), "r": ("ɾ",),
}  # fmt: skip
_CZECH: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "abdefhijklmnopstuvz"}, "c": ("ts",), "c~": ("tʃ",), "ch": ("x",), "d~": ("d",),
    "dz": ("ts",), "dz~": ("dʒ",), "g": ("ɡ",), "n*": ("ŋ",), "n~": ("ɲ",), "r": ("ɾ",), "r~": ("ʒ",), "r~*": ("ʃ",),
    "s~": ("ʃ",), "t~": ("t",), "z~": ("ʒ",),
}  # fmt: skip
_FINNISH: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "eiouyptkbdfshvmnljwz"}, "a": ("ɑ",), "@": ("æ",), "7": ("ø",), "&": ("ə",), "g": ("ɡ",),
    "T": ("θ",), "D": ("ð",), "S": ("ʃ",), "Z": ("ʒ",), "N": ("ŋ",), "L": ("l",), "r": ("ɾ",),
}  # fmt: skip
_CATALAN: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "abdefijklmnopstuwz"}, "ax": ("ə",), "E": ("ɛ",), "O": ("ɔ",), "g": ("ɡ",), "J": ("ɲ",),
    "L": ("l",), "r": ("ɾ",), "rr": ("ɾ",), "S": ("ʃ",), "Z": ("ʒ",),
}  # fmt: skip
_RUSSIAN: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "pbtdkfvszmnlj"}, **{c + c: (c,) for c in "pbtdkfvszmnl"}, "g": ("ɡ",), "gg": ("ɡ",),
    "c": ("ts",), "ch": ("tʃ",), "sh": ("ʃ",), "sch": ("ʃ",), "zh": ("ʒ",), "h": ("x",), "hh": ("x",), "r": ("ɾ",),
    "rr": ("ɾ",), "ii": ("i",), "yy": ("ɪ",), "uu": ("u",), "ee": ("ɛ",), "oo": ("o",), "aa": ("a",), "a": ("ʌ",),
    "e": ("ɛ",), "i": ("i",), "y": ("ɪ",), "u": ("u",), "ae": ("ə",), "ay": ("ɪ",), "ur": ("ʊ",),
}  # fmt: skip
_INDIC: dict[str, tuple[str, ...]] = {
    **{c: (c,) for c in "fknpbmlvshw"}, "g": ("ɡ",), "ch": ("tʃ",), "T": ("t",), "D": ("d",), "N": ("n",),
    "th": ("t",), "dh": ("d",), "y": ("j",), "r": ("ɾ",), "R": ("ɾ",), "L": ("l",), "sh": ("ʃ",), "j": ("dʒ",),
    "ksh": ("k", "ʃ"), "sri": ("ʃ", "ɾ"), "x": ("k", "ʃ"), "kh": ("k",), "gh": ("ɡ",), "td": ("t",), "tth": ("t",),
    "ddh": ("d",), "bh": ("b",), "zh": ("ʒ",), "a": ("ʌ",), "aa": ("ɑ",), "ih": ("ɪ",), "iy": ("i",), "uh": ("ʊ",),
    "uw": ("u",), "eh": ("e",), "ee": ("e",), "ay": ("a", "ɪ"), "oh": ("o",), "oo": ("o",), "aw": ("a", "ʊ"),
    "@": ("æ",),
}  # fmt: skip
_FESTIVAL: dict[str, dict[str, tuple[str, ...]]] = {
    "italian": _ITALIAN,
    "czech": _CZECH,
    "finnish": _FINNISH,
    "catalan": _CATALAN,
    "russian": _RUSSIAN,
    # Hindi writes ɛ and ɔ with the letters that are diphthongs in Marathi and Telugu.
    "hindi": {**_INDIC, "ay": ("ɛ",), "aw": ("ɔ",)},
    "marathi": _INDIC,
    "telugu": _INDIC,
}


def from_espeak(ipa: str) -> list[str]:
    """Classes of one espeak-ng phoneme event (IPA, at most 8 bytes), diphthongs split; a pause is `["sil"]`."""
    name = normalize("NFD", ipa.strip())
    if name.strip("_:ː") == "":
        return ["sil"] if "ː" not in name else []
    if name.startswith("("):  # "(en)": a language switch inside the text
        return []
    name = name.replace("͡", "").replace("͜", "")
    # ř keeps its marks (they make a fricative of it) and ç is a letter of its own; every other mark is dropped.
    name = name.replace("c\u0327", "\u00e7").replace("r̝̊", "\ue001").replace("r̝", "\ue000")
    name = "".join(c for c in name if not combining(c) and c not in _IPA_IGNORED)
    name = name.replace("\ue000", "r̝").replace("\ue001", "r̝̊")
    phones: list[str] = []
    at = 0
    while at < len(name):
        for length in range(min(_IPA_LONGEST, len(name) - at), 0, -1):
            phone = _IPA.get(name[at : at + length])
            if phone is not None:
                phones.append(phone)
                at += length
                break
        else:
            return [UNKNOWN]
    return phones


def from_arpabet(name: str) -> list[str]:
    """Classes of one ARPAbet label, in either case, with or without a stress digit; pauses give `["sil"]`.

    The CMU dictionary writes the unstressed schwa as AH0.
    """
    if name.strip().lower() in _SILENCES:
        return ["sil"]
    if name.strip().upper() == "AH0":
        return ["ə"]
    return list(_ARPABET.get(name.strip().rstrip("012").upper(), (UNKNOWN,)))


def from_flite(name: str) -> list[str]:
    """Classes of one flite label (the CMU set, lower case)."""
    return from_arpabet(name)


def from_festival(name: str, phoneset: str) -> list[str]:
    """Classes of one festival label; phoneset "radio" (US English) or one of the languages' own sets.

    Raises KeyError for a phoneset that is not listed.
    """
    if name in _SILENCES:
        return ["sil"]
    if phoneset == "radio":
        return from_arpabet(name)
    return list(_FESTIVAL[phoneset].get(name.rstrip(":1") or name, (UNKNOWN,)))


def from_mrpa(name: str) -> list[str]:
    """Classes of one MRPA/Unilex label (British English, case matters)."""
    return ["sil"] if name.lower() in _SILENCES else list(_MRPA.get(name, (UNKNOWN,)))


def from_labels(names: Sequence[str]) -> list[list[str]]:
    """Classes of all labels of one recording whose label set is not known: ARPAbet, MRPA or IPA.

    Single labels are ambiguous (D is d in ARPAbet and ð in MRPA), so the set is chosen for the whole recording: the
    first one that knows every label, else the one that knows most. Labels outside it give `[UNKNOWN]`.
    """
    readings = [[read(name) for name in names] for read in (_upper_arpabet, from_mrpa, _ipa_label)]
    return min(readings, key=lambda reading: sum(classes == [UNKNOWN] for classes in reading))


def _upper_arpabet(name: str) -> list[str]:
    if name.lower() in _SILENCES:
        return ["sil"]
    return from_arpabet(name) if name == name.upper() else [UNKNOWN]


def _ipa_label(name: str) -> list[str]:
    return ["sil"] if name.lower() in _SILENCES else from_espeak(name)


def part_shares(phones: Sequence[str]) -> list[float]:
    """Shares (summing to 1) of a label's time among its classes: diphthongs 60/40, a consonant before a vowel 35/65."""
    if len(phones) == 2:
        glide = phones[0] not in VOWELS and phones[1] in VOWELS
        return [0.35, 0.65] if glide else [0.6, 0.4]
    if len(phones) == 3:
        return [0.45, 0.3, 0.25]
    return [1.0 / len(phones)] * len(phones)
