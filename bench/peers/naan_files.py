"""What both PyTorch forms share: the files of naan, the candidate edges, and the comparison of scores. Not timed."""
import json
import sys

import numpy as np
import torch


def read_model(path):
    """Tensors of a .safetensors file: a length, a JSON header, the bytes."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)

    def tensor(entry):
        start, end = entry["data_offsets"]
        values = np.frombuffer(data[start:end], dtype=np.float32).reshape(entry["shape"])
        return torch.from_numpy(values.copy())

    return {name: tensor(entry) for name, entry in header.items()}


class Weights:
    """Of a model with one attention head."""

    def __init__(self, path):
        tensors = read_model(path)
        assert "attention.attn_1.bias" not in tensors, "one attention head is expected"
        self.w, self.b = tensors["attention.attn_0.w.weight"], tensors["attention.attn_0.w.bias"]
        a = tensors["attention.attn_0.a.weight"][0]
        self.a_centre, self.a_neighbour = a[: len(a) // 2], a[len(a) // 2 :]
        self.beta = tensors["attention.attn_0.a.bias"][0]
        self.g = tensors["attention.attn_0.bias"]
        self.w1, self.b1 = tensors["classifier.0.weight"], tensors["classifier.0.bias"]
        self.slope = tensors["classifier.1.weight"]
        self.w2, self.b2 = tensors["classifier.2.weight"], tensors["classifier.2.bias"]


def candidate_edges(knn, sample_hops):
    """Pairs a < b, each once, sorted [E x 2]."""
    n = len(knn)
    i = np.repeat(np.arange(n, dtype=np.int64), sample_hops)
    j = knn[:, 1 : sample_hops + 1].astype(np.int64).ravel()
    keys = np.unique(np.minimum(i, j) * n + np.maximum(i, j))
    return np.stack([keys // n, keys % n], axis=1)


def greatest_difference(scores, edges, expected_edges, expected_scores):
    """Largest difference from the scores of naan for the same edges."""
    expected = np.load(expected_edges)
    values = np.load(expected_scores)
    n = int(expected.max()) + 1
    keys = expected[:, 0].astype(np.int64) * n + expected[:, 1]
    at = np.searchsorted(keys, edges[:, 0] * n + edges[:, 1])
    assert (keys[at] == edges[:, 0] * n + edges[:, 1]).all(), "other edges than naan's"
    return float(np.abs(values[at] - scores).max())


def tell(**figures):
    json.dump(figures, sys.stdout)
