// libFuzzer's place where there is no clang: FUZZER SECONDS SEED CORPUS, the corpus first and then, run after
// run, one entry of it with a few seeded changes. The same seed makes the same sequence of runs everywhere;
// how far one gets in it depends on the machine. A crash leaves what made it in ./crash.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "target.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> read_all(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> all;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return all;
}

class Mutator {
 public:
  Mutator(std::vector<Bytes> corpus, unsigned seed) : corpus_(std::move(corpus)), engine_(seed) {}

  Bytes next() {
    Bytes bytes = corpus_[below(corpus_.size())];
    for (std::size_t change = 1 + below(4); change > 0; --change) alter(bytes);
    return bytes;
  }

 private:
  // The engine's numbers are the same everywhere; those of the library's distributions are not.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : engine_() % n; }

  void alter(Bytes& bytes) {
    const std::size_t at = below(bytes.size());
    const std::size_t length = std::min(below(9), bytes.size() - at);
    const auto place = bytes.begin() + std::ptrdiff_t(at);
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] ^= std::uint8_t(1 << below(8));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = std::uint8_t(below(256));
        break;
      case 2:
        bytes.insert(place, 1 + below(8), std::uint8_t(below(256)));
        break;
      case 3:
        bytes.erase(place, place + std::ptrdiff_t(length));
        break;
      case 4:  // again somewhere else
        if (!bytes.empty()) {
          const Bytes piece(place, place + std::ptrdiff_t(length));
          bytes.insert(bytes.begin() + std::ptrdiff_t(below(bytes.size())), piece.begin(), piece.end());
        }
        break;
      default: {  // a piece of another entry
        const Bytes& other = corpus_[below(corpus_.size())];
        const std::size_t from = below(other.size());
        const std::size_t taken = std::min<std::size_t>(below(33), other.size() - from);
        bytes.insert(place, other.begin() + std::ptrdiff_t(from),
                     other.begin() + std::ptrdiff_t(from + taken));
      }
    }
  }

  std::vector<Bytes> corpus_;
  std::mt19937 engine_;
};

int run(const Bytes& bytes) {
  try {
    return LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

void keep(const Bytes& bytes) {
  std::ofstream("crash", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: %s SECONDS SEED CORPUS\n", argv[0]), 2;
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const std::vector<Bytes> corpus = read_all(argv[3]);
  for (const Bytes& bytes : corpus) {
    if (run(bytes) != 0) return 1;
  }
  Mutator mutator(corpus, unsigned(std::atoi(argv[2])));
  long n = 0;
  for (; n == 0 || seconds() < std::atof(argv[1]); ++n) {
    const Bytes bytes = mutator.next();
    if (std::getenv("GRADFLOW_FUZZ_KEEP")) keep(bytes);  // for what ends the process at once
    if (run(bytes) == 0) continue;
    keep(bytes);
    return std::fprintf(stderr, "run %ld of seed %s fails; its input is in ./crash\n", n, argv[2]), 1;
  }
  std::printf("%zu entries of the corpus and %ld runs in %.1f s, 0 findings\n", corpus.size(), n, seconds());
}
