#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/kernel_template.h"
#include "compiler/parameter.h"
#include "compiler/result.h"

namespace fms {

// A template with a checked value for every one of its parameters.
//
// Immutable, cheap to copy relative to a compile, and cheap to compare and hash (the hash is
// computed once). Safe to share among threads.
class Specialization {
 public:
  using NamedValue = std::pair<std::string_view, Value>;
  using NamedText = std::map<std::string, std::string>;

  // Parameters not named take their defaults. Fails on an unknown name, a wrong type, a value out
  // of its constraints; the error names the template and lists what it has.
  static Result<Specialization> make(std::shared_ptr<const KernelTemplate> kernel_template,
                                     std::span<const NamedValue> values);
  // The same from text, as the command line and manifests give it.
  static Result<Specialization> parse(std::shared_ptr<const KernelTemplate> kernel_template,
                                      const NamedText& values);

  const KernelTemplate& kernel_template() const { return *template_; }
  const std::shared_ptr<const KernelTemplate>& shared_template() const { return template_; }

  std::span<const Value> values() const { return *values_; }  // in the order of parameters()
  Value value(std::string_view name) const;                   // REQUIRES: a parameter's name

  // True if some size is exact (a constant), false if all are dynamic or there is none.
  bool has_exact_size() const;
  // This with every size dynamic.
  Specialization dynamic() const;

  // "saxpy<T=float32, kBlock=256, kN=dynamic>": every parameter, for people and logs.
  std::string to_string() const;

  std::uint64_t hash() const { return hash_; }
  bool operator==(const Specialization& other) const;  // same template content, same values

 private:
  Specialization(std::shared_ptr<const KernelTemplate> kernel_template, std::vector<Value> values);

  std::shared_ptr<const KernelTemplate> template_;
  std::shared_ptr<const std::vector<Value>>
      values_;  // shared by copies, which so are equal at once
  std::uint64_t hash_ = 0;
};

// The translation unit of a specialisation: the values as named constants, then an #include of the
// template, whose extern "C" kernel is the entry. A person reads it in a failing log.
std::string render(const Specialization& specialization);

}  // namespace fms

template <>
struct std::hash<fms::Specialization> {
  std::size_t operator()(const fms::Specialization& s) const noexcept { return s.hash(); }
};
