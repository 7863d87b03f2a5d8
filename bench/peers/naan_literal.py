"""NAAN as it is written down, in PyTorch: for each centre the rows of two hops are gathered and the attention layer runs
on every occurrence; the head takes the two embeddings of each pair side by side.

Times the first `--centres` nodes and the candidate edges between them; both costs are told apart, as a node of the whole
set has more edges than one of the part.
"""
import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F

from naan_files import Weights, candidate_edges, greatest_difference, tell

parser = argparse.ArgumentParser()
for name in ["features", "knn", "model", "expected-edges", "expected-scores"]:
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--hops", type=int, nargs=3, default=[20, 10, 20])
parser.add_argument("--centres", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--batch", type=int, default=32)
asked = parser.parse_args()
torch.set_num_threads(asked.threads)
torch.set_grad_enabled(False)
k1, k2, sample_hops = asked.hops

weights = Weights(asked.model)
x = torch.from_numpy(np.load(asked.features)["embs"])
knn = np.load(asked.knn)
neighbours = torch.from_numpy(knn[:, : max(k1, k2) + 1].astype(np.int64))


def attend(rows):
    """Rows [.. x r x d], the centre first -> [.. x d]."""
    h = F.linear(rows, weights.w, weights.b)
    e = F.leaky_relu((h[..., :1, :] @ weights.a_centre) + (h @ weights.a_neighbour) + weights.beta, 0.2)
    return F.relu((torch.softmax(e, dim=-1).unsqueeze(-2) @ h).squeeze(-2) + weights.g)


def embed(centres):
    """Centres [c] -> [c x d]."""
    one_hop = neighbours[centres, 1 : k1 + 1]
    two_hops = neighbours[one_hop, : k2 + 1]
    z = attend(x[two_hops])
    return attend(torch.cat([x[centres].unsqueeze(1), z], dim=1))


def score(a, b):
    hidden = F.prelu(F.linear(torch.cat([a, b], dim=1), weights.w1, weights.b1), weights.slope)
    return torch.softmax(F.linear(hidden, weights.w2, weights.b2), dim=1)[:, 1]


embed(torch.arange(asked.batch))
began = time.perf_counter()
c = torch.cat([embed(part) for part in torch.arange(asked.centres).split(asked.batch)])
centre_seconds = time.perf_counter() - began

edges = candidate_edges(knn, sample_hops)
all_edges = len(edges)
edges = edges[edges.max(axis=1) < asked.centres]
pairs = torch.from_numpy(edges)
began = time.perf_counter()
scores = torch.cat([score(c[part[:, 0]], c[part[:, 1]]) for part in pairs.split(1024)])
edge_seconds = time.perf_counter() - began

seconds_per_node = centre_seconds / asked.centres + edge_seconds / len(edges) * all_edges / len(x)
tell(
    nodesPerSecond=1 / seconds_per_node,
    centres=asked.centres,
    centreSeconds=centre_seconds,
    edges=len(edges),
    edgeSeconds=edge_seconds,
    greatestDifference=greatest_difference(scores.numpy(), edges, asked.expected_edges, asked.expected_scores),
    torch=torch.__version__,
)
