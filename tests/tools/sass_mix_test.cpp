#include "tools/fms/sass_mix.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace fms::program {
namespace {

// As nvdisasm prints a cubin of sm_80, cut down.
constexpr const char* kNvdisasm = R"(	.section	.debug_frame,"",@progbits
        /*0000*/ 	.byte	0xff, 0xff, 0xff, 0xff
//--------------------- .text.other               --------------------------
	.section	.text.other,"ax",@progbits
        /*0000*/                   DFMA R2, R4, R6, R8 ;
	.section	.text.saxpy,"ax",@progbits
	.sectioninfo	@"SHI_REGISTERS=10"
	.align	128
saxpy:
.text.saxpy:
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
        /*0010*/                   S2R R2, SR_TID.X ;
        /*0020*/                   ULDC.64 UR4, c[0x0][0x118] ;
        /*0030*/                   ISETP.GE.AND P0, PT, R2, c[0x0][0x174], PT ;
        /*0040*/               @P0 EXIT ;
        /*0050*/                   IMAD.WIDE R2, R2, R3, c[0x0][0x160] ;
        /*0060*/                   LDG.E.CONSTANT R2, [R2.64] ;
        /*0070*/              @!P1 LDG.E R7, [R4.64] ;
        /*0080*/                   FFMA R7, R2, c[0x0][0x170], R7 ;
        /*0090*/                   STG.E [R4.64], R7 ;
        /*00a0*/                   EXIT ;
.L_x_0:
        /*00b0*/                   BRA `(.L_x_0);
        /*00c0*/                   NOP;
        /*00d0*/                   NOP;
	.section	.nv.global,"aw",@nobits
        /*0000*/ 	.word	0x00000000
)";

TEST(SassMixTest, InstructionsOfTheKernelAreCountedByClass) {
  const SassMix mix = count_sass(kNvdisasm, "saxpy");
  EXPECT_EQ(mix.of(SassClass::kFp32Fma), 1);
  EXPECT_EQ(mix.of(SassClass::kGlobalLoad), 2);
  EXPECT_EQ(mix.of(SassClass::kGlobalStore), 1);
  EXPECT_EQ(mix.of(SassClass::kInteger), 2);
  EXPECT_EQ(mix.of(SassClass::kConstantLoad), 1);
  EXPECT_EQ(mix.of(SassClass::kBranch), 3) << "with a predicate, too";
  EXPECT_EQ(mix.of(SassClass::kMove), 2) << "an IMAD that only moves is one";
  EXPECT_EQ(mix.of(SassClass::kFp64), 0) << "of another kernel";
  EXPECT_EQ(mix.total(), 12) << "NOPs only pad";
}

TEST(SassMixTest, AKernelThatIsNotThereHasNone) {
  EXPECT_EQ(count_sass(kNvdisasm, "saxp").total(), 0);
  EXPECT_EQ(count_sass("", "saxpy").total(), 0);
}

TEST(SassMixTest, CuobjdumpsFormIsReadAsWell) {
  const SassMix mix = count_sass(
      "\tcode for sm_90a\n"
      "\t\tFunction : k\n"
      "\t.headerflags\t@\"EF_CUDA_SM90\"\n"
      "        /*0000*/                   LDC R1, c[0x0][0x28] ;          /* 0x00000a00ff017b82 "
      "*/\n"
      "                                                                   /* 0x000fe20000000800 "
      "*/\n"
      "        /*0010*/                   WARPGROUP.ARRIVE ;              /* 0x0000000000007945 "
      "*/\n"
      "        /*0020*/                   HGMMA.64x8x16.F32 R24, gdesc[UR4], RZ, !UPT ; /* 0x0 */\n"
      "\t\tFunction : other\n"
      "        /*0000*/                   MUFU.EX2 R1, R2 ;\n",
      "k");
  EXPECT_EQ(mix.of(SassClass::kConstantLoad), 1);
  EXPECT_EQ(mix.of(SassClass::kBarrier), 1);
  EXPECT_EQ(mix.of(SassClass::kTensor), 1);
  EXPECT_EQ(mix.total(), 3);
}

SassClass class_of(const std::string& instruction) {
  const SassMix mix =
      count_sass("\t.section\t.text.k,\"ax\"\n  /*0000*/ " + instruction + " ;\n", "k");
  EXPECT_EQ(mix.total(), 1) << instruction;
  for (std::size_t i = 0; i < kSassClasses; ++i) {
    if (mix.counts[i] != 0) return static_cast<SassClass>(i);
  }
  return SassClass::kOther;
}

TEST(SassMixTest, EachClassHasItsInstructions) {
  EXPECT_EQ(class_of("HMMA.16816.F32 R16, R4.reuse, R12, RZ"), SassClass::kTensor);
  EXPECT_EQ(class_of("UTCHMMA gdesc[UR8], gdesc[UR10], tmem[UR4]"), SassClass::kTensor);
  EXPECT_EQ(class_of("FADD R1, R2, R3"), SassClass::kFp32);
  EXPECT_EQ(class_of("DFMA R2, R4, R6, R8"), SassClass::kFp64);
  EXPECT_EQ(class_of("HFMA2.BF16_V2 R17, R0, R0, R17"), SassClass::kFp16);
  EXPECT_EQ(class_of("MUFU.RSQ R1, R2"), SassClass::kSpecial);
  EXPECT_EQ(class_of("F2FP.F16.F32.PACK_AB R1, RZ, R1"), SassClass::kConversion);
  EXPECT_EQ(class_of("LDSM.16.M88 R2, [R3]"), SassClass::kSharedLoad);
  EXPECT_EQ(class_of("STS [R1], R2"), SassClass::kSharedStore);
  EXPECT_EQ(class_of("LDL R1, [R2]"), SassClass::kLocalLoad);
  EXPECT_EQ(class_of("STL.64 [R1], R2"), SassClass::kLocalStore);
  EXPECT_EQ(class_of("LDGSTS.E.BYPASS.128 [R1], [R2.64]"), SassClass::kAsyncCopy);
  EXPECT_EQ(class_of("UTMALDG.2D [UR4], [UR6]"), SassClass::kAsyncCopy);
  EXPECT_EQ(class_of("REDG.E.ADD.F32.FTZ.RN.STRONG.GPU [R2.64], R3"), SassClass::kAtomic);
  EXPECT_EQ(class_of("BAR.SYNC.DEFER_BLOCKING 0x0"), SassClass::kBarrier);
  EXPECT_EQ(class_of("SYNCS.EXCH.64 URZ, [UR4], UR6"), SassClass::kBarrier);
  EXPECT_EQ(class_of("SHFL.BFLY PT, R1, R2, 0x10, 0x1f"), SassClass::kWarp);
  EXPECT_EQ(class_of("@!UP0 UIADD3 UR4, UR4, 0x1, URZ"), SassClass::kInteger);
  EXPECT_EQ(class_of("NANOSLEEP R1"), SassClass::kOther);
  EXPECT_EQ(class_of("NEWER.THAN.THIS R1"), SassClass::kOther);
}

TEST(SassMixTest, MovesThroughOtherUnitsAreMoves) {
  EXPECT_EQ(class_of("IMAD.U32 R6, RZ, RZ, UR6"), SassClass::kMove);
  EXPECT_EQ(class_of("IMAD.U32 R6, R5, UR7, R4"), SassClass::kInteger);
  EXPECT_EQ(class_of("HFMA2 R17, -RZ, RZ, 0, 0"), SassClass::kMove);
  EXPECT_EQ(class_of("HFMA2.MMA R5, -RZ, RZ, 0, 5.9604644775390625e-08"), SassClass::kMove);
}

TEST(SassMixTest, NamesAreDifferentAndForPrograms) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kSassClasses; ++i) {
    const std::string_view name = to_string(static_cast<SassClass>(i));
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), name.npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(SassMixTest, HalfALineIsNoInstruction) {
  for (const char* line :
       {"/*0000", "/*0000*/", "/*0000*/ ;", "/*00zz*/ MOV R1, R2 ;", "@P0", "*/ ;"}) {
    EXPECT_EQ(count_sass(std::string("\t.section\t.text.k\n") + line, "k").total(), 0) << line;
  }
}

}  // namespace
}  // namespace fms::program
