// Which sanitizer the tests are built with: g++ says it by macros, and clang by __has_feature.

#pragma once

namespace fms {

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

// Most of such a test's time is a compiler's, at which no sanitizer of ours looks.
inline constexpr bool kSanitized = kThreadSanitizer || kAddressSanitizer;

}  // namespace fms
