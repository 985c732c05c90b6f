"""Makes the embedded data set `digits` from the copy that scikit-learn ships. About 3 s.

    python experiments/make_digits.py

Writes the 1,797 images in scikit-learn's order, as grey levels 0 to 16, to an xz-compressed `.npz` file. The same
bytes come out every time.
"""

import argparse
import io
import lzma
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parents[1] / "jaxevo" / "data" / "assets" / "digits.npz.xz"


def pack() -> bytes:
    """Returns the packed data set; equal images give equal bytes, since NumPy dates all members of an archive 1980."""
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    buffer = io.BytesIO()
    np.savez(buffer, levels=levels.reshape(-1, 8, 8).astype(np.uint8), labels=labels.astype(np.uint8))
    return lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file to write")
    options = parser.parse_args()
    packed = pack()
    options.output.write_bytes(packed)
    print(f"{options.output}: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
