"""The same networks with the same weights in PyTorch and onnxruntime: bars beside the staircase, never needed.

A network is written once, over a handful of layers: PyTorch computes them as they come, and for onnxruntime they
draw a graph. One thread each. What the libraries allocate is seen by the resident high-water mark alone, so their
peak memory is only good to a few megabytes. Does not: time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.perf.workloads.datasets import load_dataset

Weights = dict[str, np.ndarray]

CLOSE, CLOSE_INT8 = 1e-4, 0.1  # largest error of a logit, as a share of the logits' spread
OPSET, IR_VERSION = 23, 11  # of ONNX: the first with Attention


class Reference:
    """A model of another library. The harness copies the weights and leaves `predict`, a function, alone."""

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray], weights: Weights) -> None:
        self.predict, self.weights = predict, weights  # raw integers -> float32 logits

    def state_dict(self) -> Weights:
        return self.weights


def references(event: str, baseline: Any) -> Iterator[tuple[str, Reference]]:
    """Label and model of each library that is installed; for the others, a line on stderr says how to get it.

    Raises:
        ValueError: a model does not give the baseline's answers.
    """
    if installed("PyTorch", "torch"):
        yield "PyTorch, eager", checked(torch_model(event, baseline), event, baseline, CLOSE)
    if installed("onnxruntime", "onnxruntime", "onnx"):
        graph = onnx_graph(event, baseline)
        yield "onnxruntime", checked(onnx_model(graph), event, baseline, CLOSE)
        if event == "transformer_decathlon":
            # One scale for a whole tensor of activations is not causal; the benchmark rightly refuses it.
            reason = "its answers at a position depend on later tokens and on the rest of the batch"
            print(f"(onnxruntime, dynamic int8 is left out: {reason})", file=sys.stderr)
        else:
            yield "onnxruntime, dynamic int8", checked(onnx_model(in_int8(graph)), event, baseline, CLOSE_INT8)


def installed(title: str, *packages: str) -> bool:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        print(f"({title} is left out; to see it: pip install {' '.join(missing)})", file=sys.stderr)
    return not missing


def checked(model: Reference, event: str, baseline: Any, tolerance: float) -> Reference:
    """The model itself, once its logits on 8 inputs are known to be the baseline's."""
    inputs = load_dataset(event).batch(8, np.random.default_rng(0))
    expected = baseline.predict(inputs)
    error = float(np.abs(model.predict(inputs) - expected).max() / expected.std())
    if error > tolerance:
        raise ValueError(f"{event}: logits are off by {error:.2g} of their spread, expected at most {tolerance}")
    return model


# -- the networks, over the layers of either library ---------------------------------------------------


def mlp(layers: Any, images: Any, baseline: Any) -> Any:
    x = layers.scaled(images)
    for index in (0, 2):
        x = layers.relu(layers.linear(x, f"network.layers.{index}"))
    return layers.linear(x, "network.layers.4")


def cnn(layers: Any, images: Any, baseline: Any) -> Any:
    x = layers.reshape(layers.scaled(images), (-1, 1, 28, 28))  # one channel: nothing to transpose
    for index in (0, 3):
        x = layers.pool(layers.relu(layers.conv(x, f"network.layers.{index}")))
    return layers.linear(layers.reshape(x, (-1, 1600)), "network.layers.8")


def transformer(layers: Any, tokens: Any, baseline: Any) -> Any:
    x = layers.embed(tokens)
    for block in (f"blocks.{index}." for index in range(len(baseline.blocks))):
        y = layers.norm(x, block + "attention_norm")
        q, k, v = (layers.linear(y, f"{block}attention.{name}") for name in ("query", "key", "value"))
        x = layers.add(x, layers.linear(layers.attend(q, k, v, baseline.heads), block + "attention.output"))
        y = layers.relu(layers.linear(layers.norm(x, block + "feed_norm"), block + "feed_forward.expand"))
        x = layers.add(x, layers.linear(y, block + "feed_forward.contract"))
    return layers.linear(layers.norm(x, "norm"), "head")


NETWORKS = {"mlp_sprint": mlp, "cnn_marathon": cnn, "transformer_decathlon": transformer}


# -- PyTorch -------------------------------------------------------------------------------------------


def torch_model(event: str, baseline: Any) -> Reference:
    """Eager, in inference mode, one thread."""
    import torch

    torch.set_num_threads(1)
    layers, network, weights = TorchLayers(baseline.state_dict()), NETWORKS[event], baseline.state_dict()

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(layers, torch.from_numpy(inputs), baseline).numpy()

    return Reference(run, weights)


class TorchLayers:
    """Layers on torch tensors; a matrix lies as nn.Linear keeps it, (outputs, inputs)."""

    def __init__(self, weights: Weights) -> None:
        import torch

        self.torch, self.functional = torch, torch.nn.functional
        self.weights = {name: torch.tensor(array) for name, array in weights.items()}
        for name, matrix in self.weights.items():
            if matrix.ndim == 2 and name.replace("weight", "bias") in weights:  # not those of embeddings
                self.weights[name] = matrix.T.contiguous()

    def both(self, name: str) -> tuple[Any, Any]:
        return self.weights[name + ".weight"], self.weights[name + ".bias"]

    def scaled(self, images: Any) -> Any:
        return images.float() / 255

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        return x.reshape(shape)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def relu(self, x: Any) -> Any:
        return self.torch.relu(x)

    def linear(self, x: Any, name: str) -> Any:
        return self.functional.linear(x, *self.both(name))

    def conv(self, x: Any, name: str) -> Any:
        return self.functional.conv2d(x, *self.both(name))

    def pool(self, x: Any) -> Any:
        return self.functional.max_pool2d(x, 2)

    def norm(self, x: Any, name: str) -> Any:
        scale = self.weights[name + ".scale"]
        return self.functional.layer_norm(x, scale.shape, scale, self.weights[name + ".shift"])

    def embed(self, tokens: Any) -> Any:
        rows = self.functional.embedding(tokens, self.weights["symbol.weight"])
        return rows + self.weights["position.weight"][: tokens.shape[1]]

    def attend(self, q: Any, k: Any, v: Any, heads: int) -> Any:
        split = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v))  # (N, H, T, S)
        mixed = self.functional.scaled_dot_product_attention(*split, is_causal=True)
        return mixed.transpose(1, 2).flatten(2)


# -- onnxruntime ---------------------------------------------------------------------------------------


def onnx_graph(event: str, baseline: Any) -> Any:
    """The network as an ONNX model, its weights inside; the first axis, and time, may have any length."""
    from onnx import TensorProto, helper, numpy_helper

    layers = OnnxLayers(baseline.state_dict())
    logits = NETWORKS[event](layers, "inputs", baseline)
    example = load_dataset(event).batch(1, np.random.default_rng(0))
    tokens = event == "transformer_decathlon"
    kind, shape = (TensorProto.INT64, ["N", "T"]) if tokens else (TensorProto.UINT8, ["N", *example.shape[1:]])
    first = helper.make_tensor_value_info("inputs", kind, shape)
    last = helper.make_tensor_value_info(logits, TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(array, name) for name, array in layers.constants.items()]
    graph = helper.make_graph(layers.nodes, event, [first], [last], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    # Keeps the quantizer from asking for a preparation that changes nothing here.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return model


class OnnxLayers:
    """Layers that add nodes to a graph; what they take and give are names."""

    def __init__(self, weights: Weights) -> None:
        self.weights, self.nodes, self.constants = weights, list[Any](), Weights()

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: Any = None) -> str:
        self.constants[name] = self.weights[name] if value is None else np.array(value)
        return name

    def both(self, name: str) -> tuple[str, str]:
        return self.constant(name + ".weight"), self.constant(name + ".bias")

    def scaled(self, images: str) -> str:
        return self.node("Div", self.node("Cast", images, to=1), self.constant("most", np.float32(255)))

    def reshape(self, x: str, shape: tuple[int, ...]) -> str:
        return self.node("Reshape", x, self.constant(f"shape of {x}", shape))

    def add(self, x: str, y: str) -> str:
        return self.node("Add", x, y)

    def relu(self, x: str) -> str:
        return self.node("Relu", x)

    def linear(self, x: str, name: str) -> str:
        weight, bias = self.both(name)
        return self.node("Add", self.node("MatMul", x, weight), bias)

    def conv(self, x: str, name: str) -> str:
        return self.node("Conv", x, *self.both(name))

    def pool(self, x: str) -> str:
        return self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def norm(self, x: str, name: str) -> str:
        return self.node("LayerNormalization", x, self.constant(name + ".scale"), self.constant(name + ".shift"))

    def embed(self, tokens: str) -> str:
        time = self.node("Shape", tokens, start=1, end=2)
        rows = self.node("Slice", self.constant("position.weight"), self.constant("first", [0]), time)
        return self.node("Add", self.node("Gather", self.constant("symbol.weight"), tokens), rows)

    def attend(self, q: str, k: str, v: str, heads: int) -> str:
        return self.node("Attention", q, k, v, is_causal=1, q_num_heads=heads, kv_num_heads=heads)


def onnx_model(graph: Any) -> Reference:
    """A session of one thread, whose memory goes back to the system so that it can be measured."""
    import onnxruntime
    from onnx import numpy_helper

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # costs no time here
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
    weights = {each.name: numpy_helper.to_array(each).copy() for each in graph.graph.initializer}
    return Reference(lambda inputs: session.run(None, {"inputs": inputs})[0], weights)


def in_int8(graph: Any) -> Any:
    """The graph with 8-bit weights, and activations quantized as they come.

    Weights of convolutions are unsigned: signed ones take onnxruntime 3.5 times as long.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    has_conv = any(node.op_type == "Conv" for node in graph.graph.node)
    kind = QuantType.QUInt8 if has_conv else QuantType.QInt8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_dynamic(graph, path, op_types_to_quantize=["MatMul", "Conv"], weight_type=kind)
        return onnx.load(path)
