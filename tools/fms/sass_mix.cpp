#include "tools/fms/sass_mix.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace fms::program {
namespace {

struct ClassFacts {
  std::string_view name, description;
  std::string_view mnemonics;  // up to the first dot
};

// By SassClass. Mnemonics of sm_75 to sm_121, as NVRTC 13 emits them and the instruction lists of
// NVIDIA's documentation of the binary utilities name them.
constexpr std::array<ClassFacts, kSassClasses> kFacts = {{
    {"tensor", "tensor core",
     "HMMA IMMA DMMA BMMA QMMA OMMA HGMMA IGMMA QGMMA BGMMA UTCHMMA UTCIMMA UTCQMMA UTCOMMA UTCCP "
     "UTCSHIFT UTCATOMSWS LDTM STTM"},
    {"fp32_fma", "fp32 multiply-add", "FFMA FFMA2 FFMA32I UFFMA"},
    {"fp32", "other fp32",
     "FADD FADD2 FADD32I FMUL FMUL2 FMUL32I FMNMX FMNMX3 FSETP FSET FSEL FCHK FSWZADD UFADD UFMUL "
     "UFSETP UFSET UFSEL UFMNMX"},
    {"fp64", "fp64", "DADD DMUL DFMA DSETP"},
    {"fp16", "fp16, bf16",
     "HADD2 HADD2_32 HMUL2 HFMA2 HMNMX2 HSET2 HSETP2 HADD2_32I HFMA2_32I HMUL2_32I VHMNMX"},
    {"special", "special functions", "MUFU"},
    {"integer", "integer",
     "IADD IADD3 IADD32I IMAD IMUL IMUL32I ISETP ISET ISCADD ISCADD32I LEA LOP LOP3 LOP32I LEPC "
     "SHF SHL SHR IMNMX IABS POPC FLO BREV BMSK SGXT VIADD VIADDMNMX VIMNMX VIMNMX3 VABSDIFF "
     "VABSDIFF4 IDP IDP4A PLOP3 PSETP UIADD3 UIMAD UIMNMX UVIMNMX UISETP ULEA ULOP ULOP3 ULOP32I "
     "UPLOP3 UPSETP USHF USHL USHR UPOPC UFLO UBREV UBMSK USGXT UIABS"},
    {"conversion", "conversions",
     "F2F F2I F2FP F2IP I2F I2FP I2I I2IP FRND UF2F UF2I UF2FP UI2F UI2FP UI2I UI2IP UFRND"},
    {"global_load", "global load", "LDG LD TLD TLD4 TEX SULD"},
    {"global_store", "global store", "STG ST SUST"},
    {"shared_load", "shared load", "LDS LDSM"},
    {"shared_store", "shared store", "STS STSM STAS"},
    {"local_load", "local load", "LDL"},
    {"local_store", "local store", "STL"},
    {"constant_load", "constant load", "LDC LDCU ULDC"},
    {"async_copy", "async copy",
     "LDGSTS LDGDEPBAR ARRIVES UBLKCP UBLKRED UBLKPF UTMALDG UTMASTG UTMAREDG UTMAPF UTMACCTL "
     "UTMACMDFLUSH"},
    {"atomic", "atomic", "ATOM ATOMG ATOMS RED REDG REDAS SUATOM SURED"},
    {"barrier", "barrier, fence",
     "BAR B2R DEPBAR SYNCS UCGABAR_ARV UCGABAR_WAIT MEMBAR ERRBAR CGAERRBAR FENCE WARPGROUP "
     "WARPGROUPSET UTCBAR ACQBULK ACQSHMINIT USETMAXREG"},
    {"warp", "warp", "SHFL VOTE VOTEU MATCH REDUX CREDUX ELECT WARPSYNC"},
    {"branch", "branch",
     "BRA BRX BRXU JMP JMX JMXU CALL RET EXIT BSSY BSYNC BREAK YIELD KILL BPT BMOV RPCMOV RTT "
     "ENDCOLLECTIVE"},
    {"move", "move, select",
     "MOV MOV32I MOVM UMOV SEL USEL PRMT UPRMT S2R S2UR CS2R CS2UR R2UR R2P P2R UP2UR UR2UP "
     "PMTRIG GETLMEMBASE SETLMEMBASE"},
    {"other", "other",
     "CCTL CCTLL CCTLT NANOSLEEP PREEXIT QSPC UGETNEXTWORKID USETSHMSZ UVIRTCOUNT"},
}};

const std::unordered_map<std::string_view, SassClass>& classes() {
  static const auto known = [] {
    std::unordered_map<std::string_view, SassClass> all;
    for (std::size_t kind = 0; kind < kSassClasses; ++kind) {
      std::string_view rest = kFacts[kind].mnemonics;
      while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        all.emplace(rest.substr(0, end), static_cast<SassClass>(kind));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
    return all;
  }();
  return known;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t{");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r}") + 1 - first);
}

// "IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28]" of "/*0000*/  @P0 IMAD.MOV.U32 R1, ... ;"; empty if the
// line has no instruction.
std::string_view instruction_in(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with("/*")) return {};
  const std::size_t close = line.find("*/");
  const std::size_t end = line.find(';');
  if (close == line.npos || end == line.npos || end < close) return {};
  constexpr std::string_view kHex = "0123456789abcdef";
  if (line.substr(2, close - 2).find_first_not_of(kHex) != line.npos) return {};
  std::string_view text = trimmed(line.substr(close + 2, end - close - 2));
  if (text.starts_with('@')) text = trimmed(text.substr(std::min(text.find(' '), text.size())));
  return text;
}

// Of the units that moves are done on where others are busy.
bool is_move(std::string_view instruction) {
  if (instruction.starts_with("IMAD.MOV") || instruction.starts_with("IMAD.U32 ")) {
    return instruction.find("RZ, RZ, ") != instruction.npos;
  }
  return instruction.starts_with("HFMA2") && instruction.find("-RZ, RZ, ") != instruction.npos;
}

SassClass class_of(std::string_view instruction) {
  if (is_move(instruction)) return SassClass::kMove;
  const std::string_view mnemonic = instruction.substr(0, instruction.find_first_of(". "));
  const auto found = classes().find(mnemonic);
  return found != classes().end() ? found->second : SassClass::kOther;
}

// The section (nvdisasm) or function (cuobjdump) that begins in this line; nothing if none does.
std::optional<std::string_view> place_begun(std::string_view line) {
  line = trimmed(line);
  const bool section = line.starts_with(".section\t") || line.starts_with(".section ");
  constexpr std::string_view kFunction = "Function : ", kText = ".text.";
  if (!section && !line.starts_with(kFunction)) return std::nullopt;
  line = trimmed(line.substr(section ? std::string_view(".section").size() : kFunction.size()));
  const std::string_view name = line.substr(0, line.find_first_of(", \t"));
  if (!section) return name;
  return name.starts_with(kText) ? name.substr(kText.size()) : std::string_view();
}

}  // namespace

std::string_view to_string(SassClass kind) { return kFacts[std::size_t(kind)].name; }
std::string_view description(SassClass kind) { return kFacts[std::size_t(kind)].description; }

int SassMix::total() const { return std::accumulate(counts.begin(), counts.end(), 0); }

SassMix count_sass(std::string_view disassembly, std::string_view entry) {
  SassMix mix;
  bool inside = false;
  while (!disassembly.empty()) {
    const std::size_t end = std::min(disassembly.find('\n'), disassembly.size());
    const std::string_view line = disassembly.substr(0, end);
    disassembly.remove_prefix(std::min(end + 1, disassembly.size()));
    if (const auto place = place_begun(line)) {
      inside = *place == entry;
    } else if (inside) {
      const std::string_view instruction = instruction_in(line);
      if (instruction.empty() || instruction == "NOP") continue;
      ++mix.counts[std::size_t(class_of(instruction))];
    }
  }
  return mix;
}

}  // namespace fms::program
