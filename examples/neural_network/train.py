#!/usr/bin/env python3
"""Trains the network of this example on ../digits/digits.csv, in seconds, and writes digits.onnx here. To do it again:

    pip install scikit-learn onnx
    python train.py
"""

import pathlib

import numpy
import onnx
from onnx import helper, numpy_helper
from sklearn.neural_network import MLPClassifier

HERE = pathlib.Path(__file__).resolve().parent
LEARNED = 1297  # as in ../digits/dataset.hpp: it is asked the others
HIDDEN = (128, 64)


def network(weights, biases):
    """The layers as ONNX. Its first dimension has a name and no size: that is the batch."""
    nodes, initial, values = [], [], "images"
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        initial += [
            numpy_helper.from_array(weight.astype("float32"), f"weight {i}"),
            numpy_helper.from_array(bias.astype("float32"), f"bias {i}"),
        ]
        nodes.append(helper.make_node("Gemm", [values, f"weight {i}", f"bias {i}"], [f"sum {i}"]))
        last = i + 1 == len(weights)
        values = "probabilities" if last else f"layer {i}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"sum {i}"], [values]))
    a_float = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", a_float, ["batch", weights[0].shape[0]])],
        [helper.make_tensor_value_info("probabilities", a_float, ["batch", weights[-1].shape[1]])],
        initial,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


digits = numpy.loadtxt(HERE.parent / "digits" / "digits.csv", delimiter=",")
images, labels = digits[:, :64] / 16, digits[:, 64].astype(int)
model = MLPClassifier(HIDDEN, alpha=0.01, tol=1e-3, random_state=1).fit(images[:LEARNED], labels[:LEARNED])
print(f"{model.score(images[LEARNED:], labels[LEARNED:]):.1%} of what it has not seen is right")
model.coefs_[0] /= 16  # pixels are from 0 to 16
onnx.save(network(model.coefs_, model.intercepts_), HERE / "digits.onnx")
