#include "compiler/llvm/loader.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <llvm/ADT/StringSet.h>
#include <llvm/ExecutionEngine/Orc/DebugObjectManagerPlugin.h>
#include <llvm/ExecutionEngine/Orc/EPCDebugObjectRegistrar.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/ExecutionEngine/Orc/TargetProcess/JITLoaderGDB.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/X86TargetParser.h>

#include <atomic>

#include "compiler/llvm/pipeline.h"

// Conversions of 16-bit floats that code for processors without them calls: of libgcc.
extern "C" {
void __extendhfsf2();
void __truncsfhf2();
void __truncdfhf2();
}

namespace fms::cpu {
namespace {

namespace orc = llvm::orc;

std::string text_of(llvm::Error error) { return llvm::toString(std::move(error)); }

// What LLVM told this thread last: linking happens in the thread that asks for it.
std::string& told() {
  thread_local std::string text;
  return text;
}

// What object code may call of the system: nothing that a kernel has no business with.
bool is_allowed(llvm::StringRef name) {
  static const llvm::StringSet<> plain{
      "memcpy",  "memset",   "memmove",   "memcmp", "printf",    "sin",       "cos",    "tan",
      "asin",    "acos",     "atan",      "atan2",  "sinh",      "cosh",      "tanh",   "asinh",
      "acosh",   "atanh",    "exp",       "exp2",   "exp10",     "expm1",     "log",    "log2",
      "log10",   "log1p",    "pow",       "sqrt",   "cbrt",      "hypot",     "erf",    "erfc",
      "tgamma",  "lgamma",   "fma",       "fmod",   "remainder", "remquo",    "floor",  "ceil",
      "trunc",   "round",    "roundeven", "rint",   "nearbyint", "lrint",     "llrint", "lround",
      "llround", "copysign", "fabs",      "fmax",   "fmin",      "fdim",      "ldexp",  "frexp",
      "modf",    "ilogb",    "logb",      "scalbn", "scalbln",   "nextafter", "sincos", "j0",
      "j1",      "jn",       "y0",        "y1",     "yn"};
  if (plain.contains(name)) return true;
  return name.consume_back("f") && plain.contains(name);
}

void* system_symbol(llvm::StringRef name) {
  if (name == "__extendhfsf2") return reinterpret_cast<void*>(&__extendhfsf2);
  if (name == "__truncsfhf2") return reinterpret_cast<void*>(&__truncsfhf2);
  if (name == "__truncdfhf2") return reinterpret_cast<void*>(&__truncdfhf2);
  return is_allowed(name) ? dlsym(RTLD_DEFAULT, name.str().c_str()) : nullptr;
}

// Gives an image the symbols that it names and may have.
class Symbols final : public orc::DefinitionGenerator {
 public:
  explicit Symbols(std::span<const CpuSymbol> given) {
    for (const CpuSymbol& symbol : given) given_[symbol.name] = symbol.address;
  }

  llvm::Error tryToGenerate(orc::LookupState&, orc::LookupKind, orc::JITDylib& dylib,
                            orc::JITDylibLookupFlags, const orc::SymbolLookupSet& names) override {
    orc::SymbolMap found;
    for (const auto& [name, flags] : names) {
      const auto own = given_.find(*name);
      void* address = own != given_.end() ? own->second : system_symbol(*name);
      if (address == nullptr) continue;
      found[name] = {orc::ExecutorAddr::fromPtr(address), llvm::JITSymbolFlags::Exported};
    }
    return found.empty() ? llvm::Error::success() : dylib.define(orc::absoluteSymbols(found));
  }

 private:
  llvm::StringMap<void*> given_;
};

// The features that `cpu` has and this processor lacks.
std::string missing_features(const std::string& cpu) {
  llvm::SmallVector<llvm::StringRef, 64> wanted;
  llvm::X86::getFeaturesForCPU(cpu, wanted);
  const llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  std::string missing;
  for (const llvm::StringRef feature : wanted) {
    const auto found = host.find(feature);
    if (found != host.end() && !found->second) {
      missing += (missing.empty() ? "" : ", ") + feature.str();
    }
  }
  return missing;
}

}  // namespace

struct Loader::State {
  std::unique_ptr<orc::LLJIT> jit;
  std::atomic<std::uint64_t> count{0};
};

namespace {

class Image final : public CpuImage {
 public:
  Image(std::shared_ptr<void> owner, orc::LLJIT& jit, orc::JITDylib& dylib)
      : owner_(std::move(owner)), jit_(jit), dylib_(dylib) {}
  ~Image() override {
    if (llvm::Error error = jit_.getExecutionSession().removeJITDylib(dylib_)) {
      llvm::consumeError(std::move(error));
    }
  }

  const Kernel& kernel() const override { return *kernel_; }
  void set_kernel(const Kernel* kernel) { kernel_ = kernel; }

 private:
  std::shared_ptr<void> owner_;
  orc::LLJIT& jit_;
  orc::JITDylib& dylib_;
  const Kernel* kernel_ = nullptr;
};

// LLVM's own library, in which it has to look for the function that tells debuggers: it was opened
// for this library alone.
void* llvm_handle() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&llvm_orc_registerJITLoaderGDBWrapper), &info) == 0) {
    return nullptr;
  }
  return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

Result<std::unique_ptr<orc::LLJIT>> make_jit() {
  FMS_TRY(const auto machine, make_machine("x86-64"));
  orc::JITTargetMachineBuilder target(machine->getTargetTriple());
  target.setRelocationModel(llvm::Reloc::PIC_);
  orc::LLJITBuilder builder;
  builder.setJITTargetMachineBuilder(std::move(target))
      .setDataLayout(machine->createDataLayout())
      .setObjectLinkingLayerCreator([](orc::ExecutionSession& session, const llvm::Triple&)
                                        -> llvm::Expected<std::unique_ptr<orc::ObjectLayer>> {
        auto layer = std::make_unique<orc::ObjectLinkingLayer>(session);
        // Tells debuggers of the objects that have lines in them.
        auto registrar =
            orc::createJITLoaderGDBRegistrar(session, orc::ExecutorAddr::fromPtr(llvm_handle()));
        if (!registrar) return registrar.takeError();
        layer->addPlugin(std::make_unique<orc::DebugObjectManagerPlugin>(
            session, std::move(*registrar), /*RequireDebugSections=*/true,
            /*AutoRegisterCode=*/true));
        return layer;
      })
      .setLinkProcessSymbolsByDefault(false)
      .setPlatformSetUp(orc::setUpInactivePlatform);  // kernels have no start-up code
  auto jit = builder.create();
  if (!jit) {
    return fail(ErrorCode::kInternal, "can't start LLVM's linker: " + text_of(jit.takeError()));
  }
  // Failures come back as values; what LLVM would print beside them says more.
  (*jit)->getExecutionSession().setErrorReporter(
      [](llvm::Error error) { told() = text_of(std::move(error)); });
  return std::move(*jit);
}

}  // namespace

Loader::Loader(std::shared_ptr<State> state) : state_(std::move(state)) {}
Loader::~Loader() = default;

Result<std::shared_ptr<Loader>> Loader::create() {
  auto state = std::make_shared<State>();
  FMS_TRY(state->jit, make_jit());
  return std::shared_ptr<Loader>(new Loader(std::move(state)));
}

Result<std::unique_ptr<CpuImage>> Loader::load(const ObjectCode& object,
                                               std::span<const CpuSymbol> symbols) {
  const std::string what =
      fmt::format("can't load {} for {}", object.entry, object.target.to_string());
  if (const std::string missing = missing_features(object.target.arch); !missing.empty()) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: this processor lacks {}; compile it for `cpu`, this machine's own",
                            what, missing));
  }
  const auto corrupt = [&](llvm::Error error) {
    const std::string text = text_of(std::move(error));
    return fail(ErrorCode::kCorrupt, fmt::format("{}: {}", what, told().empty() ? text : told()));
  };
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(
      llvm::StringRef(reinterpret_cast<const char*>(object.bytes.data()), object.bytes.size()),
      object.entry);
  auto file = llvm::object::ObjectFile::createObjectFile(buffer->getMemBufferRef());
  if (!file) return corrupt(file.takeError());
  orc::LLJIT& jit = *state_->jit;

  told().clear();
  auto dylib = jit.createJITDylib(fmt::format("{}.{}", object.entry, ++state_->count));
  if (!dylib) return corrupt(dylib.takeError());
  dylib->addGenerator(std::make_unique<Symbols>(symbols));
  auto image = std::make_unique<Image>(state_, jit, *dylib);
  if (llvm::Error error = jit.addObjectFile(*dylib, std::move(buffer))) {
    return corrupt(std::move(error));
  }
  auto found = jit.lookupLinkerMangled(*dylib, "fms_kernel_" + object.entry);
  if (!found) return corrupt(found.takeError());
  const auto* kernel = found->toPtr<const Kernel*>();
  if (kernel->abi_version != kAbiVersion) {
    return fail(ErrorCode::kCorrupt, fmt::format("{}: it is for runtime interface {}, this is {}",
                                                 what, kernel->abi_version, kAbiVersion));
  }
  image->set_kernel(kernel);
  return image;
}

}  // namespace fms::cpu
