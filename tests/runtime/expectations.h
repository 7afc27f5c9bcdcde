#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "compiler/result.h"

namespace fms::testing {

// The value of a step that the test takes for granted.
template <typename T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return *std::move(result);
}

inline void must_succeed(const Result<void>& result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
}

inline std::string message_of(const Error& error) { return error.message; }

// The message, or a text that no message contains.
template <typename T>
std::string message_of(const Result<T>& result) {
  return result ? "(it succeeded)" : result.error().message;
}

template <typename T>
ErrorCode code_of(const Result<T>& result) {
  return result ? ErrorCode::kInternal : result.error().code;
}

}  // namespace fms::testing

#define EXPECT_CONTAINS(text, part) EXPECT_PRED_FORMAT2(::testing::IsSubstring, part, text)
