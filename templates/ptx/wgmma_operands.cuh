#ifndef FMS_PTX_WGMMA_OPERANDS_CUH_
#define FMS_PTX_WGMMA_OPERANDS_CUH_

// The accumulators of wgmma, for each N, as asm statements name them.

// Operands %0 to %(N / 2 - 1), four more a line, as the text and the list of an asm statement.
#define FMS_WGMMA_TEXT_8 "%0, %1, %2, %3"
#define FMS_WGMMA_TEXT_16 \
  FMS_WGMMA_TEXT_8        \
  ", "                    \
  "%4, %5, %6, %7"
#define FMS_WGMMA_TEXT_24 \
  FMS_WGMMA_TEXT_16       \
  ", "                    \
  "%8, %9, %10, %11"
#define FMS_WGMMA_TEXT_32 \
  FMS_WGMMA_TEXT_24       \
  ", "                    \
  "%12, %13, %14, %15"
#define FMS_WGMMA_TEXT_40 \
  FMS_WGMMA_TEXT_32       \
  ", "                    \
  "%16, %17, %18, %19"
#define FMS_WGMMA_TEXT_48 \
  FMS_WGMMA_TEXT_40       \
  ", "                    \
  "%20, %21, %22, %23"
#define FMS_WGMMA_TEXT_56 \
  FMS_WGMMA_TEXT_48       \
  ", "                    \
  "%24, %25, %26, %27"
#define FMS_WGMMA_TEXT_64 \
  FMS_WGMMA_TEXT_56       \
  ", "                    \
  "%28, %29, %30, %31"
#define FMS_WGMMA_TEXT_72 \
  FMS_WGMMA_TEXT_64       \
  ", "                    \
  "%32, %33, %34, %35"
#define FMS_WGMMA_TEXT_80 \
  FMS_WGMMA_TEXT_72       \
  ", "                    \
  "%36, %37, %38, %39"
#define FMS_WGMMA_TEXT_88 \
  FMS_WGMMA_TEXT_80       \
  ", "                    \
  "%40, %41, %42, %43"
#define FMS_WGMMA_TEXT_96 \
  FMS_WGMMA_TEXT_88       \
  ", "                    \
  "%44, %45, %46, %47"
#define FMS_WGMMA_TEXT_104 \
  FMS_WGMMA_TEXT_96        \
  ", "                     \
  "%48, %49, %50, %51"
#define FMS_WGMMA_TEXT_112 \
  FMS_WGMMA_TEXT_104       \
  ", "                     \
  "%52, %53, %54, %55"
#define FMS_WGMMA_TEXT_120 \
  FMS_WGMMA_TEXT_112       \
  ", "                     \
  "%56, %57, %58, %59"
#define FMS_WGMMA_TEXT_128 \
  FMS_WGMMA_TEXT_120       \
  ", "                     \
  "%60, %61, %62, %63"
#define FMS_WGMMA_TEXT_136 \
  FMS_WGMMA_TEXT_128       \
  ", "                     \
  "%64, %65, %66, %67"
#define FMS_WGMMA_TEXT_144 \
  FMS_WGMMA_TEXT_136       \
  ", "                     \
  "%68, %69, %70, %71"
#define FMS_WGMMA_TEXT_152 \
  FMS_WGMMA_TEXT_144       \
  ", "                     \
  "%72, %73, %74, %75"
#define FMS_WGMMA_TEXT_160 \
  FMS_WGMMA_TEXT_152       \
  ", "                     \
  "%76, %77, %78, %79"
#define FMS_WGMMA_TEXT_168 \
  FMS_WGMMA_TEXT_160       \
  ", "                     \
  "%80, %81, %82, %83"
#define FMS_WGMMA_TEXT_176 \
  FMS_WGMMA_TEXT_168       \
  ", "                     \
  "%84, %85, %86, %87"
#define FMS_WGMMA_TEXT_184 \
  FMS_WGMMA_TEXT_176       \
  ", "                     \
  "%88, %89, %90, %91"
#define FMS_WGMMA_TEXT_192 \
  FMS_WGMMA_TEXT_184       \
  ", "                     \
  "%92, %93, %94, %95"
#define FMS_WGMMA_TEXT_200 \
  FMS_WGMMA_TEXT_192       \
  ", "                     \
  "%96, %97, %98, %99"
#define FMS_WGMMA_TEXT_208 \
  FMS_WGMMA_TEXT_200       \
  ", "                     \
  "%100, %101, %102, %103"
#define FMS_WGMMA_TEXT_216 \
  FMS_WGMMA_TEXT_208       \
  ", "                     \
  "%104, %105, %106, %107"
#define FMS_WGMMA_TEXT_224 \
  FMS_WGMMA_TEXT_216       \
  ", "                     \
  "%108, %109, %110, %111"
#define FMS_WGMMA_TEXT_232 \
  FMS_WGMMA_TEXT_224       \
  ", "                     \
  "%112, %113, %114, %115"
#define FMS_WGMMA_TEXT_240 \
  FMS_WGMMA_TEXT_232       \
  ", "                     \
  "%116, %117, %118, %119"
#define FMS_WGMMA_TEXT_248 \
  FMS_WGMMA_TEXT_240       \
  ", "                     \
  "%120, %121, %122, %123"
#define FMS_WGMMA_TEXT_256 \
  FMS_WGMMA_TEXT_248       \
  ", "                     \
  "%124, %125, %126, %127"
#define FMS_WGMMA_FOUR(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FMS_WGMMA_LIST_8 FMS_WGMMA_FOUR(0)
#define FMS_WGMMA_LIST_16 FMS_WGMMA_LIST_8, FMS_WGMMA_FOUR(4)
#define FMS_WGMMA_LIST_24 FMS_WGMMA_LIST_16, FMS_WGMMA_FOUR(8)
#define FMS_WGMMA_LIST_32 FMS_WGMMA_LIST_24, FMS_WGMMA_FOUR(12)
#define FMS_WGMMA_LIST_40 FMS_WGMMA_LIST_32, FMS_WGMMA_FOUR(16)
#define FMS_WGMMA_LIST_48 FMS_WGMMA_LIST_40, FMS_WGMMA_FOUR(20)
#define FMS_WGMMA_LIST_56 FMS_WGMMA_LIST_48, FMS_WGMMA_FOUR(24)
#define FMS_WGMMA_LIST_64 FMS_WGMMA_LIST_56, FMS_WGMMA_FOUR(28)
#define FMS_WGMMA_LIST_72 FMS_WGMMA_LIST_64, FMS_WGMMA_FOUR(32)
#define FMS_WGMMA_LIST_80 FMS_WGMMA_LIST_72, FMS_WGMMA_FOUR(36)
#define FMS_WGMMA_LIST_88 FMS_WGMMA_LIST_80, FMS_WGMMA_FOUR(40)
#define FMS_WGMMA_LIST_96 FMS_WGMMA_LIST_88, FMS_WGMMA_FOUR(44)
#define FMS_WGMMA_LIST_104 FMS_WGMMA_LIST_96, FMS_WGMMA_FOUR(48)
#define FMS_WGMMA_LIST_112 FMS_WGMMA_LIST_104, FMS_WGMMA_FOUR(52)
#define FMS_WGMMA_LIST_120 FMS_WGMMA_LIST_112, FMS_WGMMA_FOUR(56)
#define FMS_WGMMA_LIST_128 FMS_WGMMA_LIST_120, FMS_WGMMA_FOUR(60)
#define FMS_WGMMA_LIST_136 FMS_WGMMA_LIST_128, FMS_WGMMA_FOUR(64)
#define FMS_WGMMA_LIST_144 FMS_WGMMA_LIST_136, FMS_WGMMA_FOUR(68)
#define FMS_WGMMA_LIST_152 FMS_WGMMA_LIST_144, FMS_WGMMA_FOUR(72)
#define FMS_WGMMA_LIST_160 FMS_WGMMA_LIST_152, FMS_WGMMA_FOUR(76)
#define FMS_WGMMA_LIST_168 FMS_WGMMA_LIST_160, FMS_WGMMA_FOUR(80)
#define FMS_WGMMA_LIST_176 FMS_WGMMA_LIST_168, FMS_WGMMA_FOUR(84)
#define FMS_WGMMA_LIST_184 FMS_WGMMA_LIST_176, FMS_WGMMA_FOUR(88)
#define FMS_WGMMA_LIST_192 FMS_WGMMA_LIST_184, FMS_WGMMA_FOUR(92)
#define FMS_WGMMA_LIST_200 FMS_WGMMA_LIST_192, FMS_WGMMA_FOUR(96)
#define FMS_WGMMA_LIST_208 FMS_WGMMA_LIST_200, FMS_WGMMA_FOUR(100)
#define FMS_WGMMA_LIST_216 FMS_WGMMA_LIST_208, FMS_WGMMA_FOUR(104)
#define FMS_WGMMA_LIST_224 FMS_WGMMA_LIST_216, FMS_WGMMA_FOUR(108)
#define FMS_WGMMA_LIST_232 FMS_WGMMA_LIST_224, FMS_WGMMA_FOUR(112)
#define FMS_WGMMA_LIST_240 FMS_WGMMA_LIST_232, FMS_WGMMA_FOUR(116)
#define FMS_WGMMA_LIST_248 FMS_WGMMA_LIST_240, FMS_WGMMA_FOUR(120)
#define FMS_WGMMA_LIST_256 FMS_WGMMA_LIST_248, FMS_WGMMA_FOUR(124)

#endif  // FMS_PTX_WGMMA_OPERANDS_CUH_
