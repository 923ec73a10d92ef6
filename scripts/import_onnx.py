"""Imports a T5 v1.1 (also LM-adapted, FLAN-T5) from its ONNX export, as floats in the hub's layout.

    pip install 'ptune[flan]'
    python scripts/import_onnx.py encoder.onnx decoder.onnx tokenizer.json model/
    ptune train model.path=model recipe=short task=sst2 data.dir=data

The graphs may hold floats, or int8 with one scale and zero point a tensor, as ONNX Runtime's
dynamic quantisation leaves them: every weight comes back as (q - zero_point) * scale.
"""

import argparse
import sys
from pathlib import Path

from prompt_tuning.errors import UserError
from prompt_tuning.models.onnx_import import import_onnx


def main() -> int:
    """Reads the paths from the command line; the exit status, 2 for files that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("encoder", type=Path, help="graph of the encoder")
    parser.add_argument("decoder", type=Path, help="graph of the decoder with its lm_head")
    parser.add_argument("tokenizer", type=Path, help="tokenizer.json")
    parser.add_argument("folder", type=Path, help="written in the hub's layout")
    paths = parser.parse_args()
    try:
        import_onnx(paths.encoder, paths.decoder, paths.tokenizer, paths.folder)
    except UserError as error:
        print(f"import_onnx: error: {error}", file=sys.stderr)
        return 2
    print(f"{paths.folder}: ptune train model.path={paths.folder} recipe=short ...")
    return 0


if __name__ == "__main__":
    sys.exit(main())
