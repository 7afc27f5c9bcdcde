#pragma once

#include <array>
#include <string>
#include <string_view>

#include "compiler/template_parser.h"
#include "compiler/token_cursor.h"

namespace fms {

inline constexpr std::array<std::string_view, 8> kDeclarationNames = {
    "FMS_KERNEL", "FMS_INT",  "FMS_BOOL", "FMS_FLOAT",
    "FMS_TYPE",   "FMS_ENUM", "FMS_SIZE", "FMS_ALLOW"};

// Reads one FMS_ declaration after another into `declarations`. Both arguments must outlive it.
//
// Not thread-safe.
class DeclarationReader {
 public:
  DeclarationReader(TokenCursor& cursor, TemplateDeclarations& declarations)
      : cursor_(cursor), result_(declarations) {}

  // `macro` is one of kDeclarationNames, the cursor at what follows it; on success it then is
  // behind the semicolon.
  Result<void> read(const SourceToken& macro);

 private:
  Result<void> parse_kernel(const SourceToken& macro);
  Result<void> parse_allow();
  Result<void> parse_parameter(const SourceToken& macro, ParameterKind kind);
  Result<void> parse_default(Parameter& parameter, std::string& enumerator);
  Result<void> parse_constraints(Parameter& parameter);
  Result<void> parse_range(Parameter& parameter);
  Result<void> parse_divisible(Parameter& parameter);
  Result<void> parse_choices(Parameter& parameter);
  Result<void> parse_choice(Parameter& parameter);
  Result<void> add_parameter(const SourceToken& macro, Parameter parameter,
                             const std::string& enumerator);

  TokenCursor& cursor_;
  TemplateDeclarations& result_;
};

}  // namespace fms
