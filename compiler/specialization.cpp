#include "compiler/specialization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace fms {
namespace {

std::vector<Value> defaults_of(const KernelTemplate& kernel_template) {
  std::vector<Value> values;
  for (const Parameter& parameter : kernel_template.parameters()) {
    values.push_back(parameter.default_value);
  }
  return values;
}

std::string context(const KernelTemplate& kernel_template) {
  return "can't specialise " + kernel_template.name();
}

std::unexpected<Error> unknown_parameter(const KernelTemplate& kernel_template,
                                         std::string_view name) {
  std::vector<std::string_view> names;
  for (const Parameter& parameter : kernel_template.parameters()) names.push_back(parameter.name);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: it has no parameter {}; it has {}", context(kernel_template),
                          name.substr(0, 80),
                          names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

}  // namespace

Specialization::Specialization(std::shared_ptr<const KernelTemplate> kernel_template,
                               std::vector<Value> values)
    : template_(std::move(kernel_template)),
      values_(std::make_shared<const std::vector<Value>>(std::move(values))) {
  std::memcpy(&hash_, template_->digest().bytes.data(), sizeof(hash_));
  for (const Value& value : *values_) {
    // Order counts: (1, 2) isn't (2, 1).
    hash_ = (hash_ << 7 | hash_ >> 57) ^ value.hash();
  }
}

Result<Specialization> Specialization::make(std::shared_ptr<const KernelTemplate> kernel_template,
                                            std::span<const NamedValue> values) {
  std::vector<Value> all = defaults_of(*kernel_template);
  std::vector<bool> given(all.size(), false);
  for (const auto& [name, value] : values) {
    const int found = kernel_template->index_of(name);
    if (found < 0) return unknown_parameter(*kernel_template, name);
    const auto index = static_cast<std::size_t>(found);
    if (given[index]) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}: {} is given twice", context(*kernel_template), name));
    }
    given[index] = true;
    if (auto checked = kernel_template->parameters()[index].check(value); !checked) {
      return std::unexpected(with_context(context(*kernel_template), std::move(checked).error()));
    }
    all[index] = value;
  }
  return Specialization(std::move(kernel_template), std::move(all));
}

Result<Specialization> Specialization::parse(std::shared_ptr<const KernelTemplate> kernel_template,
                                             const NamedText& values) {
  std::vector<NamedValue> named;
  for (const auto& [name, text] : values) {
    const Parameter* parameter = kernel_template->find_parameter(name);
    if (parameter == nullptr) return unknown_parameter(*kernel_template, name);
    auto value = parameter->parse(text);
    if (!value) {
      return std::unexpected(with_context(context(*kernel_template), std::move(value).error()));
    }
    named.emplace_back(name, *value);
  }
  return make(std::move(kernel_template), named);
}

Value Specialization::value(std::string_view name) const {
  const int index = template_->index_of(name);
  assert(index >= 0);
  return (*values_)[static_cast<std::size_t>(index)];
}

bool Specialization::has_exact_size() const {
  const auto parameters = template_->parameters();
  for (std::size_t i = 0; i < values_->size(); ++i) {
    if (parameters[i].kind == ParameterKind::kSize && !(*values_)[i].is_dynamic()) return true;
  }
  return false;
}

Specialization Specialization::dynamic() const {
  const auto parameters = template_->parameters();
  std::vector<Value> values = *values_;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (parameters[i].kind == ParameterKind::kSize) values[i] = Value::dynamic();
  }
  return Specialization(template_, std::move(values));
}

std::string Specialization::to_string() const {
  std::string text = template_->name() + "<";
  for (std::size_t i = 0; i < values_->size(); ++i) {
    const Parameter& parameter = template_->parameters()[i];
    text += fmt::format("{}{}={}", i == 0 ? "" : ", ", parameter.name,
                        parameter.to_string((*values_)[i]));
  }
  return text + ">";
}

bool Specialization::operator==(const Specialization& other) const {
  return hash_ == other.hash_ && (values_ == other.values_ || *values_ == *other.values_) &&
         (template_ == other.template_ || template_->digest() == other.template_->digest());
}

}  // namespace fms
