"""A network with BodyPix's inputs and outputs that tells parts by colours, made with the `onnx` package."""

from pathlib import Path

import numpy as np
import pytest

RED, GREEN, BLUE = range(3)
TORSO_FRONT, RIGHT_HAND = 12, 11
"""Places among BodyPix's parts."""


def write_tiny_bodypix(path: Path, num_parts: int = 24) -> Path:
    """Red means a person, green more than blue the front of the torso, else the right hand.

    As in the published exports a dilated convolution has `SAME` padding, which onnxruntime can't work out.
    """
    onnx = pytest.importorskip("onnx", reason="needs the extra bodypix")
    make = onnx.helper
    same = np.zeros((3, 1, 3, 3), np.float32)
    same[:, 0, 1, 1] = 1
    person, parts = np.zeros((1, 3, 1, 1), np.float32), np.zeros((num_parts, 3, 1, 1), np.float32)
    person[0, RED] = 1
    parts[:] = -9
    parts[TORSO_FRONT, :, 0, 0], parts[RIGHT_HAND, :, 0, 0] = (0, 1, 0), (0, 0, 1)
    nodes = [
        make.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
        make.make_node(
            "Conv",
            ["planes", "same"],
            ["seen"],
            kernel_shape=[3, 3],
            dilations=[2, 2],
            group=3,
            auto_pad="SAME_UPPER",
        ),
    ]
    outputs = []
    for name, channels in (("segments", 1), ("part_heatmaps", num_parts)):
        nodes += [
            make.make_node("Conv", ["seen", f"w_{name}"], [f"p_{name}"], kernel_shape=[1, 1], strides=[8, 8]),
            make.make_node("Transpose", [f"p_{name}"], [name], perm=[0, 2, 3, 1]),
        ]
        outputs.append(make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, "h", "w", channels]))
    weights = {"same": same, "w_segments": person, "w_part_heatmaps": parts}
    graph = make.make_graph(
        nodes,
        "tiny",
        [make.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, "H", "W", 3])],
        outputs,
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8), path)
    return path
