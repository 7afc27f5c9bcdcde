#pragma once

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>

#include <memory>
#include <string>

#include "compiler/compile_request.h"
#include "compiler/compiler.h"
#include "compiler/object_code.h"
#include "compiler/result.h"

namespace fms::cpu {

// What clang makes of a request: IR that no pass has touched, and what only the source says.
struct Translated {
  // Declared first, since the module lives in it.
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
  std::string thread;  // the function that runs one thread: void(ptr arguments)
  std::vector<ParameterLayout> parameters;  // of the kernel
  int max_threads = 0;                      // by __launch_bounds__; 0: not said
  std::string log;                          // warnings
};

// The device headers that stand for the toolkit's and for CUDA's built-in names, by the name that
// #include uses.
std::vector<SourceFile> prelude_files();

// Something in clang's library, by which the file it was loaded from is found.
const void* clang_address();

// Runs clang on the request's source, in memory: no file is read. kCompileFailed as Compiler says.
Result<Translated> translate(const CompileRequest& request);

}  // namespace fms::cpu
