# What `cmake --install` puts where, so that find_package(FlashMoEScience) finds it. The component
# `program` is the program alone, `llvm` what it needs for CPU targets.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The public headers: those with a contract for programs. All others are internal.
set(_public_templates templates/embedded.h)
set(_public_compiler
    compiler/compile_request.h compiler/compiler.h compiler/digest.h compiler/dtype.h
    compiler/kernel_template.h compiler/nvrtc_compiler.h compiler/object_code.h
    compiler/parameter.h compiler/result.h compiler/specialization.h compiler/target.h)
set(_public_cache cache/kernel_store.h cache/tuning.h)
set(_public_runtime
    runtime/device.h runtime/device_buffer.h runtime/event.h runtime/jit.h runtime/kernel.h
    runtime/launch.h runtime/log.h runtime/manifest.h runtime/stream.h runtime/template_file.h
    runtime/tensor_map.h runtime/toolkit.h runtime/tunings.h runtime/ops/attention.h)

set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/FlashMoEScience)
foreach(library templates compiler cache runtime)
  list(TRANSFORM _public_${library} PREPEND ${PROJECT_SOURCE_DIR}/)
  target_sources(fms_${library} PUBLIC
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${_public_${library}})
  install(TARGETS fms_${library} EXPORT FlashMoEScienceTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/flashmoe_science COMPONENT library)
endforeach()
install(EXPORT FlashMoEScienceTargets NAMESPACE FlashMoEScience:: DESTINATION ${_package}
        COMPONENT library)

configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/tools/FlashMoEScienceConfig.cmake.in FlashMoEScienceConfig.cmake
  INSTALL_DESTINATION ${_package})
# Before 1.0 a minor version may break its callers.
write_basic_package_version_file(FlashMoEScienceConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/FlashMoEScienceConfig.cmake
              ${PROJECT_BINARY_DIR}/FlashMoEScienceConfigVersion.cmake
        DESTINATION ${_package} COMPONENT library)

# Beside the libraries, or ../lib of the program: where it is looked for.
if(TARGET fms_llvm)
  install(TARGETS fms_llvm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT llvm)
endif()
if(TARGET fms)
  install(TARGETS fms RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()
