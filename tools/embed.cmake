# Writes a C++ file that holds the text of other files.
#   cmake -DROOT=dir -DFILES="a;b" -DFUNCTION=embedded_files -DOUTPUT=x.cpp -P embed.cmake
# Raw strings are cut into pieces, since compilers limit the length of one.
set(entries "")
list(SORT FILES)
foreach(file IN LISTS FILES)
  file(READ "${ROOT}/${file}" text)
  string(LENGTH "${text}" length)
  set(literal "")
  set(at 0)
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} 8000 piece)
    string(APPEND literal "\n    R\"fms~(${piece})fms~\"")
    math(EXPR at "${at} + 8000")
  endwhile()
  file(SHA256 "${ROOT}/${file}" digest)
  string(REGEX REPLACE "(..)" "0x\\1, " digest "${digest}")
  string(APPEND entries "  {\"${file}\",${literal},\n    {${digest}}},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made by tools/embed.cmake.
#include \"templates/embedded.h\"

namespace fms {
namespace {
constexpr EmbeddedFile ${FUNCTION}_table[] = {
${entries}};
}  // namespace

std::span<const EmbeddedFile> ${FUNCTION}() { return ${FUNCTION}_table; }

}  // namespace fms
")
