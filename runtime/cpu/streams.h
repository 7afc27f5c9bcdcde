#pragma once

// Internal. Not installed.

#include "runtime/driver.h"

namespace fms::cpu {

// Fills in the functions of streams and events. Whatever is put on a stream is done before the call
// returns, so that all streams are in order, with themselves and each other, and none is ever
// waited for. An event is the time at which it was recorded.
void set_stream_functions(DriverFunctions& call);

// True for the default streams, and for what cuStreamCreate has made.
bool is_stream(CUstream stream);

}  // namespace fms::cpu
