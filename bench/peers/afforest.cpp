// Connected components by Afforest (Sutton, Ben-Nun and Barak 2018, IPDPS), to compare with: a link by compare-and-swap of the
// higher root under the lower, the first neighbours of every node first, then all others but those of nodes in the largest
// component found by then. It needs each edge at both ends.
//
//     g++ -O3 -march=native -pthread -o afforest afforest.cpp && ./afforest NODES EDGES FILE
//
// FILE: offsets u32 [NODES + 1], targets i32 [EDGES], each edge once. Answers each line THREADS with seconds and a hash of the
// labels; making the lists for both ends is not timed.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unordered_map>
#include <vector>

using Node = int32_t;

struct Graph {
  std::vector<uint32_t> offsets;
  std::vector<Node> targets;
  size_t nodes() const { return offsets.size() - 1; }
};

static Graph read(const char* path, size_t nodes, size_t edges) {
  Graph graph{std::vector<uint32_t>(nodes + 1), std::vector<Node>(edges)};
  FILE* file = std::fopen(path, "rb");
  if (!file || std::fread(graph.offsets.data(), 4, nodes + 1, file) != nodes + 1 ||
      std::fread(graph.targets.data(), 4, edges, file) != edges) {
    std::fprintf(stderr, "%s: cannot be read\n", path);
    std::exit(1);
  }
  std::fclose(file);
  return graph;
}

static Graph bothWays(const Graph& once) {
  Graph both{std::vector<uint32_t>(once.nodes() + 1), std::vector<Node>(2 * once.targets.size())};
  for (size_t u = 0; u < once.nodes(); u++)
    for (uint32_t e = once.offsets[u]; e < once.offsets[u + 1]; e++) both.offsets[u + 1]++, both.offsets[once.targets[e] + 1]++;
  for (size_t u = 0; u < once.nodes(); u++) both.offsets[u + 1] += both.offsets[u];
  std::vector<uint32_t> free(both.offsets.begin(), both.offsets.end() - 1);
  for (size_t u = 0; u < once.nodes(); u++)
    for (uint32_t e = once.offsets[u]; e < once.offsets[u + 1]; e++) {
      both.targets[free[u]++] = once.targets[e];
      both.targets[free[once.targets[e]]++] = Node(u);
    }
  return both;
}

/** Calls work(from, to) for runs of nodes, which threads claim. */
template <class Work>
static void parallel(int threads, size_t nodes, Work work) {
  const size_t run = 4096;
  std::atomic<size_t> next{0};
  auto claim = [&] {
    for (size_t from; (from = next.fetch_add(run, std::memory_order_relaxed)) < nodes;) work(from, std::min(nodes, from + run));
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back(claim);
  claim();
  for (auto& other : others) other.join();
}

class Components {
 public:
  explicit Components(size_t nodes) : parents(nodes) {}

  void afforest(const Graph& graph, int threads) {
    const uint32_t rounds = 2;
    start(threads);
    for (uint32_t r = 0; r < rounds; r++) {
      parallel(threads, graph.nodes(), [&](size_t from, size_t to) {
        for (size_t u = from; u < to; u++)
          if (graph.offsets[u] + r < graph.offsets[u + 1]) link(Node(u), graph.targets[graph.offsets[u] + r]);
      });
      compress(threads);
    }
    const Node largest = mostFrequent();
    parallel(threads, graph.nodes(), [&](size_t from, size_t to) {
      for (size_t u = from; u < to; u++) {
        if (load(Node(u)) == largest) continue;
        for (uint32_t e = graph.offsets[u] + rounds; e < graph.offsets[u + 1]; e++) link(Node(u), graph.targets[e]);
      }
    });
    compress(threads);
  }

  /** Roots are the smallest nodes, so labels need no renaming. */
  int32_t hash() const {
    uint32_t sum = 0;
    for (auto& parent : parents) sum = sum * 31 + uint32_t(parent.load(std::memory_order_relaxed));
    return int32_t(sum);
  }

 private:
  std::vector<std::atomic<Node>> parents;

  Node load(Node u) const { return parents[u].load(std::memory_order_relaxed); }

  void start(int threads) {
    parallel(threads, parents.size(), [&](size_t from, size_t to) {
      for (size_t u = from; u < to; u++) parents[u].store(Node(u), std::memory_order_relaxed);
    });
  }

  void link(Node u, Node v) {
    Node a = load(u), b = load(v);
    while (a != b) {
      const Node high = std::max(a, b), low = std::min(a, b);
      Node above = load(high);
      if (above == low) return;
      if (above == high && parents[high].compare_exchange_strong(above, low, std::memory_order_relaxed)) return;
      a = load(load(high));
      b = load(low);
    }
  }

  void compress(int threads) {
    parallel(threads, parents.size(), [&](size_t from, size_t to) {
      for (size_t u = from; u < to; u++)
        while (load(Node(u)) != load(load(Node(u)))) parents[u].store(load(load(Node(u))), std::memory_order_relaxed);
    });
  }

  Node mostFrequent() const {
    std::unordered_map<Node, int> counts;
    uint32_t state = 1;
    Node best = load(0);
    for (int i = 0; i < 1024; i++) {
      state = state * 1664525 + 1013904223;
      const Node label = load(Node((uint64_t(state) * parents.size()) >> 32));
      if (++counts[label] > counts[best]) best = label;
    }
    return best;
  }
};

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const Graph graph = bothWays(read(argv[3], std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[2], nullptr, 10)));
  Components components(graph.nodes());
  int threads;
  while (std::scanf("%d", &threads) == 1) {
    const auto began = std::chrono::steady_clock::now();
    components.afforest(graph, threads);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
    std::printf("%.6f %d\n", seconds.count(), components.hash());
    std::fflush(stdout);
  }
}
