"""Files made to hurt: bombs, code in pickles, sizes that claim the machine's memory, playlists that point elsewhere."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from .mutations import Rng, damage_zip, npy_of_zeros, pick, png_chunk, zip_bomb


def programs(mark: str) -> list[bytes]:
    """Pickles that make the folder `mark` when they are run, by every opcode that calls or builds."""
    text = f"V{mark}\n".encode()
    return [
        b"cos\nmkdir\n(" + text + b"tR.",
        b"(" + text + b"ios\nmkdir\n.",
        b"(cos\nmkdir\n" + text + b"o.",
        b"\x80\x02cos\nmkdir\n" + text + b"\x85\x81.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93" + text + b"\x85R.",
        b"c__builtin__\neval\n(V__import__('os').mkdir('" + mark.encode() + b"')\ntR.",
        b"cnumpy.testing._private.utils\nrunstring\n(Vimport os; os.mkdir('" + mark.encode() + b"')\n}tR.",
        b"cos\nmkdir\n" * 2000 + b"(" + text + b"tR.",
    ]


def pickles(mark: str) -> list[bytes]:
    """Code, a memo of memos that grows without end, deep nesting, arrays that claim more than there is."""
    growing = b"(lp0\n" + b"".join(b"0(g%d\ng%d\nlp%d\n" % (i, i, i + 1) for i in range(60)) + b"."
    laughs = b"\x80\x02]q\x00K\x01a" + b"".join(b"0]q%c(h%ch%ch%ce" % (i + 1, i, i, i) for i in range(40)) + b"."
    deep = b"(" * 100_000 + b"l" * 100_000 + b"."
    long_text = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x."
    frame = b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"."
    memo = b"\x80\x02K\x01r\xff\xff\xff\x7f."
    ints = b"\x80\x02\x8b" + struct.pack("<i", 2_000_000_000) + b"\x01."
    array = pickle.dumps(np.zeros(4), protocol=2)
    claims = array.replace(b"K\x04\x85", b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85")
    digits = b"I" + b"9" * 400_000 + b"\n."
    return [*programs(mark), growing, laughs, deep, long_text, frame, memo, ints, claims, digits]


def motions(mark: str) -> list[bytes]:
    """Motion files that inflate, that claim, and that hold objects."""
    names, fps = io.BytesIO(), io.BytesIO()
    np.save(names, np.array(["jawOpen"]))
    np.save(fps, np.float64(25))
    rest = {"fps.npy": fps.getvalue(), "channels.npy": names.getvalue()}
    frames = 9_000_000
    return [
        zip_bomb("weights.npy", npy_of_zeros((frames, 80)), frames * 320, rest),
        zip_bomb("extra.npy", npy_of_zeros((frames, 80)), frames * 320, {**rest, "weights.npy": npy_of_zeros((0, 1))}),
        zip_bomb("vertices.npy", npy_of_zeros((1000, 23370 * 8, 3)), 1000 * 23370 * 8 * 12, rest),
        zip_bomb("meta.npy", npy_of_zeros((), "<U300000000"), 1_200_000_000, {**rest, "weights.npy": npy_of_zeros((0, 1))}),
        zip_bomb("channels.npy", npy_of_zeros((1 << 20,), "<U200"), 800 << 20, {"fps.npy": fps.getvalue()}),
        zip_bomb("weights.npy", npy_of_zeros((9_000_000, 80)), 100, rest),
        *archives(mark),
    ]


def archives(mark: str) -> list[bytes]:
    """`.npz` files that inflate, hold objects with code, or are as `crowded_archives`."""
    found = crowded_archives()
    found.append(zip_bomb("v_template.npy", npy_of_zeros((200_000_000, 3), "<f8"), 4_800_000_000 // 2, {}))
    for program in programs(mark)[:3]:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in ("weights", "fps", "v_template"):
                archive.writestr(f"{name}.npy", npy_of_zeros((1,), "|O") + program)
        found.append(out.getvalue())
    return found


def crowded_archives() -> list[bytes]:
    """An `.npz` of thousands of members, and one that says it is encrypted."""
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(20_000):
            archive.writestr(f"{i}.npy", npy_of_zeros((0,)))
    encrypted = bytearray(zip_bomb("weights.npy", npy_of_zeros((1, 1)), 4, {}))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(magic) + at] |= 1
    return [many.getvalue(), bytes(encrypted)]


def arrays(mark: str) -> list[bytes]:
    """`.npy` files that claim, or hold objects with code."""
    return [npy_of_zeros((1 << 40, 3)), npy_of_zeros((1 << 30, 3), "<f8"), *(npy_of_zeros((1,), "|O") + p for p in programs(mark))]


def messages(mark: str) -> list[bytes]:
    """JSON that is deep, long or numerically absurd."""
    deep = [b'{"type": ' + b"[" * n + b"]" * n + b"}" for n in (*range(880, 1000, 3), 100_000)]
    number = b'{"type": "generate", "id": "a", "audio": "a", "out": "o", "seed": ' + b"9" * 4000 + b"}"
    return [*deep, number, b'{"type": "progress", "id": "a", "stage": "s", "step": 1e400, "total": NaN}', b"{" * 500_000]


def configs(mark: str) -> list[bytes]:
    """Configurations of no shape that a configuration has."""
    deep = b'{"kind": ' * 60_000 + b"1" + b"}" * 60_000
    kinds = [json.dumps({"kind": k}).encode() for k in ([], {}, None, 5, "starter", "lgldm", "occlufacediff")]
    return [deep, *kinds, b'{"a": ' + b"9" * 1_000_000 + b"}", b" " * (64 << 20) + b"{}"]


def mappings(mark: str) -> list[bytes]:
    """As `configs`, and versions and entries that no sentence can hold."""
    head = b'{"format": "facediff_mapping", "rows": [], '
    deep = [head + b'"version": ' + b"[" * n + b"]" * n + b"}" for n in range(900, 1000, 3)]
    return [*configs(mark), *deep, head + b'"version": 1, "a\\nb": 1}', head + b'"version": ' + b"9" * 4000 + b"}"]


def safetensors(mark: str) -> list[bytes]:
    """Headers that claim."""
    def file(header: Any, data: bytes = b"") -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    entry = {"dtype": "F32", "shape": [1 << 40, 0], "data_offsets": [0, 0]}
    many = {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_000)}
    huge = {"a": {"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 0]}}
    wrapped = {"a": {"dtype": "F32", "shape": [0] + [1 << 62] * 8, "data_offsets": [0, 0]}}
    deep = {"a": {"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]}}
    return [file({"a": entry}), file(many), file(huge), file(wrapped), file(deep, b"\0" * 4), struct.pack("<Q", 1 << 62) + b"{}"]


def wavs(mark: str) -> list[bytes]:
    """WAV headers that lie about rate, channels and length."""
    found = []
    rates, kinds = (1, 2, 3, 999, 1_000_003, 3_200_000_000, 0xFFFFFFFF), ((1, 16), (65535, 8), (1, 64), (2, 24))
    honest = (199_999, *kinds[0])  # and the longest filter that a rate may ask for
    for rate, channels, bits in (*((rate, *kind) for rate in rates for kind in kinds), honest):
        body = b"\x01\x02" * 40_000
        code = 3 if bits == 64 else 1
        fmt = struct.pack("<HHIIHH", code, channels, rate, 0, channels * bits // 8 & 0xFFFF, bits)
        found.append(b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
                     + b"data" + struct.pack("<I", len(body)) + body)  # fmt: skip
    chunks = b"RIFF\x00\x00\x00\x00WAVE" + b"JUNK\x00\x00\x00\x00" * 300_000
    return [*found, chunks]


def playlists(mark: str) -> list[bytes]:
    """Texts that FFmpeg reads as lists of other files or addresses."""
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    return [
        playlist + b"http://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        playlist + b"/dev/zero\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /dev/zero\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        b'<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>http://127.0.0.1:9/</BaseURL>'
        b"</Representation></AdaptationSet></Period></MPD>",
        b"[playlist]\nFile1=http://127.0.0.1:9/x\nNumberOfEntries=1\n",
    ]


def videos(mark: str) -> list[bytes]:
    """As `playlists`, and pictures of absurd size."""
    return [*playlists(mark), *pictures(mark)]


def pictures(mark: str) -> list[bytes]:
    """Pictures that claim billions of pixels."""
    found = []
    for width, height in ((30_000, 30_000), (1 << 15, 1 << 15), (60_000, 8_000), (1, 1 << 30), ((1 << 31) - 1, 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
        found.append(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x\x9c\x00") + png_chunk(b"IEND", b""))
        found.append(b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0))
    return found


def plys(mark: str) -> list[bytes]:
    """Counts that claim."""
    head = "ply\nformat ascii 1.0\nelement vertex {}\nelement face {}\nend_header\n"
    return [head.format(a, b).encode() for a, b in ((10**18, 5), (5, 10**18), (-5, 10), (0, -1))]


def checkpoints(mark: str) -> list[bytes]:
    """PyTorch files with code, in each of its containers, and with sizes that claim."""
    import torch

    found = []
    for program in programs(mark):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in (("data.pkl", program), ("version", b"3\n"), ("byteorder", b"little")):
                archive.writestr(f"archive/{name}", content)
        found += [out.getvalue(), program, pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + program]
    names = ["encoder.vertice_mapping.0.weight", "denoise_fn.latent_encoder.weight", "motion_encoder.squasher.0.0.weight",
             "lmk_process.inputEmbedding.0.weight"]  # fmt: skip
    huge = torch.zeros(1).expand(1 << 20, 1 << 20)
    for name in names:
        found += [_file({"model": {name: huge}}), _file({name: torch.zeros(1 << 40, 0)}), _file({name: torch.zeros(())}),
                  _file({name: torch.zeros(3, 3).to_sparse()}), _file({name: torch.empty(1 << 40, 4, device="meta")}),
                  _file({f"{name}.{10**9}": torch.zeros(2, 2)})]  # fmt: skip
    return found


def damage_checkpoint(data: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """A PyTorch file with a tensor changed, left out, renamed or added; or its pickle or container damaged."""
    import torch

    if rng.random() < 0.5:
        return damage_zip(data, rng, others)
    content = torch.load(io.BytesIO(data), weights_only=True)
    state = next((content[k] for k in ("model", "state_dict") if k in content), content)
    names = list(state)
    for _ in range(int(rng.integers(1, 3))):
        name = pick(rng, names)
        value = state.get(name)
        value = value if isinstance(value, torch.Tensor) else torch.zeros(2)
        kind = int(rng.integers(12))
        if kind == 0:
            state.pop(name, None)
        elif kind == 1:
            other = name.replace(".0.", ".99999999999."), name.replace(".1.", ".-1."), name.replace(".1.", ".²."), "x" * 5000
            state[pick(rng, ("", "module." + name, *other))] = value
        elif kind == 2:
            state[name] = pick(rng, ("text", 5, None, [value], {name: value}, float("nan")))
        else:
            state[name] = _other(value, kind, rng)
    return _file(content)


def _other(value: Any, kind: int, rng: Rng) -> Any:
    import torch

    sizes = (0, 1, 3, 4096, 1 << 20)
    if kind == 3:
        return torch.full_like(value, float("nan")) if value.is_floating_point() else value
    if kind == 4:
        return value.to(pick(rng, (torch.float16, torch.int64, torch.complex64, torch.bool, torch.uint8, torch.float64)))
    if kind == 5:
        return torch.zeros(()).expand(tuple(pick(rng, (0, 1, 3, 1 << 20, 1 << 30)) for _ in range(value.dim())))
    if kind == 6:
        return torch.zeros(()) if rng.random() < 0.5 else torch.zeros((1,) * 9)
    if kind == 7:
        return value[: len(value) // 2] if value.dim() else value
    if kind == 8:
        return value.transpose(0, -1) if value.dim() else value
    if kind == 9:
        return torch.nn.Parameter(value.float())
    if kind == 10:
        return torch.empty(value.shape, device="meta")
    shape = tuple(pick(rng, sizes) if rng.random() < 0.3 else n for n in value.shape)
    return torch.zeros(()).expand(shape)


def _file(content: Any) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()
