# Cross-compilation with Zig's C++ compiler. RBNN_ZIG is its executable, RBNN_ZIG_TARGET what to build for, such as
# aarch64-linux-gnu.2.28 (the last part: the oldest C library that it shall run with).

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RBNN_ZIG RBNN_ZIG_TARGET)
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${RBNN_ZIG_TARGET}")
if(RBNN_ZIG_TARGET MATCHES "-windows")
  set(CMAKE_SYSTEM_NAME Windows)
elseif(RBNN_ZIG_TARGET MATCHES "-macos")
  set(CMAKE_SYSTEM_NAME Darwin)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()

set(CMAKE_CXX_COMPILER ${RBNN_ZIG} c++ -target ${RBNN_ZIG_TARGET})
# Zig's archiver is a subcommand; CMAKE_AR takes no arguments, and the host's writes no symbol table of foreign objects.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${RBNN_ZIG}\" ar qcs <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "\"${RBNN_ZIG}\" ar qs <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)

# -s: Zig keeps debug information unless told otherwise.
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s")
