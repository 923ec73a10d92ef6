"""A T5 v1.1 out of ONNX graphs: every kind of tensor, and what is no such graph by name."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper, save
from quick_runs import load_exactly
from safetensors.torch import load_file
from transformers import AutoTokenizer

from prompt_tuning.errors import UserError
from prompt_tuning.models.onnx_import import import_onnx
from prompt_tuning.models.random_checkpoint import random_weights
from prompt_tuning.shapes import Shape

SHAPE = Shape(d_model=16, num_layers=2, num_heads=2, d_kv=4, d_ff=24)
ROWS = 256
FILES = ("encoder.onnx", "decoder.onnx", "tokenizer.json")
Weights = dict[str, NDArray[np.float32]]
Edit = Callable[[list[NodeProto], dict[str, Any]], None]


def graph_of(weights, stack, kind, edit):
    """A graph as torch.onnx and ONNX Runtime leave it: constants and the nodes that use them.

    Args:
        weights: by hub name.
        stack: encoder or decoder (with lm_head).
        kind: float | int8 | dequantised (a DequantizeLinear in front of each product).
        edit: changes nodes and constants before they become a graph.
    """
    prefix = {"encoder": "enc", "decoder": "m.decoder"}[stack]
    nodes = []
    constants = {}

    def store(name, values, integer):
        if kind == "float":
            constants[name] = values
            return name
        low, high = np.iinfo(integer).min, np.iinfo(integer).max
        scale = np.float32((values.max() - values.min()) / 255)
        zero = np.clip(np.round(low - values.min() / scale), low, high)
        quantised = np.clip(np.round(values / scale) + zero, low, high)
        constants[f"{name}_quantized"] = quantised.astype(integer)
        constants[f"{name}_scale"] = scale
        constants[f"{name}_zero_point"] = np.array(zero, integer)
        return f"{name}_quantized"

    def multiply(parameter, number, values):
        tensor = store(f"onnx::MatMul_{number}", values.T, np.int8)
        if kind == "dequantised":
            stem = tensor.removesuffix("_quantized")
            parts = [tensor, f"{stem}_scale", f"{stem}_zero_point"]
            nodes.append(helper.make_node("DequantizeLinear", parts, [stem]))
            tensor = stem
        operation = "MatMulInteger" if kind == "int8" else "MatMul"
        path = "/" + re.sub(r"\.(?!\d)", "/", parameter)  # block.0 stays
        nodes.append(helper.make_node(operation, ["x", tensor], ["y"], f"{path}/MatMul_quant"))

    for number, (name, values) in enumerate(weights.items()):
        own = name.removeprefix(f"{stack}.")
        if name == "shared.weight":
            place = {"encoder": "enc.embed_tokens.weight", "decoder": "m.shared.weight"}[stack]
            store(place, values, np.uint8)
        elif name == "lm_head.weight" and stack == "decoder":
            multiply("m.lm_head", number, values)
        elif own == name:
            continue
        elif "layer_norm" in name:
            constants[f"{prefix}.{own}"] = values
        elif "bias" in name:
            store(f"{prefix}.{own}", values, np.uint8)
        else:
            multiply(f"{prefix}.{own.removesuffix('.weight')}", number, values)
    nodes.append(helper.make_node("MatMul", ["scores", "states"], ["context"], "/enc/any/MatMul"))
    edit(nodes, constants)
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    return helper.make_model(helper.make_graph(nodes, stack, [], [], initializer=tensors))


def unchanged(nodes, constants):
    """As exported."""


@pytest.fixture
def imported(tmp_path, tiny_folder):
    """Writes graphs of a model and imports them; returns the folder."""

    def run(kind, edit=unchanged):
        for stack in ("encoder", "decoder"):
            save(graph_of(small_weights(), stack, kind, edit), tmp_path / f"{stack}.onnx")
        tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
        tokenizer.backend_tokenizer.enable_truncation(4)
        tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
        folder = tmp_path / "model"
        import_onnx(*(tmp_path / name for name in FILES), folder)
        return folder

    return run


def small_weights():
    weights = random_weights(SHAPE, ROWS, seed=1)
    return {name: weight.numpy() for name, weight in weights.items()}


def error_of(call):
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


def test_a_float_graph_comes_back_to_the_bit(imported):
    found = load_file(imported("float") / "model.safetensors")
    expected = small_weights()
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name].numpy(), expected[name]) for name in expected)


@pytest.mark.parametrize("kind", ["int8", "dequantised"])
def test_an_int8_graph_comes_back_as_scale_times_shifted_integers(imported, kind):
    """Layer norms are stored as floats and come back exactly, all else within half a step."""
    found = load_file(imported(kind) / "model.safetensors")
    for name, weight in small_weights().items():
        step = (weight.max() - weight.min()) / 255
        error = np.abs(found[name].numpy() - weight).max()
        assert error == 0 if "layer_norm" in name else 0 < error <= 0.51 * step, name
        assert found[name].dtype is torch.float32


def test_an_imported_folder_loads_as_any_other(imported):
    """And its tokenizer cuts nothing, whatever an application left in tokenizer.json."""
    folder = imported("int8")
    checkpoint = load_exactly(str(folder))
    assert checkpoint.model.hidden_size == SHAPE.d_model
    assert len(checkpoint.encode_text("a joy to watch it makes no sense")) > 4
    assert json.loads((folder / "tokenizer.json").read_text())["truncation"] is None


def per_channel(nodes, constants):
    name = next(name for name in constants if name.endswith("_scale"))
    constants[name] = np.full(8, constants[name], np.float32)


def unknown_node(nodes, constants):
    constants["w"] = np.ones((2, 2), np.float32)
    nodes.append(helper.make_node("MatMul", ["x", "w"], ["y"], "/enc/adapter/down/MatMul"))


def one_wi(nodes, constants):
    for node in nodes:
        node.name = node.name.replace("wi_0", "wi")


def lost_scale(nodes, constants):
    del constants[next(name for name in constants if name.endswith("_scale"))]


def lost_layer(nodes, constants):
    nodes[:] = [node for node in nodes if "block.1/layer.0/SelfAttention/k" not in node.name]


def not_finite(nodes, constants):
    next(v for name, v in constants.items() if name.endswith("final_layer_norm.weight"))[0] = np.inf


def without_scale(nodes, constants):
    name = next(name for name in constants if name.startswith("onnx::MatMul"))
    constants[name] = constants[name].astype(np.int64)


@pytest.mark.parametrize(
    ("kind", "edit", "reason"),
    [
        ("int8", per_channel, "has 8 scales, one a channel"),
        ("int8", unknown_node, "adapter.down.weight is no parameter of a T5"),
        ("int8", one_wi, "lack encoder.block.0.layer.1.DenseReluDense.wi_0.weight"),
        ("int8", lost_scale, "the graph lacks"),
        ("int8", lost_layer, "lacks decoder.block.1.layer.0.SelfAttention.k.weight"),
        ("float", not_finite, "not a finite number"),
        ("float", without_scale, "is int64, and has no scale"),
    ],
)
def test_what_is_no_such_graph_is_named_and_nothing_is_left(imported, tmp_path, kind, edit, reason):
    assert reason in error_of(lambda: imported(kind, edit))
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_a_broken_file_is_named(tmp_path):
    paths = [tmp_path / name for name in FILES]
    assert "encoder.onnx cannot be read" in error_of(lambda: import_onnx(*paths, tmp_path / "m"))
    paths[0].write_bytes(b"\xff\xfe not a graph")
    assert "encoder.onnx cannot be read" in error_of(lambda: import_onnx(*paths, tmp_path / "m"))
