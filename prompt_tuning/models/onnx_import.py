"""T5 v1.1 checkpoints out of ONNX exports: float graphs, or int8 ones with a scale a tensor.

torch.onnx keeps the path of a parameter: in the name of the node that multiplies by it (which it
stores transposed), or in the name of the tensor itself. An int8 weight comes back as
`(q - zero_point) * scale`, exactly; what the graph quantises of the activations is left behind.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from prompt_tuning.errors import UserError
from prompt_tuning.models.random_checkpoint import hub_config, save_weights, tokenizer_config
from prompt_tuning.shapes import NUM_BUCKETS, Shape, parameter_shapes

if TYPE_CHECKING:
    import onnx

Weights = dict[str, NDArray[np.float32]]

_IN_STACK = re.compile(r"(block\.\d+\.layer\.\d+\..+|final_layer_norm\.weight)$")
_EMBEDDING = re.compile(r"(embed_tokens|shared)\.weight$")


def import_onnx(encoder: Path, decoder: Path, tokenizer: Path, folder: Path) -> None:
    """Writes the checkpoint that two ONNX graphs hold, float32 and in the hub's layout.

    The graph of the decoder has the lm_head; `tokenizer` is the model's tokenizer.json. The weights
    come last.

    Raises:
        UserError: `onnx` is not installed, a file cannot be read, or it is no T5 v1.1 of this form.
    """
    weights: Weights = {}
    for stack, path in (("encoder", encoder), ("decoder", decoder)):
        for name, weight in _weights_of(path, stack):
            if name in weights and not np.array_equal(weights[name], weight):
                raise UserError(f"{path}: {name} is another tensor than before")
            weights[name] = weight
    shape = _checked_shape(weights, decoder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = len(weights["shared.weight"])
    (folder / "config.json").write_text(json.dumps(hub_config(shape, rows), indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(), indent=2) + "\n")
    _write_tokenizer(tokenizer, folder / "tokenizer.json")
    tensors = {name: torch.from_numpy(weight) for name, weight in sorted(weights.items())}
    save_weights(folder, tensors)


def values_sha256(path: Path) -> str:
    """A hash over names and values of all tensors of a safetensors file, whatever their order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _weights_of(path: Path, stack: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The parameters of one graph under their hub names."""
    graph = _Graph(path)
    for node in graph.nodes:
        if node.op_type in ("MatMulInteger", "MatMul", "Gemm") and graph.holds(node.input[1]):
            # /enc/block.0/layer.0/SelfAttention/q/MatMul_quant -> block.0.layer.0.SelfAttention.q
            parameter = node.name.strip("/").rpartition("/")[0].replace("/", ".") + ".weight"
            weight = graph.read(node.input[1])
            yield _hub_name(parameter, stack, path), np.ascontiguousarray(weight.T)
    for name in graph.stored:
        parameter = name.removesuffix("_quantized")
        if parameter.endswith(".weight"):
            yield _hub_name(parameter, stack, path), graph.read(name)


class _Graph:
    """A graph's nodes, and its constants as floats, whether they are stored so or as int8."""

    def __init__(self, path: Path) -> None:
        graph = _read_graph(path)
        self._path, self.nodes = path, graph.node
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self._dequantised = {
            node.output[0]: node.input[0]
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in self.stored
        }

    def holds(self, name: str) -> bool:
        """Whether the tensor is a constant, and not computed from the input."""
        return name in self.stored or name in self._dequantised

    def read(self, name: str) -> NDArray[np.float32]:
        """The values of a constant, float32."""
        name = self._dequantised.get(name, name)
        values = self._array(name)
        if not name.endswith("_quantized"):
            if values.dtype.kind != "f":
                raise UserError(f"{self._path}: {name} is {values.dtype}, and has no scale")
            return values.astype(np.float32)
        stem = name.removesuffix("_quantized")
        scale, zero_point = self._array(f"{stem}_scale"), self._array(f"{stem}_zero_point")
        if scale.size != 1 or zero_point.size != 1:
            raise UserError(
                f"{self._path}: {name} has {scale.size} scales, one a channel; this importer "
                "reads one scale a tensor",
                fix="export the model again without per_channel, or as floats",
            )
        if scale.dtype != np.float32 or values.dtype not in (np.int8, np.uint8):
            raise UserError(f"{self._path}: {name} is {values.dtype}, its scale {scale.dtype}")
        shifted = values.astype(np.int32) - zero_point.astype(np.int32).reshape(())
        return shifted.astype(np.float32) * scale.reshape(())

    def _array(self, name: str) -> NDArray[Any]:
        from onnx import numpy_helper

        if name not in self.stored:
            raise UserError(f"{self._path}: the graph lacks {name}")
        return numpy_helper.to_array(self.stored[name], base_dir=str(self._path.parent))


def _read_graph(path: Path) -> "onnx.GraphProto":
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UserError(
            "reading ONNX graphs needs a package that is not installed",
            fix="pip install 'ptune[flan]'",
        ) from error
    try:
        return onnx.load(path).graph
    except (OSError, DecodeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an ONNX graph: {error}") from error


def _hub_name(parameter: str, stack: str, path: Path) -> str:
    """The parameter's name in a checkpoint: enc.block.0... is encoder.block.0..."""
    if found := _IN_STACK.search(parameter):
        return f"{stack}.{found[1]}"
    if parameter.endswith("lm_head.weight"):
        return "lm_head.weight"
    if _EMBEDDING.search(parameter):
        return "shared.weight"
    raise UserError(
        f"{path}: {parameter} is no parameter of a T5",
        fix="give the graphs of a T5 v1.1 as torch.onnx exports them: encoder, and decoder with "
        "its lm_head",
    )


def _checked_shape(weights: Weights, path: Path) -> Shape:
    """The sizes of the model; raises unless the parameters are exactly those of a T5 v1.1."""
    attention = "encoder.block.0.layer.0.SelfAttention"
    query, table = f"{attention}.q.weight", f"{attention}.relative_attention_bias.weight"
    feed_forward = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight"
    needed = ("shared.weight", query, table, feed_forward)
    if missing := [name for name in needed if name not in weights]:
        raise UserError(
            f"{path} and the encoder beside it lack {', '.join(missing)}",
            fix="give a T5 v1.1 (or LM-adapted, or FLAN-T5): gated GELU, wi_0 and wi_1",
        )
    vocab_rows, d_model = weights["shared.weight"].shape
    num_heads = weights[table].shape[1]
    shape = Shape(
        d_model=d_model,
        num_layers=len({name.split(".")[2] for name in weights if name.startswith("encoder.bl")}),
        num_heads=num_heads,
        d_kv=len(weights[query]) // num_heads,
        d_ff=len(weights[feed_forward]),
    )
    expected = parameter_shapes(shape, vocab_rows)
    found = {name: weight.shape for name, weight in weights.items()}
    if wrong := sorted(set(expected.items()) ^ set(found.items())):
        name, size = wrong[0]
        what = "lacks" if (name, size) in expected.items() else "has unexpectedly"
        raise UserError(
            f"{path}: the model {what} {name} of shape {size} ({len(wrong)} differences from a "
            f"T5 v1.1 of {shape.num_layers} layers and {NUM_BUCKETS} position buckets)"
        )
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        raise UserError(f"{path}: a weight is not a finite number")
    return shape


def _write_tokenizer(source: Path, target: Path) -> None:
    """Copies tokenizer.json without the truncation and padding that an application left in it."""
    try:
        tokenizer = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{source} cannot be read as a tokenizer: {error}") from error
    tokenizer |= {"truncation": None, "padding": None}
    target.write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n", encoding="utf-8")
