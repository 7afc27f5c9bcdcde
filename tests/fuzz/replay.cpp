// Runs a fuzz target without a fuzzer: over the files of a corpus, and over mutations of them that
// depend on the seed alone.
//
//   fuzz_NAME_replay CORPUS [--mutations=N] [--seed=S] [--only=I] [--save=FILE]
//
// A crash names the input by its number; --only=I --save=FILE writes that input.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;

constexpr std::size_t kLongestInput = 1 << 20;

struct Options {
  fs::path corpus;
  std::uint64_t mutations = 0;
  std::uint64_t seed = 1;
  std::int64_t only = -1;
  fs::path save;
};

volatile sig_atomic_t current_input = -1;

extern "C" void report_crash(int signal_number) {
  char text[96];
  // Formatting by hand: hardly anything else is allowed here.
  std::size_t at = 0;
  for (const char c : std::string_view("\nfuzz target crashed at input ")) text[at++] = c;
  char digits[16];
  int count = 0;
  for (int rest = current_input; rest > 0 || count == 0; rest /= 10) {
    digits[count++] = static_cast<char>('0' + rest % 10);
  }
  while (count > 0) text[at++] = digits[--count];
  for (const char c : std::string_view("; --only=I --save=FILE writes it\n")) text[at++] = c;
  if (write(STDERR_FILENO, text, at) < 0) _exit(3);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

std::vector<Input> read_corpus(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);  // the order of a folder is the file system's
  std::vector<Input> corpus;
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return corpus;
}

// One input, changed step by step. Everything it does follows from its seed.
class Mutator {
 public:
  Mutator(const std::vector<Input>& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

  Input make() {
    Input input = corpus_.empty() ? Input() : pick();
    for (std::uint64_t steps = 1 + below(8); steps > 0; --steps) step(input);
    if (input.size() > kLongestInput) input.resize(kLongestInput);
    return input;
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  const Input& pick() { return corpus_[below(corpus_.size())]; }
  std::ptrdiff_t place(const Input& input) {
    return static_cast<std::ptrdiff_t>(below(input.size() + 1));
  }

  // A range of `input`, of up to `longest` bytes.
  std::pair<std::ptrdiff_t, std::ptrdiff_t> range(const Input& input, std::uint64_t longest) {
    const std::ptrdiff_t first = place(input);
    const auto room = static_cast<std::uint64_t>(input.size()) - static_cast<std::uint64_t>(first);
    return {first, first + static_cast<std::ptrdiff_t>(below(std::min(room, longest) + 1))};
  }

  void step(Input& input) {
    switch (below(8)) {
      case 0:
        if (!input.empty()) input[below(input.size())] ^= static_cast<std::uint8_t>(1 << below(8));
        break;
      case 1:
        if (!input.empty()) input[below(input.size())] = static_cast<std::uint8_t>(random_());
        break;
      case 2: {  // a number that is often one too many
        constexpr std::uint8_t kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        const std::uint8_t byte = kEdges[below(std::size(kEdges))];
        const auto [first, last] = range(input, 8);
        std::fill(input.begin() + first, input.begin() + last, byte);
        break;
      }
      case 3: {  // bytes out of nowhere
        Input bytes(below(16));
        for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_());
        input.insert(input.begin() + place(input), bytes.begin(), bytes.end());
        break;
      }
      case 4: {  // a hole
        const auto [first, last] = range(input, 1 + below(input.size()));
        input.erase(input.begin() + first, input.begin() + last);
        break;
      }
      case 5: {  // a part again
        const auto [first, last] = range(input, 64);
        const Input part(input.begin() + first, input.begin() + last);
        input.insert(input.begin() + place(input), part.begin(), part.end());
        break;
      }
      case 6: {  // a part of another input
        if (corpus_.empty()) break;
        const Input& other = pick();
        const auto [first, last] = range(other, 256);
        input.insert(input.begin() + place(input), other.begin() + first, other.begin() + last);
        break;
      }
      default:
        input.resize(below(input.size() + 1));
    }
  }

  const std::vector<Input>& corpus_;
  std::mt19937_64 random_;
};

bool read_number(std::string_view argument, std::string_view name, auto& number) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const char* end = argument.data() + argument.size();
  return std::from_chars(argument.data(), end, number).ptr == end && !argument.empty();
}

bool read_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    constexpr std::string_view kSave = "--save=";
    if (argument.starts_with(kSave)) {
      options.save = argument.substr(kSave.size());
    } else if (!argument.starts_with("--") && options.corpus.empty()) {
      options.corpus = argument;
    } else if (!read_number(argument, "--mutations=", options.mutations) &&
               !read_number(argument, "--seed=", options.seed) &&
               !read_number(argument, "--only=", options.only)) {
      return false;
    }
  }
  return !options.corpus.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, options)) {
    std::fprintf(stderr, "usage: %s CORPUS [--mutations=N] [--seed=S] [--only=I] [--save=FILE]\n",
                 argv[0]);
    return 2;
  }
  const std::vector<Input> corpus = read_corpus(options.corpus);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s holds no input\n", options.corpus.c_str());
    return 2;
  }
  for (const int signal_number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) {
    signal(signal_number, report_crash);
  }
  const std::uint64_t count = corpus.size() + options.mutations;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (options.only >= 0 && i != static_cast<std::uint64_t>(options.only)) continue;
    current_input = static_cast<sig_atomic_t>(i);
    const Input input =
        i < corpus.size() ? corpus[i] : Mutator(corpus, options.seed * 1'000'003 + i).make();
    if (!options.save.empty()) {
      std::ofstream(options.save, std::ios::binary)
          .write(reinterpret_cast<const char*>(input.data()),
                 static_cast<std::streamsize>(input.size()));
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%llu inputs: %zu of the corpus, %llu mutated (seed %llu)\n",
              static_cast<unsigned long long>(count), corpus.size(),
              static_cast<unsigned long long>(options.mutations),
              static_cast<unsigned long long>(options.seed));
  return 0;
}
