"""Compare the engine with the reference systems' recorded numbers: `python scripts/check_parity.py FOLDER`.

Runs every case under FOLDER/lgldm and FOLDER/occlufacediff; a row per case: largest error, tolerance, ok or FAIL. Exit
status 0 only if every case was understood and passed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from parity.rows import Row, print_rows
from parity.run import SYSTEMS, run_system


def main() -> int:
    """Print the rows; exit status 1 when anything failed, was not understood, or nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with lgldm/ and occlufacediff/")
    parser.add_argument("--only", choices=SYSTEMS, help="one system instead of both")
    options = parser.parse_args()
    torch.manual_seed(0)
    found = [s for s in ([options.only] if options.only else SYSTEMS) if (options.folder / s).is_dir()]
    if not found:
        print(f"There are no reference cases in '{options.folder}'.", file=sys.stderr)
        return 1
    rows: list[Row] = []
    for system in found:
        rows += run_system(system, options.folder / system)
    print_rows(rows)
    failed = sum(not r.ok for r in rows)
    print(f"{len(rows) - failed} of {len(rows)} cases ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
